"""Reads a PEtab v2 problem: what was measured in which experiments, what is assumed of the parameters.

Source: PEtab v2 data format, https://petab.readthedocs.io/en/latest/v2/documentation_data_format.html.
"""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from ...models.networks.formulas import substitute
from ...models.networks.network import UnsupportedModelError
from ...models.networks.sbml_read import read_sbml
from ..dataset import Measurement, Observable
from ..files.issues import lines
from ..parameter import Parameter
from ..scale import Scale
from .checks import arguments, check_filled, check_unique, check_values
from .entities import Entities
from .limits import Limit, measured, read_limits
from .table_cells import TableCells, number_or_nan, read_cells
from .tables import Experiment, Period, Tables, numbered_lines
from .v2_cells import LAYOUT, placeholders_of
from .v2_checks import CellFormulas, NameCheck, aliases_of, check_experiments, read_formulas
from .v2_priors import prior_of, search_scale
from .yaml_file import Files, unreadable

MODEL_AS_IT_IS = "no experiment"  # of measurements that name none; no name of PEtab's
_REMEDY = "name one in its {kind}Placeholders for what the cell holds"


def read_v2(files: Files) -> Tables:
    """The tables of a problem, once our checks of their cells, and of their names against the model, have passed.

    Raises ValueError as `read_petab` does.
    """
    path = files.path
    cells = read_cells(files.tables, path.parent, LAYOUT)
    limits = read_limits(cells)
    formulas = _check(cells, limits, files.model_id)
    try:
        model = Entities(read_sbml(path.parent / files.model))
    except UnsupportedModelError as error:
        raise unreadable(path, [*lines(cells.issues.entries), str(error)]) from None
    aliases = aliases_of(cells, model)
    NameCheck(cells, model, aliases, formulas).check()
    if cells.issues.entries:
        raise unreadable(path, lines(cells.issues.entries))
    row_numbers, measured_in = numbered_lines(cells)
    parameters = _parameters(cells, aliases)
    return Tables(
        version=2,
        model=(path.parent / files.model).resolve(),
        observables=_observables(cells, formulas, aliases),
        experiments=_experiments(cells, formulas, aliases),
        measurements=_measurements(cells, limits, row_numbers, aliases),
        parameters=parameters,
        files=measured_in,
        notes=(*cells.notes, *files.notes, *_assumptions(cells, parameters, aliases)),
        entities=model,
    )


def _check(cells: TableCells, limits: dict[int, Limit], model_id: str) -> CellFormulas:
    """Checks of the tables against one another; returns the formulas that can be read."""
    for kind in ("observable", "parameter"):
        check_unique(cells, kind)
    placeholders = {
        row["observableId"]: {kind: placeholders_of(cells, index, kind) for kind in ("observable", "noise")}
        for index, row in cells.each("observable")
        if "observableId" in row
    }
    check_filled(cells, placeholders, _REMEDY)
    check_values(cells, limits, {name: _noise(row)[0] for name, row in _rows_of_observables(cells).items()})
    check_experiments(cells)
    for index, row in cells.each("measurement"):
        if row.get("modelId", model_id) != model_id:
            cells.complain("measurement", index, "modelId", f"{model_id}, the model of the YAML file, or an empty cell")
    return read_formulas(cells)


def _rows_of_observables(cells: TableCells) -> dict[str, Mapping[str, str]]:
    return {row["observableId"]: row for _, row in cells.each("observable") if "observableId" in row}


def _noise(row: Mapping[str, str]) -> tuple[Scale, str]:
    """The scale that a noise distribution is on, and the noise there."""
    text = row.get("noiseDistribution", "normal")
    return (Scale.LOG, text.removeprefix("log-")) if text.startswith("log-") else (Scale.LIN, text)


def _renamed(expression: sympy.Expr, aliases: Mapping[str, str]) -> sympy.Expr:
    return substitute(expression, {sympy.Symbol(n): sympy.Symbol(to) for n, to in aliases.items()})


