"""The tables of a PEtab v1 problem as text, every cell checked before any library sees it.

A cell that holds what its column cannot have is a problem with file, row, column and what was expected. A column
that PEtab v1 does not know is refused where it changes what a table means, and noted where it does not.

Source: PEtab v1 data format, https://petab.readthedocs.io/en/latest/v1/documentation_data_format.html.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..files.csv_table import Row, Table, hint_of, parse_number, quote, read_table
from ..files.issues import Issues

Kind = Literal["measurement", "condition", "observable", "parameter"]

MISSING = frozenset(
    "|#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|nan|null".split(  # noqa: SIM905
        "|"
    )
)
"""Cells that PEtab's tools read as empty (pandas' list)."""

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_FORMULAS = ("observableFormula", "noiseFormula")

REQUIRED: Mapping[Kind, tuple[str, ...]] = {
    "measurement": ("observableId", "simulationConditionId", "measurement", "time"),
    "condition": ("conditionId",),
    "observable": ("observableId", "observableFormula", "noiseFormula"),
    "parameter": ("parameterId", "parameterScale", "lowerBound", "upperBound", "estimate"),
}
OPTIONAL: Mapping[Kind, tuple[str, ...]] = {
    "measurement": (
        "preequilibrationConditionId",
        "observableParameters",
        "noiseParameters",
        "datasetId",
        "replicateId",
    ),
    "condition": ("conditionName",),
    "observable": ("observableName", "observableTransformation", "noiseDistribution"),
    "parameter": (
        "parameterName",
        "nominalValue",
        "initializationPriorType",
        "initializationPriorParameters",
        "objectivePriorType",
        "objectivePriorParameters",
    ),
}
LIMITS = ("measurementType", "censoringBounds")
"""Columns of pyPESTO in a measurement table that are read; see `petab_limits`."""
REPEATED = ("observableTransformation", "noiseDistribution")
"""Columns of the observable table that older measurement tables repeat."""

_TELLING = re.compile(
    "bound|censor|limit|lod|loq|detect|type|group|categor|offset|scal|weigh|sigma|sd$|std|error|noise|unit|transform"
    "|distribut|prior|exclu|ignore|outlier|flag",
    re.IGNORECASE,
)
"""What the name of a column has that would change what a row means."""


def is_missing(text: str) -> bool:
    return text in MISSING


@dataclass
class Cells:
    """Rows of each kind of table, and what was found on the way."""

    rows: dict[Kind, list[Row]] = field(default_factory=dict)
    files: dict[Kind, list[str]] = field(default_factory=dict)  # of each row
    issues: Issues = field(default_factory=lambda: Issues(""))
    notes: list[str] = field(default_factory=list)
    outside: set[str] = field(default_factory=set)  # files beyond the problem's folder, of which nothing is quoted

    def complain(self, kind: Kind, index: int, column: str, expected: str) -> None:
        row, file = self.rows[kind][index], self.files[kind][index]
        holds = "what is not quoted here" if file in self.outside else quote(row.cells.get(column, ""))
        self.issues.add(file, expected, row=row.number, column=column, holds=holds)


def read_cells(files: Mapping[Kind, Sequence[Path]], folder: Path) -> Cells:
    """All tables; `problems` has what is wrong, and a table that cannot be read at all has no rows.

    Messages quote nothing of files outside `folder`, nor of files that are no tables.
    """
    cells = Cells()
    every = [path for paths in files.values() for path in paths]
    cells.outside = {p.name for p in every if not p.resolve().is_relative_to(folder.resolve())}
    for kind, paths in files.items():
        cells.rows[kind], cells.files[kind] = [], []
        for path in paths:
            table = read_table(path, cells.issues, delimiter="\t", short_rows=True)
            if table is None or not _check_columns(kind, table, cells):
                continue
            cells.rows[kind] += table.rows
            cells.files[kind] += [table.file] * len(table.rows)
    for kind, check in _CHECKS.items():
        for index in range(len(cells.rows[kind])):
            check(cells, index)
    for kind in ("condition", "observable", "parameter"):
        _check_unique(cells, kind)
    _check_overrides(cells)
    return cells


def _check_columns(kind: Kind, table: Table, cells: Cells) -> bool:
    known = {*REQUIRED[kind], *OPTIONAL[kind]}
    missing = [c for c in REQUIRED[kind] if c not in table.columns]
    if len(table.columns) == 1 and len(missing) == len(REQUIRED[kind]):
        expected = f"a {kind} table, its first line the columns {', '.join(REQUIRED[kind])}, separated by tabs"
        cells.issues.add(table.file, f"expected {expected}; the file is none")
        return False
    there = "" if table.file in cells.outside else f"; the table has {', '.join(table.columns)}"
    for column in missing:
        cells.issues.add(table.file, f"the column is missing{there}", column=column)
    if kind == "condition":  # its other columns are names of the model
        return not missing
    known |= {*LIMITS, *REPEATED} if kind == "measurement" else {"parameterType"} if kind == "parameter" else set()
    ignored = []
    for column in (c for c in table.columns if c not in known):
        if all(is_missing(row.cells[column]) for row in table.rows):
            continue
        if near := [k for k in known if _near(column, k)]:
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
    return not missing


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


def _number(cells: Cells, kind: Kind, index: int, column: str, *, infinite: bool = False, empty: bool = False) -> None:
    text = cells.rows[kind][index].cells.get(column, "")
    if empty and is_missing(text):
        return
    if infinite and text.lower().lstrip("+-") in ("inf", "infinity"):
        return
    if parse_number(text) is None:
        cells.complain(kind, index, column, "a finite number" + hint_of(text))


def _name(cells: Cells, kind: Kind, index: int, column: str, *, empty: bool = False) -> None:
    text = cells.rows[kind][index].cells.get(column, "")
    if not (empty and is_missing(text)) and (is_missing(text) or not _NAME.fullmatch(text)):
        cells.complain(kind, index, column, "a name: a letter or _, then letters, digits or _")


def _numbers_or_names(cells: Cells, index: int, column: str) -> None:
    text = cells.rows["measurement"][index].cells.get(column, "")
    if is_missing(text):
        return
    for part in (p.strip() for p in text.split(";")):
        if parse_number(part) is None and (is_missing(part) or not _is_name(part)):
            expected = "numbers or names of parameters, separated by ';'" + hint_of(part)
            cells.complain("measurement", index, column, expected)
            return


def _is_name(text: str) -> bool:
    """`inf` and `nan` are legal names in SBML, but nobody means a parameter by them."""
    return bool(_NAME.fullmatch(text)) and text.lower() not in ("inf", "infinity", "nan")


def _choice(cells: Cells, kind: Kind, index: int, column: str, options: tuple[str, ...], *, empty: bool = True) -> None:
    text = cells.rows[kind][index].cells.get(column, "")
    if text not in options and not (empty and is_missing(text)):
        cells.complain(kind, index, column, f"one of {', '.join(options)}")


def _check_measurement(cells: Cells, index: int) -> None:
    row = cells.rows["measurement"][index].cells
    _name(cells, "measurement", index, "observableId")
    _name(cells, "measurement", index, "simulationConditionId")
    _name(cells, "measurement", index, "preequilibrationConditionId", empty=True)
    for column in ("observableParameters", "noiseParameters"):
        _numbers_or_names(cells, index, column)
    time = row["time"]
    if time.lower().lstrip("+") in ("inf", "infinity"):
        cells.complain("measurement", index, "time", "a finite time; measurements at steady state are not supported")
    elif (value := parse_number(time)) is None or value < 0:
        cells.complain("measurement", index, "time", "a number from 0 up" + hint_of(time))


def _check_condition(cells: Cells, index: int) -> None:
    _name(cells, "condition", index, "conditionId")
    for column, text in cells.rows["condition"][index].cells.items():
        if column in ("conditionId", "conditionName") or is_missing(text):
            continue
        if parse_number(text) is None and not _is_name(text):
            cells.complain("condition", index, column, "a finite number, or a parameter's name" + hint_of(text))


def _check_observable(cells: Cells, index: int) -> None:
    _name(cells, "observable", index, "observableId")
    for column in _FORMULAS:
        if is_missing(cells.rows["observable"][index].cells[column]):
            cells.complain("observable", index, column, "a formula")
    _check_numbering(cells, index)
    _choice(cells, "observable", index, "observableTransformation", ("lin", "log", "log10"))
    _choice(cells, "observable", index, "noiseDistribution", ("normal", "laplace"))


def _check_parameter(cells: Cells, index: int) -> None:
    row = cells.rows["parameter"][index].cells
    _name(cells, "parameter", index, "parameterId")
    estimate = parse_number(row["estimate"])
    if estimate not in (0.0, 1.0):
        cells.complain("parameter", index, "estimate", "1 for a parameter that is estimated, 0 for one that is fixed")
    _choice(cells, "parameter", index, "parameterScale", ("lin", "log", "log10"), empty=False)
    for column in ("lowerBound", "upperBound"):
        _number(cells, "parameter", index, column, infinite=True, empty=estimate == 0.0)
    _number(cells, "parameter", index, "nominalValue", empty=estimate != 0.0)
    _note_nominal(cells, index)
    prior_numbers = row.get("objectivePriorParameters", "")
    numbers = [parse_number(part.strip()) for part in prior_numbers.split(";")]
    if not is_missing(prior_numbers) and (len(numbers) != 2 or None in numbers):
        hint = next((hint_of(p.strip()) for p in prior_numbers.split(";") if hint_of(p.strip())), "")
        cells.complain("parameter", index, "objectivePriorParameters", "two finite numbers, separated by ';'" + hint)
    kind = row.get("parameterType", "")
    if not is_missing(kind) and kind not in ("scaling", "offset", "sigma"):
        expected = "an empty cell, scaling, offset or sigma; hexamer has no other types of parameters"
        cells.complain("parameter", index, "parameterType", expected)


def _note_nominal(cells: Cells, index: int) -> None:
    """A nominal value that the search cannot reach is evaluated all the same, which is said."""
    row = cells.rows["parameter"][index]
    value = parse_number(row.cells.get("nominalValue", ""))
    if value is None:
        return
    scale = row.cells["parameterScale"]
    low, high = (number_or_nan(row.cells.get(c, "")) for c in ("lowerBound", "upperBound"))
    where = f"{cells.files['parameter'][index]}, row {row.number}, 'nominalValue' holds {row.cells['nominalValue']}"
    if scale in ("log", "log10") and value <= 0:
        cells.notes.append(f"{where}: no search on a {scale} scale reaches it; it is evaluated as it is")
    elif value < low or value > high:
        cells.notes.append(f"{where}: outside of its bounds, {low:g} to {high:g}; it is evaluated as it is")


_CHECKS: Mapping[Kind, Callable[[Cells, int], None]] = {
    "measurement": _check_measurement,
    "condition": _check_condition,
    "observable": _check_observable,
    "parameter": _check_parameter,
}


def _check_unique(cells: Cells, kind: Kind) -> None:
    seen: dict[str, str] = {}
    column = f"{kind}Id"
    for index, row in enumerate(cells.rows[kind]):
        name, place = row.cells[column], f"row {row.number} of {cells.files[kind][index]}"
        if name in seen:
            cells.complain(kind, index, column, f"each id once; {seen[name]} has it too")
        seen.setdefault(name, place)


def _check_overrides(cells: Cells) -> None:
    """Each row fills as many placeholders as its observable's formulas have, and names an observable that there is."""
    wrong: dict[tuple[str, str, int], list[int]] = {}
    observables = {row.cells["observableId"]: row.cells for row in cells.rows["observable"]}
    for index, row in enumerate(cells.rows["measurement"]):
        name = row.cells["observableId"]
        if name not in observables:
            if observables:
                cells.complain("measurement", index, "observableId", f"one of {', '.join(observables)}")
            continue
        for kind in ("observable", "noise"):
            text = row.cells.get(f"{kind}Parameters", "")
            count = 0 if is_missing(text) else text.count(";") + 1
            if count != len(_placeholders(observables[name], kind)):
                wrong.setdefault((name, kind, count), []).append(index)
    for (name, kind, _), rows in wrong.items():
        expected = _filled(observables[name], kind)
        more = "" if len(rows) == 1 else f"; so too in {len(rows) - 1} more row{'s' if len(rows) > 2 else ''} of {name}"
        cells.complain("measurement", rows[0], f"{kind}Parameters", expected + more)


