"""What was fitted is what is predicted: results hold their problem, wherever they lie; nothing is asked for again."""

from __future__ import annotations

import ast
import logging
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import hexamer
from helpers import ENGINES, SOLVERS
from hexamer import Problem, Protocol, Settings, load_problem, simulate
from hexamer.cli import main
from hexamer.data import Dataset, Measurement, Parameter, Prior, direct
from hexamer.infer import Ensemble, dose_response
from hexamer.infer.doses.cells import MolarMassError, UnknownStartError, of_dataset
from hexamer.infer.doses.ensemble import UnknownModelError
from hexamer.infer.doses.failing import AllFailedError, NoSteadyStateError
from hexamer.infer.posterior import read, save, to_datatree
from hexamer.infer.posterior.content import ContentError, from_text, to_text
from hexamer.infer.posterior.fitted import changes, read_fitted
from hexamer.models import compile_function, compile_network, load_model, load_network, read_antimony
from hexamer.models.compiled.identity import model_digest
from hexamer.models.library import bundled

pytestmark = pytest.mark.tier("test")

CASES = Path(__file__).parents[1] / "cases"
EGF: dict[str, Any] = {"at": 5.0, "observe": "pERK", "draws": None, "progress": False}
DOSES = "0, 0.1:100:4 ng/ml"


def tree_of(problem: Problem, draws: int = 3):
    """A posterior of a few draws around the priors' centres, without a fit."""
    z = 0.1 * np.random.default_rng(0).normal(size=(1, draws, len(problem.space)))
    stats = {"diverging": np.zeros((1, draws), bool)}
    return to_datatree(problem, z, stats, seed=1, failures={}, predictive=False)


@pytest.fixture(scope="module")
def egfr(tmp_path_factory) -> tuple[Path, Path]:
    """A fitted problem's folder, and that of its results."""
    base = tmp_path_factory.mktemp("egfr")
    shutil.copytree(CASES / "own-receptor-problem", base / "problem")
    save(tree_of(load_problem(base / "problem")), base / "results" / "posterior.nc")
    return base / "problem", base / "results"


@pytest.fixture(scope="module")
def alone(egfr: tuple[Path, Path], tmp_path_factory) -> Path:
    """The results, copied to where there is no problem; the original's place is not named in them either."""
    folder = tmp_path_factory.mktemp("alone")
    tree = read(egfr[1] / "posterior.nc")
    tree["fitted"].attrs["source"] = str(folder / "removed")
    save(tree, folder / "elsewhere" / "posterior.nc")
    return folder / "elsewhere"


@pytest.mark.parametrize("engine", ENGINES)
def test_results_alone_predict_as_fitted(alone: Path, engine) -> None:
    """No rest, 6 kDa, nM: each draw is the course from the model's initial values, written by hand."""
    settings = Settings(SOLVERS[engine])
    found = dose_response(alone, "EGF", DOSES, settings=settings, **EGF)
    assert found.failed == {}
    given = np.append(0.0, np.geomspace(0.1, 100, 4))
    np.testing.assert_allclose(found.ligand.values, given / 6, rtol=1e-12)  # ng/ml of 6 kDa in nM
    model = load_model(CASES / "own-receptor-problem" / "model.ant", independent=())
    drawn = read(alone / "posterior.nc")["posterior"].dataset
    values = {n: drawn[n].values.ravel() for n in model.parameters if n in drawn}
    protocols = [Protocol(f"{d}").add("EGF", d / 6) for d in given]
    by_hand = simulate(model, values, protocols, [5.0], settings=settings)
    expected = by_hand.y[:, :, 0, model.index("pERK")]
    np.testing.assert_allclose(found.response.values[:, 0], expected, rtol=1e-9)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("way", ["asked for", "of one condition"])
def test_a_rest_that_is_never_reached_is_refused(alone: Path, way: str) -> None:
    """After a few trajectories, of 12,000, and with the name of what accumulates."""
    rest = Protocol.equilibrated()
    options: dict[str, Any] = {
        "asked for": {"preequilibrate": True},
        "of one condition": {"conditions": {"plain": {}, "rest": rest}},
    }[way]
    many = "0.1:100:4000 ng/ml" if way == "asked for" else DOSES
    with pytest.raises(
        NoSteadyStateError, match=r"for IL8 would go on changing .*initial values.*remove IL8"
    ) as caught:
        dose_response(alone, "EGF", many, **options, **EGF)
    assert "--" not in str(caught.value)
    if way == "of one condition":
        assert "condition 'rest'" in str(caught.value)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("engine", ENGINES)
