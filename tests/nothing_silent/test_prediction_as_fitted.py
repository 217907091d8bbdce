"""What was fitted is what is predicted: results hold their problem, wherever they lie; nothing is asked for again."""

from __future__ import annotations

import logging
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import CASES, ENGINES, SOLVERS, slowly
from hexamer import Problem, Protocol, Settings, load_problem, simulate
from hexamer.cli import main
from hexamer.data import Dataset, Measurement, Parameter, Prior, direct
from hexamer.infer import Ensemble, dose_response
from hexamer.infer.doses.cells import UnknownStartError
from hexamer.infer.doses.ensemble import UnknownModelError
from hexamer.infer.doses.failing import AllFailedError, NoSteadyStateError
from hexamer.infer.posterior import read_datatree, save_datatree
from hexamer.infer.posterior.fitted import changes, read_fitted
from hexamer.models import compile_function, compile_network, load_model, read_antimony
from hexamer.models.compiled.identity import model_digest
from support.posteriors import tree_of

pytestmark = pytest.mark.tier("test")

EGF: dict[str, Any] = {"at": 5.0, "observe": "pERK", "draws": None, "progress": False}
DOSES = "0, 0.1:100:4 ng/ml"


@pytest.fixture(scope="module")
def egfr(tmp_path_factory) -> tuple[Path, Path]:
    """A fitted problem's folder, and that of its results."""
    base = tmp_path_factory.mktemp("egfr")
    shutil.copytree(CASES / "own-receptor-problem", base / "problem")
    save_datatree(tree_of(load_problem(base / "problem")), base / "results" / "posterior.nc")
    return base / "problem", base / "results"


@pytest.fixture(scope="module")
def alone(egfr: tuple[Path, Path], tmp_path_factory) -> Path:
    """The results, copied to where there is no problem; the original's place is not named in them either."""
    folder = tmp_path_factory.mktemp("alone")
    tree = read_datatree(egfr[1] / "posterior.nc")
    tree["fitted"].attrs["source"] = str(folder / "removed")
    save_datatree(tree, folder / "elsewhere" / "posterior.nc")
    return folder / "elsewhere"


@pytest.mark.parametrize("engine", ENGINES)
def test_results_alone_predict_as_fitted(alone: Path, engine) -> None:
    """No steady state before, 6 kDa, nM: each draw is the course from the model's initial values, written by hand."""
    settings = Settings(SOLVERS[engine])
    found = dose_response(alone, "EGF", DOSES, settings=settings, **EGF)
    assert found.failed == {}
    given = np.append(0.0, np.geomspace(0.1, 100, 4))
    np.testing.assert_allclose(found.ligand.values, given / 6, rtol=1e-12)  # ng/ml of 6 kDa in nM
    model = load_model(CASES / "own-receptor-problem" / "model.ant", independent=())
    drawn = read_datatree(alone / "posterior.nc")["posterior"].dataset
    values = {n: drawn[n].values.ravel() for n in model.parameters if n in drawn}
    protocols = [Protocol(f"{d}").add("EGF", d / 6) for d in given]
    by_hand = simulate(model, values, protocols, [5.0], settings=settings)
    expected = by_hand.y[:, :, 0, model.index("pERK")]
    np.testing.assert_allclose(found.response.values[:, 0], expected, rtol=1e-9)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("way", ["asked for", "of one condition"])
def test_a_steady_state_that_is_never_reached_is_refused(alone: Path, way: str) -> None:
    """After a few trajectories, of 12,000, and with the name of what accumulates."""
    rest = Protocol.equilibrated()
    options: dict[str, Any] = {
        "asked for": {"preequilibrate": True},
        "of one condition": {"conditions": {"plain": {}, "rest": rest}},
    }[way]
    many = "0.1:100:4000 ng/ml" if way == "asked for" else DOSES
    with pytest.raises(NoSteadyStateError, match=r"for IL8 would keep changing .*initial values.*remove IL8") as caught:
        dose_response(alone, "EGF", many, **options, **EGF)
    assert "--" not in str(caught.value)
    if way == "of one condition":
        assert "condition 'rest'" in str(caught.value)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("engine", ENGINES)
