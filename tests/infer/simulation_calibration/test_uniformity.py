"""The test of ranks: right under uniform ranks, exact for few of them, and what uneven ones are called."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, kstest, norm

from hexamer.infer.simulation_calibration.rank_shapes import advise, shape_of
from hexamer.infer.simulation_calibration.uniformity import envelope, holm, uniform_p_values

pytestmark = pytest.mark.tier("check")


def test_p_values_of_few_ranks_are_exact() -> None:
    """Four ranks of 0 to 2: all 81 sets, each with the statistic's definition."""
    n, most = 4, 2
    sets = np.array(list(product(range(most + 1), repeat=n)))

    def statistic(ranks: np.ndarray) -> float:
        share = np.arange(1, most + 1) / (most + 1)
        below = np.array([np.sum(ranks < i) for i in range(1, most + 1)])
        return float(2 * np.min([binom.cdf(below, n, share), binom.sf(below - 1, n, share)]))

    every = np.array([statistic(s) for s in sets])
    exact = np.array([np.mean(every <= g * (1 + 1e-9)) for g in every])
    np.testing.assert_allclose(uniform_p_values(sets.T, most), exact, atol=0.006)  # of 50,000 simulated sets


def test_uniform_ranks_have_uniform_p_values() -> None:
    ranks = np.random.default_rng(1).integers(0, 61, size=(100, 400))
    p = uniform_p_values(ranks, 60)
    for level in (0.01, 0.05, 0.2):
        assert binom.cdf(np.sum(p <= level), 400, level) < 0.999
    assert kstest(p, "uniform").pvalue > 0.01


def test_the_envelope_is_that_of_the_p_values() -> None:
    """A curve leaves it if and only if its p value is at most the level."""
    ranks, most, level = np.random.default_rng(2).integers(0, 41, size=(80, 300)), 40, 0.1
    low, high = envelope(80, most, level)
    share = np.array([[np.mean(column < i) for i in range(1, most + 1)] for column in ranks.T])
    outside = np.any((share < low - 1e-9) | (share > high + 1e-9), axis=1)
    np.testing.assert_array_equal(outside, uniform_p_values(ranks, most) <= level)
    assert 0 < outside.sum() < 60


def test_holm() -> None:
    p = np.array([0.02, 0.001, 0.5, 0.03])
    np.testing.assert_allclose(holm(p), [0.06, 0.004, 0.5, 0.06])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("spread", "shift", "shape"),
    [(1.5, 0, "too narrow"), (0.6, 0, "too wide"), (1, 0.5, "too low"), (1, -0.5, "too high"), (1, 0, "uneven")],
)
def test_shapes(spread: float, shift: float, shape: str) -> None:
    """The truth is normal with this spread and shift in the units of a posterior that is a unit normal."""
    truths = norm.ppf((np.arange(200) + 0.5) / 200) * spread + shift
    ranks = np.floor(norm.cdf(truths) * 51).astype(int)
    assert shape_of(ranks, 50) == shape


def test_advice_names_the_quantities() -> None:
    words = advise({"k": "too narrow", "a0": "too high", "b": "too narrow", "log likelihood": "too high"})
    assert words[0].startswith("The posterior of k, b is too narrow")
    assert words[1].startswith("The posterior of a0 is too high")
    assert words[2].startswith("The log likelihood of the truth is too often lower than those of the draws")
    assert len(words) == 3
