"""Events at times: what they set, in which order, and what moving them does, by closed forms and by both engines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import ENGINES, SOLVERS, network, tight
from hexamer import Diffrax, Fused
from hexamer.models import Protocol, Settings, simulate
from hexamer.models.compiled.plan import compile_plan
from hexamer.models.solvers.fused.engine import solve

pytestmark = pytest.mark.tier("test")


def course(
    text: str, times: list[float], engine: str, protocol: Protocol | None = None, observe: str = "S"
) -> Callable[..., jax.Array]:
    """What is observed at `times`, one name after the other, as a function of parameters by name."""
    model, names = network(text), observe.split()

    def observed(**values: jax.Array | float) -> jax.Array:
        out = simulate(model, values, protocol or Protocol(), times, observe=names, settings=tight(SOLVERS[engine]))
        return jnp.concatenate([out.observed[n][0] for n in names])

    return observed


def same_with_slopes(
    found: Callable[..., jax.Array], closed: Callable[..., jax.Array], values: dict[str, float], atol: float = 1e-7
) -> None:
    """Values agree, and derivatives by all `values`."""
    names, at = list(values), tuple(map(jnp.asarray, values.values()))

    def by_position(f: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        return lambda *x: f(**dict(zip(names, x, strict=True)))

    np.testing.assert_allclose(found(**values), closed(**values), rtol=1e-7, atol=atol)
    every = tuple(range(len(names)))
    slopes = jax.jit(jax.jacrev(by_position(found), argnums=every))(*at)
    right = jax.jacrev(by_position(closed), argnums=every)(*at)
    for name, one, other in zip(names, slopes, right, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6, err_msg=name)


# ---------------------------------------------------------------------------------------------- values and gradients

TIMES = [0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 8.0]

DOSES = """model m
 S = 1; k = 0.3; t1 = 2; t2 = 5; dose = 3; J: S -> ; k*S
 first: at (time >= t1): S = S + dose
 second: at (time >= t2): S = 2*S + t2
