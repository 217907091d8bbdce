"""Events whose triggers depend on the state: values and gradients by closed forms, and what ends with a status."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import CASES, network, tight
from hexamer import Diffrax
from hexamer.models import FormulaError, Model, Protocol, Status, load_model, simulate
from hexamer.models.solvers.fused.codegen.lower import Unsupported
from hexamer.models.solvers.fused.compilation import functions_of

pytestmark = pytest.mark.tier("slow")


def course(
    model: Model | str, times: list[float], observe: str, protocol: Protocol | None = None
) -> Callable[..., jax.Array]:
    """What is observed at `times`, one name after the other, as a function of parameters by name."""
    solved, names = network(model) if isinstance(model, str) else model, observe.split()

    def observed(**values: jax.Array | float) -> jax.Array:
        out = simulate(solved, values, protocol or Protocol(), times, observe=names, settings=tight(Diffrax()))
        return jnp.concatenate([out.observed[n][0] for n in names])

    return observed


def same_with_slopes(
    found: Callable[..., jax.Array], closed: Callable[..., jax.Array], values: dict[str, float]
) -> None:
    """Values agree, and derivatives by all `values`, under jit and for several at a time."""
    names = list(values)
    at = jnp.array([list(values.values()), [1.01 * v for v in values.values()]])

    def by_vector(f: Callable[..., jax.Array]) -> Callable[..., tuple[jax.Array, jax.Array]]:
        def value(x: jax.Array) -> tuple[jax.Array, jax.Array]:
            y = f(**dict(zip(names, x, strict=True)))
            return y, y

        return jax.vmap(jax.jacrev(value, has_aux=True))

    slopes, value = jax.jit(by_vector(found))(at)
    right_slopes, right = by_vector(closed)(at)
    np.testing.assert_allclose(value, right, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(slopes, right_slopes, rtol=1e-6, atol=1e-6)


# ---------------------------------------------------------------------------------------------- values and gradients


def test_what_falls_below_a_threshold_is_refilled():
    """The case: S falls to 1 at ln(10)/k, is refilled to 10, and so on."""
    right = json.loads((CASES / "event-by-state" / "expected.json").read_text())
    times = right["times"]

    def closed(k: jax.Array) -> jax.Array:
        return jnp.array([10.0, 100.0, 1000.0]) * jnp.exp(-k * jnp.array(times))

    np.testing.assert_allclose(closed(jnp.array(0.5)), right["S"], rtol=1e-9)
    for form in ("model.xml", "model.ant"):
        found = course(load_model(CASES / "event-by-state" / form), times, "S")
        np.testing.assert_allclose(found(), right["S"], rtol=1e-7)
    same_with_slopes(found, closed, {"k": 0.5})


def test_the_moment_of_a_threshold_has_its_gradient():
    """A clock that the event starts shows the moment: ln(A0/thr)/k."""
    text = """model m
     A = 5; k = 0.5; thr = 1; n = 0; C = 0; W = 0; J: A -> ; k*A; C' = n
     e: at (A < thr): n = 1, W = thr*A
    end"""

    def closed(a0: jax.Array, k: jax.Array, thr: jax.Array) -> jax.Array:
        moment = jnp.log(a0 / thr) / k
        return jnp.stack([jnp.zeros(()), 8 - moment, jnp.zeros(()), thr**2])

    found = course(text, [1.0, 8.0], "C W", Protocol().set(A="a0"))
    same_with_slopes(found, closed, {"a0": 5.0, "k": 0.5, "thr": 1.0})
    right = json.loads((CASES / "event-by-state" / "expected.json").read_text())
    slope = jax.jacrev(lambda k: found(a0=10.0, k=k, thr=1.0)[1])(0.5)
    assert -float(slope) == pytest.approx(right["gradient dt*/dk"], rel=1e-6)


def test_dosing_at_a_trough_by_a_dose_that_is_estimated():
    text = "model m\n S = 4; k = 0.5; low = 1; d = 3; J: S -> ; k*S\n e: at (S < low): S = S + d\nend"
    times = [2.0, 4.0, 7.0, 8.0]

    def closed(k: jax.Array, low: jax.Array, d: jax.Array) -> jax.Array:
        first, period = jnp.log(4 / low) / k, jnp.log((low + d) / low) / k
        t = jnp.array(times)
        n = jax.lax.stop_gradient(jnp.floor((t - first) / period))
        return jnp.where(t < first, 4 * jnp.exp(-k * t), (low + d) * jnp.exp(-k * (t - first - n * period)))

    same_with_slopes(course(text, times, "S"), closed, {"k": 0.5, "low": 1.0, "d": 3.0})


def test_a_bouncing_ball():
    """Each bounce leaves a share of the speed; bounces that come ever faster have a status."""
    text = "model m\n h = 1; v = 0; g = 9.81; e = 0.8; h' = v; v' = -g\n bounce: at (h <= 0): v = -e*v\nend"
    model = network(text)
    when = [math.sqrt(2 / 9.81) * (1 + 2 * sum(0.8**k for k in range(1, n + 1))) for n in range(8)]

    def closed(g: jax.Array, e: jax.Array) -> jax.Array:
        first = jnp.sqrt(2 / g)
        starts = [first, *(first + 2 * first * sum(e**k for k in range(1, n + 1)) for n in range(1, 8))]
        shown = []
        for t in (0.2, 1.0, 2.0):
            n = sum(s <= t for s in when)
            fall = t - starts[n - 1] if n else jnp.asarray(t)
            shown.append(e**n * g * first * fall - g * fall**2 / 2 if n else 1 - g * fall**2 / 2)
        return jnp.stack(shown)

    same_with_slopes(course(model, [0.2, 1.0, 2.0], "h"), closed, {"g": 9.81, "e": 0.8})
    out = simulate(model, {}, Protocol(), [1.0, 10.0], solver=Diffrax())
    assert out.status[0] == Status.TOO_MANY_EVENTS
    assert np.all(np.isnan(out.y))


def test_events_of_one_moment_and_those_that_follow_from_them():
    """By priority; values before all, or from what the one before left; a cascade; one that is cancelled."""
    text = """model m
     A = 4; k = 0.5; thr = 1; X = 1; Y = 1; Z = 0; V = 0; W = 0; J: A -> ; k*A
     second: at (A < thr), priority=1, fromTrigger=false: X = 2*X
     first: at (A < thr), priority=2: X = X + 3, Y = X
     third: at (A <= thr), priority=1: Y = 10*X + Y
     follows: at (X > 5), priority=0: Z = X + A
     then: at (Z > 0): V = Z
     cancelled: at (A < thr && Y < 2 && X < 3), priority=0, persistent=false: W = 1
    end"""

    def closed(k: jax.Array, thr: jax.Array) -> jax.Array:
        moment = jnp.log(4 / thr) / k
        one = jnp.ones(())
        return jnp.stack([4 * jnp.exp(-k * 6.0), 8 * one, 11 * one, 8 + thr, 8 + thr, 0 * moment])

    same_with_slopes(course(text, [6.0], "A X Y Z V W"), closed, {"k": 0.5, "thr": 1.0})


def test_delays_count_from_the_moment_of_the_trigger():
    """With the values of the trigger's time, or of the end of the delay; a delay of parameters and of the state."""
    text = """model m
     S = 4; k = 0.5; low = 1; d = 0.5; X = 0; Y = 0; Z = 0; n = 0; J: S -> ; k*S
     kept: at d after (S < low): X = S
     late: at d after (S < 2*low), fromTrigger=false: Y = S
     own: at d*S after (S < 2*low), fromTrigger=false: Z = S
     off: at 1 after (S < 2*low && S > 1.9*low), persistent=false: n = 1
    end"""

    def closed(k: jax.Array, low: jax.Array, d: jax.Array) -> jax.Array:
        return jnp.stack([low, 2 * low * jnp.exp(-k * d), 2 * low * jnp.exp(-k * d * 2 * low), 0 * k])

    same_with_slopes(course(text, [6.0], "X Y Z n"), closed, {"k": 0.5, "low": 1.0, "d": 0.5})