def _placeholders(observable: Mapping[str, str], kind: str) -> list[str]:
    formulas = " ".join(observable[column] for column in _FORMULAS)
    numbers = set(re.findall(rf"\b{kind}Parameter(\d+)_{re.escape(observable['observableId'])}\b", formulas))
    return [f"{kind}Parameter{n}_{observable['observableId']}" for n in sorted(numbers, key=int)]


def _filled(observable: Mapping[str, str], kind: str) -> str:
    """The expected content of a row's cell, for the placeholders of one kind."""
    name, places = observable["observableId"], _placeholders(observable, kind)
    if not places:
        return (
            f"an empty cell, as the formulas of {name} have no placeholder; write {kind}Parameter1_{name} there for "
            "what the cell holds"
        )
    values = "1 value" if len(places) == 1 else f"{len(places)} values separated by ';'"
    return f"{values}, for {', '.join(places)} in the formulas of {name}"


def _check_numbering(cells: Cells, index: int) -> None:
    """Placeholders are numbered from 1 on, without a gap."""
    row = cells.rows["observable"][index].cells
    for kind in ("observable", "noise"):
        places = _placeholders(row, kind)
        wanted = [f"{kind}Parameter{i + 1}_{row['observableId']}" for i in range(len(places))]
        if places != wanted:
            column = next(c for c in _FORMULAS if places[-1] in row[c])
            cells.complain("observable", index, column, f"placeholders numbered from 1 on: {', '.join(wanted)}")


def number_or_nan(text: str) -> float:
    """A number, ±inf, or NaN for what is none."""
    if text.lower().lstrip("+-") in ("inf", "infinity"):
        return -math.inf if text.startswith("-") else math.inf
    value = parse_number(text)
    return math.nan if value is None else value
