"""Events of one moment whose priorities are formulas, and delays that depend on the state or time at the trigger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import roadrunner

from helpers import ENGINES, SOLVERS, network, tight
from hexamer import Fused
from hexamer.models import Protocol, Settings, compile_network, read_antimony, simulate, write_sbml
from hexamer.models.compiled.plan import compile_plan
from hexamer.models.solvers.fused.codegen.lower import Unsupported
from hexamer.models.solvers.fused.compilation import functions_of
from hexamer.models.solvers.fused.engine import solve

pytestmark = pytest.mark.tier("test")


def course(text: str, times: list[float], engine: str, observe: str) -> Callable:
    """What is observed at `times`, one name after the other, as a function of parameters by name."""
    model, names = network(text), observe.split()

    def observed(**values: jax.Array | float) -> jax.Array:
        out = simulate(model, values, Protocol(), times, observe=names, settings=tight(SOLVERS[engine]))
        return jnp.concatenate([out.observed[n][0] for n in names])

    return observed


def same_with_slopes(found: Callable, closed: Callable, values: dict[str, list[float]]) -> None:
    """Values agree, and derivatives by all `values`, under jit and for several at a time."""
    names, at = list(values), jnp.array(list(values.values())).T

    def by_vector(f: Callable) -> Callable:
        def value(x: jax.Array) -> tuple[jax.Array, jax.Array]:
            y = f(**dict(zip(names, x, strict=True)))
            return y, y

        return jax.vmap(jax.jacrev(value, has_aux=True))

    slopes, value = jax.jit(by_vector(found))(at)
    right_slopes, right = by_vector(closed)(at)
    np.testing.assert_allclose(value, right, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(slopes, right_slopes, rtol=1e-6, atol=1e-6)


# --------------------------------------------------------------------------------------------------------- priorities

BY_PARAMETER = """model m
 R = 1; k = 0.2; T = 2; a = 3; f = 2; first = 1; R' = k*R
 more: at (time >= T), priority=first, fromTrigger=false: R = R + a
 fold: at (time >= T), priority=2, fromTrigger=false: R = f*R
end"""


@pytest.mark.parametrize("engine", ENGINES)
def test_a_priority_that_is_a_parameter(engine: str):
    """The order differs from one member of a batch to the next."""

    def closed(k: jax.Array, T: jax.Array, a: jax.Array, f: jax.Array, first: jax.Array) -> jax.Array:
        x = jnp.exp(k * T)
        return (jnp.where(first < 2, f * x + a, f * (x + a)) * jnp.exp(k * (3 - T)))[None]

    values = {"k": [0.2, 0.3], "T": [2.0, 1.5], "a": [3.0, 2.0], "f": [2.0, 3.0], "first": [1.0, 3.0]}
    same_with_slopes(course(BY_PARAMETER, [3.0], engine, "R"), closed, values)


@pytest.mark.parametrize("engine", ENGINES)
def test_priorities_are_those_that_the_events_before_left(engine: str):
    """After `first`, B is above A, so that `third` acts before `second`; one without a priority is the last."""
    text = """model m
     A = 1; B = 0.5; X = 1; k = 0.2; T = 2; b = 4; A' = k*A; B' = 0
     last: at (time >= T), fromTrigger=false: X = X + A
     second: at (time >= T), priority=A, fromTrigger=false: X = 3*X
     third: at (time >= T), priority=B, fromTrigger=false: X = X + B
     first: at (time >= T), priority=A + 1, fromTrigger=false: B = b, X = X*A
     before: at (time >= T), priority=5: A = 2*A, X = X + A
    end"""

    def closed(k: jax.Array, T: jax.Array, b: jax.Array) -> jax.Array:
        a = jnp.exp(k * T)
        return jnp.stack([((1 + a) * 2 * a + b) * 3 + 2 * a, 2 * a * jnp.exp(k * (3 - T))])

    values = {"k": [0.2, 0.3], "T": [2.0, 1.5], "b": [4.0, 5.0]}
    same_with_slopes(course(text, [3.0], engine, "X A"), closed, values)


@pytest.mark.tier("slow")
def test_priorities_of_events_on_the_state():
    text = """model m
     A = 4; X = 1; k = 0.5; thr = 1; first = 1; J: A -> ; k*A
     more: at (A < thr), priority=first*X, fromTrigger=false: X = X + A
     fold: at (A <= thr), priority=2, fromTrigger=false: X = 3*X
    end"""

    def closed(k: jax.Array, thr: jax.Array, first: jax.Array) -> jax.Array:
        return jnp.stack([jnp.where(first < 2, 3 + thr, 3 * (1 + thr)), 4 * jnp.exp(-k * 6)])

    values = {"k": [0.5, 0.4], "thr": [1.0, 1.1], "first": [1.0, 3.0]}
    same_with_slopes(course(text, [6.0], "diffrax", "X A"), closed, values)


@pytest.mark.optimised
def test_alone_in_a_batch_and_in_float32():
    model = network(BY_PARAMETER)

    def end(first: jax.Array, T: jax.Array, settings: Settings) -> jax.Array:
        return simulate(model, {"first": first, "T": T}, Protocol(), [3.0], settings=settings).y[0, 0, 0]

    def both(first: jax.Array, T: jax.Array, settings: Settings) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        one = jax.value_and_grad(lambda f, t: end(f, t, settings), argnums=(0, 1))
        return jax.jit(jax.vmap(one))(first, T)

    first, T = jnp.linspace(0.5, 3.5, 21), jnp.linspace(0.0, 3.0, 21)
    value, slopes = both(first, T, Settings(Fused()))
    for i in (0, 9, 20):
        one, by = both(first[i : i + 1], T[i : i + 1], Settings(Fused()))
        assert one[0] == value[i]
        assert [s[0] for s in by] == [s[i] for s in slopes]
    single, single_slopes = both(first, T, Settings(Fused(precision="float32"), rtol=1e-4))
    np.testing.assert_allclose(single, value, rtol=1e-4)
    np.testing.assert_allclose(single_slopes[1], slopes[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("record", [256, 3])
def test_the_kernels_of_a_gpu_solve_the_same(record: int):
    """On the CPU, one trajectory after the other; few recorded steps are solved again."""
    text = """model m
     compartment c = 2; k = 0.3; T = 1.5; f = 3; species A in c = 4; J: A -> ; k*A*A*c
     fill: at (time >= T), priority=f: A = A + f
     grow: at (time >= T), priority=A: c = f*c
    end"""
    model = network(text)
    plan = compile_plan(model, [Protocol(), Protocol().add("A", 2.0, at=1.0)], [[1.0, 1.5, 3.0]] * 2, ("k", "T", "f"))

    def loss(values: jax.Array, backend: Literal["platform", "gpu"]) -> jax.Array:
        return jnp.sum(jnp.sin(solve(model, plan, tight(Fused(record=record)), values, backend=backend).y))

    for f in (1.5, 3.0):
        values = jnp.array([0.3, 1.5, f])
        cpu, gpu = (jax.value_and_grad(loss)(values, backend) for backend in ("platform", "gpu"))
        np.testing.assert_allclose(gpu[0], cpu[0], rtol=1e-12)
        np.testing.assert_allclose(gpu[1], cpu[1], rtol=1e-9)


# ------------------------------------------------------------------------------------------------------------- delays

DELAYED = """model m
 S = 4; k = 0.5; T = 1; a = 0.5; X = 0; Y = 0; Z = 0; n = 0; J: S -> ; k*S
 by_state: at a*S after (time >= T): X = S + 1
 by_time: at a*time after (time >= T), fromTrigger=false: Y = S
 twice: at S after (time >= T && time < T + 0.1 || time >= T + 0.5), fromTrigger=false: Z = Z + 1
 off: at S after (time >= T && time < T + 0.2), persistent=false: n = 1
