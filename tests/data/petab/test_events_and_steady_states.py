"""PEtab problems whose models have events: rows at time inf are in steady state without them, and a note says so.

Before an experiment, in a pre-equilibration, PEtab v2 checks triggers: an event that could act there is refused.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import sympy

from hexamer.data import Dataset, Measurement, Observable
from hexamer.data.petab import read_petab
from hexamer.data.petab.export import PetabExportError, write_petab
from hexamer.models import Protocol, load_model, read_antimony
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


TRIGGERS = {  # could the event act in a pre-equilibration before time 2?
    "A > 0.2": True,
    "total > 0.2": True,
    "forward > 0.2 && time < 3": True,
    "A > 0.2 && time >= 2": False,
    "time >= 1": False,
    "time >= k1 && k2 > 0": False,
    "time >= k1 && A > 0.2": True,
}
BEFORE = {
    "conditions": "conditionId targetId targetValue\nbefore a0 2\nthen a0 3",
    "experiments": "experimentId time conditionId\ne {start} before\ne 2 then",
    "measurements": "observableId experimentId time measurement\nobs_a e 4 0.7",
}


def watching(trigger: str) -> str:
    return MODEL.replace("end\n", f"  total := A + B; x = 0; pulse: at ({trigger}): x = 1;\nend\n")


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_events_that_could_act_in_a_pre_equilibration_are_refused(trigger: str, tmp_path: Path) -> None:
    """They were left out in silence: hexamer's steady state was not that of PEtab."""
    tables = {n: t.format(start="-inf") for n, t in BEFORE.items()}
    path = write_problem(tmp_path, tables, model=watching(trigger))
    if not TRIGGERS[trigger]:
        read_petab(path)
        return
    with pytest.raises(
        ValueError, match=r"row 1: e: PEtab lets events act .* \(pulse\): start the experiment at a time"
    ):
        read_petab(path)


def test_the_way_out_of_that_is_read(tmp_path: Path) -> None:
    tables = {n: t.format(start="-1e6") for n, t in BEFORE.items()}
    assert read_petab(write_problem(tmp_path, tables, model=watching("A > 0.2"))).protocols["e"].start == -1e6


def test_pre_equilibrations_of_v1_have_a_note(tmp_path: Path) -> None:
    measured = "observableId preequilibrationConditionId simulationConditionId time measurement\nobs_a c c 4 0.7"
    path = write_problem(tmp_path, {**V1, "measurements": measured}, model=watching("A > 0.2"), yaml=YAML_V1)
    expected = "pre-equilibrations are without the events of the model (pulse); PEtab v1 does not say more"
    assert expected in read_petab(path).notes


def test_export_refuses_them_as_well(tmp_path: Path) -> None:
    model = load_model(read_antimony(watching("A > 0.2")))
    assert model.network is not None
    data = Dataset(
        "tiny",
        {"A": Observable("A", sympy.Symbol("A"), sympy.Float(0.1))},
        {"p": Protocol("p", preequilibration={"a0": 2.0})},
        (Measurement("A", "p", 1.0, 0.5),),
        {},
    )
    with pytest.raises(PetabExportError, match=r"protocol 'p': PEtab lets events act .* \(pulse\)"):
        write_petab(data, model.network, tmp_path / "out", constants=model.parameters)
