"""Whether the trajectories of a problem are solved exactly enough where they matter."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...models.solvers.accuracy import inexact, stricter, words
from ...models.solvers.dispatch import solve
from ...models.solvers.settings import Settings
from ..problem.problem import Problem


def solver_words(problem: Problem, values: Float[Array, " names"]) -> list[str]:
    """What is to be said of the solver's error at parameter values; nothing where it is small."""
    with problem.placed():
        results = [
            problem.compiled(_states, settings)(jnp.asarray(values))
            for settings in (problem.settings, stricter(problem.settings))
        ]
    return words(inexact(problem.model, *map(np.asarray, results)), problem.settings)


def _states(problem: Problem, settings: Settings, values: Float[Array, " names"]) -> Float[Array, ...]:
    return solve(problem.model, problem.assays.plan, settings, problem.assays.of_plan(settings, values)).y