def test_conditions_in_time_and_on_the_state_together():
    """The trigger of `gated` becomes true as its switch goes, that of `mixed` compares time with a state."""
    text = """model m
     A = 4; k = 0.5; T = 3; R = 0; n = 0; M = 0; J: A -> ; k*A; R' = 0.5
     gated: at (A < 2 && time >= T): n = A
     mixed: at (time > 3 + R && A > 0): M = A
    end"""

    def closed(k: jax.Array, T: jax.Array) -> jax.Array:
        return jnp.stack([0 * T, 0 * T, 4 * jnp.exp(-k * T), 4 * jnp.exp(-k * 6.0)])

    # R is time/2, so that time > 3 + R from 6 on.
    found = course(text, [2.0, 7.0], "n M")
    same_with_slopes(lambda k, T: found(k=k, T=T)[jnp.array([0, 2, 1, 3])], closed, {"k": 0.5, "T": 3.0})


def test_triggers_at_the_start_and_by_a_step_of_a_protocol():
    text = """model m
     S = 1; X = 0; Y = 0; Z = 0; thr = 2; S' = 0
     quiet: at (S < thr): X = X + 1
     loud: at (S < thr), t0=false: Y = Y + 1
     high: at (S > 5): Z = Z + 1, S = 1
    end"""
    found = course(text, [0.0, 1.0, 2.0, 3.0, 4.0], "X Y Z", Protocol().set(at=1.0, thr=0.5).add("S", 8.0, at=3.0))
    np.testing.assert_allclose(found(), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1])
    again = course(text, [0.0, 2.0, 3.0], "X", Protocol().set(at=1.0, thr=0.5).set(at=2.0, thr=3.0))
    np.testing.assert_allclose(again(), [0, 1, 1])