end"""


def decayed(k: jax.Array, t1: jax.Array, t2: jax.Array, dose: jax.Array, **_: jax.Array) -> jax.Array:
    """Of `DOSES`; at its moment, an output shows the state after an event."""
    t = jnp.array(TIMES)
    s1 = jnp.exp(-k * t1) + dose
    s2 = 2 * s1 * jnp.exp(-k * (t2 - t1)) + t2
    late = jnp.where(t < t2, s1 * jnp.exp(-k * (t - t1)), s2 * jnp.exp(-k * (t - t2)))
    return jnp.where(t < t1, jnp.exp(-k * t), late)


@pytest.mark.parametrize("engine", ENGINES)
def test_times_doses_and_rates_have_their_gradient(engine: str):
    found = course(DOSES, TIMES, engine)
    same_with_slopes(found, decayed, {"k": 0.3, "t1": 1.5, "t2": 4.5, "dose": 3.0})
    same_with_slopes(found, decayed, {"k": 0.3, "t1": 2.0, "t2": 8.0, "dose": 3.0})  # at outputs, and at the last


@pytest.mark.parametrize("engine", ENGINES)
def test_a_switched_rate_and_an_event_of_one_moment(engine: str):
    text = """model m
     S = 1; k = 0.3; T = 2; a = 4; S' = piecewise(a, time >= T, 0) - k*S
     e: at (time >= T): S = 3*S
    end"""

    def closed(k: jax.Array, T: jax.Array, a: jax.Array) -> jax.Array:
        t = jnp.array(TIMES)
        later = a / k + (3 * jnp.exp(-k * T) - a / k) * jnp.exp(-k * (t - T))
        return jnp.where(t < T, jnp.exp(-k * t), later)

    same_with_slopes(course(text, TIMES, engine), closed, {"k": 0.3, "T": 2.5, "a": 4.0})


@pytest.mark.parametrize("engine", ENGINES)
def test_events_of_one_moment_come_by_priority_then_in_order(engine: str):
    """R and P are set from what the event before left, Q and V from the values before all of them."""
    text = """model m
     R = 1; P = 1; Q = 1; V = 1; T = 2; U = 2; a = 3; k = 0; R' = k*R; P' = k*P; Q' = k*Q; V' = k*V
     r1: at (time >= T), priority=1, fromTrigger=false: R = 2*R
     r2: at (time >= T), priority=2, fromTrigger=false: R = R + a
     p1: at (time >= T), fromTrigger=false: P = 2*P
     p2: at (time >= U), fromTrigger=false: P = P + a
     q1: at (time >= T), priority=2: Q = 2*Q, V = Q
     q2: at (time >= U), priority=1: Q = Q + a, V = V + Q
    end"""

    def closed(a: jax.Array, k: jax.Array) -> jax.Array:
        x = jnp.exp(2 * k)
        return jnp.stack([(x + a) * 2, 2 * x + a, x + a, x + x]) * jnp.exp(k)

    same_with_slopes(course(text, [3.0], engine, observe="R P Q V"), closed, {"a": 3.0, "k": 0.1})


@pytest.mark.parametrize("engine", ENGINES)
def test_doses_of_one_moment_that_have_times_of_their_own(engine: str):
    """Each time has the gradient of its own dose."""
    text = """model m
     S = 1; k = 0.3; t1 = 2; t2 = 2; J: S -> ; k*S
     first: at (time >= t1), fromTrigger=false: S = S + 3
     second: at (time >= t2), fromTrigger=false: S = S + 5
    end"""
    found = course(text, [4.0], engine)

    def closed(k: jax.Array, t1: jax.Array, t2: jax.Array) -> jax.Array:
        return (jnp.exp(-k * 4.0) + 3 * jnp.exp(-k * (4.0 - t1)) + 5 * jnp.exp(-k * (4.0 - t2)))[None]

    slopes = jax.jacrev(lambda t1, t2: found(t1=t1, t2=t2), argnums=(0, 1))(2.0, 2.0)
    right = jax.jacrev(lambda t1, t2: closed(jnp.array(0.3), t1, t2), argnums=(0, 1))(2.0, 2.0)
    np.testing.assert_allclose(found(), [np.exp(-1.2) + 8 * np.exp(-0.6)], rtol=1e-7)
    np.testing.assert_allclose(slopes, right, rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_parameter_that_an_event_changes_can_be_estimated(engine: str):
    text = "model m\n S = 1; k = 0.3; T = 2; J: S -> ; k*S\n e: at (time >= T): k = 3*k\nend"

    def closed(k: jax.Array, T: jax.Array) -> jax.Array:
        t = jnp.array(TIMES)
        return jnp.where(t < T, jnp.exp(-k * t), jnp.exp(-k * T - 3 * k * (t - T)))

    same_with_slopes(course(text, TIMES, engine), closed, {"k": 0.2, "T": 2.5})
    now = course(text, TIMES, engine, observe="k")
    np.testing.assert_allclose(now(k=0.2), [0.2, 0.2, *[0.6] * 5], rtol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_delays(engine: str):
    """With the values of the trigger's time, or of the end of the delay; what is false again by then is left out."""
    text = """model m
     S = 1; X = 0; Y = 0; Z = 0; n = 0; k = 0.3; T = 1; d = 2; J: S -> ; k*S
     kept: at d after (time >= T): X = S + T
     late: at d after (time >= T), fromTrigger=false: Y = S + T
     brief: at d after (time >= T && time < T + 1), persistent=false: n = 7
     long: at d after (time >= T && time < T + 3), persistent=false: Z = 7
     early: at 0.5 after (time >= 0), t0=false: n = n + 1
     never: at 0.5 after (time >= 0): n = 100
    end"""
    values = {"k": 0.3, "T": 1.0, "d": 2.5}
    times = [0.25, 3.25, 4.0]

    def closed(k: jax.Array, T: jax.Array, d: jax.Array) -> jax.Array:
        kept, late = jnp.exp(-k * T) + T, jnp.exp(-k * (T + d)) + T
        shown = jnp.array(times) >= T + d
        others = jnp.array([0.0, 1.0, 1.0, 0.0, 0.0, 7.0])
        return jnp.concatenate([jnp.where(shown, kept, 0.0), jnp.where(shown, late, 0.0), others])

    same_with_slopes(course(text, times, engine, observe="X Y n Z"), closed, values)


# ------------------------------------------------------------------------------------------------------- tight spots


@pytest.mark.parametrize("engine", ENGINES)
def test_events_between_at_and_after_the_steps_of_a_protocol(engine: str):
    text = "model m\n S = 1; T = 3; dose = 4; f = 2; J: S -> ; 0*S\n e: at (time >= T): S = f*S + dose\nend"
    protocol = Protocol().add("S", 10.0, at=3.0).set(at=6.0, S=5.0)
    found = course(text, [0.0, 3.0, 6.0], engine, protocol)
    for moment, values, by_dose, by_f in [
        (0.0, [1, 11, 5], [0, 0, 0], [0, 0, 0]),  # it was true at the start
        (2.0, [1, 16, 5], [0, 1, 0], [0, 1, 0]),
        (3.0, [1, 26, 5], [0, 1, 0], [0, 11, 0]),  # after the dose
        (6.0, [1, 11, 14], [0, 0, 1], [0, 0, 5]),
        (6.5, [1, 11, 5], [0, 0, 0], [0, 0, 0]),
    ]:
        np.testing.assert_allclose(found(T=moment), values, rtol=1e-9, err_msg=str(moment))
        slopes = jax.jacrev(lambda d, f, T=moment: found(T=T, dose=d, f=f), argnums=(0, 1))(4.0, 2.0)
        np.testing.assert_allclose(slopes, [by_dose, by_f], atol=1e-9, err_msg=str(moment))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_strictly_later_than_the_start_acts_just_after_it(engine: str):
    text = "model m\n S = 1; S' = 0\n a: at (time > 0): S = S + 1\n b: at (time >= 0): S = S + 10\nend"
    np.testing.assert_allclose(course(text, [0.0, 1.0], engine)(), [1, 2])


