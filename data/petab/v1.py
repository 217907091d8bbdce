"""Reads a PEtab v1 problem: what was measured, under which conditions, what is assumed of the parameters.

Source: PEtab v1 data format, https://petab.readthedocs.io/en/latest/v1/documentation_data_format.html;
Schmiester et al. (2021), PLoS Comput. Biol. 17, e1008646.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import sympy

from ...models.networks.formulas import substitute
from ..dataset import Measurement, Observable
from ..files.csv_table import parse_number
from ..files.issues import lines
from ..parameter import Parameter
from ..scale import Scale
from . import v1_cells
from .checks import arguments, formula
from .library import assigned, check_with_library, library_problem, makes_sense
from .limits import Limit, measured, read_limits
from .table_cells import TableCells
from .tables import Experiment, Period, Tables, numbered_lines
from .v1_priors import check_priors, prior_of
from .yaml_file import Files, unreadable


def read_v1(files: Files) -> Tables:
    """The tables of a problem, once our checks of their cells and petab's own have passed them.

    Raises ValueError as `read_petab` does.
    """
    path = files.path
    cells = v1_cells.read_tables(files.tables, path.parent)
    limits = read_limits(cells)
    v1_cells.check_repeated(cells, limits)
    check_priors(cells)
    readable = v1_cells.check_formulas(cells)
    if cells.issues.entries and not (readable and makes_sense(cells)):
        raise unreadable(path, lines(cells.issues.entries))
    problem = library_problem(path, files.model, cells, limits)
    refusals = check_with_library(problem, cells)
    if refusals or cells.issues.entries:
        raise unreadable(path, [*lines(cells.issues.entries), *refusals])
    problems: list[str] = []
    observables = _observables(cells, problems)
    parameters = _parameters(cells, problems)
    if problems:
        raise unreadable(path, problems)
    experiments = _experiments(cells)
    row_numbers, measured_in = numbered_lines(cells)
    return Tables(
        version=1,
        model=(path.parent / files.model).resolve(),
        observables=observables,
        experiments=experiments,
        measurements=_measurements(cells, limits, row_numbers),
        parameters=parameters,
        files=measured_in,
        notes=(*cells.notes, *files.notes, *_assumptions(cells)),
        assigned=assigned(problem),
    )


def _observables(cells: TableCells, problems: list[str]) -> dict[str, Observable]:
    placeholders, scales = v1_cells.placeholders(cells), v1_cells.scales(cells)
    formulas = {row["observableId"]: formula(row["observableFormula"]) for _, row in cells.each("observable")}
    written = {sympy.Symbol(n): e for n, e in formulas.items()}
    observables: dict[str, Observable] = {}
    for _, row in cells.each("observable"):
        name = row["observableId"]
        filled = (*placeholders[name]["observable"], *placeholders[name]["noise"])
        observables[name] = Observable(
            name,
            formulas[name],
            substitute(formula(row["noiseFormula"]), written),
            filled,
            scale=scales[name],
            noise=row.get("noiseDistribution", "normal"),
        )
    owner = {p: name for name, observable in observables.items() for p in observable.placeholders}
    for name, observable in observables.items():
        foreign = sorted(s for s in observable.symbols if s in owner)
        problems += [f"observable {name} uses {s}, a placeholder of {owner[s]}" for s in foreign]
    return observables


def _pair(row: Mapping[str, str]) -> tuple[str, str]:
    """Pre-equilibration condition (empty without one) and simulation condition of a measurement."""
    return row.get("preequilibrationConditionId", ""), row["simulationConditionId"]


def _named(before: str, after: str) -> str:
    return f"{before} → {after}" if before else after


def _experiments(cells: TableCells) -> dict[str, Experiment]:
    """One for each pair of conditions that a measurement names.

    A condition sets parameters, species or compartments to a number or to a parameter of the parameter table;
    an empty cell sets nothing, so that after pre-equilibration a species is kept.
    """
    changes: dict[str, dict[str, sympy.Expr]] = {}
    places: dict[str, str] = {}
    for index, row in cells.each("condition"):
        changes[row["conditionId"]] = {n: _override(t) for n, t in row.items() if n not in v1_cells.UNNAMED}
        places[row["conditionId"]] = cells.place("condition", index)
    experiments: dict[str, Experiment] = {}
    for before, after in dict.fromkeys(_pair(row) for _, row in cells.each("measurement")):
        periods = (Period(0.0, changes[after]),)
        if before:
            periods = (Period(-math.inf, changes[before]), *periods)
        experiments[_named(before, after)] = Experiment(_named(before, after), periods, False, places[after])
    return experiments


def _override(text: str) -> sympy.Expr:
    value = parse_number(text)
    return sympy.Symbol(text) if value is None else sympy.Float(value)


def _parameters(cells: TableCells, problems: list[str]) -> dict[str, Parameter]:
    parameters: dict[str, Parameter] = {}
    for index, row in cells.each("parameter"):
        name, scale = row["parameterId"], Scale(row["parameterScale"])
        value = row.get("nominalValue")
        try:
            parameters[name] = Parameter(
                name,
                prior=prior_of(row, scale) if float(row["estimate"]) else None,
                value=None if value is None else float(value),
                source="PEtab parameter table",
                scale=scale,
            )
        except ValueError as error:
            problems.append(f"{cells.place('parameter', index)}: parameter {name}: {error}")
    return parameters


def _measurements(cells: TableCells, limits: Mapping[int, Limit], row_numbers: list[int]) -> list[Measurement]:
    return [
        measured(cells, index, _named(*_pair(row)), arguments(cells, index), limits.get(index), row_numbers[index])
        for index, row in cells.each("measurement")
    ]


def _assumptions(cells: TableCells) -> list[str]:
    """What the reader assumed where the tables say nothing, and what it left unread."""
    notes: list[str] = []
    flat: dict[str, list[str]] = {}
    rows = [row for _, row in cells.each("parameter")]
    for row in rows:
        if float(row["estimate"]) and "objectivePriorType" not in row:
            flat.setdefault(row["parameterScale"], []).append(row["parameterId"])
    for scale, members in flat.items():
        assumed = f"no prior is given, uniform on {scale} scale within the bounds is taken"
        notes.append(f"{assumed}, for {len(members)} estimated parameters: {', '.join(members)}")
    if any("initializationPriorType" in row for row in rows):
        notes.append("initialization priors are not read")
    if typed := [row["parameterId"] for row in rows if "parameterType" in row]:
        notes.append(f"parameterType is not read: {', '.join(typed)} are estimated as all other parameters are")
    return notes