def test_what_only_touches_its_threshold_has_no_number():
    """A falls to c, touches it, and rises again; a little lower, and it crosses."""
    text = "model m\n A = 1; x = -1; n = 0; A' = 2*x; x' = 1\n e: at (x*x*x >= 0 && A < 2): n = A\nend"
    out = simulate(network(text), {}, Protocol(), [0.5, 2.0], solver=Diffrax())
    assert out.status[0] == Status.GRAZING_EVENT
    assert "no derivative" in Status.GRAZING_EVENT.sentence


def test_forward_mode_and_diffrax_methods():
    import diffrax

    model = network("model m\n S = 4; k = 0.5; J: S -> ; k*S\n e: at (S < 1): S = S + 3\nend")

    def s(k: jax.Array) -> jax.Array:
        solver = Diffrax(diffrax.Tsit5(), derivative="forward")
        return simulate(model, {"k": k}, Protocol(), [4.0], settings=tight(solver)).y[0, 0, 0]

    value, slope = jax.jvp(s, (jnp.array(0.5),), (jnp.array(1.0),))
    np.testing.assert_allclose([value, slope], [16 * np.exp(-2.0), -4 * 16 * np.exp(-2.0)], rtol=1e-6)


# ------------------------------------------------------------------------------------------------- refusals, and words


@pytest.mark.tier("check")
def test_the_fused_engine_says_why_diffrax_solves():
    model = network("model own_name\n S = 1; k = 1; J: S -> ; k*S\n drop: at (S < 0.5): S = 1\nend")
    with pytest.raises(Unsupported, match=r"own_name.*triggers depend on the state \(drop\)"):
        functions_of(model)


@pytest.mark.tier("check")
@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("at (S == 0.5): S = 1", ["event e", "S == 0.5", "one instant"]),
        ("at (floor(S) < 1): S = 1", ["event e", "floor(S)", "jumps"]),
    ],
)
def test_what_is_not_supported_is_refused_by_name(event: str, words: list[str]):
    with pytest.raises(FormulaError) as error:
        network(f"model r\n S = 1; k = 1; J: S -> ; k*S\n e: {event}\nend")
    for word in words:
        assert word in str(error.value)
