"""The tables of PEtab v2.

Source: https://petab.readthedocs.io/en/latest/v2/documentation_data_format.html.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..equilibrated_events import refusal, watching_events
from ..tables import Period
from .periods import periods_of
from .priors import v2_row
from .readings import WrittenObservable, number, text_of, write_observables
from .source import ExportSource
from .tables import WrittenSheet, cell_text
from .unsayable import Unsayable, UnsayableError

YAML = """format_version: 2.0.0
parameter_files: [parameters.tsv]
model_files:
  {model}:
    location: model.xml
    language: sbml
condition_files: [conditions.tsv]
experiment_files: [experiments.tsv]
observable_files: [observables.tsv]
measurement_files: [measurements.tsv]
mapping_files: [mapping.tsv]
"""


def write_v2(source: ExportSource, problems: Unsayable) -> dict[str, str]:
    """All files except the model, by name. What PEtab cannot express is added to `problems`."""
    readings = write_observables(source, problems, version=2)
    experiments = _Experiments(source, problems)
    parameters = [_parameter(source, name, problems) for name in source.rows]
    if problems:
        return {}
    sheets = {
        "conditions.tsv": WrittenSheet(("conditionId", "targetId", "targetValue"), experiments.changes),
        "experiments.tsv": WrittenSheet(("experimentId", "time", "conditionId"), experiments.rows),
        "observables.tsv": WrittenSheet(
            (
                *("observableId", "observableName", "observableFormula", "noiseFormula", "noiseDistribution"),
                *("observablePlaceholders", "noisePlaceholders"),
            ),
            [_observable(r) for r in readings.values()],
        ),
        "measurements.tsv": WrittenSheet(
            (
                *("observableId", "experimentId", "time", "measurement", "observableParameters", "noiseParameters"),
                "datasetId",
            ),
            [_measurement(source, readings, experiments, i) for i in range(len(source.dataset))],
        ).without_empty("observableParameters", "noiseParameters", "datasetId"),
        "parameters.tsv": WrittenSheet(
            (
                *("parameterId", "parameterName", "lowerBound", "upperBound", "nominalValue", "estimate"),
                *("priorDistribution", "priorParameters"),
            ),
            parameters,
        ),
        "mapping.tsv": WrittenSheet(
            ("petabEntityId", "modelEntityId", "name"),
            [{"petabEntityId": i, "name": cell_text(n)} for n, i in experiments.ids.items()],
        ),
    }
    return {"problem.yaml": YAML.format(model=source.network.name), **{n: s.text for n, s in sheets.items()}}


def _observable(reading: WrittenObservable) -> dict[str, str]:
    observable = reading.observable
    prefix = "" if observable.scale == "lin" else "log-"
    return {
        "observableId": reading.id,
        "observableName": cell_text(observable.name),
        "observableFormula": reading.formula,
        "noiseFormula": reading.noise_formula,
        "noiseDistribution": f"{prefix}{observable.noise.text}",
        "observablePlaceholders": ";".join(reading.places["observable"]),
        "noisePlaceholders": ";".join(reading.places["noise"]),
    }


class _Experiments:
    """An experiment for each protocol that has measurements, and the conditions; equal conditions are one."""

    def __init__(self, source: ExportSource, problems: Unsayable):
        self.source = source
        self.ids: dict[str, str] = {}
        self.rows: list[dict[str, str]] = []
        self.changes: list[dict[str, str]] = []
        self._conditions: dict[tuple[tuple[str, str], ...], str] = {}
        for name in dict.fromkeys(m.protocol for m in source.dataset.measurements):
            self.ids[name] = source.ids.new(name)
            try:
                periods = periods_of(source, name)
                start = next((p.time for p in periods if math.isfinite(p.time)), 0.0)
                if periods[0].time == -math.inf and (events := watching_events(source.entities, start)):
                    raise UnsayableError(refusal(events))
                self.rows += [self._row(self.ids[name], period) for period in periods]
            except UnsayableError as error:
                problems.of("protocol", name, error)

    def _row(self, experiment: str, period: Period) -> dict[str, str]:
        time = "-inf" if period.time == -math.inf else number(period.time)
        return {"experimentId": experiment, "time": time, "conditionId": self._condition(period)}

    def _condition(self, period: Period) -> str:
        """The id of a condition; empty if a period changes nothing."""
        key = tuple((n, text_of(e)) for n, e in sorted(period.changes.items()))
        if not key:
            return ""
        if key not in self._conditions:
            name = self._conditions[key] = self.source.ids.new(f"condition_{len(self._conditions) + 1}")
            self.changes += [{"conditionId": name, "targetId": n, "targetValue": text} for n, text in key]
        return self._conditions[key]


def _measurement(
    source: ExportSource, readings: Mapping[str, WrittenObservable], experiments: _Experiments, index: int
) -> dict[str, str]:
    m = source.dataset.measurements[index]
    reading = readings[m.observable]
    return {
        "observableId": reading.id,
        "experimentId": experiments.ids[m.protocol],
        "time": "inf" if m.protocol in source.dataset.continued else number(m.time),
        "measurement": number(m.value),
        "datasetId": cell_text(m.experiment),
        **{f"{kind}Parameters": reading.filled(source, m, kind) for kind in ("observable", "noise")},
    }


def _parameter(source: ExportSource, name: str, problems: Unsayable) -> dict[str, str]:
    parameter = source.dataset.parameters[name]
    row = {
        "parameterId": source.rows[name],
        "parameterName": cell_text(name),
        "nominalValue": "" if parameter.value is None else number(parameter.value),
        "estimate": "true" if parameter.estimated else "false",
    }
    if parameter.prior is None:
        return row
    prior = v2_row(parameter)
    if prior is None:
        has = "normal, laplace and uniform (also of its logarithm), cauchy, exponential, gamma and rayleigh: take one"
        problems.add(f"parameter {name} has the prior {parameter.prior.short_text}, and PEtab v2 has {has}")
        return row
    return row | {
        "lowerBound": number(prior.lower),
        "upperBound": number(prior.upper),
        "priorDistribution": prior.distribution,
        "priorParameters": ";".join(map(number, prior.numbers)),
    }


__all__ = ["write_v2"]
