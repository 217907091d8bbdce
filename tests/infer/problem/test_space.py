"""Priors over the unconstrained vector: every family × scale × bounds × search scale.

Oracles: scipy's densities of t = scale(θ), cut to the bounds and renormalised by quadrature, times |dt/dz| by
central differences of the map.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from hexamer.data import Parameter, Prior, Scale
from hexamer.infer.problem.parameter_space import ParameterSpace

pytestmark = pytest.mark.tier("test")

LN = {"lin": 1.0, "log": 1.0, "log10": math.log(10.0)}
PRIORS = {
    **{
        f"{family} {scale} {bounds}": Prior(family, scale, 0.4, 0.7, *limits)
        for family in ("normal", "laplace")
        for scale in ("lin", "log", "log10")
        for bounds, limits in {
            "free": (-math.inf, math.inf),
            "above": (0.1, math.inf),
            "below": (-math.inf, 1.2),
            "both": (0.1, 1.2),
            "far tail": (7.0, 9.0),
        }.items()
    },
    "uniform lin": Prior("uniform", "lin", lower=0.2, upper=3.0),
    "uniform lin across zero": Prior("uniform", "lin", lower=-1.0, upper=3.0),
    "uniform log": Prior("uniform", "log", lower=-2.0, upper=1.0),
    "uniform log10": Prior("uniform", "log10", lower=-2.0, upper=1.0),
    "half_normal": Prior("half_normal", spread=0.3),
    "half_cauchy": Prior("half_cauchy", spread=0.3),
    "exponential": Prior("exponential", spread=0.3),
    "exponential cut": Prior("exponential", spread=0.3, lower=0.1, upper=0.9),
    "gamma": Prior("gamma", spread=0.3, shape=2.5),
    "gamma far tail": Prior("gamma", spread=0.3, shape=2.5, lower=7.0, upper=9.0),
    "inverse_gamma": Prior("inverse_gamma", spread=0.3, shape=2.5),
    "rayleigh": Prior("rayleigh", spread=0.3),
    "rayleigh above": Prior("rayleigh", spread=0.9, lower=0.1),
    "cauchy": Prior("cauchy", location=0.4, spread=0.3),
    "student_t log10 below": Prior("student_t", "log10", location=0.4, spread=0.3, shape=3.0, upper=1.2),
    "student_t": Prior("student_t", location=0.4, spread=0.3, shape=3.0),
    "student_t log": Prior("student_t", "log", location=0.4, spread=0.3, shape=3.0, lower=0.1),
}
OF_SCIPY = {
    "half_cauchy": lambda p: stats.halfcauchy(scale=p.spread),
    "exponential": lambda p: stats.expon(scale=p.spread),
    "gamma": lambda p: stats.gamma(p.shape, scale=p.spread),
    "inverse_gamma": lambda p: stats.invgamma(p.shape, scale=p.spread),
    "rayleigh": lambda p: stats.rayleigh(scale=p.spread),
    "cauchy": lambda p: stats.cauchy(p.location, p.spread),
    "student_t": lambda p: stats.t(p.shape, p.location, p.spread),
}
SEARCHES: tuple[Scale | None, ...] = (None, *Scale)
CASES = [pytest.param(p, s, id=f"{n}, search {s}") for n, p in PRIORS.items() for s in SEARCHES]


def to_t(prior: Prior, theta: np.ndarray) -> np.ndarray:
    return theta if prior.scale == "lin" else np.log(theta) / LN[prior.scale]


def theta_of(space: ParameterSpace, z: np.ndarray) -> np.ndarray:
    return np.asarray(jax.vmap(space.constrain)(jnp.asarray(z)[:, None]))[:, 0]


def density_of_t(parameter: Parameter, t: np.ndarray) -> np.ndarray:
    """scipy's density of scale(θ), cut to the bounds and, for a logarithmic search, to θ > 0."""
    prior = parameter.prior
    assert prior is not None
    lower = prior.lower
    if prior.scale == "lin" and (parameter.scale or "lin") != "lin":
        lower = max(lower, 0.0)
    if prior.family == "half_normal":
        return stats.halfnorm.pdf(t, scale=prior.spread)
    if prior.family == "uniform":
        return stats.uniform.pdf(t, lower, prior.upper - lower)
    if prior.family in OF_SCIPY:
        frozen: Any = OF_SCIPY[prior.family](prior)
        mass = frozen.cdf(prior.upper) - frozen.cdf(lower) if lower < 5 else frozen.sf(lower) - frozen.sf(prior.upper)
        return np.where((t > lower) & (t < prior.upper), frozen.pdf(t) / mass, 0.0)
    family = stats.norm if prior.family == "normal" else stats.laplace
    shape = (prior.location, prior.spread)
    near = (
        max(lower, prior.location - 40 * prior.spread),
        min(prior.upper, prior.location + 40 * prior.spread),
    )
    middle = [prior.location] if near[0] < prior.location < near[1] else None
    mass, _ = integrate.quad(family.pdf, *near, args=shape, points=middle, epsabs=0, limit=200)
    return np.where((t > lower) & (t < prior.upper), family.pdf(t, *shape) / mass, 0.0)


