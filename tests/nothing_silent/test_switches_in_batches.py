"""Several switches in any order in one batch, on every engine, against a closed form."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import ENGINES, SOLVERS, network, tight
from hexamer import Auto, Diffrax, Fused
from hexamer.models import Protocol, Settings, simulate
from hexamer.models.compiled.plan import compile_plan

pytestmark = [pytest.mark.tier("test"), pytest.mark.optimised]

PULSES = """model pulses
  X = x0; x0 = 1; loss = 0.3; a1 = 2; a2 = -1; a3 = 0.5; on1 = 1; off1 = 4; on2 = 2; off2 = 6; t3 = 3
  X' = piecewise(a1, time >= on1 && time < off1, 0) + piecewise(0, time < on2 || time >= off2, a2) \
       + piecewise(a3*X, time > t3, 0) - loss*X
end
"""
NAMES = ("x0", "loss", "a1", "a2", "a3", "on1", "off1", "on2", "off2", "t3")
TIMES = [0.0, 0.5, 1.0, 2.5, 3.0, 4.5, 9.0, 20.0]


def closed_form(v: jax.Array, times: Sequence[float]) -> jax.Array:
    """X at `times`, stretch by stretch; smooth in everything while the order of the moments stays."""
    x0, loss, a1, a2, a3, on1, off1, on2, off2, t3 = v
    found = []
    for t in times:
        x, begin = x0, jnp.asarray(0.0)
        for end in [*jnp.sort(jnp.clip(jnp.stack([on1, off1, on2, off2, t3]), 0.0, t)), jnp.asarray(t)]:
            middle = jax.lax.stop_gradient((begin + end) / 2)
            source = jnp.where((middle >= on1) & (middle < off1), a1, 0.0)
            source = source + jnp.where((middle >= on2) & (middle < off2), a2, 0.0)
            rate = loss - jnp.where(middle > t3, a3, 0.0)
            x = source / rate + (x - source / rate) * jnp.exp(-rate * (end - begin))
            begin = end
        found.append(x)
    return jnp.stack(found)


def draws(count: int) -> jax.Array:
    """Moments in every order, some before the start and some after the end."""
    rng = np.random.default_rng(7)
    rates = np.exp(0.3 * rng.normal(size=(count, 5))) * [1, 0.3, 2, -1, 0.1]
    return jnp.asarray(np.concatenate([rates, rng.uniform(-2.0, 23.0, (count, 5))], axis=1))


@pytest.mark.tier("slow")
@pytest.mark.parametrize("engine", ENGINES)
def test_several_switches_in_any_order_in_one_batch(engine: str):
    model, batch = network(PULSES), draws(40 if engine == "fused" else 8)

    def course(v: jax.Array) -> jax.Array:
        values: dict[str, jax.Array] = dict(zip(NAMES, v, strict=True))
        return simulate(model, values, Protocol(), TIMES, settings=tight(SOLVERS[engine])).y[0, :, 0]

    right = jax.vmap(lambda v: closed_form(v, TIMES))(batch)
    np.testing.assert_allclose(jax.jit(jax.vmap(course))(batch), right, rtol=1e-6, atol=1e-8)
    weight = jnp.linspace(1.0, 2.0, len(TIMES))
    slopes = jax.jit(jax.vmap(jax.grad(lambda v: weight @ course(v))))(batch)
    wanted = jax.vmap(jax.grad(lambda v: weight @ closed_form(v, TIMES)))(batch)
    np.testing.assert_allclose(slopes, wanted, rtol=1e-5, atol=1e-6)
    assert np.all(np.any(np.abs(wanted[:, 5:]) > 1e-3, axis=0))  # each moment matters in some draw


@pytest.mark.tier("slow")
@pytest.mark.parametrize("record", [4, 10_000])
@pytest.mark.parametrize("memory", [0, 2**32])
def test_courses_that_are_solved_again_on_the_way_back(record: int, memory: int):
    model, batch = network(PULSES), draws(12)

    def loss(v: jax.Array) -> jax.Array:
        settings = tight(Fused(record=record, memory=memory))
        return jnp.sum(simulate(model, dict(zip(NAMES, v, strict=True)), Protocol(), TIMES, settings=settings).y)

    wanted = jax.vmap(jax.grad(lambda v: jnp.sum(closed_form(v, TIMES))))(batch)
    np.testing.assert_allclose(jax.vmap(jax.grad(loss))(batch), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.tier("slow")
def test_forward_mode():
    model, v = network(PULSES), draws(1)[0]
    settings = tight(Diffrax(derivative="forward"))

    def course(v: jax.Array) -> jax.Array:
        return simulate(model, dict(zip(NAMES, v, strict=True)), Protocol(), TIMES, settings=settings).y[0, :, 0]

    wanted = jax.jacfwd(lambda v: closed_form(v, TIMES))(v)
    np.testing.assert_allclose(jax.jacfwd(course)(v), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.tier("slow")
def test_kernels_of_the_gpu_solve_switches_too():
    from hexamer.models.solvers.fused.engine import solve

    model = network(PULSES)
    plan = compile_plan(model, [Protocol()], [TIMES], NAMES)
    v = draws(3)[2]

    def total(v: jax.Array) -> jax.Array:
        return jnp.sum(solve(model, plan, tight(Fused()), v, backend="gpu").y)

    value, slope = jax.value_and_grad(total)(v)
    wanted, slope_wanted = jax.value_and_grad(lambda v: jnp.sum(closed_form(v, TIMES)))(v)
    assert value == pytest.approx(float(wanted), rel=1e-6)
    np.testing.assert_allclose(slope, slope_wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.tier("slow")
def test_float32_stops_at_switches():
    model, batch = network(PULSES), draws(8)
    settings = Settings(Auto(Fused(precision="float32")), rtol=1e-5, atol=1e-7)

    def course(v: jax.Array) -> jax.Array:
        return simulate(model, dict(zip(NAMES, v, strict=True)), Protocol(), TIMES, settings=settings).y[0, :, 0]

    right = jax.vmap(lambda v: closed_form(v, TIMES))(batch)
    np.testing.assert_allclose(jax.vmap(course)(batch), right, rtol=1e-4, atol=1e-4)
    slopes = jax.vmap(jax.grad(lambda v: jnp.sum(course(v))))(batch)
    wanted = jax.vmap(jax.grad(lambda v: jnp.sum(closed_form(v, TIMES))))(batch)
    np.testing.assert_allclose(slopes, wanted, rtol=1e-3, atol=1e-3 * float(jnp.max(jnp.abs(wanted))))
