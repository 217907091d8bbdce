"""The columns of PEtab v2's tables, and what a cell of each may hold.

Source: PEtab v2 data format, https://petab.readthedocs.io/en/latest/v2/documentation_data_format.html.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..files.csv_table import hint_of
from .checks import (
    FORMULAS,
    check_arguments,
    check_choice,
    check_measured_at,
    check_name,
    check_number,
    is_name,
    note_nominal,
    split,
)
from .table_cells import LIMITS, Sheet, TableCells, TableKind, number_or_nan
from .v2_priors import check_prior

NOISE = ("normal", "laplace", "log-normal", "log-laplace")
_EXPERIMENTS = "PEtab v2 has no such column: write experimentId, and the experiment's conditions in an experiment table"
_PRIORS = "PEtab v2 has no such column: write priorDistribution and priorParameters"


def placeholders_of(cells: TableCells, index: int, kind: str) -> list[str]:
    """Those that a row of the observable table names; `kind` is `observable` or `noise`."""
    return [p for p in split(cells.text("observable", index, f"{kind}Placeholders")) if p]


def _check_measurement(cells: TableCells, index: int) -> None:
    check_name(cells, "measurement", index, "observableId")
    check_name(cells, "measurement", index, "experimentId", empty=True)
    check_arguments(cells, index)
    check_measured_at(cells, index, -math.inf)
    if number_or_nan(cells.rows["measurement"][index].cells["time"]) == -math.inf:
        cells.complain("measurement", index, "time", "a number, or inf for the steady state")


def _check_condition(cells: TableCells, index: int) -> None:
    check_name(cells, "condition", index, "conditionId")
    check_name(cells, "condition", index, "targetId")
    if not cells.text("condition", index, "targetValue"):
        cells.complain("condition", index, "targetValue", "a number or a formula; delete the row if nothing is set")


def _check_experiment(cells: TableCells, index: int) -> None:
    check_name(cells, "experiment", index, "experimentId")
    check_name(cells, "experiment", index, "conditionId", empty=True)
    time = cells.rows["experiment"][index].cells["time"]
    if not number_or_nan(time) < math.inf:
        expected = "a number, or -inf for a period that lasts until the steady state"
        cells.complain("experiment", index, "time", expected + hint_of(time))


def _check_observable(cells: TableCells, index: int) -> None:
    check_name(cells, "observable", index, "observableId")
    for column in FORMULAS:
        if not cells.text("observable", index, column):
            cells.complain("observable", index, column, "a formula")
    check_choice(cells, "observable", index, "noiseDistribution", NOISE)
    for kind in ("observable", "noise"):
        names = placeholders_of(cells, index, kind)
        if not all(map(is_name, names)) or len(set(names)) < len(names):
            cells.complain("observable", index, f"{kind}Placeholders", "names separated by ';', each once")


def _check_parameter(cells: TableCells, index: int) -> None:
    check_name(cells, "parameter", index, "parameterId")
    estimate = cells.rows["parameter"][index].cells["estimate"]
    if estimate.lower() not in ("true", "false"):
        expected = "true for a parameter that is estimated, false for one that is fixed"
        return cells.complain("parameter", index, "estimate", expected)
    estimated = estimate.lower() == "true"
    for column in ("lowerBound", "upperBound"):
        check_number(cells, "parameter", index, column, infinite=True, empty=not estimated)
    check_number(cells, "parameter", index, "nominalValue", empty=estimated)
    note_nominal(cells, index)
    if estimated and not cells.wrong("parameter", index):
        check_prior(cells, index)
    return None


def _check_mapping(cells: TableCells, index: int) -> None:
    check_name(cells, "mapping", index, "petabEntityId")
    there, name = (cells.text("mapping", index, c) for c in ("modelEntityId", "petabEntityId"))
    if there and there != name and is_name(there):
        expected = f"an empty cell, or a name that PEtab could not hold; write {there} itself in place of {name}"
        cells.complain("mapping", index, "modelEntityId", expected)


LAYOUT: Mapping[TableKind, Sheet] = {
    "measurement": Sheet(
        ("observableId", "experimentId", "time", "measurement"),
        ("observableParameters", "noiseParameters", "datasetId", "replicateId", "modelId"),
        _check_measurement,
        more=LIMITS,
        advice=dict.fromkeys(("simulationConditionId", "preequilibrationConditionId"), _EXPERIMENTS),
    ),
    "condition": Sheet(("conditionId", "targetId", "targetValue"), (), _check_condition, may_be_empty=True),
    "experiment": Sheet(("experimentId", "time", "conditionId"), (), _check_experiment, may_be_empty=True),
    "observable": Sheet(
        ("observableId", "observableFormula", "noiseFormula"),
        ("observableName", "noiseDistribution", "observablePlaceholders", "noisePlaceholders"),
        _check_observable,
        advice={
            "observableTransformation": "PEtab v2 has no such column: write log-normal or log-laplace as "
            "noiseDistribution; a noise formula in decades, times ln 10, is one of natural logarithms",
        },
    ),
    "parameter": Sheet(
        ("parameterId", "lowerBound", "upperBound", "estimate"),
        ("parameterName", "nominalValue", "priorDistribution", "priorParameters"),
        _check_parameter,
        advice={
            "parameterScale": "PEtab v2 has no such column: delete it; prior and bounds decide on which scale a search "
            "moves a parameter",
            **dict.fromkeys(
                (
                    *("objectivePriorType", "objectivePriorParameters"),
                    *("initializationPriorType", "initializationPriorParameters"),
                ),
                _PRIORS,
            ),
        },
        may_be_empty=True,
    ),
    "mapping": Sheet(("petabEntityId", "modelEntityId"), ("name",), _check_mapping, may_be_empty=True),
}


__all__ = ["LAYOUT", "NOISE", "placeholders_of"]
