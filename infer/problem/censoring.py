"""Rows of which only a bound is known, such as a cytokine below an ELISA's limit of detection.

Where the instrument says no more than v ≤ L (left), v ≥ L (right) or L ≤ v ≤ U (interval), the likelihood of the row
is a probability instead of a density, with the noise's distribution function F, which is symmetric, and ℓ = scale(L):

    log P(v ≤ L) = log F((ℓ − m)/σ)        log P(v ≥ L) = log F((m − ℓ)/σ)
    log P(L ≤ v ≤ U) = log [F((u − m)/σ) − F((ℓ − m)/σ)]

The scale is monotone, so there is no Jacobian. Source: Tobin (1958), Econometrica 26, 24-36; for limits of
detection Hughes (1999), Biometrics 55, 625-629.

A replicate of such a row is what would have been recorded: the limit wherever the reading falls beyond it, and the
lower limit of an interval wherever it falls inside. Ties with the measured limit count half, so that the quantile of a
row among its replicates is the middle of the probability it has (the mid-P form of Dunn and Smyth's randomised quantile
residuals, 1996).
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ...data.dataset import Dataset
from .row_noise import RowNoise

INTERVAL = 2
TAIL = {"": 0, "left": -1, "right": 1, "interval": INTERVAL}


def tails(dataset: Dataset) -> Int[np.ndarray, " rows"]:
    """−1 for rows censored on the left, 1 on the right, `INTERVAL` for intervals, 0 for those that were measured."""
    return np.array([TAIL[m.censored] for m in dataset.measurements], dtype=int)


def with_censored(
    density: Float[Array, "*batch rows"],
    r: Float[Array, "*batch rows"],
    tail: Int[np.ndarray, " rows"],
    noise: RowNoise,
    width: Float[Array, "*batch rows"] | None = None,
) -> Float[Array, "*batch rows"]:
    """`density` of every row, with the log probability of those that are censored.

    r = (ℓ − m)/σ; `width` = (u − ℓ)/σ of intervals, any number for other rows, None if there are no intervals.
    """
    rows = np.flatnonzero(np.abs(tail) == 1)
    if len(rows):
        log_probability = noise[rows].log_distribution(jnp.asarray(-tail[rows] * r[..., rows]))
        density = density.at[..., rows].set(log_probability)
    rows = np.flatnonzero(tail == INTERVAL)
    if len(rows):
        assert width is not None, "an interval has two limits"
        log_probability = noise[rows].log_between(r[..., rows], r[..., rows] + width[..., rows])
        density = density.at[..., rows].set(log_probability)
    return density


def recordable(
    value: Float[np.ndarray, " rows"], tail: Int[np.ndarray, " rows"]
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """The least and the greatest that the instrument states of each row, ±∞ where no limit is known."""
    return np.where(tail == -1, value, -np.inf), np.where(tail == 1, value, np.inf)


def recorded(
    reading: Float[Array, "*batch rows"] | np.ndarray,
    value: Float[np.ndarray, " rows"],
    upper: Float[np.ndarray, " rows"],
    tail: Int[np.ndarray, " rows"],
) -> Float[Array, "*batch rows"]:
    """What the instrument states of each reading; `upper` is that of an interval, any number elsewhere."""
    of_rows = (value, upper, tail == INTERVAL, *recordable(value, tail))
    value, upper, interval, low, high = (np.broadcast_to(x, reading.shape) for x in of_rows)
    inside = interval & (reading >= value) & (reading <= upper)
    return jnp.where(inside, value, jnp.clip(reading, low, high))


def uppers(dataset: Dataset) -> Float[np.ndarray, " rows"]:
    """Upper limits of intervals; of other rows the value itself."""
    return np.array([m.value if m.upper is None else m.upper for m in dataset.measurements])
