"""Volumes of compartments are above 0, wherever they come from: with a negative one, what decays grew."""

from __future__ import annotations

import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from hexamer import Protocol, Status, load_problem, simulate
from hexamer.infer.doses import dose_response
from hexamer.models import Model, Network, Quantity, UnsupportedModelError, compile_network, load_network, read_antimony

pytestmark = pytest.mark.tier("check")

CASES = Path(__file__).parents[1] / "cases"
MODEL = "model m; compartment c = 2; species S in c; S = 10; k = 0.3; J: S -> ; k*S; end"
END = "sd_elisa,1,half_normal,,0.3,biology between wells"


@pytest.fixture(scope="module")
def model() -> Model:
    return compile_network(read_antimony(MODEL))


@pytest.mark.parametrize("volume", ["-1", "0", "inf"])
def test_networks(volume: str) -> None:
    text = MODEL.replace("c = 2", f"c = {volume}")
    message = f"the volume of compartment c is {volume}; expected a finite number above 0"
    with pytest.raises(UnsupportedModelError, match=message):
        read_antimony(text)
    for ruled in (f"c = {volume}*1", f"c := {volume}*1") if volume != "inf" else ():
        with pytest.raises(UnsupportedModelError, match="the volume of compartment c is"):
            read_antimony(MODEL.replace("c = 2", ruled))
    made = Network("made", {"c": Quantity(float(volume))}, {}, {})
    with pytest.raises(ValueError, match=f"network 'made': {message}"):
        compile_network(made)


def test_values_and_protocols(model: Model) -> None:
    with pytest.raises(ValueError, match="the volume of compartment c is given as -1; expected a finite number"):
        simulate(model, {"c": np.array([1.0, -1.0])}, Protocol(), [0.0, 1.0])
    for q in (Protocol().set(c=0.0, at=1.0), Protocol().set(c="v", at=1.0)):
        with pytest.raises(ValueError, match="sets the volume of compartment c at 1 to 0; expected a finite number"):
            simulate(model, {"v": 0.0} if "v" in q.references else {}, q, [0.0, 1.0])
    with pytest.raises(ValueError, match="sets the volume of compartment c before the start to -2"):
        simulate(model, {}, Protocol(preequilibration={"c": -2.0}), [0.0, 1.0])
    for wrong in (np.inf, np.nan):
        with pytest.raises(ValueError, match=f"compartment c is given as {wrong}; expected a finite number above 0"):
            simulate(model, {"c": np.array([1.0, wrong])}, Protocol(), [0.0, 1.0])
        with pytest.raises(ValueError, match=f"sets the volume of compartment c at 1 to {wrong}; expected a finite"):
            simulate(model, {"v": wrong}, Protocol().set(c="v", at=1.0), [0.0, 1.0])
    traced = jax.jit(lambda c: simulate(model, {"c": c}, Protocol(), [0.0, 1.0]).y)
    assert traced(3.0).shape == (1, 2, 1)


BY_EVENT = MODEL.replace("; end", "; v = 1; E: at (time >= 1): c = v; end")


@pytest.mark.tier("slow")
@pytest.mark.parametrize("volume", [0.0, np.inf, np.nan])
def test_volumes_that_an_event_makes_impossible(volume: float) -> None:
    """No number, no gradient that is NaN, and a status that says so."""
    model = compile_network(read_antimony(BY_EVENT))

    def total(v):
        result = simulate(model, {"v": v}, Protocol(), [0.0, 2.0])
        return result.y.sum(), result.status

    (value, status), gradient = jax.value_and_grad(total, has_aux=True)(volume)
    assert np.isnan(value)
    assert gradient == 0
    assert [Status(int(s)) for s in status] == [Status.NOT_FINITE]


def test_a_volume_that_an_event_makes_negative_is_named(caplog: pytest.LogCaptureFixture) -> None:
    simulate(compile_network(read_antimony(BY_EVENT)), {"v": -3.0}, Protocol(), [0.0, 2.0])
    assert "an amount, a concentration or a volume: " in caplog.text
    assert "c (to -3)" in caplog.text


def test_dose_responses(model: Model) -> None:
    options = {"at": 1, "observe": "S", "progress": False}
    with pytest.raises(ValueError, match="the volume of compartment c is given as -1"):
        dose_response(model, "S", "1 nM", conditions={"x": {"c": -1.0}}, **options)
    with pytest.raises(ValueError, match="the volume of compartment c is given as 0"):
        dose_response(model, "S", "1 nM", parameters={"c": 0.0}, **options)
    with pytest.raises(ValueError, match="sets the volume of compartment c at 1 to -1"):
        dose_response(model, "S", "1 nM", conditions={"x": Protocol("x").set(c=-1.0, at=1.0)}, **options)


def changed(folder: Path, *, fixed: str = "", prior: str = "") -> Path:
    shutil.copytree(CASES / "own-receptor-problem", folder, dirs_exist_ok=True)
    problem, priors = folder / "problem.toml", folder / "priors.csv"
    if fixed:
        problem.write_text(problem.read_text().replace("[obs", f"[fixed]\ncell = {fixed}\n[obs", 1))
    if prior:
        assert END in priors.read_text()
        priors.write_text(priors.read_text().replace(END, f"{END}\ncell,,{prior},"))
    return folder


@pytest.mark.parametrize("value", ["-2", "0"])
def test_fixed_volumes(value: str, tmp_path: Path) -> None:
    message = rf"cell of \[fixed\] in problem.toml is the volume of a compartment of egfr and is fixed at {value}"
    with pytest.raises(ValueError, match=message):
        load_problem(changed(tmp_path, fixed=value))


def test_priors_of_volumes(tmp_path: Path) -> None:
    message = r"cell \(priors\.csv, row 15\) is the volume of a compartment of egfr, and its prior"
    with pytest.raises(ValueError, match=message):
        load_problem(changed(tmp_path / "normal", prior="normal,1,0.5"))
    problem = load_problem(changed(tmp_path / "lognormal", prior="lognormal,0,0.5"))
    with pytest.raises(ValueError, match="the volume of compartment cell is given as -2"):
        problem.vector({n: -2.0 if n == "cell" else 1.0 for n in problem.names})


def test_volumes_of_petab_conditions(tmp_path: Path) -> None:
    shutil.copytree(CASES / "resized-compartment" / "resized", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "conditions.tsv"
    table = [line.split("\t") for line in path.read_text().splitlines()]
    network = load_network(tmp_path / "model.xml")
    column = next(i for i, name in enumerate(table[0]) if name in network.compartments)
    table[1][column] = "-1"
    path.write_text("\n".join("\t".join(line) for line in table) + "\n")
    with pytest.raises(ValueError, match=r"sets the volume of compartment .* to -1; expected a finite number above 0"):
        load_problem(tmp_path / "problem.yaml")