end"""


@pytest.mark.tier("slow")
def test_delays_are_those_of_the_moment_of_the_trigger():
    def closed(k: jax.Array, T: jax.Array, a: jax.Array) -> jax.Array:
        at_trigger = 4 * jnp.exp(-k * T)
        late = 4 * jnp.exp(-k * (T + a * T))
        shown = jnp.array([0.0, 1.0])
        z = jnp.array([0.0, 2.0])
        return jnp.concatenate([shown * (at_trigger + 1), shown * late, z, 0 * z])

    found = course(DELAYED, [1.3, 6.0], "diffrax", "X Y Z n")
    same_with_slopes(found, closed, {"k": [0.5, 0.4], "T": [1.0, 1.1], "a": [0.5, 0.4]})


@pytest.mark.tier("check")
def test_the_fused_engine_says_why_diffrax_solves():
    with pytest.raises(Unsupported, match=r"events whose delays depend on the state \(by_state, by_time, twice, off\)"):
        functions_of(network(DELAYED))


# ------------------------------------------------------------------------------------------------------------- oracle

MODELS = {
    "of a reaction": """S = 0; k1 = 1; J: -> S; k1
     a: at (time > 1.5), priority=J: k1 = 10
     b: at (time > 1.5), priority=J - 1: k1 = 2""",
    "of time": """S = 1; X = 0; J: S -> ; 0.1*S
     a: at (time > 1.5), priority=time, fromTrigger=false: X = X + 1
     b: at (time > 1.5), priority=1.6, fromTrigger=false: X = 3*X + 1""",
}


@pytest.mark.parametrize("name", MODELS)
def test_libroadrunner_agrees(name: str):
    source = read_antimony(f"model m\n {MODELS[name]}\nend")
    changed = "k1" if name == "of a reaction" else "X"
    out = simulate(
        compile_network(source), {}, Protocol(), [1.0, 2.0, 3.0], observe=["S", changed], settings=tight(Fused())
    )
    runner = roadrunner.RoadRunner(write_sbml(source))
    runner.integrator.relative_tolerance, runner.integrator.absolute_tolerance = 1e-10, 1e-12
    runner.timeCourseSelections = ["S", changed]
    right = np.array(runner.simulate(times=[0.0, 1.0, 2.0, 3.0]))[1:]
    np.testing.assert_allclose([out.observed[n][0] for n in ("S", changed)], right.T, rtol=1e-6)
