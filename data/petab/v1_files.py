"""The files of a PEtab v1 problem as plain tables, once our checks of their cells and petab's own have passed them.

What this project does not support is refused here by name. The library `petab` is imported when a problem is
read, not with this module: it takes more than a second to load.

Source: PEtab v1 data format, https://petab.readthedocs.io/en/latest/v1/documentation_data_format.html.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pandas as pd
import sympy

from ...models.networks.dialects import PETAB
from ...models.networks.infix import parse_infix
from ...models.networks.operations import FormulaError
from ..files.csv_table import hint_of, parse_number
from ..files.issues import lines
from .cells import REPEATED, Cells, Kind, is_missing, number_or_nan, read_cells
from .limits import KINDS, Limit, read_limits
from .lint import errors_of, lint
from .priors import check_priors
from .yaml_file import read_configuration, table_files, unreadable

if TYPE_CHECKING:
    import petab.v1

Row = Mapping[str, Any]
"""One line of a table, by column."""


class Tables(NamedTuple):
    """A problem's tables, line by line, the path of its SBML model, and limits by position of their measurement."""

    observables: list[Row]
    conditions: list[Row]
    parameters: list[Row]
    measurements: list[Row]
    model: Path
    limits: Mapping[int, Limit]
    parameter_places: Mapping[str, str]  # file and row by name
    compartments: frozenset[str]
    notes: tuple[str, ...]
    lines: tuple[int, ...]  # of the measurements; each file's count on from the last one's
    measured_in: tuple[tuple[str, int], ...]  # files of the measurements, with the lines before each


def load_tables(path: Path) -> Tables:
    """The problem whose YAML file lies at `path`, an absolute path.

    Raises ValueError and FileNotFoundError as `read_petab` does.
    """
    config = read_configuration(path)
    part = config["problems"][0]
    plots = part.pop("visualization_files", None)  # their reader loads a plotting library
    cells = read_cells(table_files(path, config), path.parent)
    limits = read_limits(cells)
    _check_scales(cells, limits)
    check_priors(cells)
    readable = _check_formulas(cells)
    if cells.issues.entries and not (readable and _typed(cells)):
        raise unreadable(path, lines(cells.issues.entries))
    problem = _problem(path, part["sbml_files"][0], cells, limits)
    said = _check_time(problem, cells)
    try:
        if not said:
            _resolve_noise(problem)
            said = lint(problem, cells)
    except RecursionError:  # petab's reader calls itself for each term of a sum
        said = ["a formula of the observable table is too long for petab's checks, which take some 300 terms"]
    if said or cells.issues.entries:
        raise unreadable(path, [*lines(cells.issues.entries), *said])
    return Tables(
        observables=_rows(problem.observable_df),
        conditions=_rows(problem.condition_df),
        parameters=_rows(problem.parameter_df),
        measurements=_rows(problem.measurement_df),
        model=(path.parent / part["sbml_files"][0]).resolve(),
        limits=limits,
        parameter_places={
            row.cells["parameterId"]: f"{file}, row {row.number}"
            for file, row in zip(cells.files["parameter"], cells.rows["parameter"], strict=True)
        },
        compartments=frozenset(c.getId() for c in _sbml_model(problem).getListOfCompartments()),
        notes=(*cells.notes, *(("visualization tables are not read",) if plots else ())),
        **_lines(cells),
    )


def _lines(cells: Cells) -> dict[str, Any]:
    lines: list[int] = []
    files: list[tuple[str, int]] = []
    for file, row in zip(cells.files["measurement"], cells.rows["measurement"], strict=True):
        if not files or files[-1][0] != file or files[-1][1] + row.number <= lines[-1]:
            files.append((file, lines[-1] if lines else 0))
        lines.append(files[-1][1] + row.number)
    return {"lines": tuple(lines), "measured_in": tuple(files)}


def _said(error: Exception) -> str:
    """The words of a library, which a user may not place, with whose they are."""
    words = " ".join((str(error.args[0]) if error.args else "").split()) or type(error).__name__
    return f"petab's checks refuse the problem: {words}"


_NUMERIC: Mapping[Kind, tuple[str, ...]] = {
    "measurement": ("measurement", "time"),
    "parameter": ("lowerBound", "upperBound", "nominalValue", "estimate"),
}


def _typed(cells: Cells) -> bool:
    """Whether petab can make sense of the cells, so that its checks add something to ours."""
    telling = [p for p in cells.issues.entries if p.column not in ("time", None)]
    return all(cells.rows.values()) and not telling


def _problem(path: Path, model: str, cells: Cells, limits: Mapping[int, Limit]) -> petab.v1.Problem:
    """The tables as petab's own, and the model as it reads it; a row that states a limit is measured there."""
    import petab.v1
    from petab.v1.models.sbml_model import SbmlModel

    frames = {kind: _frame(cells, kind) for kind in cells.rows}
    for index, limit in limits.items():
        frames["measurement"].loc[index, "measurement"] = limit.value
    try:
        with errors_of("petab.v1"):
            return petab.v1.Problem(
                model=SbmlModel.from_file(path.parent / model),
                condition_df=petab.v1.get_condition_df(frames["condition"]),
                observable_df=cast(pd.DataFrame, petab.v1.get_observable_df(frames["observable"])),
                measurement_df=petab.v1.get_measurement_df(frames["measurement"]),
                parameter_df=cast(pd.DataFrame, petab.v1.get_parameter_df(frames["parameter"])),
            )
    except Exception as error:  # a library meets a file that nobody has checked yet
        raise unreadable(path, [_said(error)]) from error


