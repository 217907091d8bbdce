"""Rows of which only a bound is known, such as a cytokine below an ELISA's limit of detection.

Where the instrument says no more than v ≤ L (left) or v ≥ L (right), the likelihood of the row is a probability
instead of a density, with the noise's distribution function F, which is symmetric, and ℓ = scale(L):

    log P(v ≤ L) = log F((ℓ − m)/σ)        log P(v ≥ L) = log F((m − ℓ)/σ)

The scale is monotone, so there is no Jacobian. Source: Tobin (1958), Econometrica 26, 24-36; for limits of
detection Hughes (1999), Biometrics 55, 625-629.

A replicate of such a row is what would have been recorded: the limit wherever the reading falls beyond it. Ties
with the measured limit count half, so that the quantile of a row among its replicates is the middle of the
probability it has (the mid-P form of Dunn and Smyth's randomised quantile residuals, 1996).
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Bool, Float, Int

from ..data.dataset import Dataset

TAIL = {"": 0, "left": -1, "right": 1}


def tails(dataset: Dataset) -> Int[np.ndarray, " rows"]:
    """−1 for rows censored on the left, 1 on the right, 0 for those that were measured."""
    return np.array([TAIL[m.censored] for m in dataset.measurements], dtype=int)


def log_distribution(
    r: Float[Array, "*batch rows"], laplace: Bool[np.ndarray, " rows"] | bool
) -> Float[Array, "*batch rows"]:
    """log F(r) of standard noise: normal, or Laplace where `laplace`."""
    above = jnp.log1p(-0.5 * jnp.exp(-jnp.where(r < 0, 0.0, r)))
    return jnp.where(jnp.asarray(laplace), jnp.where(r < 0, r - math.log(2.0), above), log_ndtr(r))


def with_censored(
    density: Float[Array, "*batch rows"],
    r: Float[Array, "*batch rows"],
    tail: Int[np.ndarray, " rows"],
    laplace: Bool[np.ndarray, " rows"],
) -> Float[Array, "*batch rows"]:
    """`density` of every row, with the log probability of those that are censored, r = (ℓ − m)/σ."""
    rows = np.flatnonzero(tail)
    if not len(rows):
        return density
    found = log_distribution(jnp.asarray(-tail[rows] * r[..., rows]), laplace[rows])
    return density.at[..., rows].set(found)


def recordable(
    value: Float[np.ndarray, " rows"], tail: Int[np.ndarray, " rows"]
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """The least and the greatest that the instrument states of each row, ±∞ where no limit is known."""
    return np.where(tail < 0, value, -np.inf), np.where(tail > 0, value, np.inf)
