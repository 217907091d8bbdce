"""Quantiles of rows that are left out, against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hexamer import Model, Problem
from hexamer.data import Dataset
from hexamer.infer.posterior.draw_evaluation import Evaluated
from hexamer.infer.posterior.left_out import EFFECTIVE, PARETO_K, left_out_quantiles
from hexamer.infer.posterior.row_layout import MEASUREMENT
from hexamer.infer.problem.parts import log_density_of_parts
from support.decay_posterior import decay_problem

pytestmark = pytest.mark.tier("test")


def evaluated(problem: Problem, mean: np.ndarray, sd: np.ndarray) -> Evaluated:
    """Draws with these means and standard deviations, of normal noise, without a simulation."""
    value, none = np.asarray(problem.measured.value), np.zeros((len(mean), 0))
    rows = stats.norm.logpdf(value, mean, sd) + np.asarray(problem.measured.jacobian)
    rows = log_density_of_parts(problem, mean, sd, rows, np.arange(len(problem.dataset)))
    return Evaluated(mean, sd, rows, none, none, none, np.zeros((len(mean), 1), int), none)


def test_a_normal_mean() -> None:
    """Rows N(μ, 0.1²), a flat prior: y_i given the others is normal about their mean, with variance 0.1²·n/(n−1)."""
    rng = np.random.default_rng(0)
    y = 1.0 + 0.1 * rng.normal(size=24)
    problem = decay_problem(sd="0.1").with_data(y)
    mu = y.mean() + 0.1 / np.sqrt(24) * rng.normal(size=(8000, 1))
    mean = np.broadcast_to(mu, (8000, 24))
    found = left_out_quantiles(problem, evaluated(problem, mean, np.full(mean.shape, 0.1)))
    assert found is not None
    others = (y.sum() - y) / 23
    expected = stats.norm.cdf(y, others, 0.1 * np.sqrt(24 / 23))
    np.testing.assert_allclose(found[MEASUREMENT].values, expected, atol=0.01)
    assert found.attrs[EFFECTIVE] == pytest.approx(1.0, abs=0.4)
    assert np.all(found[PARETO_K].values < 0.7)
    assert list(found["line"].values) == list(range(2, 26))


def test_far_in_the_tail() -> None:
    """No replicate lies there, yet the probability is known."""
    y = np.ones(24)
    y[3] = 1.8
    problem = decay_problem(sd="0.1").with_data(y)
    mean = np.ones((200, 24)) + 1e-3 * np.random.default_rng(0).normal(size=(200, 1))
    found = left_out_quantiles(problem, evaluated(problem, mean, np.full(mean.shape, 0.1)))
    assert found is not None
    assert found[MEASUREMENT].values[3] == pytest.approx(1.0, abs=1e-12)
    low = left_out_quantiles(problem, evaluated(problem, 2.6 + 0 * mean, np.full(mean.shape, 0.1)))
    assert low is not None
    assert low[MEASUREMENT].values[3] == pytest.approx(stats.norm.cdf(-8.0), rel=1e-6)


def test_rows_of_an_integrated_scale_are_given_its_other_rows() -> None:
    """Their residuals are those of the density of leave-one-out, and of the joint normal distribution."""
    problem = decay_problem(gels=2)
    nuisance = problem.nuisance
    rng = np.random.default_rng(1)
    residual, sd = rng.normal(size=(3, 32)), rng.uniform(0.1, 0.5, (3, 32))
    standard = nuisance.residuals_of_rows(residual, sd)
    np.testing.assert_array_equal(np.isfinite(standard), np.broadcast_to(nuisance.group >= 0, standard.shape))
    mine = np.flatnonzero(nuisance.group == 1)
    covariance = np.diag(sd[2, mine] ** 2) + nuisance.spread[1] ** 2
    for i, row in enumerate(mine):
        rest = np.delete(np.arange(len(mine)), i)
        gain = covariance[i, rest] @ np.linalg.inv(covariance[np.ix_(rest, rest)])
        middle = gain @ (residual[2, mine][rest] - nuisance.location[1]) + nuisance.location[1]
        variance = covariance[i, i] - gain @ covariance[rest, i]
        assert standard[2, row] == pytest.approx((residual[2, row] - middle) / np.sqrt(variance), rel=1e-9)


def test_the_quantile_of_a_limit_is_its_probability(decay_model: Model, decay_data: Dataset) -> None:
    rows = tuple(replace(m, censored="left" if m.row == 1 else "") for m in decay_data.measurements)
    problem = Problem(decay_model, replace(decay_data, measurements=rows))
    some = evaluated(problem, np.ones((120, 10)), np.full((120, 10), 0.3))
    some.rows[:, 0] = np.log(0.2)
    found = left_out_quantiles(problem, some)
    assert found is not None
    assert found[MEASUREMENT].values[0] == pytest.approx(0.2)
    assert left_out_quantiles(problem, some.of(slice(99))) is None