def _sbml_model(problem: petab.v1.Problem) -> Any:
    return cast(Any, problem.model).sbml_model


def _frame(cells: Cells, kind: Kind) -> pd.DataFrame:
    """Cells with numbers where the column has numbers; empty ones are NaN, as petab expects them."""
    columns = list(dict.fromkeys(c for row in cells.rows[kind] for c in row.cells))
    values: dict[str, list[Any]] = {}
    for column in columns:
        texts = [row.cells.get(column, "") for row in cells.rows[kind]]
        if column in _NUMERIC.get(kind, ()):
            values[column] = [number_or_nan(text) for text in texts]
        else:
            numeric = kind == "condition" and column not in ("conditionId", "conditionName")
            values[column] = [_value(text, numeric=numeric) for text in texts]
    return pd.DataFrame(values)


def _value(text: str, *, numeric: bool) -> float | str:
    value = parse_number(text) if numeric else None
    if value is not None:
        return value
    return math.nan if is_missing(text) else text


def _check_scales(cells: Cells, limits: dict[int, Limit]) -> None:
    """Measurements and limits that their observable's scale cannot have, or whose row states another scale."""
    observables = {row.cells["observableId"]: row.cells for row in cells.rows["observable"]}
    for index, row in enumerate(cells.rows["measurement"]):
        observable = observables.get(row.cells["observableId"], {})
        for column in REPEATED:
            repeated, there = row.cells.get(column, ""), observable.get(column, "")
            default = "lin" if column == "observableTransformation" else "normal"
            if not is_missing(repeated) and repeated != (default if is_missing(there) else there):
                cells.complain("measurement", index, column, "what the observable table says, or an empty cell")
        limit = limits.get(index)
        text = row.cells["measurement"]
        value = parse_number(text) if limit is None else limit.value
        if value is None:
            if row.cells.get("measurementType", "") not in KINDS:
                ways = "; if it is a limit, say so in measurementType and censoringBounds" if _is_infinite(text) else ""
                ways = ways or ("; delete the row if nothing was measured" if is_missing(text) else hint_of(text))
                cells.complain("measurement", index, "measurement", "a finite number" + ways)
        elif observable.get("observableTransformation") in ("log", "log10") and value <= 0:
            if limit is not None and limit.upper is not None and limit.upper > 0:
                limits[index] = Limit("left", limit.upper)  # nothing lies below 0 there
                continue
            column = "measurement" if limit is None else "censoringBounds"
            name = row.cells["observableId"]
            cells.complain("measurement", index, column, f"a number above 0, since {name} is on a logarithmic scale")


def _is_infinite(text: str) -> bool:
    return math.isinf(number_or_nan(text))


def _check_formulas(cells: Cells) -> bool:
    """True if all formulas can be read; else petab's own reader is not called."""
    sound = True
    for index, row in enumerate(cells.rows["observable"]):
        for column in ("observableFormula", "noiseFormula"):
            text = row.cells[column]
            if is_missing(text):
                continue
            try:
                parse_infix(text, dialect=PETAB)
            except FormulaError as error:
                sound = False
                cells.issues.add(cells.files["observable"][index], str(error), row=row.number, column=column)
    return sound


def _check_time(problem: petab.v1.Problem, cells: Cells) -> list[str]:
    """Formulas that use PEtab's time although the model calls something else `time`."""
    if problem.model is None or not problem.model.has_entity_with_id("time"):
        return []
    messages = []
    for file, row in zip(cells.files["observable"], cells.rows["observable"], strict=True):
        for column in ("observableFormula", "noiseFormula"):
            if sympy.Symbol("time") in parse_infix(row.cells[column], dialect=PETAB).free_symbols:
                where = f"{file}, row {row.number}, {column!r}"
                messages.append(f"{where}: 'time' is PEtab's time, and the model calls something else so: rename that")
    return messages


def _resolve_noise(problem: petab.v1.Problem) -> None:
    """Writes an observable's formula where a noise formula names it, which petab's checks do not know."""
    from petab.v1.math import petab_math_str, sympify_petab

    table = problem.observable_df
    if table is None or not {"noiseFormula", "observableFormula"} <= set(table.columns):
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


def _rows(table: pd.DataFrame | None) -> list[Row]:
    """The lines of a table with the id, which petab keeps as index, among the columns."""
    if table is None:
        return []
    named = table.reset_index() if table.index.name else table
    return cast(list[Row], named.to_dict("records"))


def cell(row: Row, column: str, default: Any) -> Any:
    """The cell of an optional column; `default` where column or value is missing."""
    value = row.get(column)
    return default if value is None or value == "" or pd.isna(value) else value


def number(value: Any) -> float | str:
    """A number where the value can be read as one, else its text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value).strip()
