"""Some draws of a posterior, solved strictly: would their weights differ?"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...models.solvers.accuracy import stricter
from ...models.solvers.dispatch import falls_back, uses_fused
from ..posterior.draw_evaluation import map_draws, thinned
from ..posterior.ties import without_ties
from ..problem.problem import Problem

STRICT = 1e-9  # the relative tolerance
DRAWS = 96  # three batches


def reweighted(
    problem: Problem, z: Float[np.ndarray, "draws parameters"], log_likelihood: Float[np.ndarray, " draws"]
) -> dict[str, Any] | None:
    """How the log likelihood of about 96 of the draws moves at a relative tolerance of 1e-9.

    `log_likelihood` is that of the draws as the problem solves them, in nats. The result has `draws`, `rtol`, `nats`
    (the largest move against the median one, which no weight depends on), `pareto_k` of the weights (None if all are
    nearly equal) and `failed` (strict solves). None under solvers whose compilation for another tolerance would take
    longer than the answer is worth, and for problems that are already solved as strictly.
    """
    if not uses_fused(problem.model, problem.settings) or problem.settings.rtol <= STRICT:
        return None
    some = thinned(len(z), DRAWS)
    some = some[np.isfinite(log_likelihood[some])]
    strict = problem.with_settings(replace(stricter(problem.settings), rtol=STRICT))
    move = _log_likelihood(strict, z[some]) - log_likelihood[some]
    solved = np.isfinite(move)
    known = {"draws": len(some), "rtol": STRICT, "failed": int(np.sum(~solved)), "nats": 0.0, "pareto_k": None}
    if not solved.any():
        return known
    move = move[solved] - np.median(move[solved])
    return known | {"nats": float(np.max(np.abs(move))), "pareto_k": _pareto_k(move)}


def _pareto_k(log_weights: Float[np.ndarray, " draws"]) -> float | None:
    from arviz_stats.base import array_stats

    if np.ptp(log_weights) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few draws
        k = float(array_stats.psislw(without_ties(-log_weights))[1])  # ArviZ takes the negative logarithm
    return k if np.isfinite(k) else None


@falls_back
def _log_likelihood(problem: Problem, z: Float[np.ndarray, "draws parameters"]) -> Float[np.ndarray, " draws"]:
    (total,) = map_draws(problem, _terms, z)
    return total


def _terms(problem: Problem, z: Float[Array, " parameters"]) -> tuple[Array]:
    terms = problem.terms(z)
    return (jnp.sum(terms.rows) + jnp.sum(terms.scales),)


__all__ = ["reweighted"]
