"""Many starts: minima known in closed form, failures counted and never scored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hexamer import Problem
from hexamer.infer import curvature, find_map, find_mode
from hexamer.infer.optimisation.lbfgs import Minimiser
from hexamer.infer.optimisation.modes import find_modes
from hexamer.infer.optimisation.stopping import Limits

pytestmark = pytest.mark.tier("test")


def minimise(function, start: list[float], **options) -> Minimiser:
    limits = Limits(options.get("gradient", 1e-8), 1e-14, options.get("iterations", 500))
    run = Minimiser(np.array(start), limits)
    value_and_grad = jax.jit(jax.value_and_grad(function))
    while not run.reason:
        value, gradient = value_and_grad(jnp.asarray(run.trial))
        run.advance(float(value), np.asarray(gradient))
    return run


@pytest.mark.tier("check")
@pytest.mark.parametrize(
    ("function", "start", "minimum"),
    [
        (lambda z: jnp.sum(jnp.array([1.0, 1e4, 1e-2]) * (z - 1) ** 2), [5.0, -3.0, 8.0], [1.0, 1.0, 1.0]),
        (lambda z: (1 - z[0]) ** 2 + 100 * (z[1] - z[0] ** 2) ** 2, [-1.2, 1.0], [1.0, 1.0]),
        (lambda z: jnp.where(z[0] > 1, jnp.inf, (z[0] - 0.9) ** 2), [-4.0], [0.9]),
    ],
    ids=["quadratic", "Rosenbrock", "next to a failing region"],
)
def test_minima(function, start: list[float], minimum: list[float]) -> None:
    run = minimise(function, start)
    assert run.converged
    np.testing.assert_allclose(run.z, minimum, atol=1e-4)
    assert all(a >= b for a, b in zip(run.trace, run.trace[1:], strict=False))


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_start_that_fails_is_not_converged(bad: float) -> None:
    run = Minimiser(np.zeros(2), Limits(max_iterations=100))
    run.advance(bad, np.zeros(2))  # a failed solve has gradient zero
    assert run.reason == "failed at its start"
    assert not run.converged


def test_starts_in_a_failing_region_are_redrawn_and_counted(half: Problem, tmp_path: Path) -> None:
    fits = find_map(half, starts=12, seed=2, objective="likelihood", lanes=4, progress=False)
    assert fits.redrawn > 0
    assert sum(fits.failed.values()) >= fits.redrawn
    assert set(fits.failed) <= {"too_many_steps", "step_too_small", "not_finite"}
    assert np.all(np.isfinite(fits.objective))
    assert np.all(np.diff(fits.objective) >= 0)
    assert fits.converged.all()
    assert fits.near_best() == 12
    assert fits.best["k"] == pytest.approx(0.5, rel=1e-4)
    again = find_map(half, starts=12, seed=2, objective="likelihood", lanes=4, progress=False)
    np.testing.assert_array_equal(np.sort(again.objective), np.sort(fits.objective))
    fits.save(tmp_path / "map.json")
    kept = json.loads((tmp_path / "map.json").read_text())
    assert kept["within_0.1_of_best"] == 12
    assert len(kept["traces"]) == 12


@pytest.mark.tier("test")
def test_given_starts(half: Problem) -> None:
    fits = find_map(half, starts=np.array([[-0.5], [-2.0]]), lanes=2, progress=False)
    assert {float(s) for s in fits.start[:, 0]} == {-0.5, -2.0}
    with pytest.raises(ValueError, match=r"starts × 1 parameters, not of shape \(2, 3\)"):
        find_map(half, starts=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="starts must be at least 1"):
        find_map(half, starts=0)


@pytest.mark.tier("slow")
def test_curvature_is_the_hessian(half: Problem) -> None:
    z = half.space.unconstrain({"k": 0.5})
    found = curvature(half, z)

    def closed(z):
        k = 10 ** z[0]
        r = jnp.array([(1 / (1 - k * t) - 1 / (1 - 0.5 * t)) / 0.1 for t in (0.25, 0.5, 1.0)])
        return 0.5 * jnp.sum(r**2) + 0.5 * z[0] ** 2

    expected = jax.hessian(closed)(jnp.asarray(z))
    np.testing.assert_allclose(found.hessian, expected, rtol=1e-3)
    np.testing.assert_allclose(found.scale @ found.scale.T, np.linalg.inv(expected), rtol=1e-3)


def test_curvature_next_to_a_failing_region(half: Problem) -> None:
    with pytest.raises(FloatingPointError, match="fails next to the point, along k"):
        curvature(half, np.array([-0.0005]))


@pytest.mark.tier("slow")
def test_a_best_fit_next_to_a_failing_region_takes_the_scale_of_the_prior(half: Problem) -> None:
    """One reading of 3000 at t = 1 asks for k just below 1, where the simulation fails; a fit used to stop there."""
    values = np.array([m.value for m in half.dataset.measurements])
    cliff = half.with_data(np.where(np.arange(len(values)) == 2, 3000.0, values))
    fits = find_map(cliff, starts=np.array([[-0.05]]), progress=False)
    said: list[str] = []
    start, modes = find_modes(cliff, fits, said.append)
    (why,) = said
    assert why.startswith("the best fit: the simulation fails next to the point, along k; the sampler starts with")
    assert start.scale[0, 0] == pytest.approx(1.0, rel=0.1)  # over u the prior is a unit normal
    assert modes.scale.shape == (1, 1, 1)
    assert 0.9 < 10 ** float(start.centre[0]) < 1


@pytest.mark.tier("slow")
def test_mode_of_the_density_next_to_a_best_fit_on_the_bound(decay: Callable[..., Problem]) -> None:
    """Where the best fit has a scale of noise of zero, the sampler's coordinates still have a mode."""
    problem = decay()
    z = problem.space.unconstrain({p.name: p.value for p in problem.parameters.values() if p.value is not None})
    noise = problem.space.names.index("noise")
    z[noise] = 0.0
    u = find_mode(problem, z)
    value, gradient = problem.potential(jnp.asarray(u))
    assert np.isfinite(value)
    assert np.max(np.abs(np.asarray(gradient))) < 0.05
    assert np.all(curvature(problem, u).eigenvalues > 0)
