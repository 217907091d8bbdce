"""Failures in the fused engine: a status, NaN, a gradient of exactly 0, and no harm to the neighbours."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import slowly
from hexamer import Fused
from hexamer.models import (
    Model,
    Protocol,
    Settings,
    Status,
    Trajectories,
    compile_network,
    read_antimony,
    simulate,
)

pytestmark = pytest.mark.tier("test")

TIMES = np.array([0.0, 0.5, 1.0])
BLOW_UP = "model m\n species Y = 1; k = 1; J0: Y -> 2 Y; k*Y^2;\nend\n"
OSCILLATOR = "model m\n w = 1; x = 1; v = 0; x' = w*v; v' = -w*x;\nend\n"
GROWTH = "model m\n species A = 1; g = 0.1; k = 0; J0: -> A; g; J1: A -> ; k*A;\nend\n"
ROOT = "model m\n species Y = 1; k = 1; J0: Y -> ; k*sqrt(Y - 0.2);\nend\n"


def network(text: str) -> Model:
    return compile_network(read_antimony(text))


def slopes(run: Callable[[jax.Array], Trajectories], x: jax.Array) -> tuple[jax.Array, Trajectories]:
    """The gradient, trajectory by trajectory, of what a likelihood would sum: a failed one counts nothing."""

    def total(x: jax.Array):
        out = run(x)
        return jnp.sum(jnp.where(jnp.isfinite(out.y), out.y, 0.0)), out

    return jax.grad(total, has_aux=True)(x)


def within(values: list[float], bad: float, copies: int) -> tuple[jax.Array, np.ndarray]:
    """A batch in which `bad` stands among `values`, and where it does; of one and of several widths of the engine."""
    x = np.array([*values, bad] * copies)
    return jnp.asarray(x), np.arange(x.size) % (len(values) + 1) == len(values)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("copies", [1, 20])
def test_blow_up(copies: int) -> None:
    """y' = k y² from 1 is 1/(1 − k t), infinite at t = 1/k."""
    model, settings = network(BLOW_UP), Settings(Fused(), rtol=1e-8, atol=1e-10)
    k, bad = within([0.5, 0.1, 0.3], 1.5, copies)
    slope, out = slopes(lambda k: simulate(model, {"k": k}, Protocol(), TIMES, settings=settings), k)
    assert out.status[bad].tolist() == [[Status.STEP_TOO_SMALL]] * copies
    assert np.all(np.isnan(out.y[bad]))
    assert np.all(slope[bad] == 0)
    assert np.all(out.steps[bad] < 1000)  # it ends when it is lost
    np.testing.assert_array_equal(out.status[~bad], Status.OK)
    rest = np.asarray(k)[~bad, None]
    np.testing.assert_allclose(out.y[~bad, 0, :, 0], 1 / (1 - rest * TIMES), rtol=1e-6)
    np.testing.assert_allclose(slope[~bad], np.sum(TIMES / (1 - rest * TIMES) ** 2, 1), rtol=1e-5)


@pytest.mark.parametrize("copies", [1, *slowly(20)])
def test_too_many_steps(copies: int) -> None:
    model, settings = network(OSCILLATOR), Settings(Fused(), max_steps=100)
    w, bad = within([1.0, 3.0], 1e4, copies)
    slope, out = slopes(lambda w: simulate(model, {"w": w}, Protocol(), TIMES, settings=settings), w)
    np.testing.assert_array_equal(out.status[bad], Status.TOO_MANY_STEPS)
    np.testing.assert_array_equal(out.steps[bad], 100)
    assert np.all(np.isnan(out.y[bad]))
    assert np.all(slope[bad] == 0)
    rest = np.asarray(w)[~bad, None] * TIMES
    exact = np.sum(TIMES * (-np.sin(rest) - np.cos(rest)), 1)  # of cos(w t) − sin(w t)
    np.testing.assert_allclose(slope[~bad], exact, rtol=1e-5)


@pytest.mark.tier("check")
def test_max_steps_is_of_each_segment() -> None:
    model = network(OSCILLATOR)
    protocol = Protocol().set(at=0, w=60.0).set(at=1.0, w=60.1).set(at=2.0, w=60.2)

    def run(max_steps: int) -> Trajectories:
        return simulate(model, {}, protocol, [3.0], settings=Settings(Fused(), max_steps=max_steps))

    each = int(run(4096).steps[0]) // 3
    assert run(each + 20).status[0] == Status.OK
    assert run(each - 20).status[0] == Status.TOO_MANY_STEPS


def test_a_short_first_step_is_no_failure() -> None:
    """Where species at 0 rise steeply the first step may lie far below the shortest allowed, and grows from there."""
    model = network("model m\n species Y = 0, Z = 500; s = 1e10; d = 0.05; J0: Z -> Z + Y; s*Z; J1: Y -> ; d*Y;\nend\n")
    end = 1e3
    slope, out = slopes(
        lambda s: simulate(model, {"s": s}, [Protocol(), Protocol.equilibrated()], [end], solver=Fused()),
        jnp.array([1e-3, 1e10, 1e14]),
    )
    np.testing.assert_array_equal(out.status, Status.OK)
    s = np.array([1e-3, 1e10, 1e14])
    exact = 500 * s[:, None] / 0.05 * np.array([1 - np.exp(-0.05 * end), 1.0])
    np.testing.assert_allclose(out.y[:, :, 0, model.index("Y")], exact, rtol=1e-6)
    np.testing.assert_allclose(slope, exact.sum(1) / s, rtol=1e-6)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("copies", [1, 10])
