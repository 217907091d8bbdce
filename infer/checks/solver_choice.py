"""Which solver is cheapest and still right, where the sampler will go."""

from __future__ import annotations

import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...models.solvers.dispatch import falls_back
from ...models.solvers.solver import Diffrax
from ...models.solvers.solver_words import diffrax_by_name
from ...models.solvers.status import Status
from ..problem.parameter_space import Z
from ..problem.problem import Problem
from ..problem.readout import Readout

AGREEMENT = 1e-5
SLOPE_AGREEMENT = 1e-3
SLOPES = 5  # points at which the gradient is checked
EXPLICIT_MAX_STEPS = 20_000


@dataclass(frozen=True)
class Trial:
    """How one solver did: largest deviations from the reference, failures, and seconds a gradient.

    `slope_deviation` is of its gradient from central differences of its own density, along a random direction. An
    explicit solver at the limit of its stability has right values and gradients wrong by orders of magnitude.
    """

    solver: Diffrax
    deviation: float
    slope_deviation: float
    failed: int
    seconds: float

    @property
    def agrees(self) -> bool:
        return self.failed == 0 and self.deviation <= AGREEMENT and self.slope_deviation <= SLOPE_AGREEMENT


@dataclass(frozen=True)
class Choice:
    """The chosen problem (its settings name the solver), and the evidence for the choice."""

    problem: Problem
    trials: tuple[Trial, ...]
    points: int

    def __str__(self) -> str:
        results = ", ".join(
            f"{t.solver.name} {'agrees' if t.agrees else 'does not agree'} within {AGREEMENT:g} "
            f"(largest deviation {t.deviation:.1e}, of slopes {t.slope_deviation:.1e}, {t.failed} failed, "
            f"{1e3 * t.seconds:.1f} ms per gradient)"
            for t in self.trials
        )
        return f"solver {self.problem.settings.diffrax.name}: against Kvaerno5 at {self.points} points, {results}"


@falls_back
def choose_solver(problem: Problem, points: np.ndarray, *, candidates: tuple[Diffrax, ...] | None = None) -> Choice:
    """The cheapest solver whose readings and gradients are right at all points.

    Readings are compared with Kvaerno5 at a hundredth of the tolerance, relative to the larger of a row's prediction
    and its standard deviation; gradients with differences of the solver's own density. If no candidate agrees, Kvaerno5
    is chosen.

    Parameters
    ----------
    problem : Problem
        What is to be solved.
    points : array, points × parameters
        Values of z (dimensionless); those at which Kvaerno5 itself fails are left out.
    candidates : tuple of Diffrax
        Tsit5 and Rodas5P if none are given.

    Returns
    -------
    Choice
        The problem under the chosen solver, and how each candidate did.

    Raises
    ------
    FloatingPointError
        If Kvaerno5 fails at every point.
    """
    with problem.placed():
        return _choose(problem, points, candidates or (diffrax_by_name("Tsit5"), Diffrax()))


def _choose(problem: Problem, points: np.ndarray, candidates: tuple[Diffrax, ...]) -> Choice:
    settings, kvaerno5 = problem.settings, diffrax_by_name("Kvaerno5")
    reference = problem.with_settings(
        solver=kvaerno5, rtol=settings.rtol / 100, atol=settings.atol and settings.atol / 100, max_steps=20_000
    )
    expected, sd, status = _read(reference, points)
    usable = np.all(status == Status.OK, axis=1) & np.all(np.isfinite(expected), axis=1)
    if not usable.any():
        raise FloatingPointError("the reference solver fails at every point: no solver can be chosen")
    trials, chosen, best = [], None, np.inf
    for solver in candidates:
        candidate = with_steps(problem, solver)
        mean, _, status = _read(candidate, points)
        bad = ~np.all(status == Status.OK, axis=1) & usable
        right = usable & ~bad
        scale = np.maximum(np.abs(expected), sd)[right]
        deviation = float(np.max(np.abs(mean - expected)[right] / scale)) if right.any() else np.inf
        slope_deviation, seconds = _slopes(candidate, points[usable][:SLOPES])
        trial = Trial(solver, deviation, slope_deviation, int(bad.sum()), seconds)
        trials.append(trial)
        if trial.agrees and trial.seconds < best:
            chosen, best = candidate, trial.seconds
    return Choice(
        chosen or problem.with_settings(solver=kvaerno5, max_steps=EXPLICIT_MAX_STEPS),
        tuple(trials),
        int(usable.sum()),
    )


def with_steps(problem: Problem, solver: Diffrax) -> Problem:
    """The problem with this solver, which may take more steps if it is explicit."""
    least = EXPLICIT_MAX_STEPS if solver.explicit else 1
    return problem.with_settings(solver=solver, max_steps=max(least, problem.settings.max_steps))


def _read(problem: Problem, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    readout = problem.compiled(_readouts)(jnp.asarray(points))
    return np.asarray(readout.mean), np.asarray(readout.sd), np.asarray(readout.status)


def _slopes(problem: Problem, points: np.ndarray) -> tuple[float, float]:
    """Largest relative deviation of the gradient from central differences, and seconds a gradient (median)."""
    value, gradient = problem.compiled(_density), problem.compiled(_gradient)
    step, rng = 1e-4, np.random.default_rng(0)
    deviations, times = [], []
    jax.block_until_ready(gradient(jnp.asarray(points[0])))
    for z in points:
        began = time.perf_counter()
        slope = np.asarray(gradient(jnp.asarray(z)))
        times.append(time.perf_counter() - began)
        direction = rng.normal(size=z.shape)
        direction /= np.linalg.norm(direction)
        difference = (float(value(z + step * direction)) - float(value(z - step * direction))) / (2 * step)
        scale = max(abs(difference), 1e-2 * float(np.linalg.norm(slope)), 1.0)
        deviations.append(abs(float(slope @ direction) - difference) / scale)
    worst = float(np.max(deviations)) if np.all(np.isfinite(deviations)) else np.inf
    return worst, float(np.median(times))


def _readouts(problem: Problem, points: Float[Array, "points parameters"]) -> Readout:
    return jax.lax.map(lambda z: problem.read(problem.values(z)), points)


def _density(problem: Problem, z: Z) -> Float[Array, ""]:
    return problem.objective(z, "density")[0]


def _gradient(problem: Problem, z: Z) -> Z:
    return jax.grad(lambda z: _density(problem, z))(z)