def draws(parameter: Parameter, count: int, seed: int) -> np.ndarray:
    space = ParameterSpace([parameter])
    z = [float(space.sample(key)[0]) for key in jax.random.split(jax.random.key(seed), count)]
    return theta_of(space, np.array(z))


@pytest.mark.tier("slow")
@pytest.mark.parametrize(("prior", "search"), CASES)
def test_round_trip(prior: Prior, search: Scale | None) -> None:
    space = ParameterSpace([Parameter("k", prior, scale=search)])
    z = np.linspace(-3, 3, 13)
    if prior.family == "half_normal" and search in (None, "lin"):
        z = np.abs(z)  # folded: the sign is not kept
    back = np.array([space.unconstrain({"k": v})[0] for v in theta_of(space, z)])
    np.testing.assert_allclose(back, z, rtol=1e-8, atol=1e-8)


@pytest.mark.tier("slow")
@pytest.mark.parametrize(("prior", "search"), CASES)
def test_log_prior_is_scipys_density_times_the_jacobian(prior: Prior, search: Scale | None) -> None:
    parameter = Parameter("k", prior, scale=search)
    space = ParameterSpace([parameter])
    z, step = np.array([-1.3, -0.2, 0.45, 0.8]), 1e-5
    t = to_t(prior, theta_of(space, np.concatenate([z - step, z, z + step]))).reshape(3, -1)
    slope = np.abs(t[2] - t[0]) / (2 * step)
    if prior.family == "half_normal" and search in (None, "lin"):
        slope /= 2  # two z are one θ
    expected = np.log(density_of_t(parameter, t[1]) * slope)
    np.testing.assert_allclose(jax.vmap(space.log_prior)(jnp.asarray(z)[:, None]), expected, atol=1e-6)


@pytest.mark.tier("slow")
@pytest.mark.parametrize(("prior", "search"), CASES)
def test_log_prior_integrates_to_one(prior: Prior, search: Scale | None) -> None:
    space = ParameterSpace([Parameter("k", prior, scale=search)])
    heavy = prior.family in ("cauchy", "student_t")  # of which 1 % lies beyond 60
    z = np.sinh(np.linspace(-14, 14, 60_001)) if heavy else np.linspace(-60, 60, 60_001)
    density = np.exp(np.asarray(jax.vmap(space.log_prior)(jnp.asarray(z)[:, None])))
    assert integrate.trapezoid(density, z) == pytest.approx(1.0, abs=2e-5)


@pytest.mark.tier("slow")
@pytest.mark.parametrize(("prior", "search"), CASES)
def test_mode_density_is_with_respect_to_the_search_scale(prior: Prior, search: Scale | None) -> None:
    parameter = Parameter("k", prior, scale=search)
    space = ParameterSpace([parameter])
    base = search or prior.scale
    for z in (-0.7, 0.3):
        theta = np.array(float(space.constrain(jnp.array([z]))[0]))
        # dt/dx through θ: θ' = 1 or θ ln b
        dtheta_dx = 1.0 if base == "lin" else theta * LN[base]
        dt_dtheta = 1.0 if prior.scale == "lin" else 1 / (theta * LN[prior.scale])
        expected = np.log(density_of_t(parameter, to_t(prior, theta)) * dtheta_dx * dt_dtheta)
        assert float(space.log_prior_mode(jnp.array([z]))) == pytest.approx(float(expected), abs=1e-9)


@pytest.mark.tier("slow")
@pytest.mark.parametrize(
    ("name", "search"),
    [(n, None) for n in PRIORS]
    + [("normal lin free", "log"), ("uniform lin across zero", "log10"), ("half_normal", "log")],
)
def test_draws_follow_the_prior(name: str, search: Scale | None) -> None:
    prior = PRIORS[name]
    parameter = Parameter("k", prior, scale=search)
    t = to_t(prior, draws(parameter, 400, seed=3))
    grid = np.linspace(t.min() - 3, t.max() + 3, 20_001)
    mass = integrate.cumulative_trapezoid(density_of_t(parameter, grid), grid, initial=0.0)
    assert stats.kstest(t, lambda v: np.interp(v, grid, mass)).pvalue > 1e-3


