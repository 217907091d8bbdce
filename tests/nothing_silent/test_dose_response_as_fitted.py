"""Doses are read, and steady states started, as in the fitted problem; what is beside it is refused or said."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexamer import Problem, Protocol, load_problem
from hexamer.cli import main
from hexamer.data import Measurement
from hexamer.infer import Ensemble, dose_response
from hexamer.infer.doses.cells import MolarMassError, of_dataset
from hexamer.infer.posterior import save_datatree, to_datatree
from hexamer.models import compile_network, read_antimony
from support.posteriors import tree_of

pytestmark = pytest.mark.tier("test")

MODEL = """
model rested
  species S, X; k = 1; Kd = 2; CHX = 1; factor = 1; total = 3;
  S = 0; X = 0;
  make: -> X; factor*total*(1 + S/(Kd + S))/(1 + CHX);
  lose: X -> ; k*X;
end
"""
PROBLEM = """
name = "rested"
model = "model.ant"
[preequilibrate]
factor = 5
[inputs.ligand]
target = "S"
unit = "ng/ml"
model_unit = "pM"
molar_mass = "20 kDa"
kind = "set"
[inputs.CHX]
unit = "1"
kind = "set"
[observables.X]
assay = "direct"
signal = "X"
unit = "au"
sd = 0.1
"""


@pytest.fixture(scope="module")
def rested(tmp_path_factory) -> Problem:
    """Cells in steady state under factor 5, pM in the model, an inhibitor: 0 in the problem and 1 in the model."""
    folder = tmp_path_factory.mktemp("rested")
    (folder / "model.ant").write_text(MODEL)
    (folder / "problem.toml").write_text(PROBLEM)
    (folder / "priors.csv").write_text("parameter,unit,distribution,location,scale\nKd,pM,lognormal,0.7,0.3\n")
    rows = [f"X,{t},{1 + d},au,{d},0" for t in (0.0, 0.5, 2.0) for d in (0, 0.02, 0.04, 0.1)]
    (folder / "measurements.csv").write_text("\n".join(["observable,time,value,unit,ligand,CHX", *rows]) + "\n")
    return load_problem(folder)


def test_predictions_are_the_readings_of_the_problem(rested: Problem, tmp_path: Path) -> None:
    """Rest under the values, kinds and units of the problem: what the assays read, and a closed form."""
    tree = tree_of(rested)
    kd = tree["posterior"].dataset["Kd"].values.ravel()
    save_datatree(tree, tmp_path / "posterior.nc")
    cases = {"": {}, "CHX": {"CHX": 1.0}}
    options: dict[str, Any] = {"at": 0.5, "observe": "X", "progress": False}
    found = dose_response(tmp_path, "S", "0, 0.02, 0.04, 0.1 ng/ml", draws=None, conditions=cases, **options)
    doses = np.array([0, 1.0, 2.0, 5.0])  # ng/ml of 20 kDa in pM: 50 a unit
    np.testing.assert_allclose(found.ligand.values, doses, rtol=1e-12)
    assert found.ligand.model_unit == "pM"
    cells = Ensemble.from_posterior(tree).cells()
    for given in ("1, 2 pM", "0.001, 0.002 nM", "20, 40 pg/ml", [1.0, 2.0]):
        np.testing.assert_allclose(cells.doses(rested.model, "S", given).values, [1, 2], rtol=1e-12)
    level = 3 * (1 + doses / (kd[:, None] + doses))
    expected = level + (15 - level) * np.exp(-0.5)  # from the steady state, 15, with CHX 0
    np.testing.assert_allclose(found.response.values[:, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(found.response.values[:, 1], expected / 2, rtol=1e-5)
    rows = [i for i, m in enumerate(rested.dataset.measurements) if m.time == 0.5]
    for i, x in enumerate(kd):
        read_off = rested.evaluate({"Kd": float(x)}).predictions[rows]
        np.testing.assert_allclose(found.response.values[i, 0], read_off, rtol=1e-9)
    from_start_values = dose_response(tmp_path, "S", "0 pM", draws=1, preequilibrate=False, **options).response.item()
    assert from_start_values == pytest.approx(3 * (1 - np.exp(-0.5)), rel=1e-5)


def test_a_molar_mass_beside_that_of_the_fitted_problem(rested: Problem, tmp_path: Path) -> None:
    """It was dropped without a word, as the problem's own converts the doses."""
    save_datatree(tree_of(rested), tmp_path / "posterior.nc")
    options: dict[str, Any] = {"at": 0.5, "observe": "X", "draws": 1, "progress": False}
    with pytest.raises(MolarMassError, match="of S is given as 40 kDa, and the problem that was fitted states 20 kDa"):
        dose_response(tmp_path, "S", "0.02 ng/ml", molar_mass={"S": "40 kDa"}, **options)
    with pytest.raises(MolarMassError, match="of S is given as 40 kDa"):  # also where no unit needs it
        dose_response(tmp_path, "S", "1 pM", molar_mass=40.0, **options)
    found = dose_response(tmp_path, "S", "0.02 ng/ml", molar_mass={"S": "20000 g/mol"}, **options)
    assert found.ligand.values == pytest.approx([1.0])
    with pytest.raises(MolarMassError, match="X: molar mass '1,5 kDa' cannot be read"):
        dose_response(tmp_path, "S", "1 pM", molar_mass={"X": "1,5 kDa"}, **options)


