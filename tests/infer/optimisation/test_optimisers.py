"""Optimisers of optax and optimistix under `find_map`: the minima, failures and endings of hexamer's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import optimistix
import pytest

from hexamer import Problem, Settings
from hexamer.infer import find_map
from hexamer.infer.optimisation.optimisers import RunVerdict, adapted
from hexamer.infer.optimisation.stepped_runs import ReportedEvaluation, SteppedRun
from hexamer.infer.optimisation.stopping import Limits

pytestmark = pytest.mark.tier("test")

TIGHT: dict[str, Any] = {"rtol": 1e-8, "atol": 1e-8}
DOWN = np.array([1.0])
GOES_ON = RunVerdict(jnp.array(False), jnp.array(False))
OPTIMISERS = {
    "optax.lbfgs": optax.lbfgs(),
    "optax.adam": optax.adam(1e-2),
    "optimistix.BFGS": optimistix.BFGS(**TIGHT),
    "optimistix.LBFGS": optimistix.LBFGS(**TIGHT),
    "optimistix.NelderMead": optimistix.NelderMead(**TIGHT),
}


def compared(*cases: str, first: int = 1) -> list[Any]:
    """These optimisers, the first in `test`, the others in `slow`."""
    return [
        pytest.param(OPTIMISERS[n], id=n, marks=[pytest.mark.tier("slow")] if k >= first else [])
        for k, n in enumerate(cases)
    ]


@pytest.mark.tier("slow")
@pytest.mark.parametrize(
    "optimiser",
    compared("optimistix.BFGS", "optax.adam", "optax.lbfgs", "optimistix.LBFGS", "optimistix.NelderMead", first=2),
)
def test_starts_in_a_failing_region_are_redrawn_and_counted(half: Problem, optimiser: Any) -> None:
    """The same starts are redrawn as by hexamer's L-BFGS, and failed evaluations never become results."""
    options: dict[str, Any] = {"starts": 12, "seed": 2, "objective": "likelihood", "lanes": 4, "progress": False}
    ours, fits = find_map(half, **options), find_map(half, optimiser=optimiser, max_iterations=2000, **options)
    assert fits.redrawn == ours.redrawn > 0
    assert sum(fits.failed.values()) >= fits.redrawn
    assert set(fits.failed) <= {"too_many_steps", "step_too_small", "not_finite"}
    assert np.all(np.isfinite(fits.objective))
    assert fits.near_best() == 12
    assert fits.converged.sum() >= 11
    assert fits.best["k"] == pytest.approx(0.5, rel=1e-4)
    np.testing.assert_array_equal(
        np.sort(fits.start, axis=0), np.sort(ours.start, axis=0), err_msg="a start is drawn by its number alone"
    )


@pytest.mark.parametrize("optimiser", compared("optimistix.BFGS", "optax.lbfgs", "optax.adam"))
def test_a_search_is_the_same_again_and_can_be_stored(half: Problem, optimiser: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"starts": 4, "seed": 2, "lanes": 2, "max_iterations": 30, "optimiser": optimiser}
    one, other = (find_map(half, progress=False, **options) for _ in range(2))
    np.testing.assert_array_equal(one.z, other.z)
    assert one.failed == other.failed
    one.save(tmp_path / "map.json")
    stored = json.loads((tmp_path / "map.json").read_text())
    assert stored["reason"] == list(one.reason)
    assert all(len(t) == n + 1 for t, n in zip(stored["traces"], one.iterations, strict=True))


@pytest.mark.tier("test")
def test_iterations_end_a_run(half: Problem) -> None:
    start = half.space.unconstrain({"k": 0.1})[None]
    fits = find_map(half, starts=start, optimiser=optax.adam(1e-2), max_iterations=3, progress=False)
    assert fits.reason == ("iterations",)
    assert not fits.converged.any()
    assert fits.evaluations.tolist() == [4]  # the start, and one per iteration
    assert fits.z[0, 0] == pytest.approx(start[0, 0] + 0.03, rel=0.05)  # Adam's first steps are as long as its rate


def test_all_starts_fail_as_with_the_default(half: Problem) -> None:
    failing = Problem(half.model, half.dataset, settings=Settings(max_steps=1))
    with pytest.raises(FloatingPointError, match=r"all 2 starts fail, 20 redraws each"):
        find_map(failing, starts=2, optimiser=optax.lbfgs(), progress=False)


@pytest.mark.tier("check")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("lbfgs", "not 'lbfgs'"),
        (optax.adam, r"not adam itself: call it first, as in adam\(\.\.\.\)"),
        (optimistix.BFGS, r"not BFGS itself: call it first, as in BFGS\(\.\.\.\)"),
        (optimistix.LevenbergMarquardt(**TIGHT), "not a LevenbergMarquardt"),
    ],
    ids=["text", "function", "class", "least squares"],
)
def test_other_objects_are_refused(half: Problem, given: Any, said: str) -> None:
    accepted = "optimiser must be None .*optax.GradientTransformation.*optimistix.AbstractMinimiser.*"
    with pytest.raises(TypeError, match=accepted + said):
        find_map(half, starts=1, optimiser=given, progress=False)


@pytest.mark.tier("check")
def test_optax_shortens_a_step_that_fails() -> None:
    """(z − 0.9)², infinite beyond 1: steps of gradient descent that land there are tried at a fifth."""
    optimiser = adapted(optax.sgd(4.0))

    def objective(z):
        return jnp.where(z[0] > 1, jnp.inf, (z[0] - 0.9) ** 2)

    state = optimiser.init(objective, jnp.array([0.5]))
    rejected = optimiser.step(objective, state)
    assert optimiser.position(rejected) == optimiser.position(state)
    accepted = optimiser.step(objective, optimiser.step(objective, rejected))
    assert float(optimiser.position(accepted)[0]) == pytest.approx(0.5 + 0.04 * 8 * 0.4)
    for _ in range(20):
        state = state._replace(shrink=0.2 * state.shrink)
    assert bool(optimiser.verdict(objective, state).failed)


@pytest.mark.tier("check")
def test_a_run_that_only_climbs_or_fails_has_not_converged() -> None:
    """A climb is no progress, and positions where the objective is not finite are no iterations."""
    limits = Limits(1e-3, 1e-5, 100)

    def run_over(values: list[float]) -> SteppedRun:
        run = SteppedRun(np.zeros(1), limits)
        run.record([ReportedEvaluation(np.zeros(1), 1.0, DOWN, 0)])
        for k, value in enumerate(values, start=1):
            run.step([ReportedEvaluation(np.array([float(k)]), value, DOWN, 0)], np.array([float(k)]), GOES_ON)
            if run.reason:
                break
        return run

    climbing = run_over([1.0 + k for k in range(1, 30)])
    assert climbing.reason == ""
    assert (climbing.value, climbing.z.tolist()) == (1.0, [0.0])
    failing = run_over([np.inf] * 60)
    assert failing.reason == "no descent"
    assert failing.iterations == 0
    settled = run_over([0.5] * 30)
    assert (settled.reason, settled.iterations) == ("progress", 11)
