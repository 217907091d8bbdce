"""Log weights with equal values: ArviZ refuses a tail of them."""

from __future__ import annotations

import numpy as np
import pytest
from arviz_stats.base import array_stats

from hexamer.infer.posterior.ties import without_ties

pytestmark = pytest.mark.tier("check")


@pytest.mark.parametrize("highest", [-3.0, -0.5, 0.4])
def test_a_tail_of_equal_values_can_be_smoothed(highest: float) -> None:
    """All draws, or the most likely ones, have the same density, as under a uniform prior or beyond a limit."""
    terms = np.minimum(np.random.default_rng(1).normal(size=1000), highest)
    with pytest.raises(ValueError, match="tail values are the same"):
        array_stats.psislw(-terms)
    apart = without_ties(terms)
    assert np.max(np.abs(apart - terms)) <= 1e-9
    assert np.isfinite(array_stats.psislw(-apart)[1])


def test_others_stay_as_they_are() -> None:
    terms = np.random.default_rng(1).normal(size=(2, 1000))
    terms[:, 5] = terms[:, 4]  # a step of the sampler that was rejected
    terms[1] = 2.0
    apart = without_ties(terms)
    np.testing.assert_array_equal(apart[0], terms[0])
    assert len(np.unique(apart[1])) == 1000
