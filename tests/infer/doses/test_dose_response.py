"""Dose responses against closed forms and `simulate`; chunks and devices change nothing; bad input is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from hexamer import Model, Protocol, Settings, simulate
from hexamer.data import UnitError
from hexamer.infer import Condition, DoseResponse, Ensemble, dose_response
from hexamer.infer.doses.amounts import doses_of
from hexamer.infer.doses.conditions import design
from hexamer.infer.doses.course_summary import summarise_courses
from hexamer.infer.doses.text import parse_conditions, parse_drugs
from hexamer.models import compile_network, il6, read_antimony
from hexamer.models.compiled.plan import compile_plan

pytestmark = pytest.mark.tier("test")

TIGHT = Settings(rtol=1e-10, atol=1e-12)
CONDITIONS: dict[str, Any] = {
    "classic": {},
    "trans": {"IL6R_0": 0.0, "sIL6R": "100 ng/ml"},
    "washed": Condition({"gp130_0": 150.0}, Protocol.equilibrated().wash_out("IL6", at=10)),
}
TIMES = np.array([0.0, 5.0, 20.0, 60.0])


@pytest.fixture(scope="module")
def model() -> Model:
    return il6("il6_stat3", drugs=("tocilizumab", "sgp130Fc"))


@pytest.fixture(scope="module")
def parameters(model: Model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    values = zip(model.parameters, model.defaults, strict=True)
    return {n: v * np.exp(0.3 * rng.normal(size=5)) for n, v in values if v > 0}


def run(model: Model, parameters, **changes) -> DoseResponse:
    options: dict[str, Any] = {
        "times": TIMES,
        "conditions": CONDITIONS,
        "drugs": {"tocilizumab": "0, 1 ug/ml"},
        "parameters": parameters,
        "progress": False,
    }
    return dose_response(model, "IL6", "0, 0.1:100:6 ng/ml", **(options | changes))


@pytest.fixture(scope="module")
def result(model: Model, parameters) -> DoseResponse:
    return run(model, parameters)


def test_readings_are_those_of_simulate(model: Model, parameters, result: DoseResponse) -> None:
    """One draw, each condition with drug and ligand, in protocols written by hand."""
    drug, receptor, dose = 1000 / 147.5, 100 / 52.5, float(result.ligand.values[4])
    protocols = [
        Protocol.equilibrated("classic"),
        Protocol.equilibrated("trans", IL6R_0=0.0).set(at=0, IL6R_0=0.0).add("sIL6R", receptor),
        Protocol.equilibrated("washed", gp130_0=150.0).set(at=0, gp130_0=150.0).wash_out("IL6", at=10),
    ]
    protocols = [q.add("tocilizumab", drug).add("IL6", dose) for q in protocols]
    values = {n: v[3] for n, v in parameters.items()}
    expected = simulate(model, values, protocols, TIMES, observe=["pSTAT3_total"])
    found = result.response.isel(draw=3, tocilizumab=1, dose=4)
    np.testing.assert_allclose(found.values, expected.observed["pSTAT3_total"], rtol=1e-12)
    assert result.response.dims == ("draw", "condition", "tocilizumab", "dose", "time")
    assert result.failed == {}


def test_doses_are_in_the_unit_they_were_given_in(result: DoseResponse) -> None:
    """Coordinates with their unit; those in the model's unit stand beside them."""
    given = np.append(0.0, np.geomspace(0.1, 100, 6))
    np.testing.assert_allclose(result.data["dose"], given, rtol=1e-11)
    np.testing.assert_allclose(result.data["model_dose"], given / 21, rtol=1e-12)
    np.testing.assert_allclose(result.data["model_tocilizumab"], [0, 1000 / 147.5], rtol=1e-12)
    assert result.data["tocilizumab"].values.tolist() == [0.0, 1.0]
    units = {n: result.response[n].attrs["unit"] for n in ("dose", "model_dose", "tocilizumab", "model_tocilizumab")}
    assert units == {"dose": "ng/ml", "model_dose": "nM", "tocilizumab": "ug/ml", "model_tocilizumab": "nM"}
    assert result.response.sel(dose=100.0, tocilizumab=1.0, time=20.0).shape == (5, 3)
    table = result.table()
    assert not [n for n in table if str(n).startswith("model_")]
    assert set(table["dose_unit"]) == {"ng/ml"}
    assert set(table["tocilizumab_unit"]) == {"ug/ml"}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("memory", [1, 2**18, 2**21])
