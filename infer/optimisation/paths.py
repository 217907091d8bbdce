"""How high the objective rises between two points: what tells two optima from two ends of one flat valley."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from .lbfgs import Minimiser
from .stopping import Limits

Points = Float[np.ndarray, "points parameters"]
Evaluate = Callable[[Points], tuple[Float[np.ndarray, " points"], Points]]
"""Objective and gradient at several points at once; infinite where a simulation fails."""

STRAIGHT = 15  # points looked at between two ends
BENDS = 7  # points of a bent path between its ends
BETWEEN = np.array([0.25, 0.5, 0.75])  # looked at between neighbours on a bent path
_LIMITS = Limits(gradient_tolerance=0.02, value_tolerance=1e-3, max_iterations=60)


def straight_rise(evaluate: Evaluate, a: np.ndarray, b: np.ndarray) -> float:
    """The highest objective on the straight line from a to b."""
    inside = np.linspace(0.0, 1.0, STRAIGHT + 2)[1:-1, None]
    return _highest(evaluate(a + inside * (b - a))[0])


def bent_rise(evaluate: Evaluate, a: np.ndarray, b: np.ndarray) -> float:
    """The highest objective on a path from a to b that bends where that lowers it.

    Points on the straight line slide down within the planes across it, so that the path follows a curved valley.
    """
    along = (b - a) / np.linalg.norm(b - a)
    inside = np.linspace(0.0, 1.0, BENDS + 2)[1:-1, None]
    runs = [Minimiser(p, _LIMITS) for p in a + inside * (b - a)]
    while active := [r for r in runs if not r.reason]:
        values, gradients = evaluate(np.array([r.trial for r in active]))
        for run, value, gradient in zip(active, values, gradients, strict=True):
            run.advance(float(value), gradient - (gradient @ along) * along)
    path = np.array([a, *(r.z for r in runs), b])
    hops = path[:-1, None] + BETWEEN[:, None] * np.diff(path, axis=0)[:, None]
    reached = np.array([r.value for r in runs])
    return max(_highest(reached), _highest(evaluate(hops.reshape(-1, len(a)))[0]))


def _highest(values: np.ndarray) -> float:
    return float(np.max(np.where(np.isnan(values), np.inf, values)))
