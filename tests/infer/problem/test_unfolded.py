"""A unit normal as a unit half-normal: against scipy's quantiles, through both tails."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hexamer.infer.problem.folding import LEAST, half_normal, log_slope, normal

pytestmark = pytest.mark.tier("test")


@pytest.mark.tier("slow")
def test_quantiles_of_the_half_normal() -> None:
    u = np.linspace(-6, 35, 83)
    y = np.asarray(half_normal(jnp.asarray(u)))
    # scipy's upper quantile rounds where y is small.
    expected = np.where(u < 0, stats.halfnorm.ppf(stats.norm.cdf(u)), stats.halfnorm.isf(stats.norm.sf(u)))
    np.testing.assert_allclose(y, expected, rtol=1e-7)
    tail = np.array([-7.0, -12.0, -30.0])
    np.testing.assert_allclose(half_normal(jnp.asarray(tail)), np.sqrt(np.pi / 2) * stats.norm.cdf(tail), rtol=1e-12)


@pytest.mark.tier("slow")
def test_there_and_back() -> None:
    u = np.linspace(LEAST, 35, 101)
    np.testing.assert_allclose(normal(np.asarray(half_normal(jnp.asarray(u)))), u, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(normal(np.array([0.0, 1e-40])), LEAST)


@pytest.mark.tier("slow")
def test_slope() -> None:
    u, step = jnp.linspace(-5, 12, 35), 1e-6
    central = (half_normal(u + step) - half_normal(u - step)) / (2 * step)
    slope = jax.vmap(jax.grad(half_normal))(u)
    np.testing.assert_allclose(slope, central, rtol=1e-6)
    np.testing.assert_allclose(jnp.exp(log_slope(u, half_normal(u))), slope)
    assert jnp.all(jnp.isfinite(jax.vmap(jax.grad(half_normal))(jnp.array([-40.0, -9.0, 0.0, 37.0]))))