def test_what_goes_on_changing_is_named(engine) -> None:
    """A product without end, beside a species in steady state and one that nothing changes."""
    text = "model m\n species S = 1, X = 0, P = 0; c = 2;\n a: -> X; S; b: X -> ; X; d: -> P; c*X;\nend\n"
    model = compile_network(read_antimony(text))
    with pytest.raises(
        NoSteadyStateError, match=r"for P would keep changing without end \(P by 2 nM per unit of time\)"
    ):
        dose_response(model, "S", [1.0], at=1, observe="X", settings=Settings(SOLVERS[engine]), progress=False)


@pytest.mark.tier("slow")
def test_a_bare_model_rests_as_before(alone: Path) -> None:
    """Refused by default, solved if no steady state is asked for."""
    model = load_model(CASES / "own-receptor-problem" / "model.ant")
    with pytest.raises(NoSteadyStateError, match="IL8"):
        dose_response(model, "EGF", [1.0], at=5, observe="pERK", progress=False)
    found = dose_response(model, "EGF", [1.0], at=5, observe="pERK", progress=False, preequilibrate=False)
    expected = simulate(model, {}, Protocol().add("EGF", 1.0), [5.0]).y[0, 0, model.index("pERK")]
    assert float(found.response.item()) == pytest.approx(float(expected), rel=1e-9)


def test_all_that_fail_are_told_by_kind() -> None:
    """y' = y² from a dose that blows up before it is read."""
    text = "model m\n species y = 0; k = 1;\n J: -> y; k*y^2;\nend\n"
    model = compile_network(read_antimony(text))
    with pytest.raises(AllFailedError, match=r"all of the first 2 simulations of m failed \(2 \w+\): .+"):
        dose_response(model, "y", [2.0, 3.0], at=1, observe="y", settings=Settings(max_steps=256), progress=False)


def test_little_memory_refuses_no_run() -> None:
    """y' = y² from doses of which the first blows up: a first chunk of one dose, or one draw, speaks for no other."""
    text = "model m\n species y = 0; k = 1;\n J: -> y; k*y^2;\nend\n"
    model = compile_network(read_antimony(text))
    options: dict[str, Any] = {"at": 1, "observe": "y", "settings": Settings(max_steps=256), "progress": False}
    options |= {"preequilibrate": False}
    rates = {"k": np.array([3.0] * 8 + [0.1] * 8)}
    whole = dose_response(model, "y", [0.1, 2.0], parameters=rates, **options)
    assert 0 < sum(whole.failed.values()) < 32
    for memory in (1, 100):  # one dose of one draw at a time; one draw with both
        found = dose_response(model, "y", [0.1, 2.0], parameters=rates, memory=memory, **options)
        np.testing.assert_array_equal(found.data["status"], whole.data["status"])
    large = dose_response(model, "y", [2.0], parameters={"k": np.array([3.0, 0.1])}, memory=1, **options)
    assert sum(large.failed.values()) == 1
    with pytest.raises(AllFailedError, match="all of the first 8 simulations"):
        dose_response(model, "y", [2.0], parameters={"k": np.full(8, 3.0)}, **options)


CHANGES = {
    "priors.csv": ("Kd,nM,lognormal,0.69", "Kd,nM,lognormal,1.69", "priors or fixed values"),
    "model.ant": ("kint = 0.05", "kint = 0.5", "model"),
    "problem.toml": ('"6 kDa"', '"60 kDa"', "units or molar masses of inputs"),
    "measurements.csv": ("gel2", "gel1b", "measurements"),
}


@pytest.mark.parametrize("file", ["priors.csv", "measurements.csv", *slowly("model.ant", "problem.toml")])
def test_a_problem_that_changed_is_told(file: str, egfr, tmp_path: Path) -> None:
    """By what is no longer the same; a comment is no change."""
    shutil.copytree(egfr[0], tmp_path / "problem")
    fitted = read_fitted(read_datatree(egfr[1] / "posterior.nc"))
    assert fitted is not None
    moved = replace(fitted, source=str(tmp_path / "problem"))
    description = tmp_path / "problem" / "problem.toml"
    description.write_text(f"# a comment\n{description.read_text()}")
    assert changes(moved) == []
    old, new, words = CHANGES[file]
    text = (tmp_path / "problem" / file).read_text()
    assert old in text
    (tmp_path / "problem" / file).write_text(text.replace(old, new))
    assert words in changes(moved)
    description.write_text("nonsense")
    assert changes(moved) == ["it can no longer be read"]
    shutil.rmtree(tmp_path / "problem")
    assert changes(moved) == []


