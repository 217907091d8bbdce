"""The tables of a PEtab problem as text, every cell checked before any library sees it.

A cell that holds what its column cannot have is a problem with file, row, column and what was expected. A column
that the problem's version of PEtab does not know is refused if it changes what a table means, and noted if it does
not. `v1_cells` and `v2_cells` say which columns each version has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from ..files.csv_table import Row, Table, parse_number, quote, read_table
from ..files.issues import Issues

TableKind = Literal["measurement", "condition", "observable", "parameter", "experiment", "mapping"]

MISSING = frozenset(
    "|#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|nan|null".split(  # noqa: SIM905
        "|"
    )
)
"""Cells that PEtab's tools read as empty (pandas' list)."""

LIMITS = ("measurementType", "censoringBounds")
"""Columns of pyPESTO in a measurement table that are read; see `limits`."""

_TELLING = re.compile(
    "bound|censor|limit|lod|loq|detect|type|group|categor|offset|scal|weigh|sigma|sd$|std|error|noise|unit|transform"
    "|distribut|prior|exclu|ignore|outlier|flag",
    re.IGNORECASE,
)
"""What the name of a column has that would change what a row means."""


def is_missing(text: str) -> bool:
    return text in MISSING


class Sheet(NamedTuple):
    """A kind of table: its columns, and the check of one of its rows.

    - `more`: columns of other tools that are read;
    - `advice`: columns of another version of PEtab, with what to write instead;
    - `open`: all other columns are names of the model;
    - `may_be_empty`: a table without rows says that there are none.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    check: Callable[[TableCells, int], None]
    more: tuple[str, ...] = ()
    advice: Mapping[str, str] = {}
    open: bool = False
    may_be_empty: bool = False


@dataclass
class TableCells:
    """Rows of each kind of table, and what was found on the way."""

    rows: dict[TableKind, list[Row]] = field(default_factory=dict)
    files: dict[TableKind, list[str]] = field(default_factory=dict)  # of each row
    issues: Issues = field(default_factory=lambda: Issues(""))
    notes: list[str] = field(default_factory=list)
    outside: set[str] = field(default_factory=set)  # files beyond the problem's folder, of which nothing is quoted

    def complain(self, kind: TableKind, index: int, column: str, expected: str) -> None:
        row, file = self.rows[kind][index], self.files[kind][index]
        holds = "what is not quoted here" if file in self.outside else quote(row.cells.get(column, ""))
        self.issues.add(file, expected, row=row.number, column=column, holds=holds)

    def text(self, kind: TableKind, index: int, column: str) -> str:
        """A cell; empty if it, or its column, is missing."""
        text = self.rows[kind][index].cells.get(column, "")
        return "" if is_missing(text) else text

    def each(self, kind: TableKind) -> Iterator[tuple[int, Mapping[str, str]]]:
        """Positions and cells of all rows of a kind, without those that are missing."""
        for index, row in enumerate(self.rows.get(kind, [])):
            yield index, {n: t for n, t in row.cells.items() if not is_missing(t)}

    def place(self, kind: TableKind, index: int) -> str:
        """The file and row of a row."""
        return f"{self.files[kind][index]}, row {self.rows[kind][index].number}"

    def wrong(self, kind: TableKind, index: int) -> bool:
        """True if something has been said of the row."""
        file, number = self.files[kind][index], self.rows[kind][index].number
        return any((p.file, p.row) == (file, number) for p in self.issues.entries)


def read_cells(
    files: Mapping[TableKind, Sequence[Path]], folder: Path, layout: Mapping[TableKind, Sheet]
) -> TableCells:
    """All tables; `issues` has what is wrong, and a table that cannot be read at all has no rows.

    Messages quote nothing of files outside `folder`, nor of files that are not tables.
    """
    cells = TableCells()
    every = [path for paths in files.values() for path in paths]
    cells.outside = {p.name for p in every if not p.resolve().is_relative_to(folder.resolve())}
    for kind, paths in files.items():
        cells.rows[kind], cells.files[kind] = [], []
        for path in paths:
            sheet = layout[kind]
            table = read_table(path, cells.issues, delimiter="\t", short_rows=True, may_be_empty=sheet.may_be_empty)
            if table is None or not _check_columns(kind, table, cells, sheet):
                continue
            cells.rows[kind] += table.rows
            cells.files[kind] += [table.file] * len(table.rows)
    for kind in files:
        for index in range(len(cells.rows[kind])):
            layout[kind].check(cells, index)
    return cells


def _check_columns(kind: TableKind, table: Table, cells: TableCells, sheet: Sheet) -> bool:
    missing = [c for c in sheet.required if c not in table.columns]
    if len(table.columns) == 1 and len(missing) == len(sheet.required):
        expected = f"a {kind} table, its first line the columns {', '.join(sheet.required)}, separated by tabs"
        cells.issues.add(table.file, f"expected {expected}; the file is not one")
        return False
    there = "" if table.file in cells.outside else f"; the table has {', '.join(table.columns)}"
    for column in missing:
        cells.issues.add(table.file, f"the column is missing{there}", column=column)
    if not sheet.open:
        _check_unknown(table, cells, sheet)
    return not missing


def _check_unknown(table: Table, cells: TableCells, sheet: Sheet) -> None:
    known = {*sheet.required, *sheet.optional, *sheet.more}
    ignored = []
    for column in (c for c in table.columns if c not in known):
        if all(is_missing(row.cells[column]) for row in table.rows):
            continue
        if column in sheet.advice:
            cells.issues.add(table.file, sheet.advice[column], column=column)
        elif near := [k for k in known if _near(column, k)]:
            cells.issues.add(table.file, f"unknown column; is it {near[0]!r}?", column=column)
        elif _TELLING.search(column):
            cells.issues.add(
                table.file,
                "unknown column, which may change what its rows mean; hexamer does not read it: delete it, or give "
                "it a name such as 'note_1' if it is a remark",
                column=column,
            )
        else:
            ignored.append(column)
    if ignored:
        cells.notes.append(f"columns of {table.file} that are not read: {', '.join(ignored)}")


def _near(column: str, known: str) -> bool:
    """Whether `column` is `known` but for case and separators, or but for one letter."""
    a, b = (re.sub(r"[\W_]", "", name).lower() for name in (column, known))
    if a == b:
        return True
    shorter, longer = sorted((a, b), key=len)
    if len(longer) - len(shorter) > 1:
        return False
    same = next((i for i, (x, y) in enumerate(zip(shorter, longer, strict=False)) if x != y), len(shorter))
    ending = shorter[same:] if len(shorter) < len(longer) else shorter[same + 1 :]
    return ending == longer[same + 1 :]


def number_or_nan(text: str) -> float:
    """A number, ±inf, or NaN for what is not a number."""
    if text.lower().lstrip("+-") in ("inf", "infinity"):
        return -math.inf if text.startswith("-") else math.inf
    value = parse_number(text)
    return math.nan if value is None else value
