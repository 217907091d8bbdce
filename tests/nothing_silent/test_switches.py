"""Conditions in time: no step crosses the moment at which one changes, and the gradient knows what moving it does."""

from __future__ import annotations

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import BOTH_ENGINES, CASES, ENGINES, SOLVERS, network, tight
from hexamer import load_problem
from hexamer.models import FormulaError, Protocol, Settings, load_model, simulate
from hexamer.models.networks.formulas import TIME

pytestmark = pytest.mark.tier("test")


def expected(case: str) -> dict:
    return json.loads((CASES / case / "expected.json").read_text())


# -------------------------------------------------------------------------------------------------------- the cases


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model", ["boolean_rule", "inline", "late"])
def test_short_pulses_are_not_stepped_over(model: str, engine: str):
    right = expected("pulse-in-the-model")["late" if model == "late" else "boolean_rule_and_inline"]
    pulsed = load_model(CASES / "pulse-in-the-model" / f"{model}.xml")
    out = simulate(pulsed, {}, Protocol(), right["times"], solver=SOLVERS[engine])
    np.testing.assert_allclose(out.y[0, :, 0], right["X"], rtol=1e-6, atol=1e-7)
    # and what is asked for does not change it
    alone = simulate(pulsed, {}, Protocol(), right["times"][-1:], solver=SOLVERS[engine])
    np.testing.assert_allclose(alone.y[0, -1, 0], out.y[0, -1, 0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("written", ["greater", "shifted"])
def test_an_estimated_moment_has_its_gradient(written: str, engine: str):
    right = expected("switching-time-estimated")
    settings = Settings(SOLVERS[engine])
    problem = load_problem(CASES / "switching-time-estimated" / written / "problem.yaml", settings=settings)

    def nllh(k: jax.Array, t_on: jax.Array) -> jax.Array:
        values = jnp.stack([{"k": k, "t_on": t_on}[n] for n in problem.names])
        return -jnp.sum(problem.row_densities(problem.read(values)))

    value, slope = jax.jit(jax.value_and_grad(nllh, argnums=1))(2.0, 3.0)
    assert value == pytest.approx(right["nllh_at_nominal_k2_ton3"], rel=1e-7)
    assert slope == pytest.approx(right["gradient_of_nllh_wrt_t_on_at_nominal"], rel=1e-6)
    assert problem.evaluate(right["best"]).nllh == pytest.approx(right["nllh_at_k2_ton4"], rel=1e-7)


@pytest.mark.tier("slow")
def test_the_search_finds_the_moment():
    from hexamer.infer import find_map

    problem = load_problem(CASES / "switching-time-estimated" / "greater" / "problem.yaml")
    best = find_map(problem, starts=4, seed=1).best
    assert best["k"] == pytest.approx(2.0, rel=1e-4)
    assert best["t_on"] == pytest.approx(4.0, rel=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_gradient_by_moment_and_height(engine: str):
    right = expected("switching-time-gradient")
    model = load_model(CASES / "switching-time-gradient" / "model.xml")

    def x(k: jax.Array, t_on: jax.Array) -> jax.Array:
        out = simulate(model, {"k": k, "t_on": t_on}, Protocol(), right["times"], solver=SOLVERS[engine])
        return out.y[0, :, 0]

    np.testing.assert_allclose(x(jnp.array(2.0), jnp.array(4.0)), right["X"], atol=1e-7)
    by_k, by_moment = jax.jacrev(x, argnums=(0, 1))(2.0, 4.0)
    np.testing.assert_allclose(by_k, [0, right["gradient_X10"]["k"]], atol=1e-6)
    np.testing.assert_allclose(by_moment, [0, right["gradient_X10"]["t_on"]], atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_steady_state_before_a_constant_timed_input(engine: str):
    right = expected("rest-before-timed-input")
    model = load_model(CASES / "rest-before-timed-input" / "model.xml")
    protocol = Protocol.equilibrated(on=0).set(on=1)
    out = simulate(model, {}, protocol, right["times"], solver=SOLVERS[engine])
    np.testing.assert_allclose(out.y[0, :, 0], right["x"], rtol=1e-6)

    def end(moment: jax.Array) -> jax.Array:
        return simulate(model, {"t_on": moment}, protocol, [10.0], solver=SOLVERS[engine]).y[0, 0, 0]

    assert jax.grad(end)(2.0) == pytest.approx(-3 * np.exp(-0.5 * 8), rel=1e-5)


# ------------------------------------------------------------------------------------------------------- tight spots


@pytest.mark.parametrize("engine", ENGINES)
def test_inputs_that_change_at_the_same_moment_each_have_their_part(engine: str):
    """In whatever order the conditions are written."""
    orders = list(itertools.permutations(range(3)))
    start = "\n a0 = 1; a1 = 3; a2 = -7; t0 = 2; t1 = 2; t2 = 2\n"
    terms = [[f"piecewise(a{i}, time >= t{i}, 0)" for i in order] for order in orders]
    rules = "".join(f" X{n} = 0; X{n}' = {' + '.join(t)}\n" for n, t in enumerate(terms))
    model = network(f"model same{start}{rules}end")

    def end(t0: jax.Array, t1: jax.Array, t2: jax.Array) -> jax.Array:
        return simulate(model, {"t0": t0, "t1": t1, "t2": t2}, Protocol(), [5.0], solver=SOLVERS[engine]).y[0, 0]

    at = [jnp.asarray(2.0)] * 3
    np.testing.assert_allclose(end(*at), [-9.0] * len(orders), rtol=1e-7)
    slopes = jax.jacrev(end, argnums=(0, 1, 2))(*at)
    np.testing.assert_allclose(np.stack(slopes, axis=-1), [[-1.0, -3.0, 7.0]] * len(orders), rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_moments_between_steps_of_a_protocol(engine: str):
    """The protocol moves the moment itself, adds to the state, and ends at a moment."""
    model = network(
        "model m\n X = 0; k = 2; t_on = 1; t_off = 8\n X' = piecewise(k, time >= t_on && time < t_off, 0)\nend"
    )
    protocol = Protocol().set(at=3, t_on="later").add("X", 10.0, at=6)

    def course(t_on: jax.Array, later: jax.Array, t_off: jax.Array) -> jax.Array:
        values = {"t_on": t_on, "later": later, "t_off": t_off}
        return simulate(model, values, protocol, [1.0, 3.0, 6.0, 8.0, 9.0], solver=SOLVERS[engine]).y[0, :, 0]

    at = [jnp.asarray(x) for x in (1.0, 5.0, 8.0)]
    np.testing.assert_allclose(course(*at), [0, 4, 16, 20, 20], atol=1e-6)
    slopes = jax.jacrev(course, argnums=(0, 1, 2))(*at)
    np.testing.assert_allclose(np.stack(slopes)[:, [1, 2, 4]], [[-2, -2, -2], [0, -2, -2], [0, 0, 2]], atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_moment_at_a_step_of_the_protocol_has_its_gradient(engine: str):
    """At the start and at a dose; the gradient is that of going later."""
    model = network("model m\n X = 0; k = 2; t_on = 0\n X' = piecewise(k, time >= t_on, 0)*(1 + X)^0\nend")
    protocol = Protocol().add("X", 10.0, at=5)

    def course(t_on: jax.Array) -> jax.Array:
        return simulate(model, {"t_on": t_on}, protocol, [0.0, 5.0, 9.0], settings=tight(SOLVERS[engine])).y[0, :, 0]

    for moment, values, slopes in [(0.0, [0, 20, 28], [0, -2, -2]), (5.0, [0, 10, 18], [0, 0, -2])]:
        np.testing.assert_allclose(course(jnp.asarray(moment)), values, atol=1e-6)
        np.testing.assert_allclose(jax.jacrev(course)(jnp.asarray(moment)), slopes, atol=1e-5)


# A condition over a = 2 and s = 1/2, and from when to when it holds.
CONDITIONS = [
    ("time - a >= 0", 2, 9),
    ("2*time > a + 4", 3, 9),
    ("a < time", 2, 9),
    ("!(time < a)", 2, 9),
    ("s*time > a", 4, 9),
    ("-s*time > -a", 0, 4),
    ("(time - a)*s > 0", 2, 9),
    ("a + 3 > time", 0, 5),
    ("time != a", 0, 9),
    ("time == a", 9, 9),
    ("min(time, 5) == 5", 5, 9),
    ("min(time, 5) != 5", 0, 5),
    ("max(0, min(1, time - 3)) == 0", 0, 3),
    ("max(0, time - 5)", 5, 9),
    ("s*time == a*time - 1.5*time", 0, 9),
    ("time + a > time + 1", 0, 9),
    ("time >= a && time <= a + 1e-9", 2, 2 + 1e-9),
    ("time > piecewise(a, s > 0, 100)", 2, 9),
    ("(time > a || time < 1) && !(time > 4 && time < 5) && s > 0", None, None),
]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_way_to_write_a_condition(engine: str):
    rules = "".join(f" X{n} = 0; X{n}' = piecewise(h, {c}, 0)\n" for n, (c, _, _) in enumerate(CONDITIONS))
    model = network(f"model w\n a = 2; s = 0.5; h = 1e6\n{rules}end")
    out = simulate(model, {}, Protocol(), [1.0, 9.0], solver=SOLVERS[engine])
    for n, (condition, on, off) in enumerate(CONDITIONS):
        held = [1.0, 7.0] if on is None else [max(0.0, min(t, off) - on) for t in (1.0, 9.0)]
        right = 1e6 * np.array(held)
        np.testing.assert_allclose(out.y[0, :, model.index(f"X{n}")], right, rtol=1e-6, atol=1e-7, err_msg=condition)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_slope_of_time_that_may_have_either_sign(engine: str):
    model = network("model w\n X = 0; a = 1; s = 0.5\n X' = piecewise(1, s*time > a, 0)\nend")
    values = {"s": jnp.array([0.5, -0.5, 0.0, 0.0]), "a": jnp.array([1.0, -1.0, 1.0, -1.0])}
    out = simulate(model, values, Protocol(), [5.0], solver=SOLVERS[engine])
    np.testing.assert_allclose(out.y[:, 0, 0, 0], [3.0, 2.0, 0.0, 5.0], atol=1e-6)

    def end(s: jax.Array, a: jax.Array) -> jax.Array:
        return simulate(model, {"s": s, "a": a}, Protocol(), [5.0], solver=SOLVERS[engine]).y[0, 0, 0]

    by_s, by_a = jax.vmap(jax.grad(end, argnums=(0, 1)))(values["s"], values["a"])
    np.testing.assert_allclose(by_s, [4.0, 4.0, 0.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(by_a, [-2.0, -2.0, 0.0, 0.0], atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_kinks_in_time_are_boundaries_too(engine: str):
    rates = {"max(0, time - a)": 4.5, "min(time, a)": 8.0, "abs(time - a)": 6.5, "max(0, 1 - abs(time - a))": 1.0}
    rules = "".join(f" X{n} = 0; X{n}' = {rate}\n" for n, rate in enumerate(rates))
    model = network(f"model kink\n a = 2\n{rules}end")
    out = simulate(model, {}, Protocol(), [5.0], solver=SOLVERS[engine])
    found = [float(out.y[0, 0, model.index(f"X{n}")]) for n in range(len(rates))]
    np.testing.assert_allclose(found, list(rates.values()), rtol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_before_the_start_a_timed_input_is_as_it_was(engine: str):
    """Rest is taken just before the start: what begins at it is off, what began earlier is on."""
    model = network("model b\n X = 1; k = 0.5; t_on = 0\n X' = 1 + piecewise(3, time >= t_on, 0) - k*X\nend")

    def course(t_on: float, start: float) -> np.ndarray:
        protocol = Protocol("p", preequilibration={}, start=start)
        out = simulate(model, {"t_on": t_on}, protocol, [start, start + 1], solver=SOLVERS[engine])
        return np.asarray(out.y[0, :, 0])

    rising = 8 - 6 * np.exp(-0.5)
    np.testing.assert_allclose(course(0.0, 0.0), [2, rising], rtol=1e-6)
    np.testing.assert_allclose(course(-5.0, -5.0), [2, rising], rtol=1e-6)
    np.testing.assert_allclose(course(-1.0, 0.0), [8, 8], rtol=1e-6)
    np.testing.assert_allclose(course(0.0, 5.0), [8, 8], rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_time_runs_from_the_start_of_the_protocol(engine: str):
    model = network("model c\n X = 0; t0 = -2\n X' = time + piecewise(100, time > t0, 0)\nend")
    out = simulate(model, {}, Protocol(start=-10.0), [-10.0, 0.0, 10.0], solver=SOLVERS[engine])
    np.testing.assert_allclose(out.y[0, :, 0], [0, -50 + 200, 1200], rtol=1e-6, atol=1e-9)


# ------------------------------------------------------------------------------------------------------------ refused


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        ("piecewise(1, time > X, 0)", ["rate of change of X", "compares time with X"]),
        ("piecewise(1, X + time > 3, 0)", ["rate of change of X", "compares time with X"]),
        ("piecewise(1, sin(time) > 0, 0)", ["not linear in time", "sin(time)"]),
        ("piecewise(1, time^2 > a, 0)", ["not linear in time"]),
        ("piecewise(1, time - 24*floor(time/24) < a, 0)", ["not linear in time"]),
        ("floor(time/24)", ["floor", "not known ahead"]),
        ("piecewise(1, floor(time) == 3, 0)", ["not linear in time"]),
        ("a*rem(time + 1, 0.7) + X", ["rate of change of X: rem(time + 1, 0.7) jumps at moments"]),
        ("quotient(time, a)", ["rate of change of X: quotient(time, a) jumps at moments"]),
        ("piecewise(1, rem(time, 0.7) > 0.5, 0)", ["the condition (rem(time, 0.7) > 0.5) is not linear in time"]),
        ("factorial(time)", ["rate of change of X", "at single instants only"]),
    ],
)
def test_what_is_not_known_ahead_is_refused_by_name(rate: str, words: list[str]):
    with pytest.raises(FormulaError) as error:
        network(f"model r\n X = 1; a = 2\n X' = {rate}\nend")
    for word in words:
        assert word in str(error.value)


@pytest.mark.tier("slow")
def test_steady_state_under_a_rate_that_changes_with_time_is_refused():
    model = network("model m\n X = 1; a = 1; w = 0.1\n X' = 1 + a*sin(w*time) - X\nend")
    with pytest.raises(ValueError, match=r"depends on time explicitly then: .*sin"):
        simulate(model, {}, Protocol.equilibrated(), [1.0])
    for engine in BOTH_ENGINES:
        out = simulate(model, {}, Protocol.equilibrated(a=0).set(a=1), [0.0, 10.0], solver=SOLVERS[engine])
        w = 0.1
        right = 1 + (np.sin(w * 10) - w * np.cos(w * 10) + w * np.exp(-10)) / (1 + w**2)
        np.testing.assert_allclose(out.y[0, :, 0], [1, right], rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_steady_state_before_an_input_that_changes_with_time_after_its_start(engine: str):
    """A decaying dose and a ramp, both of them from t_on on; the moment may be a parameter of the caller."""
    inputs = "piecewise(a*exp(t_on - time), time >= t_on, 0) + max(0, time - t_on)"
    model = network(f"model m\n X = 1; a = 1; t_on = 2; k = 0.5\n X' = 1 + {inputs} - k*X\nend")
    right = [2, 2, 2 - 2 * np.exp(-2) + 6 * np.exp(-1)]
    for values in ({}, {"t_on": 2.0}):
        out = simulate(model, values, Protocol.equilibrated(), [0.0, 2.0, 4.0], solver=SOLVERS[engine])
        np.testing.assert_allclose(out.y[0, :, 0], right, rtol=1e-6)

    def end(t_on: jax.Array, a: jax.Array) -> jax.Array:
        values = {"t_on": t_on, "a": a}
        return simulate(model, values, Protocol.equilibrated(), [4.0], settings=tight(SOLVERS[engine])).y[0, 0, 0]

    by_moment, by_height = jax.grad(end, argnums=(0, 1))(2.0, 1.0)
    assert by_height == pytest.approx(2 * np.exp(-1) - 2 * np.exp(-2), rel=1e-6)
    # x(s) = 2 - 2 exp(-s) + 2 s - 4 + 6 exp(-s/2) with s = 4 - t_on
    assert by_moment == pytest.approx(-(2 * np.exp(-2) + 2 - 3 * np.exp(-1)), rel=1e-6)


@pytest.mark.parametrize(
    ("values", "before"), [({"a": 0.0}, {}), ({"off": 0.0}, {"a": "off"}), ({"w": 0.0}, {}), ({}, {"w": 0.0})]
)
def test_steady_state_under_an_input_whose_values_make_it_constant(
    values: dict[str, float], before: dict[str, float | str]
):
    """Its height or its frequency is 0, by the caller's values or by those of the pre-equilibration."""
    model = network("model m\n X = 1; a = 1; w = 0.1\n X' = 1 + a*sin(w*time) - X\nend")
    out = simulate(model, values, Protocol("p", preequilibration=before), [0.0], solver=SOLVERS["fused"])
    np.testing.assert_allclose(out.y[0, 0, 0], 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "before"), [({}, {}), ({"a": 1.0}, {}), ({"on": 1.0}, {"a": "on"}), ({}, {"X": 0.0})]
)
def test_the_term_that_moves_with_time_is_named(values: dict[str, float], before: dict[str, float | str]):
    """Also if the state that it multiplies is 0 when the search for the steady state begins."""
    model = network("model m\n X = 1; a = 1\n X' = 1 + a*X*sin(time) - X\nend")
    with pytest.raises(ValueError, match=r"depends on time explicitly then: X\*a\*sin\(time\);"):
        simulate(model, values, Protocol("p", preequilibration=before), [1.0])


def test_an_input_that_has_begun_and_moves_with_time_is_refused():
    model = network("model m\n X = 1; a = 1; t_on = 2\n X' = piecewise(a*(time - t_on), time >= t_on, 0) - X\nend")
    with pytest.raises(ValueError, match=r"depends on time explicitly then: "):
        simulate(model, {}, Protocol.equilibrated(t_on=-1.0), [1.0])


def test_conditions_in_what_is_observed_are_read_as_they_stand():
    model = network("model o\n X = 0; a = 2; u := piecewise(5, time >= a && sin(time) > 0, 1)\n X' = 1\nend")
    out = simulate(model, {}, Protocol(), [1.0, 2.0, 4.0], observe=["u"])
    np.testing.assert_allclose(out.observed["u"][0], [1, 5, 1])
    assert model.switches == 0
    assert all(TIME not in e.free_symbols for e in (model.kinetics.rates if model.kinetics else ()))


@pytest.mark.tier("slow")
def test_what_never_rests_is_named_beside_a_timed_input():
    from hexamer.models.solvers.unsettled import find_unsettled_under

    text = "model n\n X = 1; S = 0; k = 0.5; t_on = 2\n X' = 1 + piecewise(3, time >= t_on, 0) - k*X\n S' = X\nend"
    found = find_unsettled_under(network(text), {}, Protocol.equilibrated(), Settings())
    assert found.still_changing == {"S": pytest.approx(2.0)}
