"""When a run of an optimiser ends, and which endings count as converged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

CONVERGED = ("gradient", "progress", "optimiser")
FAILED_START = "failed at its start"
NO_DESCENT = "no descent"
_WINDOW = 10  # iterations over which progress is judged


class Limits(NamedTuple):
    """A run ends when max |∂/∂z| ≤ `gradient_tolerance`, when the objective changes by no more than `value_tolerance`
    over ten iterations, or after `max_iterations`.
    """

    gradient_tolerance: float = 1e-3
    value_tolerance: float = 1e-5
    max_iterations: int = 1000

    def ending(self, trace: Sequence[float], gradient: Float[np.ndarray, " z"], iterations: int) -> str:
        """Why the run ends; empty if it continues.

        `trace` has the objective at the start and after each iteration, `gradient` is the one where it is lowest.
        """
        recent = trace[-_WINDOW - 1 :]
        if np.max(np.abs(gradient)) <= self.gradient_tolerance:
            return "gradient"
        if len(recent) == _WINDOW + 1 and max(recent) - min(recent) <= self.value_tolerance:
            return "progress"
        return "iterations" if iterations >= self.max_iterations else ""