def _observables(cells: TableCells, formulas: CellFormulas, aliases: Mapping[str, str]) -> dict[str, Observable]:
    observables: dict[str, Observable] = {}
    for index, row in cells.each("observable"):
        name = row["observableId"]
        formula = formulas["observable", index, "observableFormula"]
        noise_formula = substitute(formulas["observable", index, "noiseFormula"], {sympy.Symbol(name): formula})
        scale, noise = _noise(row)
        observables[name] = Observable(
            name,
            _renamed(formula, aliases),
            _renamed(noise_formula, aliases),
            (*placeholders_of(cells, index, "observable"), *placeholders_of(cells, index, "noise")),
            scale=scale,
            noise=noise,
        )
    return observables


def _experiments(cells: TableCells, formulas: CellFormulas, aliases: Mapping[str, str]) -> dict[str, Experiment]:
    """Those of the table, and one of the model as it is if a measurement names none."""
    changes: dict[str, dict[str, sympy.Expr]] = {}
    for index, row in cells.each("condition"):
        target = aliases.get(row["targetId"], row["targetId"])
        value = _renamed(formulas["condition", index, "targetValue"], aliases)
        changes.setdefault(row["conditionId"], {})[target] = value
    periods: dict[str, dict[float, dict[str, sympy.Expr]]] = {}
    places: dict[str, str] = {}
    for index, row in cells.each("experiment"):
        name = row["experimentId"]
        places.setdefault(name, cells.place("experiment", index))
        period = periods.setdefault(name, {}).setdefault(number_or_nan(row["time"]), {})
        period.update(changes.get(row.get("conditionId", ""), {}))
    experiments = {
        name: Experiment(name, tuple(Period(t, by_time[t]) for t in sorted(by_time)), True, places[name])
        for name, by_time in periods.items()
    }
    if any("experimentId" not in row for _, row in cells.each("measurement")):
        place = cells.files["measurement"][0]
        experiments[MODEL_AS_IT_IS] = Experiment(MODEL_AS_IT_IS, (Period(0.0, {}),), True, place)
    return experiments


def _measurements(
    cells: TableCells, limits: Mapping[int, Limit], row_numbers: list[int], aliases: Mapping[str, str]
) -> list[Measurement]:
    measurements = []
    for index, row in cells.each("measurement"):
        filled = tuple(aliases.get(a, a) if isinstance(a, str) else a for a in arguments(cells, index))
        experiment = row.get("experimentId", MODEL_AS_IT_IS)
        measurements.append(measured(cells, index, experiment, filled, limits.get(index), row_numbers[index]))
    return measurements


def _parameters(cells: TableCells, aliases: Mapping[str, str]) -> dict[str, Parameter]:
    parameters: dict[str, Parameter] = {}
    for index, row in cells.each("parameter"):
        name = aliases.get(row["parameterId"], row["parameterId"])
        prior = prior_of(cells, index) if row["estimate"].lower() == "true" else None
        value = row.get("nominalValue")
        parameters[name] = Parameter(
            name,
            prior=prior,
            value=None if value is None else float(value),
            source="PEtab parameter table",
            scale=None if prior is None else search_scale(prior),
        )
    return parameters


def _assumptions(cells: TableCells, parameters: Mapping[str, Parameter], aliases: Mapping[str, str]) -> list[str]:
    """What the reader assumed where the tables say nothing."""
    notes: list[str] = []
    estimated = [(i, row) for i, row in cells.each("parameter") if row["estimate"].lower() == "true"]
    flat = [row["parameterId"] for _, row in estimated if "priorDistribution" not in row]
    if flat:
        assumed = "no prior is given, uniform within the bounds is taken"
        notes.append(f"{assumed}, for {len(flat)} estimated parameters: {', '.join(flat)}")
    wide = [n for n, p in parameters.items() if p.prior is not None and p.prior.scale == "lin" and p.scale != "lin"]
    if wide:
        notes.append(f"searched on a log10 scale, as their priors or bounds span two decades: {', '.join(wide)}")
    if aliases:
        called = ", ".join(f"{n} is called {to}" for n, to in aliases.items() if n != to)
        notes += [f"local parameters of the mapping table: {called}"] if called else []
    return notes