def test_what_goes_on_changing_is_named(engine) -> None:
    """A product without end, beside a species that rests and one that nothing changes."""
    text = "model m\n species S = 1, X = 0, P = 0; c = 2;\n a: -> X; S; b: X -> ; X; d: -> P; c*X;\nend\n"
    model = compile_network(read_antimony(text))
    with pytest.raises(
        NoSteadyStateError, match=r"for P would go on changing without end \(P by 2 nM per unit of time\)"
    ):
        dose_response(model, "S", [1.0], at=1, observe="X", settings=Settings(SOLVERS[engine]), progress=False)


@pytest.mark.tier("slow")
def test_a_bare_model_rests_as_before(alone: Path) -> None:
    """Refused by default, solved where no rest is wanted."""
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
    """Cells that rest under factor 5, pM in the model, an inhibitor that is 0 in the problem and 1 in the model."""
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
    save(tree, tmp_path / "posterior.nc")
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
    expected = level + (15 - level) * np.exp(-0.5)  # from rest at 15, with CHX 0
    np.testing.assert_allclose(found.response.values[:, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(found.response.values[:, 1], expected / 2, rtol=1e-5)
    rows = [i for i, m in enumerate(rested.dataset.measurements) if m.time == 0.5]
    for i, x in enumerate(kd):
        read_off = rested.evaluate({"Kd": float(x)}).predictions[rows]
        np.testing.assert_allclose(found.response.values[i, 0], read_off, rtol=1e-9)
    unrested = dose_response(tmp_path, "S", "0 pM", draws=1, preequilibrate=False, **options).response.item()
    assert unrested == pytest.approx(3 * (1 - np.exp(-0.5)), rel=1e-5)


def test_a_molar_mass_beside_that_of_the_fitted_problem(rested: Problem, tmp_path: Path) -> None:
    """It was dropped without a word, as the problem's own converts the doses."""
    save(tree_of(rested), tmp_path / "posterior.nc")
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
    save(tree_of(rested), tmp_path / "posterior.nc")
    text = MODEL.replace("species S, X;", "species S, X, D = 0; cut = 0.5;").replace("Kd + S))", "Kd + S))/(1 + cut*D)")
    other = compile_network(read_antimony(text))
    options: dict[str, Any] = {"at": 0.5, "observe": "X", "draws": None, "progress": False}
    found = dose_response(tmp_path, "S", "0, 0.04 ng/ml", drugs={"D": [0.0, 2.0]}, model=other, **options).response
    plain = dose_response(tmp_path, "S", "0, 0.04 ng/ml", **options).response
    np.testing.assert_allclose(found.isel(D=0).values, plain.values, rtol=1e-9)
    rest = 15 * np.exp(-0.5)
    np.testing.assert_allclose(found.isel(D=1).values - rest, (plain.values - rest) / 2, rtol=1e-4)


CHANGES = {
    "priors.csv": ("Kd,nM,lognormal,0.69", "Kd,nM,lognormal,1.69", "priors or fixed values"),
    "model.ant": ("kint = 0.05", "kint = 0.5", "model"),
    "problem.toml": ('"6 kDa"', '"60 kDa"', "units or molar masses of inputs"),
    "measurements.csv": ("gel2", "gel1b", "measurements"),
}


@pytest.mark.parametrize("file", CHANGES)
def test_a_problem_that_changed_is_told(file: str, egfr, tmp_path: Path) -> None:
    """By what is no longer the same; a comment is no change."""
    shutil.copytree(egfr[0], tmp_path / "problem")
    fitted = read_fitted(read(egfr[1] / "posterior.nc"))
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
    tree = read(egfr[1] / "posterior.nc")
    tree["fitted"].attrs["source"] = str(tmp_path / "problem")
    with caplog.at_level(logging.WARNING):
        found = Ensemble.from_posterior(tree)
    (record,) = caplog.records
    assert record.getMessage().endswith("has changed since it was fitted (model); what was fitted is used")
    assert model_digest(found.model) == model_digest(load_problem(egfr[0]).model)


def test_results_of_older_versions_say_what_to_give(egfr, tmp_path: Path) -> None:
    """With the problem they predict as fitted; with a model alone, cells have to be said to rest or not."""
    problem, results = egfr
    old = read(results / "posterior.nc").drop_nodes("fitted")
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


def test_cells_of_several_starts_have_to_be_said(rested: Problem) -> None:
    """Protocols that rest in different ways (as PEtab's may) have no common start; what all set is kept."""
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
        in both.unclear
    )
    assert of_dataset(data, rested.model, preequilibrate=True).unclear
    assert of_dataset(data, rested.model, preequilibrate=False).preequilibration is None
    one = replace(data, protocols={"a": rows["a"], "c": rows["c"]})
    assert of_dataset(one, rested.model, preequilibrate=True).preequilibration == {"CHX": 0.0}


@pytest.mark.parametrize("name", bundled())
def test_networks_are_kept_exactly(name: str) -> None:
    """Formula by formula, and as compiled."""
    network = load_network(name)
    text = to_text(network)
    again = from_text(text)
    assert to_text(again) == text
    for part in ("reactions", "rules", "rates", "initial", "species", "compartments", "units"):
        assert getattr(again, part) == getattr(network, part)
    if name == "il6_stat3":
        assert model_digest(compile_network(again)) == model_digest(compile_network(network))


def test_data_sets_are_kept_exactly() -> None:
    """Limits, formulas with placeholders, protocols and priors."""
    for load in (
        lambda: load_problem(CASES / "own-receptor-problem").dataset,
        lambda: hexamer.data.load("il6_demo"),
        lambda: hexamer.data.load(next((CASES / "resized-compartment").rglob("*.yaml"))),
    ):
        data = load()
        assert from_text(to_text(data)) == data


@pytest.mark.parametrize(
    "text", ["{", '{"os": {}}', '{"formula": ["eval", "x"]}', '{"Species": {"volume": 1}}', "[[[{}]]]"]
)
def test_text_that_is_no_content_is_refused(text: str) -> None:
    with pytest.raises(ContentError, match="damaged, or of another version"):
        from_text(text)
    with pytest.raises(ContentError):
        to_text({"a": jnp.zeros(1)})


Run = Callable[..., tuple[int, str, str]]


@pytest.mark.tier("slow")
def test_the_command_line_asks_for_nothing_again(alone: Path, tmp_path: Path, monkeypatch, capfd) -> None:
    """The case as a user wrote it; a rest is refused with the option that is the way out."""
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


@pytest.mark.parametrize("apart", [5.0, 0.0])
def test_that_a_posterior_has_not_converged_is_in_its_own_file(
    apart: float, rested: Problem, tmp_path, monkeypatch, capfd
) -> None:
    """It was read from summary.txt, so that a posterior without that file passed for converged."""
    z = 0.1 * np.random.default_rng(0).normal(size=(4, 500, len(rested.space)))
    z[2:] += apart
    stats = {"diverging": np.zeros(z.shape[:2], bool)}
    save(to_datatree(rested, z, stats, seed=1, failures={}, predictive=False), tmp_path / "posterior.nc")
    (tmp_path / "summary.txt").write_text("NOT CONVERGED." if apart == 0 else "Converged.")
    command = ["hexamer", "dose-response", str(tmp_path), "--ligand", "S", "--observe", "X", "--at", "0.5", "--quiet"]
    command += ["--doses", "0.01, 0.02 ng/ml", "--out", str(tmp_path / "out"), "--draws", "2"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    assert ("warning: this posterior has NOT CONVERGED" in capfd.readouterr().err) == (apart > 0)


def _texts(file: Path) -> list[str]:
    """String constants of a module but its docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    documents = {
        id(n.body[0].value) for n in ast.walk(tree) if isinstance(n, documented) and isinstance(n.body[0], ast.Expr)
    }
    found = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return [str(n.value) for n in found if id(n) not in documents]


def test_no_library_message_speaks_of_the_command_line() -> None:
    """The library is called from programs, too; options belong to the command line's own words."""
    root = Path(hexamer.__file__).parent
    files = [f for package in ("infer", "models", "data") for f in (root / package).resolve().rglob("*.py")]
    assert len(files) > 100
    flags = {f.name: [t for t in _texts(f) if re.search(r"(^|[\s(`'\"])--[a-z]", t)] for f in files}
    assert {n: t for n, t in flags.items() if t} == {}