def test_chunks_change_nothing(model: Model, parameters, result: DoseResponse, memory: int) -> None:
    """Down to one trajectory at a time, which is another width of the compiled code."""
    doses = "0, 0.1:100:6 ng/ml" if memory > 1 else result.ligand.values[:3]
    found = dose_response(
        model,
        "IL6",
        doses,
        times=TIMES,
        conditions=CONDITIONS,
        drugs={"tocilizumab": "0, 1 ug/ml"},
        parameters=parameters,
        memory=memory,
        progress=False,
    )
    expected = result.response.values[..., : found.response.sizes["dose"], :]
    np.testing.assert_allclose(found.response.values, expected, rtol=1e-12)


_DEVICES = """
import sys
import jax, numpy as np
from tests_of_devices import run, il6
values = dict(np.load(sys.argv[1]))
assert jax.device_count() == 3
np.save(sys.argv[2], run(il6("il6_stat3", drugs=("tocilizumab", "sgp130Fc")), values).response.values)
"""


@pytest.mark.tier("slow")
def test_devices_change_nothing(parameters, result: DoseResponse, tmp_path: Path) -> None:
    """Five draws over three devices, in a process that has them."""
    np.savez(tmp_path / "values.npz", **parameters)
    (tmp_path / "tests_of_devices.py").write_text(Path(__file__).read_text())
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=3", "PYTHONPATH": paths}
    arguments = [sys.executable, "-c", _DEVICES, str(tmp_path / "values.npz"), str(tmp_path / "found.npy")]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), result.response.values, rtol=1e-12)


def test_the_steady_state_is_solved_once_per_condition(model: Model) -> None:
    """A steady state for each set of parameters, not for each dose; additions need none of their own."""
    doses = [doses_of(model, n, d) for n, d in (("IL6", "0.1:10:7 ng/ml"), ("sgp130Fc", "0, 1 ug/ml"))]
    conditions = {
        "a": Condition(),
        "b": Condition({"sIL6R": 2.0}),
        "c": Condition({"IL6R_0": 0.0}),
    }
    found = design(model, doses[0], doses[1:], conditions, draws=1, pretreat=0.0, molar_mass={})
    assert found.shape == (3, 2, 7)
    plan = compile_plan(model, found.protocols, [[20.0]] * 42, tuple(found.values))
    assert len(plan.equilibration_parameters) == 2
    assert plan.segment.shape[0] == 42


def test_drug_before_the_ligand(model: Model) -> None:
    """Antibody that had an hour to bind blocks more than one given with IL-6."""
    options: dict[str, Any] = dict(at=10, drugs={"tocilizumab": "1 ug/ml"}, progress=False)
    late = dose_response(model, "IL6", [0.5], **options)
    early = dose_response(model, "IL6", [0.5], pretreat=60, **options)
    protocol = Protocol("e", {}, start=-60.0).add("tocilizumab", 1000 / 147.5, at=-60).add("IL6", 0.5)
    expected = simulate(model, {}, protocol, [10.0], observe=["pSTAT3_total"]).observed["pSTAT3_total"]
    np.testing.assert_allclose(early.response.values.ravel(), np.ravel(expected), rtol=1e-12)
    assert early.response.values.item() < 0.9 * late.response.values.item()
    assert early.response.dims == ("draw", "condition", "dose")


def test_input_that_is_a_parameter(conversion, conversion_course) -> None:
    """A ⇌ B, driven by an input that is set: the closed form, for values that differ from draw to draw."""
    k1, doses = np.array([0.05, 0.1]), np.array([0.0, 0.5, 20.0])
    found = dose_response(
        conversion.model,
        "L",
        doses,
        at=20,
        observe="B",
        parameters={"k1": k1},
        conditions={"": {}, "more": {"total": np.array([20.0, 30.0])}},
        settings=TIGHT,
        progress=False,
    )
    expected = [
        [[conversion_course(d, 20, k1=k, total=t) for d in doses] for t in totals]
        for k, totals in zip(k1, ((10.0, 20.0), (10.0, 30.0)), strict=True)
    ]
    np.testing.assert_allclose(found.response.values, expected, rtol=1e-8)
    assert found.table().shape == (6, 7)


