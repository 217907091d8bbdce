"""CSV as text cells with their row numbers; numbers are read strictly, nothing is guessed or filled in."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...models.listing import did_you_mean
from ...models.networks.operations import is_nonzero
from .issues import Issues
from .text_file import read_text

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
"""A decimal number, as a pattern for digits of ASCII."""

_NUMBER = re.compile(NUMBER, re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    """`number` is the line in the file, 1 = first after the header; cells have no blanks around them."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    file: str  # as it is named in messages
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def parse_number(text: str) -> float | None:
    """A finite decimal number, or None: `NaN`, `inf`, `1,5`, `1_000`, and what floats cannot hold, are none."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) and not (value == 0 and is_nonzero(text)) else None


def number_in(row: Row, column: str, file: str, issues: Issues) -> float | None:
    """The cell as a number; else a problem and None."""
    text = row.cells.get(column, "")
    value = parse_number(text)
    if value is None:
        issues.add(file, "a finite number" + hint_of(text), row=row.number, column=column, holds=quote(text))
    return value


def hint_of(text: str) -> str:
    """How to write the number that `text` seems to mean, to follow "a finite number"; empty if it means none."""
    if re.fullmatch(r"[+-]?(\d|[.'\s])*,\d+([eE][+-]?\d+)?", text):
        return "; write decimals with a point"
    if re.fullmatch(r"[+-]?\d+(\.\d*)?[dD][+-]?\d+", text):
        return "; write powers of ten with an e, as in 1e-3"
    if _NUMBER.fullmatch(text):
        if math.isinf(float(text)):
            return "; it is beyond the largest that can be computed with, 1.8e308"
        if float(text) == 0 and is_nonzero(text):
            return "; it is below the smallest that can be computed with, 5e-324; write 0 if that is meant"
    if text and not text.isascii():
        return (
            f"; it has characters beyond ASCII: {', '.join(sorted({ascii(c)[1:-1] for c in text if not c.isascii()}))}"
        )
    return ""


def quote(text: str) -> str:
    """A cell for a message: quoted, shortened, empty if it is empty."""
    return repr(text if len(text) <= 60 else text[:57] + "…") if text else ""


def read_table(
    path: Path, issues: Issues, *, delimiter: str = ",", short_rows: bool = False, may_be_empty: bool = False
) -> Table | None:
    """The table at `path` (UTF-8, first line the header); None if it cannot be read at all.

    Blank lines are skipped. Added to `issues`: no such file, not UTF-8, no header, no rows (unless `may_be_empty`), a
    column without name or named twice, a row with too few (unless `short_rows`), too many or only empty cells.
    """
    text = read_text(path, issues)
    records = None if text is None else _records(text, path.name, delimiter, issues)
    if records is None:
        return None
    return _table(records, path.name, delimiter, issues, short_rows=short_rows, may_be_empty=may_be_empty)


_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons"}


def _records(text: str, file: str, delimiter: str, issues: Issues) -> list[tuple[int, list[str]]] | None:
    """Cells without blanks around them, each line with its number in the file; blank lines are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    # A quoted cell may span lines, so the row's number is that of its first line.
    records, before = [], 0
    try:
        for cells in reader:
            records.append((before, [c.strip() for c in cells]))
            before = reader.line_num
    except csv.Error as error:
        expected = f"cells separated by {_NAMES[delimiter]}, but line {before + 1} cannot be split into cells: {error}"
        issues.add(file, f"{expected}; look for a quotation mark that is not closed")
        return None
    return [(number, cells) for number, cells in records if cells]


def _table(
    records: list[tuple[int, list[str]]],
    file: str,
    delimiter: str,
    issues: Issues,
    *,
    short_rows: bool,
    may_be_empty: bool,
) -> Table | None:
    if not records:
        issues.add(file, "the file is empty; expected a header line and rows")
        return None
    offset, header = records[0]
    if len(header) == 1 and any(mark in header[0] for mark in _NAMES):
        seen = next(name for mark, name in _NAMES.items() if mark in header[0])
        issues.add(file, f"the header must have columns separated by {_NAMES[delimiter]}; it has {seen}")
        return None
    if len(set(header)) < len(header) and any(map(_NUMBER.fullmatch, header)):
        issues.add(file, _no_header(header))
        return None
    for name in sorted({c for c in header if header.count(c) > 1 or not c}):
        issues.add(file, f"column {name!r} appears twice" if name else "a column has no name")
    if len(set(header)) < len(header) or "" in header:
        return None
    rows = []
    for line, cells in records[1:]:
        number = line - offset
        if not any(cells):
            issues.add(file, "all cells are empty; delete the row", row=number)
            continue
        missing = len(header) - len(cells)
        if missing < 0 or (missing and not short_rows):
            expected = f"{len(header)} cells, as the header has"
            hint = "; write decimals with a point" if missing < 0 and delimiter == "," else ""
            issues.add(file, expected + hint, row=number, holds=f"{len(cells)} cells")
        else:
            rows.append(Row(number, dict(zip(header, [*cells, *[""] * missing], strict=True))))
    if len(records) == 1 and not may_be_empty:
        issues.add(file, "the table has a header but no rows")
    return Table(file, tuple(header), tuple(rows))


def _no_header(first: Sequence[str]) -> str:
    return f"a header line with the names of the columns; the first line holds {', '.join(first)[:60]}"


def check_columns(
    table: Table,
    issues: Issues,
    *,
    required: set[str],
    optional: set[str],
) -> bool:
    """Whether all required columns are there; missing and unknown ones become problems."""
    missing = [c for c in sorted(required) if c not in table.columns]
    if set(missing) == required and any(map(_NUMBER.fullmatch, table.columns)):
        issues.add(table.file, _no_header(table.columns))
        return False
    for column in missing:
        issues.add(table.file, f"the column is missing; the table has {', '.join(table.columns)}", column=column)
    known = required | optional
    for column in table.columns:
        if column not in known:
            issues.add(
                table.file,
                f"unknown column; known are {', '.join(sorted(known))}{did_you_mean(column, known)}",
                column=column,
            )
    return not missing