def test_what_was_fitted_is_used_where_the_problem_has_changed(egfr, tmp_path: Path, caplog) -> None:
    """With a word."""
    shutil.copytree(egfr[0], tmp_path / "problem")
    (tmp_path / "problem" / "model.ant").write_text((egfr[0] / "model.ant").read_text().replace("kint = ", "kint = 1"))
    tree = read_datatree(egfr[1] / "posterior.nc")
    tree["fitted"].attrs["source"] = str(tmp_path / "problem")
    with caplog.at_level(logging.WARNING):
        found = Ensemble.from_posterior(tree)
    (record,) = caplog.records
    assert record.getMessage().endswith("has changed since it was fitted (model); what was fitted is used")
    assert model_digest(found.model) == model_digest(load_problem(egfr[0]).model)


@pytest.mark.tier("slow")
def test_results_of_older_versions_say_what_to_give(egfr, tmp_path: Path) -> None:
    """With the problem they predict as fitted; with a model alone, they ask whether cells start in steady state."""
    problem, results = egfr
    old = read_datatree(results / "posterior.nc").drop_nodes("fitted")
    with pytest.raises(
        UnknownModelError, match=r"does not hold its problem.*pass the problem that was fitted"
    ) as caught:
        Ensemble.from_posterior(old)
    assert "--" not in str(caught.value)
    now, given = (
        Ensemble.from_posterior(results).cells(),
        Ensemble.from_posterior(old, model=load_problem(problem)).cells(),
    )
    assert given.inputs == now.inputs
    assert given.preequilibration is now.preequilibration is None
    model = load_model(problem / "model.ant")
    with pytest.raises(UnknownStartError, match=r"whether cells are in steady state.*pass the problem"):
        dose_response(old, "EGF", "1 nM", model=model, **EGF)
    said = Ensemble.from_posterior(old, model=model)
    assert said.cells(False).preequilibration is None
    assert said.cells(True).preequilibration == {}


@pytest.mark.tier("slow")
def test_a_model_in_python_has_to_be_given() -> None:
    """Its code is in no file; how its cells start is."""
    model = compile_function(
        lambda t, y, p: p["k"] - y, species=["y"], parameters={"k": 2.0}, initial=[0.0], name="mine"
    )
    data = Dataset(
        "mine",
        {"y": direct("y", "y", sd=0.1)},
        {"a": Protocol("a").add("y", 1.0)},
        (Measurement("y", "a", 1.0, 1.0),),
        {"k": Parameter("k", Prior("normal", "log", 0.7, 0.1))},
    )
    tree = tree_of(Problem(model, data), draws=1)
    with pytest.raises(UnknownModelError, match="'mine' of this posterior was written in Python"):
        Ensemble.from_posterior(tree)
    found = Ensemble.from_posterior(tree, model=model)
    assert found.cells().preequilibration is None
    np.testing.assert_array_equal(found.values["k"], tree["posterior"].dataset["k"].values.ravel())


Run = Callable[..., tuple[int, str, str]]


@pytest.mark.tier("slow")
def test_the_command_line_asks_for_nothing_again(alone: Path, tmp_path: Path, monkeypatch, capfd) -> None:
    """The case as a user wrote it; a steady state is refused with the option that is the way out."""
    command = ["hexamer", "dose-response", str(alone), "--ligand", "EGF", "--observe", "pERK", "--at", "5", "--quiet"]
    command += ["--doses", "0.1:100:6 ng/ml", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    out = capfd.readouterr().out
    assert re.search(r"EGF: EC50 [\d.]+ \(.+\) ng/ml", out)
    assert (tmp_path / "out" / "dose_response.png").is_file()
    monkeypatch.setattr(sys, "argv", [*command, "--preequilibrate"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = capfd.readouterr().err
    assert "IL8" in error
    assert "--no-preequilibrate" in error
    assert "Traceback" not in error