def test_posterior(conversion, conversion_tree, conversion_course) -> None:
    """Draws evenly spread over all chains, with what the posterior holds fixed."""
    found = dose_response(
        conversion_tree, "L", [1.0], at=20, observe="B", model=conversion, draws=9, settings=TIGHT, progress=False
    )
    kept = np.linspace(0, 239, 9).round().astype(int)
    k1, total = (conversion_tree["posterior"][n].values.ravel()[kept] for n in ("k1", "total"))
    expected = [conversion_course(1.0, 20, k1=k, total=t) for k, t in zip(k1, total, strict=True)]
    np.testing.assert_allclose(found.response.values.ravel(), expected, rtol=1e-8)
    own = dose_response(conversion_tree, "L", [1.0], at=20, observe="B", draws=9, settings=TIGHT, progress=False)
    np.testing.assert_array_equal(own.response.values, found.response.values)
    ensemble = Ensemble.from_posterior(conversion_tree, draws=9)
    assert repr(ensemble) == "Ensemble('conversion', 9 draws of the posterior of conversion)"
    again = dose_response(ensemble, "L", [1.0], at=20, observe="B", settings=TIGHT, progress=False)
    np.testing.assert_array_equal(again.response.values, found.response.values)
    with pytest.raises(ValueError, match="by conditions"):
        dose_response(conversion_tree, "L", [1.0], at=20, observe="B", model=conversion, parameters={"k1": 1.0})
    with pytest.raises(ValueError, match="no parameter of il6_stat3"):
        dose_response(conversion_tree, "IL6", [1.0], at=20, model="il6_stat3")


def test_posterior_of_what_the_model_derives(conversion, conversion_tree) -> None:
    """`total` estimated, and a model in which it follows from another: refused, not lost."""
    text = "model conversion\n species A; k1 = 1; L = 0; k0 = 2; total = k0; A = 1;\n J: A -> ; k1*L*A;\nend\n"
    other = compile_network(read_antimony(text))
    assert "total" not in other.parameters
    with pytest.raises(ValueError, match="total, which in conversion follow from other parameters"):
        Ensemble.from_posterior(conversion_tree, model=other)


@pytest.mark.tier("check")
def test_failures_are_counted() -> None:
    """y' = y² from the dose: y = d/(1 − d t), which does not exist at t = 1 from d = 1 on."""
    model = compile_network(read_antimony("model m\n species y = 0; k = 1;\n J: -> y; k*y^2;\nend\n"))
    found = dose_response(
        model, "y", [0.5, 2.0], at=1, observe="y", settings=Settings(max_steps=256), unit="nM", progress=False
    )
    assert found.response.values[0, 0, 0] == pytest.approx(1.0, rel=1e-4)
    assert np.isnan(found.response.values[0, 0, 1])
    assert sum(found.failed.values()) == 1
    assert found.table()["failed"].tolist() == [0, 1]


def test_summaries() -> None:
    times = np.array([0.0, 1.0, 2.0, 4.0, 7.0])
    hill = 5 - (times - 3.3) ** 2  # a parabola, which the interpolation meets exactly
    rising, gap = 2 * times, np.where(times == 2, np.nan, times)
    x = jnp.asarray(np.stack([hill, rising, gap]))
    np.testing.assert_allclose(summarise_courses("peak", times, x)[:, 0], [5.0, 14.0, np.nan], rtol=1e-12)
    np.testing.assert_allclose(summarise_courses("time_of_peak", times, x)[:, 0], [3.3, 7.0, np.nan], rtol=1e-12)
    np.testing.assert_allclose(summarise_courses("area", times, x)[1:, 0], [49.0, np.nan], rtol=1e-12)
    np.testing.assert_array_equal(summarise_courses(None, times, x), x)


