"""Scales integrated out in closed form: against quadrature, scipy's joint normal, and the joint density."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from numpyro import distributions
from scipy import integrate, stats

import hexamer
from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior, blot, direct, qpcr
from hexamer.infer.problem.marginal_scales import Nuisance, find_nuisance

pytestmark = pytest.mark.tier("check")

LN10 = math.log(10.0)
LOG_NORMAL = Prior("normal", "log10", -0.3, 0.8)
A, S = sympy.symbols("A s")


def example(seed: int = 0) -> tuple[Nuisance, np.ndarray, np.ndarray]:
    """Two scales over nine of twelve rows, with different κ."""
    rng = np.random.default_rng(seed)
    group = np.array([0, 0, -1, 1, 0, 1, 1, -1, 0, 0, 1, -1])
    slope = np.where(group >= 0, rng.choice([1.0, 1 / LN10, -1.0], 12), 0.0)
    nuisance = Nuisance(("a", "b"), group, slope, np.array([-0.4, 0.9]), np.array([0.7, 2.5]))
    return nuisance, rng.normal(size=12), rng.uniform(0.2, 1.5, 12)


@pytest.mark.tier("test")
def test_marginal_is_the_integral_over_the_scale() -> None:
    nuisance, residual, sd = example()
    found = np.asarray(nuisance.log_density(jnp.asarray(residual), jnp.asarray(sd)))
    mean, spread = (np.asarray(m) for m in nuisance.conditional(jnp.asarray(residual), jnp.asarray(sd)))
    for g in (0, 1):
        rows = nuisance.group == g
        prior = (nuisance.location[g], nuisance.spread[g])

        def joint(log_s: float, rows=rows, prior=prior) -> float:
            at = nuisance.slope[rows] * log_s
            return float(stats.norm.pdf(log_s, *prior) * np.prod(stats.norm.pdf(residual[rows], at, sd[rows])))

        moments = [
            integrate.quad(lambda x, k=k: x**k * joint(x), -15, 15, epsabs=0, epsrel=1e-11, limit=400)[0]
            for k in (0, 1, 2)
        ]
        assert found[g] == pytest.approx(math.log(moments[0]), abs=1e-9)
        assert mean[g] == pytest.approx(moments[1] / moments[0], abs=1e-8)
        variance = moments[2] / moments[0] - (moments[1] / moments[0]) ** 2
        assert spread[g] == pytest.approx(math.sqrt(variance), rel=1e-6)


@pytest.mark.tier("test")
def test_marginal_is_a_joint_normal() -> None:
    nuisance, residual, sd = example(seed=1)
    found = np.asarray(nuisance.log_density(jnp.asarray(residual), jnp.asarray(sd)))
    for g in (0, 1):
        rows = nuisance.group == g
        k, loc = nuisance.slope[rows], nuisance.slope[rows] * nuisance.location[g]
        covariance = np.diag(sd[rows] ** 2) + nuisance.spread[g] ** 2 * np.outer(k, k)
        assert found[g] == pytest.approx(stats.multivariate_normal(loc, covariance).logpdf(residual[rows]))
        low_rank = distributions.LowRankMultivariateNormal(loc, nuisance.spread[g] * k[:, None], sd[rows] ** 2)
        assert found[g] == pytest.approx(float(low_rank.log_prob(residual[rows])))


def joint_normal(nuisance: Nuisance, g: int, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, mean and covariance of the rows of a scale."""
    rows = np.flatnonzero(nuisance.group == g)
    k = nuisance.slope[rows]
    covariance = np.diag(sd[rows] ** 2) + nuisance.spread[g] ** 2 * np.outer(k, k)
    return rows, k * nuisance.location[g], covariance


def test_each_row_given_the_others() -> None:
    """By the precision matrix Q: a normal about y − g/q with variance 1/q, where g = Q r and q = diag Q."""
    nuisance, residual, sd = example(seed=2)
    each = np.arange(len(residual))
    found = nuisance.log_density_of_parts(residual, sd, each, len(each))
    assert np.all(found[nuisance.group < 0] == 0)
    for g in (0, 1):
        rows, mean, covariance = joint_normal(nuisance, g, sd)
        precision = np.linalg.inv(covariance)
        at, variance = precision @ (residual[rows] - mean), 1 / np.diag(precision)
        expected = stats.norm.logpdf(residual[rows], residual[rows] - at * variance, np.sqrt(variance))
        np.testing.assert_allclose(found[rows], expected, rtol=1e-10)


def test_parts_given_the_rest() -> None:
    """Any parts of the rows: the joint density of all rows over that of the rows outside."""
    nuisance, residual, sd = example(seed=3)
    part = np.array([2, 0, 1, 0, 2, 0, 1, 1, 0, 2, 3, 3])
    found = nuisance.log_density_of_parts(residual, sd, part, 4)
    expected = np.zeros(4)
    for g in (0, 1):
        rows, mean, covariance = joint_normal(nuisance, g, sd)
        for p in range(4):
            rest = part[rows] != p
            log_density: Any = stats.multivariate_normal.logpdf
            outside = log_density(residual[rows][rest], mean[rest], covariance[np.ix_(rest, rest)])
            expected[p] += log_density(residual[rows], mean, covariance) - outside
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    whole = nuisance.log_density_of_parts(residual, sd, np.zeros(12, int), 1)
    joint = nuisance.log_density(jnp.asarray(residual), jnp.asarray(sd)).sum()
    np.testing.assert_allclose(whole, [joint], rtol=1e-12)