def test_no_steady_state(copies: int) -> None:
    """The pre-equilibrated course fails alone: its neighbour from the model's start has its gradient."""
    model = network(GROWTH)
    protocols = [Protocol.equilibrated("rest"), Protocol("start")]
    k, bad = within([0.2, 0.5], 0.0, copies)
    g = jnp.full(k.shape, 0.1)

    def run(x: jax.Array) -> Trajectories:
        return simulate(model, {"k": x[0], "g": x[1]}, protocols, TIMES, solver=Fused())

    slope, out = slopes(run, jnp.stack([k, g]))
    np.testing.assert_array_equal(out.status[bad], [[Status.NO_STEADY_STATE, Status.OK]] * copies)
    np.testing.assert_array_equal(out.status[~bad], Status.OK)
    assert np.all(np.isnan(out.y[bad, 0]))
    np.testing.assert_allclose(out.y[bad, 1, :, 0], [1 + 0.1 * TIMES] * copies, rtol=1e-7)
    np.testing.assert_allclose(out.y[~bad, 0, :, 0], 0.1 / np.asarray(k)[~bad, None] + 0 * TIMES, rtol=1e-7)
    np.testing.assert_allclose(slope[0, bad], -np.sum(TIMES + 0.05 * TIMES**2), rtol=1e-6)
    np.testing.assert_allclose(slope[1, bad], np.sum(TIMES), rtol=1e-6)


def test_no_steady_state_has_a_gradient_of_0() -> None:
    model = network(GROWTH)
    k = jnp.array([0.0, 0.2])
    slope, out = slopes(lambda k: simulate(model, {"k": k}, Protocol.equilibrated(), TIMES, solver=Fused()), k)
    assert out.status[:, 0].tolist() == [Status.NO_STEADY_STATE, Status.OK]
    assert out.steps[0, 0] > 0
    np.testing.assert_allclose(slope, [0.0, -3 * 0.1 / 0.2**2], rtol=1e-6)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("protocol", [Protocol(), Protocol.equilibrated()])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_not_finite(bad: float, protocol: Protocol) -> None:
    model = network(GROWTH)
    k = jnp.array([0.2, bad, 0.4])
    slope, out = slopes(lambda k: simulate(model, {"k": k}, protocol, TIMES, solver=Fused()), k)
    good = jnp.array([0.2, 0.4])
    expected, alone = slopes(lambda k: simulate(model, {"k": k}, protocol, TIMES, solver=Fused()), good)
    assert out.status[1, 0] == Status.NOT_FINITE
    assert out.steps[1, 0] < 100
    assert np.all(np.isnan(out.y[1]))
    assert slope[1] == 0
    np.testing.assert_allclose(out.y[::2], alone.y, rtol=1e-13)
    np.testing.assert_allclose(slope[::2], expected, rtol=1e-13)


def test_rates_into_the_undefined() -> None:
    """√(y − 0.2) falls to 0 at t = 2√0.8/k, where the rates end; no NaN becomes a step's size."""
    model = network(ROOT)
    slope, out = slopes(
        lambda k: simulate(model, {"k": k}, Protocol(), TIMES, solver=Fused()), jnp.array([1.0, 5.0, 0.5])
    )
    assert np.all(np.isfinite(slope))
    assert np.all(out.steps < 1000)
    for i, k in ((0, 1.0), (2, 0.5)):
        np.testing.assert_allclose(out.y[i, 0, :, 0], 0.2 + (np.sqrt(0.8) - k * TIMES / 2) ** 2, rtol=1e-5)


@pytest.mark.tier("check")
def test_a_failure_late_in_a_course() -> None:
    """After two segments that went well nothing of them is shown, and nothing gets a gradient."""
    model = network(BLOW_UP)
    protocol = Protocol().set(at=0, k=0.1).set(at=0.5, k="late")
    late = jnp.array([0.2, 9.0, 0.4])
    slope, out = slopes(lambda x: simulate(model, {"late": x}, protocol, TIMES, solver=Fused()), late)
    assert out.status[:, 0].tolist() == [Status.OK, Status.STEP_TOO_SMALL, Status.OK]
    assert np.all(np.isnan(out.y[1]))
    at = 1 / (1 / (1 / 0.95) - 0.5 * np.array([0.2, 0.4]))
    np.testing.assert_allclose(slope, [0.5 * at[0] ** 2, 0.0, 0.5 * at[1] ** 2], rtol=1e-5)


@pytest.mark.tier("slow")
def test_wide_priors(il6_stat3: Model) -> None:
    """10,000 draws at a standard deviation of 3 in log: all end, most succeed, and every gradient is finite."""
    free = {n: v for n, v in zip(il6_stat3.parameters, il6_stat3.defaults, strict=True) if v > 0}
    centre = jnp.log(jnp.array([*free.values()]))
    z = centre + 3.0 * jax.random.normal(jax.random.key(0), (10_000, centre.size))
    protocols = [Protocol.equilibrated("pulse").pulse("IL6", 0.48, start=0, stop=15)]

    def loss(z: jax.Array):
        out = simulate(
            il6_stat3, dict(zip(free, jnp.exp(z), strict=True)), protocols, [5.0, 30.0, 90.0], solver=Fused()
        )
        return jnp.sum(jnp.log1p(jnp.where(jnp.isfinite(out.y), out.y, 0.0).clip(0.0))), (out.status[0], out.y[0])

    begin = time.monotonic()
    slope, (status, y) = jax.jit(jax.vmap(jax.grad(loss, has_aux=True)))(z)
    slope, status, y = map(np.asarray, (slope, status, y))
    assert time.monotonic() - begin < 300
    counts = Counter(Status(s).label for s in status)
    assert counts["ok"] > 9_000
    ok = status == Status.OK
    assert np.all(np.isfinite(y[ok]))
    assert np.all(np.isfinite(slope[ok]))
    assert np.all(np.isnan(y[~ok]))
    assert np.all(slope[~ok] == 0)