def test_summary_of_a_course(model: Model, parameters) -> None:
    """The peak on a coarse grid is that on a fine one."""
    options: dict[str, Any] = dict(parameters={n: v[:2] for n, v in parameters.items()}, progress=False)
    fine = dose_response(model, "IL6", [1.0], times=np.arange(0, 91, 0.5), **options).response.values
    peak = dose_response(model, "IL6", [1.0], summary="peak", times=np.arange(0, 91, 3.0), **options)
    when = dose_response(model, "IL6", [1.0], summary="time_of_peak", times=np.arange(0, 91, 3.0), **options)
    np.testing.assert_allclose(peak.response.values, fine.max(-1), rtol=1e-3)
    np.testing.assert_allclose(when.response.values, 0.5 * fine.argmax(-1), atol=0.5)


DOSES: dict[str, tuple[Any, list[float]]] = {  # as given: in nM
    "number": (0.48, [0.48]),
    "text": ("10 ng/ml", [10 / 21]),
    "texts": (["1 ug/ml", "2 ug/ml"], [1000 / 21, 2000 / 21]),
    "list": ("0, 1, 10 ng/ml", [0, 1 / 21, 10 / 21]),
    "range": ("0, 0.1:10:3 nM", [0, 0.1, 1, 10]),
    "model's unit": ("1:100:3", [1, 10, 100]),
    "exponent": ("1e-3 uM", [1.0]),
}


@pytest.mark.tier("check")
@pytest.mark.parametrize("case", DOSES)
def test_doses_as_written(case: str, model: Model) -> None:
    given, expected = DOSES[case]
    np.testing.assert_allclose(doses_of(model, "IL6", given).values, expected)


def test_masses_are_known(model: Model) -> None:
    """Of what the library knows by its name: those that the network has, and no others."""
    assert model.network is not None
    masses = model.network.facts.molar_masses
    assert masses["IL6"] == "21 kDa"
    assert float(masses["tocilizumab"].split()[0]) == pytest.approx(147.5)
    assert "siltuximab" not in masses


@pytest.mark.tier("check")
def test_what_is_read_must_be_said_of_a_model_that_states_no_readout() -> None:
    model = compile_network(read_antimony("model m\n species y = 0; k = 1;\n J: -> y; k;\nend\n"))
    with pytest.raises(ValueError, match="say what is read of m: observe= a rule, a species or a formula"):
        dose_response(model, "y", [1.0], at=1)


