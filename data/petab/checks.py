"""Checks of single cells that both versions of PEtab make."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import sympy

from ...models.listing import one_of
from ...models.networks.conditions import as_number
from ...models.networks.dialects import PETAB
from ...models.networks.infix import parse_infix
from ...models.networks.operations import FormulaError
from ..files.csv_table import hint_of, parse_number
from ..scale import Scale
from .limits import KINDS, Limit
from .table_cells import TableCells, TableKind, is_missing, number_or_nan

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
FORMULAS = ("observableFormula", "noiseFormula")

Placeholders = Mapping[str, Mapping[str, Sequence[str]]]
"""By observable, those that `observableParameters` and `noiseParameters` fill, as `observable` and `noise`."""


def check_number(
    cells: TableCells, kind: TableKind, index: int, column: str, *, infinite: bool = False, empty: bool
) -> None:
    text = cells.rows[kind][index].cells.get(column, "")
    if empty and is_missing(text):
        return
    if infinite and text.lower().lstrip("+-") in ("inf", "infinity"):
        return
    if parse_number(text) is None:
        cells.complain(kind, index, column, "a finite number" + hint_of(text))


def check_name(cells: TableCells, kind: TableKind, index: int, column: str, *, empty: bool = False) -> None:
    text = cells.rows[kind][index].cells.get(column, "")
    if not (empty and is_missing(text)) and (is_missing(text) or not _NAME.fullmatch(text)):
        cells.complain(kind, index, column, "a name: a letter or _, then letters, digits or _")


def is_name(text: str) -> bool:
    """`inf` and `nan` are legal names in SBML, but nobody means a parameter by them."""
    return bool(_NAME.fullmatch(text)) and text.lower() not in ("inf", "infinity", "nan")


def check_choice(
    cells: TableCells, kind: TableKind, index: int, column: str, options: tuple[str, ...], *, empty: bool = True
) -> None:
    text = cells.rows[kind][index].cells.get(column, "")
    if text not in options and not (empty and is_missing(text)):
        cells.complain(kind, index, column, one_of(text, options))


def check_unique(cells: TableCells, kind: TableKind) -> None:
    """Each id stands once."""
    seen: dict[str, str] = {}
    column = f"{kind}Id"
    for index, row in enumerate(cells.rows[kind]):
        name, place = row.cells[column], f"row {row.number} of {cells.files[kind][index]}"
        if name in seen:
            cells.complain(kind, index, column, f"each id once; {seen[name]} has it too")
        seen.setdefault(name, place)


def check_arguments(cells: TableCells, index: int) -> None:
    """The cells of a measurement that fill placeholders hold numbers and names."""
    for column in ("observableParameters", "noiseParameters"):
        text = cells.text("measurement", index, column)
        for part in split(text):
            if parse_number(part) is None and (is_missing(part) or not is_name(part)):
                expected = "numbers or names of parameters, separated by ';'" + hint_of(part)
                cells.complain("measurement", index, column, expected)
                break


def check_measured_at(cells: TableCells, index: int, least: float = 0.0) -> None:
    """The time of a measurement, at least `least`; inf is that of the steady state."""
    time = cells.rows["measurement"][index].cells["time"]
    value = number_or_nan(time)
    if not value >= least:
        expected = "a number, or inf for the steady state" if least < 0 else "a number from 0 up, or inf"
        cells.complain("measurement", index, "time", expected + hint_of(time))


def split(text: str) -> list[str]:
    """The parts of a cell that `;` separates; none of an empty one."""
    return [] if is_missing(text) else [part.strip() for part in text.split(";")]


def arguments(cells: TableCells, index: int) -> tuple[float | str, ...]:
    """The values of an observable's placeholders in a measurement."""
    parts = [p for c in ("observableParameters", "noiseParameters") for p in split(cells.text("measurement", index, c))]
    return tuple(part if (value := parse_number(part)) is None else value for part in parts)


