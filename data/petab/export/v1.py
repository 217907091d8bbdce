"""The tables of PEtab v1, for problems whose protocols set values at time 0 only.

Source: https://petab.readthedocs.io/en/latest/v1/documentation_data_format.html.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import sympy

from ....models.networks.formulas import names_in
from .periods import periods_of
from .priors import v1_row
from .readings import WrittenObservable, number, text_of, write_observables
from .source import ExportSource
from .tables import WrittenSheet, cell_text
from .unsayable import Unsayable, UnsayableError

YAML = """format_version: 1
parameter_file: parameters.tsv
problems:
  - sbml_files: [model.xml]
    condition_files: [conditions.tsv]
    observable_files: [observables.tsv]
    measurement_files: [measurements.tsv]
"""
_PRIOR_COLUMNS = tuple(
    f"{kind}Prior{part}" for kind in ("objective", "initialization") for part in ("Type", "Parameters")
)
_WAY_OUT = "write version 2, which has it"


class _Pair(NamedTuple):
    """The conditions of a protocol; `before` is empty if it begins with the model's start values."""

    before: str
    after: str


def write_v1(source: ExportSource, problems: Unsayable) -> dict[str, str]:
    """All files except the model, by name. What PEtab cannot express is added to `problems`."""
    conditions = _Conditions(source, problems)
    readings = write_observables(source, problems, version=1)
    parameters = [_parameter(source, name, problems) for name in source.rows]
    if problems:
        return {}
    sheets = {
        "conditions.tsv": WrittenSheet(("conditionId", "conditionName", *conditions.columns), conditions.rows),
        "observables.tsv": WrittenSheet(
            (
                *("observableId", "observableName", "observableFormula", "noiseFormula"),
                *("observableTransformation", "noiseDistribution"),
            ),
            [_observable(r) for r in readings.values()],
        ),
        "measurements.tsv": WrittenSheet(
            (
                *("observableId", "preequilibrationConditionId", "simulationConditionId", "time", "measurement"),
                *("observableParameters", "noiseParameters", "datasetId"),
            ),
            [_measurement(source, readings, conditions, i) for i in range(len(source.dataset))],
        ).without_empty("preequilibrationConditionId", "observableParameters", "noiseParameters", "datasetId"),
        "parameters.tsv": WrittenSheet(
            (
                *("parameterId", "parameterName", "parameterScale", "lowerBound", "upperBound", "nominalValue"),
                *("estimate", *_PRIOR_COLUMNS),
            ),
            parameters,
        ).without_empty(*_PRIOR_COLUMNS),
    }
    return {"problem.yaml": YAML, **{n: s.text for n, s in sheets.items()}}