@pytest.mark.tier("check")
def test_doses_keep_their_unit(model: Model) -> None:
    found = doses_of(model, "STAT3", [52.0], unit="ng/ml", molar_mass={"STAT3": "88 kDa"}["STAT3"])
    assert found.values[0] == pytest.approx(52 / 88)
    assert (found.stated[0], found.unit, found.model_unit) == (pytest.approx(52.0), "ng/ml", "nM")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "negative dose": (dict(doses=[-1.0, 1.0]), "cannot be negative: -1 nM"),
    "negative text": (dict(doses="-1 ng/ml"), "cannot be negative: -1 ng/ml"),
    "same dose twice": (dict(doses=[1.0, 1.0]), "must increase"),
    "no dose": (dict(doses=[]), "no doses of IL6"),
    "dose not finite": (dict(doses=[np.nan]), "must be finite"),
    "several units": (dict(doses=["1 nM", "1 ng/ml"]), "several units"),
    "no number": (dict(doses="some"), "cannot read 'some' among the doses of IL6"),
    "range from 0": (dict(doses="0:10:5 nM"), "START must be above 0"),
    "unit twice": (dict(doses="1 nM", unit="ng/ml"), "state one"),
    "no unit": (dict(doses=[1.0], unit="bananas"), "doses of IL6: unit 'bananas'"),
    "unknown ligand": (dict(ligand="IL7"), "unknown ligand 'IL7': .* its species: IL6, IL6R"),
    "no molar mass": (dict(ligand="STAT3", doses="1 ng/ml"), "doses of STAT3: .* needs a molar mass"),
    "mass of nothing": (dict(molar_mass={"IL7": 1.0}), "molar_mass names IL7"),
    "unknown drug": (dict(drugs={"siltuximab": 1.0}), r"unknown drug 'siltuximab'.*'il6_stat3\+siltuximab'"),
    "ligand as drug": (dict(drugs={"IL6": 1.0}), "is the ligand"),
    "unknown name": (dict(conditions={"a": {"IL6R_1": 0.0}}), "condition 'a' changes 'IL6R_1'"),
    "wrong number of values": (dict(conditions={"a": {"IL6R_0": [1.0, 2.0, 3.0]}}), "one number or 1"),
    "no condition": (dict(conditions={}), "conditions is empty"),
    "condition of another kind": (dict(conditions={"a": 3}), "must be a mapping"),
    "set twice": (
        dict(conditions={"a": Condition({"k_jak": 0.1}, Protocol.equilibrated(k_jak=0.2))}),
        "gives k_jak a value, and its protocol another",
    ),
    "nothing read": (dict(at=None), "say what is read"),
    "two readings": (dict(summary="peak"), "at= is a single time"),
    "unknown summary": (dict(at=None, summary="median"), "known: peak, area, time_of_peak"),
    "one time": (dict(at=None, summary="area", times=[3.0]), "at least 2 times"),
    "times fall": (dict(at=None, times=[3.0, 1.0]), "times must be finite and increase"),
    "cannot observe": (
        dict(observe="pSTAT3_totl"),
        r"cannot observe 'pSTAT3_totl' in .* rules: .*; did you mean 'pSTAT3_total'\?",
    ),
    "unknown parameter": (dict(parameters={"Kd99": 1.0}), "Kd99: not among the parameters of"),
    "lengths": (dict(parameters={"Kd1": [1.0, 2.0], "Kd2": [1.0, 2.0, 3.0]}), "Kd1: 2, Kd2: 3"),
    "empty arrays": (dict(parameters={"Kd1": []}), "no draws: Kd1 is empty"),
    "negative pretreat": (dict(drugs={"sgp130Fc": 1.0}, pretreat=-5), "cannot be -5"),
    "no draws": (dict(draws=0), "draws must be at least 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str, model: Model) -> None:
    changes, words = BAD[case]
    arguments: dict[str, Any] = dict(ligand="IL6", doses=[1.0], at=20.0, progress=False) | changes
    with pytest.raises(ValueError, match=words) as caught:
        dose_response(model, **arguments)
    assert isinstance(caught.value, UnitError) == (case in ("no unit", "no molar mass"))


def test_drug_without_target() -> None:
    text = (
        "model m\n species L = 0, R = 1, drug = 0;\n J: R -> ; L*R; K: drug -> ; drug; effect := 1/(1 + drug);\nend\n"
    )
    model = compile_network(read_antimony(text))
    with pytest.raises(ValueError, match="drug 'drug' acts on nothing in m: its target"):
        dose_response(model, "L", [1.0], at=1, observe="R", drugs={"drug": 1.0})


def test_conditions_as_text() -> None:
    found = parse_conditions(
        ["wild type:", "trans: IL6R_0=0, sIL6R=100 ng/ml", "pulse: ; wash out IL6 at 15", "set: k=1; equilibrate CHX=1"]
    )
    assert list(found) == ["wild type", "trans", "pulse", "set"]
    assert found["trans"].changes == {"IL6R_0": 0.0, "sIL6R": "100 ng/ml"}
    protocols = {n: c.protocol for n, c in found.items() if c.protocol is not None}
    assert [s.time for s in protocols["pulse"].steps] == [15.0]
    assert protocols["set"].preequilibration == {"CHX": 1.0}
    assert {n: c.start_from_protocol for n, c in found.items()} == {
        "wild type": False,
        "trans": False,
        "pulse": False,
        "set": True,
    }
    assert parse_drugs(["a=0, 1:10:3 nM"]) == {"a": "0, 1:10:3 nM"}
    with pytest.raises(ValueError, match="a condition has no name"):
        parse_conditions([": k=1"])
    with pytest.raises(ValueError, match="cannot read 'drink'"):
        parse_conditions(["a: ; drink"])
    with pytest.raises(ValueError, match="drug a is given twice"):
        parse_drugs(["a=1 nM", "a=2 nM"])


def test_progress(model: Model, capfd: pytest.CaptureFixture[str]) -> None:
    dose_response(model, "IL6", [0.1, 1.0], at=5)
    assert "2.00/2.00" in capfd.readouterr().err


def test_a_model_is_no_posterior() -> None:
    with pytest.raises(FileNotFoundError, match=r"'il6_classic' is a model, not a posterior: Ensemble\.from_model"):
        Ensemble.from_posterior("il6_classic")
