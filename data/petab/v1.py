"""Reads a PEtab v1 problem: what was measured, under which conditions, what is assumed of the parameters.

Source: PEtab v1 data format, https://petab.readthedocs.io/en/latest/v1/documentation_data_format.html;
Schmiester et al. (2021), PLoS Comput. Biol. 17, e1008646.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import pandas as pd
import sympy

from ...models.networks.conditions import as_number
from ...models.networks.dialects import PETAB
from ...models.networks.infix import parse_infix
from ...models.protocols.protocol import Protocol, Step, Value
from ..dataset import Dataset, Measurement, Observable
from ..formula import parse_formula
from ..parameter import Parameter
from ..prior import Prior
from ..scale import Scale
from .v1_files import Row, Tables, cell, load_tables, number
from .yaml_file import unreadable

PRIORS: dict[str, tuple[str, Scale | None]] = {
    "uniform": ("uniform", Scale.LIN),
    "normal": ("normal", Scale.LIN),
    "laplace": ("laplace", Scale.LIN),
    "logNormal": ("normal", Scale.LOG),  # of the natural logarithm, whatever the parameter's scale
    "logLaplace": ("laplace", Scale.LOG),
    "parameterScaleUniform": ("uniform", None),
    "parameterScaleNormal": ("normal", None),
    "parameterScaleLaplace": ("laplace", None),
}
"""PEtab's objective priors: family, and the scale it is on, None for that of the parameter."""


def read_petab(path: str | Path) -> Dataset:
    """The PEtab v1 problem whose YAML file lies at `path`, with its parameters and the path of its model.

    Each pair of pre-equilibration and simulation condition that a measurement names becomes a protocol,
    called after them. A parameter's prior is truncated by its bounds; where the table gives none it is
    uniform on the parameter's scale within the bounds, and `Dataset.notes` says so. `Measurement.experiment`
    joins the ids of data set and replicate. With several measurement files, rows count on from one to the
    next.

    Raises ValueError, with all that was found, for a problem that petab's own checks refuse and for what is
    not supported: PEtab v2, mapping tables, extensions, several problems or models, models other than SBML,
    and measurements at steady state (`time` = inf). FileNotFoundError lists the files that are missing.
    """
    path = Path(path).resolve()
    tables = load_tables(path)
    problems: list[str] = []
    observables = _observables(tables, problems)
    protocols, names = _protocols(tables, problems)
    parameters = _parameters(tables, problems)
    if problems:
        raise unreadable(path, problems)
    return Dataset(
        name=path.stem.lstrip("_"),
        observables=observables,
        protocols=protocols,
        measurements=_measurements(tables, names),
        tables=tables.measured_in,
        parameters=parameters,
        model=str(tables.model),
        source=f"PEtab v1 problem {path.name}",
        time_unit="",  # PEtab states none: times and concentrations are in the model's units by definition
        notes=(*tables.notes, *_assumptions(tables)),
    )


def _formula(text: str | float) -> sympy.Expr:
    """A PEtab formula; whole numbers are exact, as in x^2, and a condition is 1 where it holds, else 0."""
    if not isinstance(text, str):
        return parse_formula(int(text) if float(text).is_integer() else float(text))
    return as_number(parse_infix(text, dialect=PETAB))


def _observables(tables: Tables, problems: list[str]) -> dict[str, Observable]:
    from petab.v1.observables import get_formula_placeholders

    observables: dict[str, Observable] = {}
    owner: dict[str, str] = {}
    for row in tables.observables:
        name, formula, noise = str(row["observableId"]), row["observableFormula"], row["noiseFormula"]
        placeholders = (
            *get_formula_placeholders(formula, name, "observable"),
            *get_formula_placeholders(noise, name, "noise"),
        )
        owner |= dict.fromkeys(placeholders, name)
        observables[name] = Observable(
            name,
            _formula(formula),
            _formula(noise),
            placeholders,
            scale=cell(row, "observableTransformation", "lin"),
            noise=cell(row, "noiseDistribution", "normal"),
        )
    for name, observable in observables.items():
        foreign = sorted(s for s in observable.symbols if s in owner)
        problems += [f"observable {name} uses {s}, a placeholder of {owner[s]}" for s in foreign]
    return observables


def _pair(row: Row) -> tuple[str, str]:
    """Pre-equilibration condition (empty without one) and simulation condition of a measurement."""
    return str(cell(row, "preequilibrationConditionId", "")), str(row["simulationConditionId"])


def _overrides(row: Row) -> dict[str, Value]:
    values = {name: number(value) for name, value in row.items() if name not in ("conditionId", "conditionName")}
    return {name: value for name, value in values.items() if not pd.isna(value)}


