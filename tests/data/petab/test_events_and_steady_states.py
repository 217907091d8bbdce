"""PEtab problems whose models have events: rows at time inf are in steady state without them, and a note says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from hexamer.data.petab import read_petab
from support.petab_problem import MODEL, YAML_V1, write_problem

pytestmark = pytest.mark.tier("check")

EVENT = MODEL.replace("end\n", "  pulse: at (time >= 1): A = A + 1;\nend\n")
V1 = {
    "parameters": "parameterId parameterScale lowerBound upperBound nominalValue estimate\nk1 lin 0 10 0.8 1\n"
    "k2 lin 0 10 1 1",
    "conditions": "conditionId a0\nc 1",
    "measurements": "observableId simulationConditionId time measurement\nobs_a c {time} 0.7",
}
V2 = {"measurements": "observableId experimentId time measurement\nobs_a NaN {time} 0.7"}


@pytest.mark.parametrize("time", ["inf", "4"])
@pytest.mark.parametrize("model", [EVENT, MODEL])
@pytest.mark.parametrize(("tables", "yaml"), [(V1, {"yaml": YAML_V1}), (V2, {})])
def test_rows_at_time_inf(tables: dict[str, str], yaml: dict[str, str], model: str, time: str, tmp_path: Path) -> None:
    tables = {**tables, "measurements": tables["measurements"].format(time=time)}
    said = " ".join(read_petab(write_problem(tmp_path, tables, model=model, **yaml)).notes)
    expected = "rows at time inf are in steady state without the events of the model (pulse): if an event changes"
    assert (expected in said) == (model == EVENT and time == "inf")
