"""Rows that state a limit: their probability against scipy, its gradient, NumPyro's, replicates and residuals."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
import sympy
import xarray as xr
from scipy import special, stats

from hexamer import Model, Problem, Protocol
from hexamer.data import Dataset, Measurement, direct, elisa
from hexamer.data.noise import Laplace, Noise, Normal, StudentT
from hexamer.infer.plots.checks import standardised
from hexamer.infer.posterior import datatree as posterior
from hexamer.infer.posterior import read_datatree, save_datatree
from hexamer.infer.posterior.row_layout import of_rows
from hexamer.infer.problem.censoring import recordable, tails, with_censored
from hexamer.infer.problem.numpyro_bridge import PriorDistribution, numpyro_model
from hexamer.infer.problem.row_noise import RowNoise
from hexamer.late_imports import part_of_numpyro
from hexamer.models import compile_function
from support.closed_form import with_closed_form

log_density = part_of_numpyro("infer.util").log_density
pytestmark = pytest.mark.tier("test")

VALUES = {"k": 0.4, "a0": 1.7, "noise": 0.25, "scale_1": 1.2, "scale_2": 0.5}
CENSORED = {2: "left", 4: "left", 5: "right", 8: "left", 9: "right", 10: "left"}  # by row, of all kinds
LN10 = math.log(10.0)


@pytest.fixture(scope="module")
def data(decay_data: Dataset) -> Dataset:
    rows = tuple(replace(m, censored=CENSORED.get(m.row, "")) for m in decay_data.measurements)
    return replace(decay_data, measurements=rows)


@pytest.fixture(scope="module")
def problem(decay_model: Model, data: Dataset) -> Problem:
    return with_closed_form(decay_model, data)


@pytest.fixture(scope="module")
def z(problem: Problem) -> np.ndarray:
    return problem.space.unconstrain(VALUES)


def noise_of(m: Measurement) -> tuple[Any, float]:
    """The distribution of a row's value as measured, and the same of what scipy knows."""
    a = VALUES["a0"] * math.exp(-VALUES["k"] * m.time)
    s = VALUES[str(m.arguments[0])] if m.arguments else 1.0
    noise = VALUES["noise"]
    return {
        "A_abs": stats.norm(a, noise),
        "mRNA": stats.norm(math.log10(s * a), noise),
        "gel": stats.lognorm(noise, scale=s * a),
        "robust": stats.loglaplace(1 / (0.2 * LN10), scale=a),
        "lone": stats.lognorm(noise, scale=3 * a),
    }[m.observable], m.value


def test_a_limits_likelihood_is_its_probability(problem: Problem) -> None:
    """Normal, log-normal and Laplace rows with scipy's distribution functions of the value as measured."""
    expected = {"": 0.0, "left": 0.0, "right": 0.0}
    for m in problem.dataset.measurements:
        noise, value = noise_of(m)
        of = {"": noise.logpdf, "left": noise.logcdf, "right": noise.logsf}[m.censored]
        expected[m.censored] += float(of(value))
    assert all(abs(v) > 0.1 for v in expected.values())
    assert problem.evaluate(VALUES).log_likelihood == pytest.approx(sum(expected.values()), abs=1e-9)


class _Contaminated:
    """Of scipy's normals, about `mean`: 0.95 of `sd` and 0.05 of 10 times that."""

    def __init__(self, mean: float, sd: float):
        self.parts = stats.norm(mean, [sd, 10 * sd])

    def __getattr__(self, name: str) -> Any:
        return lambda x: special.logsumexp(getattr(self.parts, name)(x), b=[0.95, 0.05])


@pytest.mark.tier("slow")
@pytest.mark.parametrize(
    ("text", "family"),
    [("student_t(4)", lambda mean, sd: stats.t(4, mean, sd)), ("contaminated(0.05, 10)", _Contaminated)],
)
def test_noise_with_outliers(decay_model: Model, data: Dataset, text: str, family: Any) -> None:
    """Rows of `robust`, measured, limits and an interval, with scipy's functions, beside rows of other noise."""
    heavy = replace(data.observables["robust"], noise=text)
    rows = [replace(m, upper=0.9, censored="interval") if m.row == 9 else m for m in data.measurements]
    between = replace(data, observables={**data.observables, "robust": heavy}, measurements=tuple(rows))
    other = with_closed_form(decay_model, between)
    expected = 0.0
    for m in between.measurements:
        noise, value = noise_of(m)
        if m.observable == "robust":
            noise = family(math.log10(VALUES["a0"] * math.exp(-VALUES["k"] * m.time)), 0.2)
            value = math.log10(value)
            expected -= 0.0 if m.censored else math.log(m.value * LN10)
        if m.upper is not None:
            expected += math.log(math.exp(noise.logcdf(math.log10(m.upper))) - math.exp(noise.logcdf(value)))
            continue
        expected += float({"": noise.logpdf, "left": noise.logcdf, "right": noise.logsf}[m.censored](value))
    assert other.evaluate(VALUES).log_likelihood == pytest.approx(expected, abs=1e-9)
    theta = {n: jnp.asarray(VALUES[n]) for n in other.space.names}
    of_numpyro = log_density(partial(numpyro_model, other), (), {}, theta)[0]
    prior = sum(float(PriorDistribution(p).log_prob(theta[p.name])) for p in other.space.parameters)
    z = jnp.asarray(other.space.unconstrain(VALUES))
    assert float(of_numpyro) - prior == pytest.approx(float(other.log_likelihood(z)), abs=1e-9)