def test_a_drug_that_is_added_to_the_fitted_model(rested: Problem, tmp_path: Path) -> None:
    """Another model under the protocol, units and draws of the fit."""
    save_datatree(tree_of(rested), tmp_path / "posterior.nc")
    text = MODEL.replace("species S, X;", "species S, X, D = 0; cut = 0.5;").replace("Kd + S))", "Kd + S))/(1 + cut*D)")
    other = compile_network(read_antimony(text))
    options: dict[str, Any] = {"at": 0.5, "observe": "X", "draws": None, "progress": False}
    found = dose_response(tmp_path, "S", "0, 0.04 ng/ml", drugs={"D": [0.0, 2.0]}, model=other, **options).response
    plain = dose_response(tmp_path, "S", "0, 0.04 ng/ml", **options).response
    np.testing.assert_allclose(found.isel(D=0).values, plain.values, rtol=1e-9)
    alone = 15 * np.exp(-0.5)
    np.testing.assert_allclose(found.isel(D=1).values - alone, (plain.values - alone) / 2, rtol=1e-4)


def test_cells_of_several_starts_have_to_be_said(rested: Problem) -> None:
    """Protocols whose steady states differ (as PEtab's may) have no common start; what all set is kept."""
    start = {"factor": 2.0, "k": "level"}
    rows = {
        "a": Protocol("a", {"CHX": 0.0}).set(**start),
        "b": Protocol("b", {"CHX": 1.0}).set(**start, CHX=1.0),
        "c": Protocol("c").set(**start),
    }
    data = replace(rested.dataset, protocols=rows, inputs=(), measurements=(Measurement("X", "a", 1.0, 1.0),))
    both = of_dataset(data, rested.model)
    assert both.common == start
    assert both.references == {"level"}
    (said,) = both.notes_on_varied(rested.model, {"S"})
    assert said.startswith("the problem that was fitted sets CHX to 1; here it has the model's own value, 1,")
    assert both.notes_on_varied(rested.model, {"CHX"}) == []
    assert (
        "several ways (in steady state with CHX = 0; in steady state with CHX = 1; from the model's initial values)"
        in both.why_unknown
    )
    assert of_dataset(data, rested.model, preequilibrate=True).why_unknown
    assert of_dataset(data, rested.model, preequilibrate=False).preequilibration is None
    one = replace(data, protocols={"a": rows["a"], "c": rows["c"]})
    assert of_dataset(one, rested.model, preequilibrate=True).preequilibration == {"CHX": 0.0}


@pytest.mark.parametrize("apart", [5.0, 0.0])
def test_that_a_posterior_has_not_converged_is_in_its_own_file(
    apart: float, rested: Problem, tmp_path, monkeypatch, capfd
) -> None:
    """It was read from summary.txt, so that a posterior without that file passed for converged."""
    z = 0.1 * np.random.default_rng(0).normal(size=(4, 500, len(rested.space)))
    z[2:] += apart
    stats = {"diverging": np.zeros(z.shape[:2], bool)}
    save_datatree(to_datatree(rested, z, stats, seed=1, failures={}, predictive=False), tmp_path / "posterior.nc")
    (tmp_path / "summary.txt").write_text("NOT CONVERGED." if apart == 0 else "Converged.")
    command = ["hexamer", "dose-response", str(tmp_path), "--ligand", "S", "--observe", "X", "--at", "0.5", "--quiet"]
    command += ["--doses", "0.01, 0.02 ng/ml", "--out", str(tmp_path / "out"), "--draws", "2"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    assert ("warning: this posterior has NOT CONVERGED" in capfd.readouterr().err) == (apart > 0)