def check_filled(cells: TableCells, placeholders: Placeholders, remedy: str) -> None:
    """Each row names an observable that there is, and fills as many placeholders as that has.

    `remedy`, with `{kind}` and `{name}`, says how an observable gets a placeholder.
    """
    wrong: dict[tuple[str, str, int], list[int]] = {}
    for index, row in enumerate(cells.rows["measurement"]):
        name = row.cells["observableId"]
        if name not in placeholders:
            if placeholders:
                cells.complain("measurement", index, "observableId", one_of(name, placeholders))
            continue
        for kind in ("observable", "noise"):
            count = len(split(row.cells.get(f"{kind}Parameters", "")))
            if count != len(placeholders[name][kind]):
                wrong.setdefault((name, kind, count), []).append(index)
    for (name, kind, _), rows in wrong.items():
        places = placeholders[name][kind]
        values = "1 value" if len(places) == 1 else f"{len(places)} values separated by ';'"
        expected = f"{values}, for {', '.join(places)} in the formulas of {name}"
        if not places:
            way_out = remedy.format(kind=kind, name=name)
            expected = f"an empty cell, as the formulas of {name} have no placeholder; {way_out}"
        more = "" if len(rows) == 1 else f"; so too in {len(rows) - 1} more row{'s' if len(rows) > 2 else ''} of {name}"
        cells.complain("measurement", rows[0], f"{kind}Parameters", expected + more)


def check_values(cells: TableCells, limits: dict[int, Limit], scales: Mapping[str, Scale]) -> None:
    """Measurements and limits that their observable's scale cannot have."""
    for index, row in enumerate(cells.rows["measurement"]):
        limit = limits.get(index)
        text, name = row.cells["measurement"], row.cells["observableId"]
        value = parse_number(text) if limit is None else limit.value
        if value is None:
            if row.cells.get("measurementType", "") not in KINDS:
                infinite = math.isinf(number_or_nan(text))
                ways = "; if it is a limit, say so in measurementType and censoringBounds" if infinite else ""
                ways = ways or ("; delete the row if nothing was measured" if is_missing(text) else hint_of(text))
                cells.complain("measurement", index, "measurement", "a finite number" + ways)
        elif scales.get(name, "lin") != "lin" and value <= 0:
            if limit is not None and limit.upper is not None and limit.upper > 0:
                limits[index] = Limit("left", limit.upper)  # nothing lies below 0 there
                continue
            column = "measurement" if limit is None else "censoringBounds"
            cells.complain("measurement", index, column, f"a number above 0, since {name} is on a logarithmic scale")


def bound_on(value: float, scale: Scale) -> float:
    """A bound on `scale`; zero and less do not bound a positive quantity."""
    return -math.inf if scale != "lin" and value <= 0 else scale.of(value)


def note_nominal(cells: TableCells, index: int, scale: str = "lin") -> None:
    """A nominal value that the search cannot reach is evaluated all the same, which is said."""
    row = cells.rows["parameter"][index]
    value = parse_number(row.cells.get("nominalValue", ""))
    if value is None:
        return
    low, high = (number_or_nan(row.cells.get(c, "")) for c in ("lowerBound", "upperBound"))
    where = f"{cells.place('parameter', index)}, 'nominalValue' holds {row.cells['nominalValue']}"
    if scale in ("log", "log10") and value <= 0:
        cells.notes.append(f"{where}: no search on a {scale} scale reaches it; it is evaluated as it is")
    elif value < low or value > high:
        cells.notes.append(f"{where}: outside of its bounds, {low:g} to {high:g}; it is evaluated as it is")


def read_formula(cells: TableCells, kind: TableKind, index: int, column: str) -> sympy.Expr | None:
    """A cell as a formula; a problem and None if it cannot be read."""
    try:
        return formula(cells.rows[kind][index].cells[column])
    except FormulaError as error:
        cells.issues.add(cells.files[kind][index], str(error), row=cells.rows[kind][index].number, column=column)
        return None


def formula(text: str) -> sympy.Expr:
    """A PEtab formula; whole numbers are exact, as in x^2, and a condition is 1 where it holds, else 0."""
    return as_number(parse_infix(text, dialect=PETAB))
