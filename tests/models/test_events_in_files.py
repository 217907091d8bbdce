"""Events of files: what users and published models hold, PEtab problems, what is written, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import roadrunner

from helpers import CASES, ENGINES, SOLVERS, network, tight
from hexamer import Fused, load_problem
from hexamer.models import FormulaError, Protocol, load_model, read_antimony, read_sbml, simulate, write_sbml

pytestmark = pytest.mark.tier("test")


def expected(case: str) -> dict:
    return json.loads((CASES / case / "expected.json").read_text())


# -------------------------------------------------------------------------------------------------------- the cases


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("form", ["model.xml", "model.ant"])
def test_doses_at_fixed_times(form: str, engine: str):
    right = expected("event-at-fixed-time")
    model = load_model(CASES / "event-at-fixed-time" / form)

    def d(dose: jax.Array, t2: jax.Array) -> jax.Array:
        values = {"dose": dose, "t2": t2}
        settings = tight(SOLVERS[engine])
        return simulate(model, values, Protocol(), right["times"], observe=["D"], settings=settings).observed["D"][0]

    np.testing.assert_allclose(d(jnp.array(3.0), jnp.array(12.0)), right["D"], rtol=1e-7, atol=1e-9)
    slopes = jax.jacrev(d, argnums=(0, 1))(3.0, 12.0)
    for slope, name in zip(slopes, ("dose", "t2"), strict=True):
        assert slope[-1] == pytest.approx(right["gradient_D20_by"][name], rel=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_event_acts_at_the_start_if_its_trigger_was_false_before(engine: str):
    right = expected("event-fires-at-start")
    model = load_model(CASES / "event-fires-at-start" / "model.xml")
    out = simulate(model, {}, Protocol(), right["times"], solver=SOLVERS[engine])
    np.testing.assert_allclose(out.y[0, :, 0], right["S"], rtol=1e-6)


@pytest.mark.tier("slow")
def test_a_petab_problem_estimates_what_an_event_changes(tmp_path: Path):
    """k is the rate until t2, when an event doubles it."""
    tables = {
        "conditions": "conditionId\tdummy\nc\t0\n",
        "observables": "observableId\tobservableFormula\tnoiseFormula\nobs\tD\t0.1\n",
        "measurements": "observableId\tsimulationConditionId\ttime\tmeasurement\n"
        + "".join(f"obs\tc\t{t}\t{v}\n" for t, v in ((4, 0.0), (8, 2.5), (20, 1.5))),
        "parameters": "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\n"
        + "k\tlin\t0.01\t1\t0.1\t1\ndose\tlin\t0\t10\t3\t1\nt2\tlin\t6\t18\t12\t1\n",
    }
    for name, text in tables.items():
        (tmp_path / f"{name}.tsv").write_text(text)
    files = "".join(f"  {name[:-1]}_files: [{name}.tsv]\n" for name in tables if name != "parameters")
    model = CASES / "event-at-fixed-time" / "model.xml"
    (tmp_path / "model.xml").write_text(model.read_text())
    head = "format_version: 1\nparameter_file: parameters.tsv\nproblems:\n- sbml_files: [model.xml]\n"
    (tmp_path / "problem.yaml").write_text(head + files)
    problem = load_problem(tmp_path / "problem.yaml", settings=tight(Fused()))

    def found(x: jax.Array) -> jax.Array:
        return jnp.sum(problem.row_densities(problem.read(x)))

    def closed(x: jax.Array) -> jax.Array:
        k, dose, t2 = x
        late = (dose * jnp.exp(-k * (t2 - 5)) + 2 * dose) * jnp.exp(-0.2 * (20 - t2))
        off = jnp.stack([jnp.zeros(()), dose * jnp.exp(-k * 3) - 2.5, late - 1.5]) / 0.1
        return jnp.sum(-0.5 * off**2 - jnp.log(0.1 * jnp.sqrt(2 * jnp.pi)))

    assert problem.names == ("k", "dose", "t2")
    at = jnp.array([0.1, 3.0, 12.0])
    (value, slope), (right, right_slope) = (jax.value_and_grad(f)(at) for f in (found, closed))
    np.testing.assert_allclose(value, right, rtol=1e-7)
    np.testing.assert_allclose(slope, right_slope, rtol=1e-6)


@pytest.mark.tier("slow")
def test_a_published_model_of_doses_agrees_with_libroadrunner(shared_data: Path):
    """Dwivedi 2014, an antibody against IL-6 and its receptor, given every two weeks; 40 species, 6 events."""
    file, times = shared_data / "sbml/BIOMD0000000537.xml", [0.0, 50.0, 300.0, 400.0, 700.0, 1500.0, 2100.0]
    model = load_model(file)
    out = simulate(model, {}, Protocol(), times, settings=tight(Fused()))
    runner = roadrunner.RoadRunner(str(file))
    runner.integrator.relative_tolerance, runner.integrator.absolute_tolerance = 1e-10, 1e-14
    runner.timeCourseSelections = [f"[{name}]" for name in model.species]
    right = np.array(runner.simulate(times=times))
    np.testing.assert_allclose(out.y[0] / right.max(axis=0), right / right.max(axis=0), rtol=0, atol=1e-7)


# --------------------------------------------------------------------------------------------------- files, refusals


@pytest.mark.tier("check")
def test_events_are_written_and_read():
    text = """model m
     S = 1; k = 1; J: S -> ; k*S
     a: at 2 after (time >= 3 && k > 0), priority=k, persistent=false, t0=false, fromTrigger=false: S = S + 1, k = 2
     at (time > 3): S = piecewise(1, S > 2, 0)
    end"""
    one = read_antimony(text)
    assert [e.name for e in one.events] == ["a", "_E0"]
    assert not any((one.events[0].persistent, one.events[0].initially_true, one.events[0].values_at_trigger))
    assert read_sbml(write_sbml(one)).events == one.events
    assert "event" in one._repr_html_()


@pytest.mark.tier("check")
@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("at -1 after (time > 3): S = 1", ["event e", "delay is -1"]),
        ("at (time == 3): S = 1", ["event e", "one instant"]),
        ("at (sin(time) > 0): S = 1", ["event e", "not linear in time"]),
        ("at 1 after (time > 1 && time < 2 || time > 3): S = S + 1", ["event e", "several times"]),
        ("at 1 after (time > 1 && time < 2 || time > 3), persistent=false: S = 1", ["event e", "be cancelled"]),
    ],
)
def test_what_is_not_supported_is_refused_by_name(event: str, words: list[str]):
    with pytest.raises(FormulaError) as error:
        network(f"model r\n S = 1; k = 1; n = 2; J: S -> ; k*S\n e: {event}\nend")
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.tier("check")
def test_a_delay_counts_from_zero():
    model = network("model r\n S = 1; S' = 0\n e: at 1 after (time > 3): S = 2\nend")
    with pytest.raises(ValueError, match=r"starts at -5, and r has events with a delay \(e\)"):
        simulate(model, {}, Protocol(start=-5.0), [1.0])


@pytest.mark.tier("check")
def test_a_protocol_that_moves_a_trigger_is_refused():
    model = network("model r\n S = 1; T = 3; a = 2; S' = 0\n e: at (time > T): S = a\nend")
    with pytest.raises(ValueError, match=r"sets T at 1, which decides when the event e of r acts"):
        simulate(model, {}, Protocol().set(at=1.0, T=0.5), [2.0])
    out = simulate(model, {}, Protocol().set(T=0.5).set(at=0.2, a=7.0), [0.4, 2.0])
    np.testing.assert_allclose(out.y[0, :, 0], [1, 7])
