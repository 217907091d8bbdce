"""The likelihood of parts of the data given the rest, on the scale of the measurements."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hexamer import Problem
from hexamer.infer.problem.parts import log_density_of_parts
from hexamer.infer.problem.readout import Readout

pytestmark = pytest.mark.tier("test")


def test_rows_and_protocols(decay: Callable[..., Problem]) -> None:
    """Rows in log, log10 and on the line, of which five share two scales, against scipy's conditional normals."""
    problem = decay()
    nuisance, measured = problem.nuisance, problem.measured
    each = np.arange(len(problem.dataset))
    part = (each % 3 == 0).astype(int)

    def both(mean, sd):
        readout = Readout(mean, sd, jnp.zeros(1, int), jnp.ones(1, int))
        terms = problem.terms_of(readout)
        return jnp.sum(terms.rows) + jnp.sum(terms.scales), terms.rows

    rng = np.random.default_rng(0)
    mean, sd = rng.normal(size=len(each)), rng.uniform(0.2, 0.6, len(each))
    total, alone = (np.asarray(x) for x in jax.jit(both)(mean, sd))
    rows, parts, whole = (log_density_of_parts(problem, mean, sd, alone, p) for p in (each, part, np.zeros_like(each)))
    np.testing.assert_allclose(whole, [total], rtol=1e-12)
    free = nuisance.group < 0
    np.testing.assert_allclose(rows[free], alone[free], rtol=1e-14)
    expected = np.bincount(part, np.where(free, alone, 0.0))
    for g in range(len(nuisance)):
        of_scale = np.flatnonzero(nuisance.group == g)
        k, y = nuisance.slope[of_scale], measured.value[of_scale]
        covariance = np.diag(sd[of_scale] ** 2) + nuisance.spread[g] ** 2 * np.outer(k, k)
        centre = mean[of_scale] + k * nuisance.location[g]

        def log_density(chosen, covariance=covariance, centre=centre, y=y):
            chosen = np.flatnonzero(chosen)
            normal = stats.multivariate_normal(centre[chosen], covariance[np.ix_(chosen, chosen)])
            return normal.logpdf(y[chosen]) if len(chosen) else 0.0

        every = np.ones(len(y), bool)
        for j, i in enumerate(of_scale):
            others = np.arange(len(y)) != j
            given = log_density(every) - log_density(others) + measured.jacobian[i]
            assert rows[i] == pytest.approx(given, abs=1e-10)
        for p in (0, 1):
            inside = part[of_scale] == p
            expected[p] += log_density(every) - log_density(~inside) + measured.jacobian[of_scale][inside].sum()
    np.testing.assert_allclose(parts, expected, rtol=1e-10)
