"""The place of each measurement in what all other measurements predict of it: LOO-PIT.

For a measured row, P(ỹ ≤ y | other rows); for a row of which only a limit or an interval is known, the probability of
what was recorded. Both are averages over the draws, of the noise's distribution function, with the weights of
Pareto-smoothed importance sampling: no random numbers, and exact far in the tails. Where a scale is integrated out,
the distribution is that given the other rows of the scale.

References: Gelfand, Dey and Chang (1992), Bayesian Statistics 4, 147-167; Vehtari, Gelman and Gabry (2017), Stat.
Comput. 27, 1413-1432.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from ..problem.problem import Problem
from .draw_evaluation import Evaluated
from .row_layout import over_rows
from .ties import without_ties

LEFT_OUT = "left_out"  # the group
PARETO_K, EFFECTIVE = "pareto_k", "effective_parameters"  # its other variable, and its attribute
GOOD_K = 0.7  # Pareto's k up to which importance weights are reliable
LEAST_DRAWS = 100  # fewer have no tail whose shape could be estimated


def left_out_quantiles(problem: Problem, evaluated: Evaluated) -> xr.Dataset | None:
    """The quantiles, Pareto's k of each row, and the effective number of parameters; None for fewer than 100 draws.

    The effective number is that of leave-one-out cross-validation, at most that of the sampled parameters, and one for
    each scale that is integrated out.
    """
    solved = np.all(np.isfinite(evaluated.rows), axis=1)
    if solved.sum() < LEAST_DRAWS or not len(problem.dataset):
        return None
    some = Evaluated(*(array[solved] for array in evaluated))
    quantiles = _quantiles(problem, some)
    log_weights, k = _smoothed(some.rows.T)
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    dataset = over_rows(problem, np.einsum("rd,dr->r", weights, quantiles))
    of_k = over_rows(problem, k)
    (measurement,) = of_k.data_vars
    known = len(problem.space)
    effective = min(_effective(some.rows.T, weights), known) + len(problem.nuisance)
    dataset[PARETO_K] = of_k[measurement]
    return dataset.assign_attrs({EFFECTIVE: effective, "meaning": "P(y or less | other rows); censored: P(row)"})


def _quantiles(problem: Problem, evaluated: Evaluated) -> Float[np.ndarray, "draws rows"]:
    """F(y) of each measured row and draw, or the probability of a censored one."""
    measured, nuisance, noise = problem.measured, problem.nuisance, problem.assays.noise
    residual = np.asarray(measured.value) - evaluated.mean
    standard = residual / evaluated.sd
    if len(nuisance):
        standard = np.where(nuisance.group >= 0, nuisance.residuals_of_rows(residual, evaluated.sd), standard)
    return np.where(np.asarray(measured.tail) != 0, np.exp(evaluated.rows), noise.distribution(standard))


def _smoothed(terms: Float[np.ndarray, "rows draws"]) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the weights, and Pareto's k; of rows with the same density at all draws equal weights, and 0."""
    from arviz_stats.base import array_stats

    weights, k = np.zeros(terms.shape), np.zeros(len(terms))
    if len(differ := np.flatnonzero(np.ptp(terms, axis=1) > 0)):
        stats: Any = array_stats
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on k, which the verdict says
            weights[differ], k[differ] = stats.psislw(without_ties(terms[differ]), axis=-1)
    return weights, k


def _effective(terms: Float[np.ndarray, "rows draws"], weights: Float[np.ndarray, "rows draws"]) -> float:
    """p_loo: how much better the rows are predicted with themselves than without, in nats."""
    highest = terms.max(axis=1, keepdims=True)
    density = np.exp(terms - highest)
    with np.errstate(divide="ignore"):
        gain = np.log(density.mean(axis=1)) - np.log((weights * density).sum(axis=1))
    return float(max(np.sum(gain[np.isfinite(gain)]), 0.0))


__all__ = ["EFFECTIVE", "GOOD_K", "LEFT_OUT", "PARETO_K", "left_out_quantiles"]