def test_chi2_counts_what_was_measured(problem: Problem) -> None:
    result = problem.evaluate(VALUES)
    r = (problem.measured.value - _on_scale(problem, result.predictions)) / result.standard_deviations
    kept = [i for i, m in enumerate(problem.dataset.measurements) if not m.censored]
    assert len(kept) == 4
    assert result.chi2 == pytest.approx(np.sum(r[kept] ** 2))


def all_normal(rows: int) -> RowNoise:
    return RowNoise((Normal(),), np.zeros(rows, int))


def _on_scale(problem: Problem, values: np.ndarray) -> np.ndarray:
    base = problem.assays.log_base
    return np.where(base > 0, np.log(np.where(base > 0, values, 1)) / np.where(base > 0, base, 1), values)


@pytest.mark.tier("slow")
def test_distribution_functions_far_out() -> None:
    """log F stays finite, with a finite slope, where F itself is zero or one."""
    r = np.array([-300.0, -39.0, -8.0, -1.0, 0.0, 1.0, 8.0, 300.0])
    families: list[tuple[Noise, Any]] = [(Normal(), stats.norm), (Laplace(), stats.laplace), (StudentT(4), stats.t(4))]
    for noise, family in families:
        f = jax.vmap(jax.value_and_grad(noise.log_distribution))
        found, slope = f(jnp.asarray(r))
        np.testing.assert_allclose(found, family.logcdf(r), rtol=1e-7, atol=1e-16)
        np.testing.assert_allclose(slope, np.exp(family.logpdf(r) - family.logcdf(r)), rtol=1e-6, atol=1e-16)


def test_gradient(problem: Problem, z: np.ndarray) -> None:
    f = jax.jit(jax.vmap(jax.value_and_grad(problem.log_density)))
    steps = 1e-4 * np.concatenate([np.eye(len(z)), -np.eye(len(z)), np.zeros((1, len(z)))])
    values, slopes = (np.asarray(x) for x in f(jnp.asarray(z + steps)))
    differences = (values[: len(z)] - values[len(z) : -1]) / 2e-4
    np.testing.assert_allclose(slopes[-1], differences, rtol=1e-6, atol=1e-6)


def test_a_scale_that_touches_a_limit_is_sampled(decay_model: Model, decay_data: Dataset, problem: Problem) -> None:
    assert problem.nuisance.names == ("scale_2",)
    assert "scale_1" in problem.space.names
    one = replace(
        decay_data,
        measurements=tuple(replace(m, censored="left" if m.row == 3 else "") for m in decay_data.measurements),
    )
    assert Problem(decay_model, one).nuisance.names == ("scale_2",)
    with pytest.raises(ValueError, match=r"cannot integrate out scale_1: .*touch no censored row"):
        Problem(decay_model, one, marginalise=["scale_1"])


@pytest.mark.tier("slow")
def test_numpyro_has_the_same_density(problem: Problem, z: np.ndarray) -> None:
    """Over natural parameters: prior and likelihood, compared where the priors agree."""
    theta = {
        n: jnp.asarray(v) for n, v in zip(problem.space.names, problem.space.constrain(jnp.asarray(z)), strict=True)
    }

    def density(theta):
        value, trace = log_density(partial(numpyro_model, problem), (), {}, theta)
        priors = [trace[n]["fn"].log_prob(theta[n]) for n in theta]
        return value - sum(priors)

    assert float(jax.jit(density)(theta)) == pytest.approx(float(problem.log_likelihood(jnp.asarray(z))), abs=1e-9)
    trace = numpyro.handlers.trace(numpyro.handlers.substitute(partial(numpyro_model, problem), data=theta)).get_trace()
    site = trace["A_abs"]["fn"]
    drawn = np.asarray(site.sample(jax.random.key(1), (400,)))
    assert drawn[:, 1].min() == 0.8  # row 2 is censored at 0.8 on the left
    assert drawn[:, 0].min() < 1.0  # row 1 is not


@pytest.fixture(scope="module")
def tree(problem: Problem, z: np.ndarray) -> xr.DataTree:
    """A posterior of one point, so that replicates show the noise alone."""
    return posterior.to_datatree(problem, np.tile(z, (2, 1500, 1)), {}, seed=1, failures={})


