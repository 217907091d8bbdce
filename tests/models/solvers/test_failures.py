"""Failure is data: a status and NaN, with zero gradient, and no harm to the rest of the batch."""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hexamer import Diffrax
from hexamer.models import Model, Protocol, Settings, Status, compile_function, simulate
from hexamer.models.solvers.solver_words import diffrax_by_name

pytestmark = pytest.mark.tier("test")

TIMES = np.array([0.0, 0.5, 1.0])
K = jnp.array([0.5, 1.5, 0.1])


def blow_up() -> Model:
    """y' = k y² from 1: y = 1/(1 − k t), infinite at t = 1/k."""
    return compile_function(
        lambda t, y, p: p["k"] * y**2, species=["y"], parameters={"k": 1.0}, initial=[1.0], name="blow-up"
    )


def growth(others: int) -> Model:
    """A made at g and removed at k, which may be 0, among `others` in steady state."""
    return compile_function(
        lambda t, y, p: jnp.append(1 - y[:-1], p["g"] - p["k"] * y[-1]),
        species=[*(f"y{i}" for i in range(others)), "A"],
        parameters={"g": 0.1, "k": 0.0},
        initial=[1.0] * (others + 1),
        name="growth",
    )


def settled(y: jax.Array) -> jax.Array:
    """What a likelihood would do: a failed trajectory counts nothing."""
    return jnp.sum(jnp.where(jnp.isfinite(y), y, 0.0))


@pytest.mark.tier("slow")
@pytest.mark.parametrize("solver", ["Rodas5P", "Kvaerno5", "Tsit5"])
def test_blow_up(solver: str) -> None:
    settings = Settings(diffrax_by_name(solver), rtol=1e-8, atol=1e-10, max_steps=8192)
    model = blow_up()

    def run(k: jax.Array):
        out = simulate(model, {"k": k}, Protocol(), TIMES, settings=settings)
        return settled(out.y), out

    slope, out = jax.grad(run, has_aux=True)(K)
    assert out.status[0::2, 0].tolist() == [Status.OK] * 2
    assert int(out.status[1, 0]) in (Status.STEP_TOO_SMALL, Status.NOT_FINITE)  # the last steps may overflow
    assert np.all(np.isnan(out.y[1]))
    exact = 1 / (1 - K[:, None] * TIMES)
    np.testing.assert_allclose(out.y[np.array([0, 2]), 0, :, 0], exact[np.array([0, 2])], rtol=1e-6)
    expected = jnp.sum(TIMES / (1 - K[:, None] * TIMES) ** 2, 1).at[1].set(0)
    np.testing.assert_allclose(slope, expected, rtol=1e-5)
    assert out.steps[1, 0] < settings.max_steps  # it ends when it is lost


@pytest.mark.tier("slow")
def test_too_many_steps() -> None:
    model = compile_function(
        lambda t, y, p: p["w"] * jnp.array([y[1], -y[0]]), species=["x", "v"], parameters={"w": 1.0}, initial=[1.0, 0.0]
    )

    def run(w: jax.Array):
        out = simulate(model, {"w": w}, Protocol(), TIMES, settings=Settings(max_steps=100))
        return settled(out.y), out

    slope, out = jax.grad(run, has_aux=True)(jnp.array([1.0, 1e4]))
    assert out.status[:, 0].tolist() == [Status.OK, Status.TOO_MANY_STEPS]
    assert out.steps[1, 0] == 100
    exact = np.sum(TIMES * (-np.sin(TIMES) - np.cos(TIMES)))  # d/dw of cos(w t) − sin(w t)
    np.testing.assert_allclose(slope, [exact, 0], rtol=1e-5)


@pytest.mark.tier("slow")
def test_rates_that_are_not_finite() -> None:
    """√y falls below 0: the solve ends, with no NaN for a step size."""
    model = compile_function(lambda t, y, p: -p["k"] * jnp.sqrt(y), species=["y"], parameters={"k": 1.0}, initial=[1.0])
    for solver in (Diffrax(), Diffrax(diffrax.Tsit5())):
        out = simulate(model, {"k": jnp.array([1.0, 5.0])}, Protocol(), TIMES, solver=solver)
        assert out.status[:, 0].tolist() == [Status.OK, Status.NOT_FINITE]
        assert out.steps[1, 0] < 1000
        np.testing.assert_allclose(out.y[0, 0, :, 0], (1 - TIMES / 2) ** 2, rtol=1e-5)


@pytest.mark.tier("slow")
def test_no_steady_state() -> None:
    model = growth(1)
    protocols = [Protocol.equilibrated("rest"), Protocol("start")]

    def run(k: jax.Array):
        out = simulate(model, {"k": k}, protocols, TIMES[:2])
        return settled(out.y), out

    k = jnp.array([0.0, 0.2])
    slope, out = jax.grad(run, has_aux=True)(k)
    assert out.status.tolist() == [[Status.NO_STEADY_STATE, Status.OK], [Status.OK, Status.OK]]
    assert np.all(np.isnan(out.y[0, 0]))
    np.testing.assert_allclose(out.y[1, 0, :, -1], 0.5, rtol=1e-7)
    np.testing.assert_allclose(out.y[0, 1, :, -1], 1 + 0.1 * TIMES[:2], rtol=1e-7)
    assert np.all(np.isfinite(slope))


@pytest.mark.tier("slow")
def test_no_steady_state_is_invented() -> None:
    """Regressions: a mean over 101 species hid the one that grows; coarse tolerances called it steady once large."""
    settings = Settings(rtol=1e-3, atol=1e-4)
    out = simulate(growth(100), {}, Protocol.equilibrated(), [0.0], settings=settings)
    assert out.status.tolist() == [Status.NO_STEADY_STATE]


def test_statuses_say_what_to_do() -> None:
    assert [s.label for s in Status][:2] == ["ok", "too_many_steps"]
    assert all(s.sentence for s in Status)
