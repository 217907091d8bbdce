"""A PEtab v1 problem as the library `petab` holds it, for the checks of that library.

The library is imported when a problem is read, not with this module: it takes more than a second to load.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import sympy

from ..files.csv_table import parse_number
from .checks import FORMULAS, formula
from .findings import lint, logged_errors
from .limits import Limit
from .table_cells import TableCells, TableKind, is_missing, number_or_nan
from .v1_cells import LAYOUT, UNNAMED
from .yaml_file import unreadable

if TYPE_CHECKING:
    import petab.v1

_NUMERIC: Mapping[TableKind, tuple[str, ...]] = {
    "measurement": ("measurement", "time"),
    "parameter": ("lowerBound", "upperBound", "nominalValue", "estimate"),
}


def check_with_library(problem: petab.v1.Problem, cells: TableCells) -> list[str]:
    """What petab's own checks say, in its words if they belong to no cell; else it is added to `cells.issues`."""
    if said := _check_time(problem, cells):
        return said
    try:
        _resolve_noise(problem)
        return lint(problem, cells)
    except RecursionError:  # petab's reader calls itself for each term of a sum
        return ["a formula of the observable table is too long for petab's checks, which take some 300 terms"]


def makes_sense(cells: TableCells) -> bool:
    """True if petab can read the cells, so that its checks add to ours."""
    telling = [p for p in cells.issues.entries if p.column not in ("time", None)]
    return all(cells.rows.values()) and not telling


def _describe_error(error: Exception) -> str:
    """The words of a library, which a user may not place, with whose they are."""
    words = " ".join((str(error.args[0]) if error.args else "").split()) or type(error).__name__
    return f"petab's checks refuse the problem: {words}"


def assigned(problem: petab.v1.Problem) -> frozenset[str]:
    """The names that have an initial assignment in the model."""
    return frozenset(a.getSymbol() for a in cast(Any, problem.model).sbml_model.getListOfInitialAssignments())


def library_problem(path: Path, model: str, cells: TableCells, limits: Mapping[int, Limit]) -> petab.v1.Problem:
    """The tables as petab's own, and the model as it reads it; a row that states a limit is measured there."""
    import petab.v1
    from petab.v1.models.sbml_model import SbmlModel

    frames = {kind: _frame(cells, kind) for kind in cells.rows}
    for index, limit in limits.items():
        frames["measurement"].loc[index, "measurement"] = limit.value
    try:
        with logged_errors("petab.v1"):
            return petab.v1.Problem(
                model=SbmlModel.from_file(path.parent / model),
                condition_df=petab.v1.get_condition_df(frames["condition"]),
                observable_df=cast(pd.DataFrame, petab.v1.get_observable_df(frames["observable"])),
                measurement_df=petab.v1.get_measurement_df(frames["measurement"]),
                parameter_df=cast(pd.DataFrame, petab.v1.get_parameter_df(frames["parameter"])),
            )
    except Exception as error:  # a library meets a file that nobody has checked yet
        raise unreadable(path, [_describe_error(error)]) from error


def _frame(cells: TableCells, kind: TableKind) -> pd.DataFrame:
    """Cells with numbers where the column has numbers; empty ones are NaN, as petab expects them."""
    columns = list(dict.fromkeys(c for row in cells.rows[kind] for c in row.cells))
    columns = columns or list(LAYOUT[kind].required)  # of a table without rows
    values: dict[str, list[Any]] = {}
    for column in columns:
        texts = [row.cells.get(column, "") for row in cells.rows[kind]]
        if column in _NUMERIC.get(kind, ()):
            values[column] = [number_or_nan(text) for text in texts]
        else:
            numeric = kind == "condition" and column not in UNNAMED
            values[column] = [_value(text, numeric=numeric) for text in texts]
    return pd.DataFrame(values)


def _value(text: str, *, numeric: bool) -> float | str:
    value = parse_number(text) if numeric else None
    if value is not None:
        return value
    return math.nan if is_missing(text) else text


def _check_time(problem: petab.v1.Problem, cells: TableCells) -> list[str]:
    """Formulas that use PEtab's time although the model calls something else `time`."""
    if problem.model is None or not problem.model.has_entity_with_id("time"):
        return []
    messages = []
    for index, row in cells.each("observable"):
        for column in FORMULAS:
            if sympy.Symbol("time") in formula(row[column]).free_symbols:
                where = f"{cells.place('observable', index)}, {column!r}"
                messages.append(f"{where}: 'time' is PEtab's time, and the model calls something else so: rename that")
    return messages


def _resolve_noise(problem: petab.v1.Problem) -> None:
    """Writes an observable's formula where a noise formula names it, which petab's checks do not know."""
    from petab.v1.math import petab_math_str, sympify_petab

    table = problem.observable_df
    if table is None or not {*FORMULAS} <= set(table.columns):
        return  # petab's checks say so
    formulas = dict(zip(table.index, table["observableFormula"], strict=True))
    for row, text in enumerate(table["noiseFormula"]):
        if not isinstance(text, str):
            continue
        try:
            noise = sympify_petab(text)
            read = {s: sympify_petab(formulas[str(s)]) for s in noise.free_symbols if str(s) in formulas}
        except ValueError:
            continue  # likewise
        if read:
            table.iloc[row, list(table.columns).index("noiseFormula")] = petab_math_str(noise.xreplace(read))