class _Conditions:
    """The conditions of all protocols that have measurements; equal conditions are one row.

    Each row has a value for every constant that any protocol sets, since tools read empty cells in different ways. It
    has a value for a state only if the protocol sets that state.
    """

    def __init__(self, source: ExportSource, problems: Unsayable):
        self.source = source
        self.pairs: dict[str, _Pair] = {}
        self.rows: list[dict[str, str]] = []
        self._known: dict[tuple[tuple[str, str], ...], str] = {}
        changes: dict[str, list[dict[str, sympy.Expr]]] = {}
        for name in dict.fromkeys(m.protocol for m in source.dataset.measurements):
            try:
                changes[name] = self._changes(name)
            except UnsayableError as error:
                problems.of("protocol", name, error)
        names = {n for periods in changes.values() for period in periods for n in period}
        self.columns = tuple(sorted(names))
        for name, periods in changes.items():
            try:
                ids = [self._row(name, period) for period in periods]
                self.pairs[name] = _Pair(*ids) if len(ids) == 2 else _Pair("", *ids)
            except UnsayableError as error:
                problems.of("protocol", name, error)

    def _changes(self, name: str) -> list[dict[str, sympy.Expr]]:
        """The values in the pre-equilibration, if there is one, and those from time 0 on."""
        source = self.source
        if name in source.dataset.continued:
            raise UnsayableError(f"a steady state after several periods; {_WAY_OUT}")
        periods = periods_of(source, name)
        times = [p.time for p in periods]
        if times not in ([0.0], [-math.inf, 0.0]):
            said = ", ".join(f"{t:g}" for t in times if math.isfinite(t))
            raise UnsayableError(f"it changes something at {said}; PEtab v1 has changes at time 0 only; {_WAY_OUT}")
        first, last = dict(periods[0].changes), dict(periods[-1].changes)
        if len(periods) == 1:
            return [first]
        resized = [n for n in last if n in source.network.compartments and last[n] != first.get(n)]
        if resized:
            raise UnsayableError(f"it resizes {resized[0]} after the pre-equilibration, which PEtab v1 leaves open")
        constants = {n: e for n, e in first.items() if n in source.entities.constants}
        return [first, {**constants, **last}]

    def _row(self, name: str, changes: Mapping[str, sympy.Expr]) -> str:
        """The id of the condition with these changes; a new one is added to the table."""
        cells = {n: self._cell(n, changes) for n in self.columns}
        key = tuple(cells.items())
        if key not in self._known:
            self._known[key] = self.source.ids.new(f"condition_{len(self._known) + 1}")
            self.rows.append({"conditionId": self._known[key], "conditionName": cell_text(name), **cells})
        return self._known[key]

    def _cell(self, name: str, changes: Mapping[str, sympy.Expr]) -> str:
        expression = changes.get(name)
        if expression is None:
            return self._default(name)
        if not (expression.is_number or isinstance(expression, sympy.Symbol)):
            raise UnsayableError(
                f"it adds to {name}, or sets it by a formula of {', '.join(sorted(names_in(expression)))}; conditions "
                f"of PEtab v1 can only be numbers and parameters: {_WAY_OUT}"
            )
        return text_of(expression)

    def _default(self, name: str) -> str:
        """The model's value of a constant; empty for a state, and for a constant that depends on others."""
        entities = self.source.entities
        if name not in entities.constants or name in self.source.network.species:
            return ""
        start = entities.start(name)
        return text_of(start) if start.is_number and start.is_finite else ""


def _observable(reading: WrittenObservable) -> dict[str, str]:
    observable = reading.observable
    return {
        "observableId": reading.id,
        "observableName": cell_text(observable.name),
        "observableFormula": reading.formula,
        "noiseFormula": reading.noise_formula,
        "observableTransformation": str(observable.scale),
        "noiseDistribution": observable.noise.text,
    }


def _measurement(
    source: ExportSource, readings: Mapping[str, WrittenObservable], conditions: _Conditions, index: int
) -> dict[str, str]:
    m = source.dataset.measurements[index]
    reading, pair = readings[m.observable], conditions.pairs[m.protocol]
    return {
        "observableId": reading.id,
        "preequilibrationConditionId": pair.before,
        "simulationConditionId": pair.after,
        "time": number(m.time),
        "measurement": number(m.value),
        "datasetId": cell_text(m.experiment),
        **{f"{kind}Parameters": reading.filled(source, m, kind) for kind in ("observable", "noise")},
    }


def _parameter(source: ExportSource, name: str, problems: Unsayable) -> dict[str, str]:
    parameter = source.dataset.parameters[name]
    row = {
        "parameterId": source.rows[name],
        "parameterName": cell_text(name),
        "parameterScale": str(parameter.search_scale),
        "nominalValue": "" if parameter.value is None else number(parameter.value),
        "estimate": "1" if parameter.estimated else "0",
    }
    if parameter.prior is None:
        return row
    prior = v1_row(parameter)
    if prior is None:
        has = (
            "normal and laplace, of the parameter or of its logarithm, and uniform, of the parameter or, if its scale "
            "is logarithmic, of its logarithm: take one of these, or write version 2"
        )
        what = f"{parameter.prior.short_text}, searched on the scale {parameter.search_scale}"
        problems.add(f"parameter {name} has the prior {what}, and PEtab v1 has {has}")
        return row
    numbers = ";".join(map(number, prior.numbers))
    return row | {
        "lowerBound": number(prior.lower),
        "upperBound": number(prior.upper),
        "objectivePriorType": prior.distribution,
        "objectivePriorParameters": numbers,
        "initializationPriorType": prior.distribution,  # petab asks for it if the bounds of a logarithm are open
        "initializationPriorParameters": numbers,
    }


__all__ = ["write_v1"]
