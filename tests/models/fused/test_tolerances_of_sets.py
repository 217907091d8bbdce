"""Tolerances of each trajectory set: data that reach every engine, cost no compilation, and have no derivative."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import SOLVERS
from hexamer import Fused
from hexamer.models import Model, Protocol, Settings, Status, simulate
from hexamer.models.compiled.plan import compile_plan
from hexamer.models.simulation import Trajectories
from hexamer.models.solvers.fused import engine
from hexamer.models.solvers.settings import Tolerances

pytestmark = pytest.mark.tier("test")

PROTOCOLS = [Protocol("dose").add("R", 0.6, at=5.0), Protocol.equilibrated("pulse").pulse("R", 0.6, start=0, stop=20)]
TIMES = [0.0, 5.0, 20.0, 90.0]
RTOL = jnp.array([1e-3, 1e-5, 1e-8])
K = jnp.array([0.8, 0.8, 1.1])

Run = Callable[[jax.Array, jax.Array, jax.Array], Trajectories]


@pytest.fixture(scope="module", params=["fused", pytest.param("diffrax", marks=pytest.mark.tier("slow"))])
def run(loop: Model, request: pytest.FixtureRequest) -> Run:
    """Simulations by one engine, for values of k with tolerances each; always seven, so that it is compiled once."""

    @jax.jit
    def run(k: jax.Array, rtol: jax.Array, atol: jax.Array) -> Trajectories:
        return simulate(loop, {"k": k}, PROTOCOLS, TIMES, rtol=rtol, atol=atol, solver=SOLVERS[request.param])

    def padded(k: jax.Array, rtol: jax.Array, atol: jax.Array) -> Trajectories:
        out = run(*(jnp.resize(x, (7,)) for x in (k, rtol, atol)))
        return out._replace(**{n: getattr(out, n)[: k.size] for n in ("y", "status", "steps", "rejected")})

    return padded


@pytest.mark.tier("check")
def test_each_set_has_its_own(run: Run) -> None:
    """A batch of tolerances is what each of them gives alone."""
    out = run(K, RTOL, RTOL / 100)
    np.testing.assert_array_equal(out.status, Status.OK)
    assert np.all(out.steps[0] < out.steps[1])
    for i, rtol in enumerate(RTOL):
        alone = run(K, rtol, rtol / 100)
        np.testing.assert_array_equal(alone.steps[i], out.steps[i])
        np.testing.assert_allclose(alone.y[i], out.y[i], rtol=1e-12, atol=1e-14)


def test_traced_tolerances_that_make_no_sense_fail_their_set(run: Run) -> None:
    """Nobody can say so before the numbers are known; the other sets do not notice."""
    rtol = jnp.array([1e-5, 0.0, -1e-6, 1.0, jnp.nan, 1e-5, 1e-5])
    atol = jnp.array([1e-7, 1e-7, 1e-7, 1e-7, 1e-7, 0.0, jnp.inf])
    out = run(jnp.full(7, 0.8), rtol, atol)
    np.testing.assert_array_equal(out.status[0], Status.OK)
    np.testing.assert_array_equal(out.status[1:], Status.NOT_FINITE)
    assert np.all(np.isfinite(out.y[0]))
    assert np.all(np.isnan(out.y[1:]))
    alone = run(K, jnp.asarray(1e-5), jnp.asarray(1e-7))
    np.testing.assert_allclose(out.y[0], alone.y[0], rtol=1e-12, atol=1e-14)


def test_what_is_not_given_is_that_of_the_settings(loop: Model) -> None:
    def steps(settings: Settings, rtol: float | None = None, atol: float | None = None) -> np.ndarray:
        out = simulate(loop, {"k": K}, PROTOCOLS, TIMES, rtol=rtol, atol=atol, settings=settings)
        return np.asarray(out.steps)

    settings = Settings(rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(steps(settings), steps(Settings(), rtol=1e-4, atol=1e-7))
    np.testing.assert_array_equal(steps(settings, atol=1e-5), steps(Settings(rtol=1e-4, atol=1e-5)))
    assert np.any(steps(settings) != steps(settings, atol=1e-5))


def test_other_numbers_compile_nothing_and_nothing_is_differentiated_by_them(loop: Model) -> None:
    traced = []

    @jax.jit
    def slopes(k, rtol, atol):
        traced.append(rtol)

        def loss(k, rtol, atol):
            y = simulate(loop, {"k": k}, PROTOCOLS, TIMES, rtol=rtol, atol=atol, solver=Fused()).y
            return jnp.sum(jnp.log1p(y))

        return jax.grad(loss, argnums=(0, 1, 2))(k, rtol, atol)

    found = [slopes(K, RTOL * factor, RTOL / 100) for factor in (1.0, 0.3)]
    assert len(traced) == 1
    for slope, *others in found:
        assert np.all(slope != 0)
        np.testing.assert_array_equal(others, 0.0)
    assert np.any(found[0][0] != found[1][0])
    np.testing.assert_allclose(found[0][0][2], found[1][0][2], rtol=1e-6)


NESTINGS = {
    "vmap": lambda f: jax.vmap(f),
    "vmap of tolerances alone": lambda f: (
        lambda k, rtol: jnp.diagonal(jax.vmap(lambda k: jax.vmap(lambda r: f(k, r))(rtol))(k)).T
    ),
    "scan": lambda f: lambda k, rtol: jax.lax.map(lambda x: f(*x), (k, rtol)),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("by", ["platform", "gpu"])
@pytest.mark.parametrize("nesting", NESTINGS)
def test_nestings(loop: Model, nesting: str, by: engine.Backend) -> None:
    """On the CPU's handlers and the GPU's kernels: steps and gradient of each set."""
    plan = compile_plan(loop, PROTOCOLS, [TIMES] * 2, ("k",))

    def one(by: engine.Backend, k: jax.Array, rtol: jax.Array) -> jax.Array:
        def loss(k: jax.Array):
            own = Tolerances(rtol, rtol / 100)
            solution = engine.solve(loop, plan, Settings(Fused()), k[None], tolerances=own, backend=by)
            return jnp.sum(jnp.log1p(solution.y)), solution.steps

        slope, steps = jax.grad(loss, has_aux=True)(k)
        return jnp.append(steps, slope)

    expected = np.stack([jax.jit(partial(one, "platform"))(k, r) for k, r in zip(K, RTOL, strict=True)])
    assert len(set(expected[:, 0].tolist())) == 3
    found = jax.jit(NESTINGS[nesting](partial(one, by)))(K, RTOL)
    np.testing.assert_allclose(found, expected, rtol=1e-11)


BAD = {
    "rtol must be positive and below 1, not 0": {"rtol": 0.0},
    "rtol must be positive and below 1, not 1": {"rtol": [1e-6, 1.0, 1e-6]},
    "rtol must be positive and below 1, not nan": {"rtol": [1e-6, 1e-6, np.nan]},
    "atol must be positive and finite, not -1e-08": {"atol": -1e-8},
    "atol must be positive and finite, not inf": {"atol": np.inf},
    "rtol must be a number or an array of the parameters' shape (3,), not of shape (2,)": {"rtol": [1e-6, 1e-6]},
    "atol must be a number or an array of the parameters' shape (3,), not of shape (1, 3)": {"atol": [[1e-6] * 3]},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_tolerances(loop: Model, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        simulate(loop, {"k": K}, PROTOCOLS, TIMES, **BAD[message])