def dataset(*observables: Observable, arguments: dict[str, tuple[str | float, ...]] | None = None) -> Dataset:
    given = arguments or {}
    measurements = tuple(
        Measurement(o.name, "p", t, 0.5, given.get(o.name, ("k",) * len(o.placeholders)))
        for o in observables
        for t in (1.0, 2.0)
    )
    return Dataset("d", {o.name: o for o in observables}, {"p": hexamer.Protocol("p")}, measurements)


def found(data: Dataset, prior: Prior = LOG_NORMAL, **options) -> Nuisance:
    return find_nuisance(data, [Parameter("k", prior)], None, **options)


def scaled(formula: sympy.Expr, spread: sympy.Expr | float = 0.1, **options) -> Observable:
    return Observable("o", formula, sympy.sympify(spread), ("s",), **options)


@pytest.mark.parametrize(
    ("observable", "slope"),
    [
        (qpcr("q", "A", sd="noise"), 1 / LN10),
        (scaled(S * A, scale="log"), 1.0),
        (scaled(S * A, scale="log10"), 1 / LN10),
        (scaled(A / S**2, scale="log"), -2.0),
        (scaled(S * A, sympy.Symbol("noise") * A, scale="log"), 1.0),  # noise may depend on the state
    ],
    ids=["qpcr", "log", "log10", "power", "noise of the state"],
)
def test_scales_that_can_be_integrated_out(observable: Observable, slope: float) -> None:
    nuisance = found(dataset(observable))
    assert nuisance.names == ("k",)
    np.testing.assert_allclose(nuisance.slope, slope)
    assert nuisance.location[0] == pytest.approx(-0.3 * LN10)
    assert nuisance.spread[0] == pytest.approx(0.8 * LN10)


TWICE = Observable("o", sympy.log(S * sympy.Symbol("r") * A), sympy.Float(0.1), ("s", "r"))
REFUSED = {
    "linear scale": (dataset(scaled(S * A)), LOG_NORMAL),
    "blot": (dataset(blot("b", "A", sd="noise", sd_rel="rel")), LOG_NORMAL),
    "offset": (dataset(scaled(S * A + 1, scale="log")), LOG_NORMAL),
    "noise with the scale": (dataset(scaled(S * A, 0.1 * S * A, scale="log")), LOG_NORMAL),
    "laplace": (dataset(scaled(S * A, scale="log", noise="laplace")), LOG_NORMAL),
    "no scale": (dataset(direct("d", "A", scale="log")), LOG_NORMAL),
    "in a formula": (dataset(scaled(S * A, scale="log"), direct("d", "A*k", sd=1)), LOG_NORMAL),
    "another observable": (dataset(scaled(S * A, scale="log"), blot("b", "A", sd="noise")), LOG_NORMAL),
    "twice in a row": (dataset(TWICE), LOG_NORMAL),
    "bounded prior": (dataset(scaled(S * A, scale="log")), replace(LOG_NORMAL, upper=1.0)),
    "normal prior": (dataset(scaled(S * A, scale="log")), Prior("normal", "lin", 1.0, 0.1)),
    "laplace prior": (dataset(scaled(S * A, scale="log")), Prior("laplace", "log")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_scales_that_cannot(case: str) -> None:
    data, prior = REFUSED[case]
    assert found(data, prior).names == ()
    with pytest.raises(ValueError, match="cannot integrate out k: each must be"):
        find_nuisance(data, [Parameter("k", prior)], ["k"])


def test_a_scale_that_the_model_or_a_protocol_uses_is_kept() -> None:
    data = dataset(scaled(S * A, scale="log"))
    assert found(data, elsewhere=["k"]).names == ()
    dosed = replace(data, protocols={"p": hexamer.Protocol("p").set(IL6="k")})
    assert found(dosed).names == ()


def test_of_two_scales_of_one_row_one_is_integrated_out() -> None:
    data = dataset(TWICE, arguments={"o": ("k", "g")})
    both = [Parameter("k", LOG_NORMAL), Parameter("g", LOG_NORMAL)]
    assert find_nuisance(data, both, None).names == ("k",)
    assert find_nuisance(data, both, ["g"]).names == ("g",)
    assert find_nuisance(data, both, []).names == ()
    with pytest.raises(ValueError, match="cannot integrate out g: "):
        find_nuisance(data, both, ["k", "g"])
    with pytest.raises(ValueError, match="cannot integrate out nobody: "):
        find_nuisance(data, both, ["nobody"])


def test_a_fixed_scale_is_kept() -> None:
    assert find_nuisance(dataset(scaled(S * A, scale="log")), [], None).names == ()