@pytest.mark.parametrize("engine", ENGINES)
def test_an_output_at_a_moment_that_is_not_later_yet_shows_the_state_before(engine: str):
    """time > T is false at T, so its event is still to come; before, such outputs showed the state after it."""
    text = DOSES.replace("time >= t1", "time > t1").replace("time >= t2", "!(time <= t2)")

    def closed(k: jax.Array, t1: jax.Array, t2: jax.Array, dose: jax.Array) -> jax.Array:
        t = jnp.array(TIMES)
        s1 = jnp.exp(-k * t1) + dose
        s2 = 2 * s1 * jnp.exp(-k * (t2 - t1)) + t2
        later = jnp.where(t <= t2, s1 * jnp.exp(-k * (t - t1)), s2 * jnp.exp(-k * (t - t2)))
        return jnp.where(t <= t1, jnp.exp(-k * t), later)

    for t1, t2 in ((2.0, 5.0), (0.0, 8.0)):
        same_with_slopes(course(text, TIMES, engine), closed, {"k": 0.3, "t1": t1, "t2": t2, "dose": 3.0})


@pytest.mark.parametrize("engine", ENGINES)
def test_outputs_at_moments_of_several_events(engine: str):
    text = """model m
     S = 0; P = 0; Q = 0; R = 0; V = 0; T = 2; S' = 0
     s: at (time > 1 && time < 2): S = 1
     t: at (time > T): S = S + 10
     p: at 1 after (time > 1): P = 1
     q: at 2 after (time >= 1): Q = 1
     r: at (time >= 4): R = 1
     v: at (time > 4): V = 1
    end"""
    protocol = Protocol().add("S", 100.0, at=2.0)
    found = course(text, [1.0, 1.5, 2.0, 3.0, 4.0, 5.0], engine, protocol, observe="S P Q R V")
    np.testing.assert_allclose(
        found().reshape(5, 6),
        [
            [0, 1, 101, 111, 111, 111],  # at 2 the step of the protocol, and not the event, has acted
            [0, 0, 0, 1, 1, 1],
            [0, 0, 0, 1, 1, 1],
            [0, 0, 0, 0, 1, 1],
            [0, 0, 0, 0, 1, 1],
        ],
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_events_wait_for_the_end_of_a_preequilibration(engine: str):
    """What it sets for a parameter ends with it, as that of any other parameter does."""
    text = """model m
     S = 9; k = 0.5; a = 1; T = 0; -> S; a; S -> ; k*S
     e: at (time > T): S = S + 3
     g: at (time >= 2): k = 2*k
    end"""
    protocol = Protocol.equilibrated("p", k=0.25)
    found = course(text, [0.0, 1.0, 2.0], engine, protocol)

    def closed(k: jax.Array, a: jax.Array) -> jax.Array:
        later = a / k + (a / 0.25 + 3 - a / k) * jnp.exp(-k * jnp.arange(3.0))
        return later.at[0].set(a / 0.25)  # time > 0 is false at 0

    same_with_slopes(found, closed, {"k": 0.5, "a": 1.0}, atol=1e-6)
    now = course(text, [0.0, 1.0, 2.0], engine, protocol.set(at=1.0, k=0.7), observe="k")
    np.testing.assert_allclose(now(k=0.5), [0.5, 0.7, 1.4], rtol=1e-9)


@pytest.mark.optimised
def test_alone_and_in_a_batch_courses_are_the_same_to_the_last_bit():
    model = network(DOSES)
    values = {"t1": jnp.linspace(0.0, 8.0, 21), "k": jnp.linspace(0.1, 2.0, 21)}

    def end(t1: jax.Array, k: jax.Array) -> jax.Array:
        return jnp.sum(simulate(model, {"t1": t1, "k": k}, Protocol(), TIMES, solver=Fused()).y[0, :, 0])

    both = jax.jit(jax.vmap(jax.value_and_grad(end, argnums=(0, 1))))
    value, slopes = both(values["t1"], values["k"])
    for i in (0, 5, 20):
        one, by = both(values["t1"][i : i + 1], values["k"][i : i + 1])
        assert one[0] == value[i]
        assert [s[0] for s in by] == [s[i] for s in slopes]


@pytest.mark.parametrize("solver", [Fused(record=0), Fused(record=3), Fused(memory=0)], ids=["0", "3", "memory"])
def test_steps_that_are_solved_again_have_the_same_gradient(solver: Fused):
    model = network(DOSES.replace("model m", "model m\n at0: at (time >= 0), t0=false: S = 3*S"))

    def end(t1: jax.Array, dose: jax.Array, solver: Fused) -> jax.Array:
        return simulate(model, {"t1": t1, "dose": dose}, Protocol(), [8.0], solver=solver).y[0, 0, 0]

    whole, again = (jax.grad(partial(end, solver=s), argnums=(0, 1))(2.0, 3.0) for s in (Fused(), solver))
    np.testing.assert_array_equal(whole, again)


@pytest.mark.parametrize("record", [256, 3])
def test_the_kernels_of_a_gpu_solve_the_same(record: int):
    """On the CPU, one trajectory after the other; few recorded steps are solved again."""
    model = network(DOSES.replace("model m", "model m\n at0: at (time >= 0), t0=false: S = 3*S"))
    plan = compile_plan(model, [Protocol(), Protocol().add("S", 2.0, at=5.0)], [TIMES] * 2, ("t1", "t2", "dose"))
    settings = tight(Fused(record=record))

    def loss(values: jax.Array, backend: Literal["platform", "gpu"]) -> jax.Array:
        return jnp.sum(jnp.sin(solve(model, plan, settings, values, backend=backend).y))

    values = jnp.array([2.0, 5.0, 3.0])
    cpu, gpu = (jax.value_and_grad(loss)(values, backend) for backend in ("platform", "gpu"))
    np.testing.assert_allclose(gpu[0], cpu[0], rtol=1e-12)
    np.testing.assert_allclose(gpu[1], cpu[1], rtol=1e-9)


def test_in_float32():
    model = network(DOSES)

    def end(t1: jax.Array, dose: jax.Array, settings: Settings) -> jax.Array:
        return simulate(model, {"t1": t1, "dose": dose}, Protocol(), [8.0], settings=settings).y[0, 0, 0]

    double, single = (
        jax.value_and_grad(partial(end, settings=s), argnums=(0, 1))(2.0, 3.0)
        for s in (Settings(Fused()), Settings(Fused(precision="float32"), rtol=1e-4))
    )
    np.testing.assert_allclose(single[0], double[0], rtol=1e-4)
    np.testing.assert_allclose(single[1], double[1], rtol=1e-3)


@pytest.mark.tier("slow")
def test_the_adjoint_agrees_with_diffrax_on_a_nonlinear_network():
    text = """model m
     A = 1; B = 0.5; C = 0; k1 = 0.7; k2 = 0.4; k3 = 0.2; u = 0.1; t1 = 1.3; t2 = 3.1; d = 0.9
     A + B -> C; k1*A*B; C -> A + B; k2*C; -> A; u*piecewise(1, time >= t1, 0.5); A -> ; k3*A/(0.3 + A)
     e1: at (time >= t1), priority=1: A = A + d*B, u = 2*u + C
     e2: at (time >= t1), priority=2, fromTrigger=false: B = B*B + d, k3 = k3/2
     e3: at d after (time >= t2): C = A*B + time, u = u/2
     e4: at (time >= t2 || time < t1), fromTrigger=false: A = sqrt(A) + u
    end"""
    model = network(text)
    names = ("k1", "k2", "k3", "u", "t1", "t2", "d")
    at = jnp.array([0.7, 0.4, 0.2, 0.1, 1.3, 3.1, 0.9])

    def loss(x: jax.Array, solver: Fused | Diffrax) -> jax.Array:
        settings = Settings(solver, rtol=1e-10, atol=1e-12)
        y = simulate(
            model, dict(zip(names, x, strict=True)), Protocol(), [1.0, 1.3, 3.5, 5.0, 6.0], settings=settings
        ).y
        return jnp.sum(jnp.sin(y[0]) * jnp.arange(1, y.shape[-1] + 1))

    fused, reference = (jax.value_and_grad(lambda x, s=s: loss(x, s))(at) for s in (Fused(), Diffrax()))
    np.testing.assert_allclose(fused[0], reference[0], rtol=1e-8)
    np.testing.assert_allclose(fused[1], reference[1], rtol=1e-6, atol=1e-7)