@pytest.mark.tier("slow")
def test_replicates_are_what_would_be_recorded(tree: xr.DataTree, problem: Problem) -> None:
    for name in ("A_abs", "gel", "robust", "lone"):
        replicated = of_rows(tree, "posterior_predictive", name)
        for i, m in enumerate(m for m in problem.dataset.measurements if m.observable == name):
            noise, limit = noise_of(m)
            values = replicated.values[..., i].ravel()
            beyond = {"": 0.0, "left": noise.cdf(limit), "right": noise.sf(limit)}[m.censored]
            assert np.mean(values == limit) == pytest.approx(beyond, abs=4 * 0.5 / math.sqrt(len(values)))
            assert m.censored != "left" or values.min() == limit
            assert m.censored != "right" or values.max() == limit


def test_a_limits_residual_is_the_middle_of_its_probability(tree: xr.DataTree, problem: Problem) -> None:
    r = standardised(problem, tree, "A_abs")
    noise, value = noise_of(problem.dataset.measurements[0])
    assert stats.norm.cdf(r[0]) == pytest.approx(noise.cdf(value), abs=0.04)
    noise, limit = noise_of(problem.dataset.measurements[1])
    assert stats.norm.cdf(r[1]) == pytest.approx(noise.cdf(limit) / 2, abs=0.03)
    r = standardised(problem, tree, "gel")
    noise, limit = noise_of(problem.dataset.measurements[4])
    assert stats.norm.cdf(r[0]) == pytest.approx(1 - noise.sf(limit) / 2, abs=0.03)


def test_observed_data_say_what_is_censored(tree: xr.DataTree, tmp_path) -> None:
    save_datatree(tree, tmp_path / "posterior.nc")
    kept = read_datatree(tmp_path / "posterior.nc")
    for each in (tree, kept):
        assert list(of_rows(each, "observed_data", "A_abs")["censored"].values) == ["", "left"]
        assert list(of_rows(each, "posterior_predictive", "robust")["censored"].values) == ["left", "right"]
        assert list(of_rows(each, "constant_data", "robust").values) == [0, 0]


def test_limits_are_open_where_a_row_was_measured() -> None:
    low, high = recordable(np.array([1.0, 2.0, 3.0]), np.array([0, -1, 1]))
    np.testing.assert_array_equal(low, [-np.inf, 2.0, -np.inf])
    np.testing.assert_array_equal(high, [np.inf, np.inf, 3.0])


@pytest.mark.tier("slow")
def test_an_analyte_that_is_not_there_yet() -> None:
    """Below detection without any: probability one, and a gradient, since a blank reads something."""
    o = elisa("IL6", "c", sd=0.1)
    mean = sympy.lambdify("c", sympy.log(o.formula), "jax")
    limit, left = math.log(1e-4), np.array([-1])

    def log_probability(c):
        return with_censored(jnp.zeros(1), (limit - mean(c))[None] / 0.1, left, all_normal(1))[0]

    value, slope = jax.vmap(jax.value_and_grad(log_probability))(jnp.array([0.0, 1e-4]))
    np.testing.assert_allclose(value, [0.0, math.log(0.5)], atol=1e-4)
    assert slope[0] == 0.0
    assert slope[1] == pytest.approx(-math.sqrt(2 / math.pi) / (0.1 * 1e-4), rel=1e-3)


def tails_of(rows: tuple[Measurement, ...]) -> np.ndarray:
    return tails(Dataset("d", {"y": direct("y", "y", sd=0.5)}, {"rest": Protocol("rest")}, rows))


@pytest.mark.tier("slow")
def test_half_of_the_samples_below_detection() -> None:
    """y = m, read 400 times with known noise; all below 1 reads `<1`. Dropping those rows, or taking the limit for
    the value, is wrong by many standard errors."""
    rng, sd, m = np.random.default_rng(0), 0.5, 0.9
    x = m + sd * rng.standard_normal(400)
    rows = tuple(
        Measurement("y", "rest", 1.0, max(v, 1.0), row=i, censored="left" if v < 1 else "") for i, v in enumerate(x)
    )
    grid = np.linspace(0.7, 1.1, 81)[:, None]
    value, tail = np.array([r.value for r in rows]), tails_of(rows)
    r = (value - grid) / sd
    density = with_censored(jnp.asarray(stats.norm.logpdf(r)), jnp.asarray(r), tail, all_normal(400))
    best = grid[int(np.argmax(density.sum(axis=1))), 0]
    assert best == pytest.approx(m, abs=3 * sd / math.sqrt(200))
    kept = [r.value for r in rows if not r.censored]
    assert np.mean(kept) - m > 8 * sd / math.sqrt(200)
    assert np.mean([r.value for r in rows]) - m > 4 * sd / math.sqrt(200)


def test_an_unknown_kind_is_refused(decay_data: Dataset) -> None:
    rows = (replace(decay_data.measurements[0], censored="below"),)
    with pytest.raises(ValueError, match=r"row 1: censored is 'below'; known: 'left', 'right'"):
        replace(decay_data, measurements=rows)
    none = replace(decay_data.measurements[7], value=0.0, censored="left")
    with pytest.raises(ValueError, match="a value on a logarithmic scale must be positive"):
        Problem(
            compile_function(lambda t, y, p: -y, species=["A"], parameters={}, initial=[1.0], name="m"),
            replace(decay_data, measurements=(none,), parameters={}),
        )