@pytest.mark.tier("slow")
def test_a_prior_without_bounds_is_a_unit_normal_over_z() -> None:
    priors = [Prior("normal", s, -1.2, 0.4) for s in ("lin", "log", "log10")]
    parameters = [Parameter(f"k{i}", p) for i, p in enumerate(priors)]
    parameters.append(Parameter("crossed", Prior("normal", "log", -1.2, 0.4), scale="log10"))
    z = jnp.array([0.3, -1.0, 2.0, 0.7])
    expected = stats.norm.logpdf(np.asarray(z)).sum()
    assert float(ParameterSpace(parameters).log_prior(z)) == pytest.approx(float(expected))


@pytest.mark.tier("slow")
def test_folded_half_normal_is_symmetric_and_smooth_at_zero() -> None:
    space = ParameterSpace([Parameter("sd", PRIORS["half_normal"])])

    def density(z):
        return space.log_prior(z[None])

    z = jnp.linspace(0.0, 3.0, 7)
    np.testing.assert_array_equal(jax.vmap(density)(z), jax.vmap(density)(-z))
    np.testing.assert_array_equal(space.constrain(jnp.array([-1.5])), space.constrain(jnp.array([1.5])))
    assert space.unconstrain({"sd": 0.0})[0] == 0.0
    assert float(jax.grad(density)(jnp.array(0.0))) == 0.0
    np.testing.assert_allclose(jax.vmap(jax.grad(density))(z), -z, atol=1e-12)
    # What noise does with it, θ², is smooth too.
    assert float(jax.grad(lambda z: space.constrain(z[None])[0] ** 2)(jnp.array(0.0))) == 0.0


@pytest.mark.tier("slow")
def test_unfolded_every_standardised_prior_is_a_unit_normal() -> None:
    priors = [Prior("half_normal", spread=0.3), Prior("normal", "log10", -1.2, 0.4), Prior("half_normal", spread=7.0)]
    space = ParameterSpace([Parameter(f"k{i}", p) for i, p in enumerate(priors)])

    def density(u):
        return space.log_prior(space.fold(u)) + space.log_slope(u)

    u = jnp.asarray(np.random.default_rng(1).normal(scale=2.0, size=(50, 3)))
    np.testing.assert_allclose(jax.vmap(density)(u), stats.norm.logpdf(u).sum(1))
    np.testing.assert_allclose(jax.vmap(jax.grad(density))(u), -u, atol=1e-9)
    z = np.asarray(space.fold(u))
    np.testing.assert_allclose(space.unfold(z), u, atol=1e-9)
    np.testing.assert_allclose(space.unfold(z * [-1.0, 1.0, -1.0]), u, atol=1e-9)  # both signs are one scale
    np.testing.assert_array_equal(z[:, 1], u[:, 1])


def test_gradient_of_the_log_prior() -> None:
    cases: list[tuple[Prior, Scale | None]] = [(p, s) for p in PRIORS.values() for s in SEARCHES]
    parameters = [Parameter(f"k{i}", p, scale=s) for i, (p, s) in enumerate(cases)]
    space = ParameterSpace(parameters)
    z = jnp.asarray(np.random.default_rng(1).normal(size=len(space)))
    step = 1e-5
    both = jnp.eye(len(space)) * step
    f = jax.jit(jax.vmap(space.log_prior))
    central = (f(z[None, :] + both) - f(z[None, :] - both)) / (2 * step)
    np.testing.assert_allclose(jax.jit(jax.grad(space.log_prior))(z), central, rtol=1e-4, atol=1e-4)


def test_values_outside_are_all_named() -> None:
    space = ParameterSpace(
        [
            Parameter("at_lower", PRIORS["uniform lin"]),
            Parameter("at_upper", PRIORS["normal lin both"]),
            Parameter("negative", Prior("normal", "log")),
            Parameter("zero", Prior("normal", "log10")),
            Parameter("noise", PRIORS["half_normal"]),
            Parameter("fine", Prior("normal")),
        ]
    )
    values = {"at_lower": 0.2, "at_upper": 1.2, "negative": -1.0, "zero": 0.0, "noise": -0.1, "fine": 3.0}
    with pytest.raises(ValueError, match="outside the support") as error:
        space.unconstrain(values)
    for name in values:
        assert (name in str(error.value)) == (name != "fine")
    with pytest.raises(ValueError, match="no value for negative, fine"):
        space.unconstrain({n: v for n, v in values.items() if n not in ("negative", "fine")})


def test_a_logarithmic_search_of_a_prior_below_zero_is_refused() -> None:
    prior = Prior("uniform", lower=-2.0, upper=-1.0)
    with pytest.raises(ValueError, match="k is searched on a logarithmic scale"):
        ParameterSpace([Parameter("k", prior, scale="log10")])
    assert len(ParameterSpace([replace(Parameter("k", prior), scale="lin")])) == 1


def test_an_empty_space() -> None:
    space = ParameterSpace([])
    z = space.unconstrain({})
    assert z.shape == (0,)
    assert float(space.log_prior(jnp.asarray(z))) == 0.0
    assert space.sample(jax.random.key(0)).shape == (0,)
