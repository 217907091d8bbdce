"""Whether the trajectories of a problem are solved exactly enough where they matter."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...models.solvers.accuracy import inexact, stricter, words
from ...models.solvers.dispatch import solve
from ..problem.problem import Problem


def solver_words(problem: Problem, values: Float[Array, " names"]) -> list[str]:
    """What is to be said of the solver's error at parameter values; nothing where it is small."""
    model, plan = problem.model, problem.assays.plan
    with problem.placed():
        results = [
            jax.jit(lambda v, s=settings: solve(model, plan, s, problem.assays.of_plan(s, v)).y)(jnp.asarray(values))
            for settings in (problem.settings, stricter(problem.settings))
        ]
    return words(inexact(model, *map(np.asarray, results)), problem.settings)