def _protocols(tables: Tables, problems: list[str]) -> tuple[dict[str, Protocol], dict[tuple[str, str], str]]:
    """The protocols by name, and their names by pair of conditions.

    A condition sets parameters, species or compartments to a number or to a parameter of the parameter table;
    an empty cell sets nothing, so that after pre-equilibration a species is kept.
    """
    overrides = {str(row["conditionId"]): _overrides(row) for row in tables.conditions}
    protocols: dict[str, Protocol] = {}
    names: dict[tuple[str, str], str] = {}
    for before, after in dict.fromkeys(_pair(row) for row in tables.measurements):
        names[before, after] = name = f"{before} → {after}" if before else after
        assign = overrides[after]
        try:
            protocols[name] = Protocol(
                name,
                preequilibration=overrides[before] if before else None,
                steps=(Step(0.0, assign=assign),) if assign else (),
            )
        except ValueError as error:
            problems.append(f"condition {name}: {error}")
    return protocols, names


def _resized(tables: Tables) -> list[str]:
    """Notes on what is assumed if a compartment has another size after a pre-equilibration."""
    overrides = {str(row["conditionId"]): _overrides(row) for row in tables.conditions}
    compartments: dict[str, None] = {}
    for before, after in dict.fromkeys(_pair(row) for row in tables.measurements):
        if before:
            sizes = ({n: v for n, v in overrides[c].items() if n in tables.compartments} for c in (before, after))
            first, second = sizes
            compartments |= dict.fromkeys(n for n in sorted({*first, *second}) if first.get(n) != second.get(n))
    if not compartments:
        return []
    assumption = "amounts are kept, as in SBML and PEtab v2 (v1 leaves it open)"
    return [f"{', '.join(compartments)} is resized after pre-equilibration: {assumption}"]


def _bound(value: float, scale: Scale) -> float:
    """A bound on `scale`; zero and less do not bound a positive quantity."""
    return -math.inf if scale != "lin" and value <= 0 else scale.of(value)


def _prior(row: Row, scale: Scale) -> Prior:
    """The objective prior of one row, truncated by its bounds, which the table gives on the linear scale."""
    family, fixed_scale = PRIORS[cell(row, "objectivePriorType", "parameterScaleUniform")]
    on = fixed_scale or scale
    low, high = (_bound(float(row[column]), on) for column in ("lowerBound", "upperBound"))
    numbers = cell(row, "objectivePriorParameters", None)
    first, second = (low, high) if numbers is None else map(float, str(numbers).split(";"))
    if family == "uniform":
        return Prior("uniform", on, lower=max(low, first), upper=min(high, second))
    return Prior(family, on, location=first, spread=second, lower=low, upper=high)


def _parameters(tables: Tables, problems: list[str]) -> dict[str, Parameter]:
    parameters: dict[str, Parameter] = {}
    for row in tables.parameters:
        name, scale = str(row["parameterId"]), Scale(cell(row, "parameterScale", "lin"))
        value = cell(row, "nominalValue", None)
        try:
            parameters[name] = Parameter(
                name,
                prior=_prior(row, scale) if int(row["estimate"]) else None,
                value=None if value is None else float(value),
                source="PEtab parameter table",
                scale=scale,
            )
        except ValueError as error:
            problems.append(f"{tables.parameter_places.get(name, '')}: parameter {name}: {error}")
    return parameters


def _measurements(
    tables: Tables,
    names: Mapping[tuple[str, str], str],
) -> tuple[Measurement, ...]:
    from petab.v1.measurements import split_parameter_replacement_list

    measurements: list[Measurement] = []
    for index, (line, row) in enumerate(zip(tables.lines, tables.measurements, strict=True)):
        name, time, value = str(row["observableId"]), float(row["time"]), float(row["measurement"])
        arguments: list[Value] = []
        for column in ("observableParameters", "noiseParameters"):
            arguments += cast(list[Value], split_parameter_replacement_list(cell(row, column, "")))
        labels = [str(cell(row, column, "")) for column in ("datasetId", "replicateId")]
        experiment = "/".join(label for label in labels if label)
        limit = tables.limits.get(index)
        measured = Measurement(name, names[_pair(row)], time, value, tuple(arguments), experiment, line)
        if limit is not None:
            measured = replace(measured, value=limit.value, censored=limit.censored, upper=limit.upper)
        measurements.append(measured)
    return tuple(measurements)


def _assumptions(tables: Tables) -> list[str]:
    """What the reader assumed where the tables say nothing, and what it left unread."""
    notes: list[str] = []
    flat: dict[str, list[str]] = {}
    for row in tables.parameters:
        if int(row["estimate"]) and cell(row, "objectivePriorType", None) is None:
            flat.setdefault(cell(row, "parameterScale", "lin"), []).append(str(row["parameterId"]))
    for scale, members in flat.items():
        assumed = f"no prior is given, uniform on {scale} scale within the bounds is taken"
        notes.append(f"{assumed}, for {len(members)} estimated parameters: {', '.join(members)}")
    if any(cell(row, "initializationPriorType", None) is not None for row in tables.parameters):
        notes.append("initialization priors are not read")
    notes += _resized(tables)
    if typed := [str(r["parameterId"]) for r in tables.parameters if cell(r, "parameterType", None) is not None]:
        notes.append(f"parameterType is not read: {', '.join(typed)} are estimated as all other parameters are")
    return notes
