"""Tests of quantiles that are uniform, and independent along time, if the model fits.

Residuals are not quite independent, since they come from one fit: of n rows, n − p are left if p parameters were
fitted. `share` is (n − p)/n, and tests take `share` times as many rows as there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from jaxtyping import Bool, Float
from scipy import special, stats

_FARTHEST = 1e-15  # of a quantile from 0 and 1, whose normal score is 8


def coverage_p(inside: int, rows: int, level: float, share: float) -> float:
    """Two-sided p of the number of rows inside their intervals of probability `level`, by the binomial distribution."""
    independent = max(1, round(rows * share))
    count = inside / rows * independent
    fewer = stats.binom.cdf(np.ceil(count), independent, level)
    more = stats.binom.sf(np.floor(count) - 1, independent, level)
    return float(min(1.0, 2 * min(fewer, more)))


def location_p(quantiles: Float[np.ndarray, " rows"], share: float) -> float:
    """Two-sided p of the sum of the quantiles' normal scores."""
    scores = special.ndtri(np.clip(quantiles, _FARTHEST, 1 - _FARTHEST))
    return float(2 * stats.norm.sf(abs(scores.sum()) * np.sqrt(share / len(scores))))


def runs_p(courses: Sequence[Bool[np.ndarray, " _"]]) -> float:
    """p of as few runs of one sign, of all courses together, given how many of each sign a course has.

    Wald and Wolfowitz (1940), Ann. Math. Stat. 11, 147-162; exact.
    """
    counts = [(int(c.sum()), int((~c).sum())) for c in courses]
    counts = [c for c in counts if min(c)]
    if not counts:
        return 1.0
    seen = sum(count_runs(c) for c in courses if c.any() and not c.all())
    distribution = reduce(np.convolve, [_runs_probability(*c) for c in counts])
    return float(min(1.0, distribution[: seen + 1].sum()))


def count_runs(signs: Bool[np.ndarray, " rows"]) -> int:
    """How many stretches of equal signs there are."""
    return 1 + int(np.sum(signs[1:] != signs[:-1]))


def _runs_probability(above: int, below: int) -> Float[np.ndarray, " counts"]:
    """The probability of 0, 1, 2, … runs of so many signs in random order."""
    runs = np.arange(above + below + 1)
    half = runs // 2
    even = 2 * special.binom(above - 1, half - 1) * special.binom(below - 1, half - 1)
    odd = special.binom(above - 1, half) * special.binom(below - 1, half - 1)
    odd += special.binom(above - 1, half - 1) * special.binom(below - 1, half)
    ways = np.where(runs < 2, 0.0, np.where(runs % 2 == 0, even, odd))
    return ways / ways.sum()


def longest_run(signs: Bool[np.ndarray, " rows"]) -> slice:
    """The longest stretch of equal signs."""
    ends = np.concatenate([[0], 1 + np.flatnonzero(signs[1:] != signs[:-1]), [len(signs)]])
    i = int(np.argmax(np.diff(ends)))
    return slice(int(ends[i]), int(ends[i + 1]))


__all__ = ["count_runs", "coverage_p", "location_p", "longest_run", "runs_p"]
