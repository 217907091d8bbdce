"""Whitening by draws: NumPyro's windows, and covariances of few draws and of many."""

from __future__ import annotations

import numpy as np
import pytest

from hexamer.infer.optimisation.whitening import first_window, spread, windows

pytestmark = pytest.mark.tier("check")


def test_windows_are_those_of_stan() -> None:
    found = windows(1000)
    assert found == {100: slice(75, 100), 150: slice(100, 150), 250: slice(150, 250)} | {
        450: slice(250, 450),
        950: slice(450, 950),
    }
    assert windows(10) == {}
    assert windows(40) == {36: slice(6, 36)}


@pytest.mark.parametrize("count", [1, 7])
def test_many_draws_are_whitened(count: int) -> None:
    rng = np.random.default_rng(1)
    mixed = rng.normal(size=(count, count)) + 2 * np.eye(count)
    w = 3.0 + rng.normal(size=(200_000, count)) @ mixed.T
    factor = spread(w)
    np.testing.assert_array_equal(factor, np.tril(factor))
    np.testing.assert_allclose(np.cov(np.linalg.solve(factor, w.T)), np.eye(count).squeeze(), atol=1e-2)


def test_few_draws_of_many_parameters() -> None:
    """Fewer draws than parameters: no direction is taken to be far narrower, or wider, than it is."""
    w = np.random.default_rng(2).normal(size=(30, 60))
    widths = np.linalg.svd(spread(w), compute_uv=False)
    assert widths.min() > 0.5
    assert widths.max() < 2.0


def test_a_parameter_that_stands_still() -> None:
    w = np.random.default_rng(3).normal(size=(100, 2)) * [1.0, 0.0]
    assert np.all(np.isfinite(spread(w)))
    assert spread(w)[1, 1] == pytest.approx(np.sqrt(5e-3 / 105))


def test_the_first_window_begins_after_the_search_for_a_step_size() -> None:
    """Failed solves before it are not reported."""
    assert (first_window(1000), first_window(40), first_window(10)) == (75, 6, 10)
