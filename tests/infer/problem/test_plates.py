"""Ratios to the untreated wells of a plate are read through the plate's scale: the same likelihood, exactly."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior, blot_ratio, elisa, luciferase, qpcr
from hexamer.infer.problem.marginal_scales import find_nuisance
from hexamer.models import Protocol

pytestmark = pytest.mark.tier("check")

LN10 = np.log(10.0)


def plate(o: Observable, values: np.ndarray) -> Dataset:
    rows = tuple(
        Measurement(o.name, "p", float(t), float(v), ("s",) + (0.2,) * (len(o.placeholders) - 1))
        for t, v in enumerate(values)
    )
    return Dataset("plate", {o.name: o}, {"p": Protocol("p")}, rows)


@pytest.mark.parametrize(
    "o", [luciferase("fold", "u", sd=0.2), qpcr("ddct", "u", sd=0.2 / LN10), blot_ratio("r", "u", "t", sd=0.2)]
)
def test_a_plates_scale_is_the_division_by_its_untreated_wells(o: Observable) -> None:
    """Over models, the marginal likelihood differs as that of ln(v/v₀), whose errors share the one of v₀."""
    rng, n, sd = np.random.default_rng(0), 6, 0.2
    models = np.log(rng.uniform(1, 20, size=(3, n)))  # ln u of three parameter sets; row 0 is untreated
    y = models[0] - models[0, 0] + sd * rng.normal(size=n)
    y -= y[0]  # fold induction: the untreated well reads 1
    data = plate(o, np.exp(y))
    nuisance = find_nuisance(data, [Parameter("s", Prior("normal", "log", 0.0, 1e4))], None)
    assert nuisance.names == ("s",)
    unit = 1 / LN10 if o.name == "ddct" else 1.0  # a qPCR is in log10
    marginal = [float(nuisance.log_density(jnp.asarray(unit * (y - m)), jnp.full(n, unit * sd))[0]) for m in models]
    ratio = stats.multivariate_normal(np.zeros(n - 1), sd**2 * (np.eye(n - 1) + 1))  # pyright: ignore[reportArgumentType]
    ratios = [ratio.logpdf(y[1:] - y[0] - (m[1:] - m[0])) for m in models]
    np.testing.assert_allclose(np.diff(marginal), np.diff(ratios), rtol=1e-5)


def test_dividing_the_model_by_its_untreated_value_is_too_sure() -> None:
    """Of ln fold, common to all treated wells, it claims n times the information: v₀ errs once, not n − 1 times."""
    n, sd, h = 6, 0.2, 0.1
    nuisance = find_nuisance(
        plate(luciferase("fold", "u", sd=sd), np.ones(n)), [Parameter("s", Prior("normal", "log", 0.0, 1e4))], None
    )
    fold = np.append(0.0, np.ones(n - 1))
    marginal, exact = [], []
    for x in (-h, 0.0, h):
        marginal.append(float(nuisance.log_density(jnp.asarray(-x * fold), jnp.full(n, sd))[0]))
        exact.append(stats.norm.logpdf(-x * fold[1:], 0.0, sd).sum())
    information = [-(a - 2 * b + c) / h**2 for a, b, c in (marginal, exact)]
    assert information[0] == pytest.approx((n - 1) / n / sd**2, rel=1e-5)
    assert information[1] / information[0] == pytest.approx(n, rel=1e-5)


def test_a_plates_error_of_its_standards_is_integrated_out() -> None:
    data = plate(elisa("IL6", "c", scale=None), np.array([1.0, 2.0, 3.0]))
    prior = Parameter("s", Prior("normal", "log", 0.0, 0.1))
    assert find_nuisance(data, [prior], None).names == ("s",)
    limits = (*data.measurements[:2], Measurement("IL6", "p", 2.0, 0.5, ("s", 0.2), censored="left"))
    censored = Dataset("plate", data.observables, data.protocols, limits)
    assert find_nuisance(censored, [prior], None).names == ()
