"""The columns of PEtab v1's tables, and what a cell of each may hold.

Source: PEtab v1 data format, https://petab.readthedocs.io/en/latest/v1/documentation_data_format.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..files.csv_table import hint_of, parse_number
from ..scale import Scale
from .checks import (
    FORMULAS,
    Placeholders,
    check_arguments,
    check_choice,
    check_filled,
    check_measured_at,
    check_name,
    check_number,
    check_unique,
    check_values,
    is_name,
    note_nominal,
    read_formula,
)
from .limits import Limit
from .table_cells import LIMITS, Sheet, TableCells, TableKind, is_missing, read_cells

REPEATED = {"observableTransformation": "lin", "noiseDistribution": "normal"}
"""Columns of the observable table that older measurement tables repeat, with their defaults."""
UNNAMED = ("conditionId", "conditionName")
"""Columns of the condition table that are not names of the model."""
_REMEDY = "write {kind}Parameter1_{name} there for what the cell holds"


def read_tables(files: Mapping[TableKind, list[Path]], folder: Path) -> TableCells:
    """All tables, each cell checked by itself and against the other tables."""
    cells = read_cells(files, folder, LAYOUT)
    for kind in ("condition", "observable", "parameter"):
        check_unique(cells, kind)
    check_filled(cells, placeholders(cells), _REMEDY)
    return cells


def placeholders(cells: TableCells) -> Placeholders:
    """Those of each observable, by what fills them."""
    rows = [row.cells for row in cells.rows["observable"]]
    return {r["observableId"]: {kind: _numbered(r, kind) for kind in ("observable", "noise")} for r in rows}


def _numbered(observable: Mapping[str, str], kind: str) -> list[str]:
    formulas = " ".join(observable[column] for column in FORMULAS)
    found = set(re.findall(rf"\b{kind}Parameter(\d+)_{re.escape(observable['observableId'])}\b", formulas))
    return [f"{kind}Parameter{n}_{observable['observableId']}" for n in sorted(found, key=int)]


def scales(cells: TableCells) -> dict[str, Scale]:
    """The scale of each observable's noise; linear if the table holds no scale."""
    stated = {row["observableId"]: row.get("observableTransformation", "lin") for _, row in cells.each("observable")}
    return {n: Scale(s) if s in {*Scale} else Scale.LIN for n, s in stated.items() if n}


def check_repeated(cells: TableCells, limits: dict[int, Limit]) -> None:
    """Measurements that repeat another scale or noise than their observable's, or that its scale cannot have."""
    observables = {row.cells["observableId"]: row.cells for row in cells.rows["observable"]}
    for index, row in enumerate(cells.rows["measurement"]):
        observable = observables.get(row.cells["observableId"], {})
        for column, default in REPEATED.items():
            repeated, there = row.cells.get(column, ""), observable.get(column, "")
            if not is_missing(repeated) and repeated != (default if is_missing(there) else there):
                cells.complain("measurement", index, column, "what the observable table says, or an empty cell")
    check_values(cells, limits, scales(cells))


def check_formulas(cells: TableCells) -> bool:
    """True if all formulas can be read; else petab's own reader is not called."""
    before = len(cells.issues.entries)
    for index, row in cells.each("observable"):
        for column in (c for c in FORMULAS if c in row):
            read_formula(cells, "observable", index, column)
    return len(cells.issues.entries) == before


def _check_measurement(cells: TableCells, index: int) -> None:
    check_name(cells, "measurement", index, "observableId")
    check_name(cells, "measurement", index, "simulationConditionId")
    check_name(cells, "measurement", index, "preequilibrationConditionId", empty=True)
    check_arguments(cells, index)
    check_measured_at(cells, index)


def _check_condition(cells: TableCells, index: int) -> None:
    check_name(cells, "condition", index, "conditionId")
    for column, text in cells.rows["condition"][index].cells.items():
        if column in UNNAMED or is_missing(text):
            continue
        if parse_number(text) is None and not is_name(text):
            cells.complain("condition", index, column, "a finite number, or a parameter's name" + hint_of(text))


def _check_observable(cells: TableCells, index: int) -> None:
    check_name(cells, "observable", index, "observableId")
    row = cells.rows["observable"][index].cells
    for column in FORMULAS:
        if is_missing(row[column]):
            cells.complain("observable", index, column, "a formula")
    for kind in ("observable", "noise"):  # placeholders are numbered from 1 on, without a gap
        places = _numbered(row, kind)
        wanted = [f"{kind}Parameter{i + 1}_{row['observableId']}" for i in range(len(places))]
        if places != wanted:
            column = next(c for c in FORMULAS if places[-1] in row[c])
            cells.complain("observable", index, column, f"placeholders numbered from 1 on: {', '.join(wanted)}")
    check_choice(cells, "observable", index, "observableTransformation", ("lin", "log", "log10"))
    check_choice(cells, "observable", index, "noiseDistribution", ("normal", "laplace"))


def _check_parameter(cells: TableCells, index: int) -> None:
    row = cells.rows["parameter"][index].cells
    check_name(cells, "parameter", index, "parameterId")
    estimate = parse_number(row["estimate"])
    if estimate not in (0.0, 1.0):
        cells.complain("parameter", index, "estimate", "1 for a parameter that is estimated, 0 for one that is fixed")
    check_choice(cells, "parameter", index, "parameterScale", ("lin", "log", "log10"), empty=False)
    for column in ("lowerBound", "upperBound"):
        check_number(cells, "parameter", index, column, infinite=True, empty=estimate == 0.0)
    check_number(cells, "parameter", index, "nominalValue", empty=estimate != 0.0)
    note_nominal(cells, index, row["parameterScale"])
    prior_numbers = row.get("objectivePriorParameters", "")
    numbers = [parse_number(part.strip()) for part in prior_numbers.split(";")]
    if not is_missing(prior_numbers) and (len(numbers) != 2 or None in numbers):
        hint = next((hint_of(p.strip()) for p in prior_numbers.split(";") if hint_of(p.strip())), "")
        cells.complain("parameter", index, "objectivePriorParameters", "two finite numbers, separated by ';'" + hint)
    kind = row.get("parameterType", "")
    if not is_missing(kind) and kind not in ("scaling", "offset", "sigma"):
        expected = "an empty cell, scaling, offset or sigma; hexamer has no other types of parameters"
        cells.complain("parameter", index, "parameterType", expected)


LAYOUT: Mapping[TableKind, Sheet] = {
    "measurement": Sheet(
        ("observableId", "simulationConditionId", "measurement", "time"),
        ("preequilibrationConditionId", "observableParameters", "noiseParameters", "datasetId", "replicateId"),
        _check_measurement,
        more=(*LIMITS, *REPEATED),
    ),
    "condition": Sheet(("conditionId",), ("conditionName",), _check_condition, open=True),
    "observable": Sheet(
        ("observableId", "observableFormula", "noiseFormula"),
        ("observableName", "observableTransformation", "noiseDistribution"),
        _check_observable,
    ),
    "parameter": Sheet(
        ("parameterId", "parameterScale", "lowerBound", "upperBound", "estimate"),
        (
            *("parameterName", "nominalValue", "initializationPriorType", "initializationPriorParameters"),
            *("objectivePriorType", "objectivePriorParameters"),
        ),
        _check_parameter,
        more=("parameterType",),
        may_be_empty=True,
    ),
}
