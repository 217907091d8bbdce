"""The problem as a NumPyro model: the same density over natural parameters; a posterior in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro import infer
from scipy import stats

from hexamer import Model, Problem, Protocol
from hexamer.data import Dataset, Measurement, Parameter, Prior, direct
from hexamer.infer.problem.failures import FailureCounter
from hexamer.infer.problem.numpyro_bridge import PriorDistribution, numpyro_model, rows_of_sites
from hexamer.infer.problem.parameter_space import ParameterSpace
from hexamer.late_imports import part_of_numpyro
from hexamer.models import compile_network, read_antimony
from support.closed_form import with_closed_form

log_density = part_of_numpyro("infer.util").log_density
pytestmark = pytest.mark.tier("test")


def log_jacobian(problem: Problem, z: np.ndarray) -> float:
    """log |dθ/dz|, and log 2 less for each folded noise scale, of which two z are one θ."""
    slope = jax.vmap(lambda t, i: jax.grad(lambda x: problem.space.constrain(jnp.asarray(z).at[i].set(x))[i])(t))
    slopes = np.abs(np.asarray(slope(jnp.asarray(z), jnp.arange(len(z)))))
    folded = sum(p.prior is not None and p.prior.family == "half_normal" for p in problem.space.parameters)
    return float(np.sum(np.log(slopes)) - folded * math.log(2.0))


def density_of_numpyro(problem: Problem, points: np.ndarray) -> np.ndarray:
    def one(z):
        theta = problem.space.constrain(z)
        values = {n: theta[i] for i, n in enumerate(problem.space.names)}
        return log_density(partial(numpyro_model, problem), (), {}, values)[0]

    return np.asarray(jax.jit(lambda z: jax.lax.map(one, z))(jnp.asarray(points)))


FAMILIES = {
    f"{family} {scale} {bounds}": Prior(family, scale, 0.4, 0.7, *limits)
    for family in ("normal", "laplace")
    for scale in ("lin", "log", "log10")
    for bounds, limits in {
        "free": (-math.inf, math.inf),
        "above": (0.1, math.inf),
        "below": (-math.inf, 1.2),
        "both": (0.1, 1.2),
    }.items()
} | {
    "uniform lin": Prior("uniform", "lin", lower=0.2, upper=3.0),
    "uniform log": Prior("uniform", "log", lower=-2.0, upper=1.0),
    "uniform log10": Prior("uniform", "log10", lower=-2.0, upper=1.0),
    "half_normal": Prior("half_normal", spread=0.3),
    "half_cauchy": Prior("half_cauchy", spread=0.3),
    "gamma": Prior("gamma", spread=0.3, shape=2.5),
    "gamma cut": Prior("gamma", spread=0.3, shape=2.5, lower=0.2, upper=2.0),
    "cauchy below": Prior("cauchy", location=0.4, spread=0.3, upper=2.0),
    "student_t log": Prior("student_t", "log", location=0.4, spread=0.3, shape=3.0),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", FAMILIES)
def test_prior_distribution(name: str) -> None:
    """Its density is that of `ParameterSpace` with respect to θ, in its support."""
    parameter = Parameter("k", FAMILIES[name], scale="lin")
    space, distribution = ParameterSpace([parameter]), PriorDistribution(parameter)
    theta = jax.vmap(space.constrain)(jnp.linspace(-1.5, 1.5, 7)[:, None])[:, 0]
    expected = jax.vmap(space.log_prior_of_search)(theta[:, None])[:, 0]
    np.testing.assert_allclose(distribution.log_prob(theta), expected, rtol=1e-6, atol=1e-6)
    support = distribution.support
    assert support is not None
    assert np.all(support(theta))
    draws = distribution.sample(jax.random.key(1), (500,))
    assert np.all(support(draws))
    own = [float(space.constrain(space.sample(k))[0]) for k in jax.random.split(jax.random.key(2), 200)]
    assert stats.kstest(np.asarray(draws), own).pvalue > 1e-3


@pytest.mark.tier("slow")
def test_a_logarithmic_search_cuts_the_prior_at_zero() -> None:
    parameter = Parameter("k", Prior("normal", "lin", 0.4, 0.7), scale="log10")
    draws = np.asarray(PriorDistribution(parameter).sample(jax.random.key(1), (500,)))
    assert draws.min() > 0
    expected = stats.truncnorm(-0.4 / 0.7, np.inf, 0.4, 0.7)
    assert stats.kstest(draws, expected.cdf).pvalue > 1e-3


@pytest.mark.tier("slow")
@pytest.mark.parametrize("marginalise", [None, (), ("scale_2",)], ids=["all", "none", "one"])
def test_density_is_that_of_the_problem(decay: Callable[..., Problem], marginalise: tuple[str, ...] | None) -> None:
    problem = decay(marginalise=marginalise)
    points = np.random.default_rng(0).normal(size=(5, len(problem.space)))
    expected = np.asarray(jax.jit(lambda z: jax.lax.map(problem.log_density, z))(jnp.asarray(points)))
    expected = expected - np.array([log_jacobian(problem, z) for z in points])
    np.testing.assert_allclose(density_of_numpyro(problem, points), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.tier("slow")
def test_hepg2(hepg2: Problem, published_fit: dict[str, float]) -> None:
    """At the published fit, where two noise scales are zero, and beside it."""
    z = hepg2.space.unconstrain(published_fit)
    points = np.stack([z, z + 0.1 * np.random.default_rng(0).normal(size=len(z))])
    jacobian = np.array([log_jacobian(hepg2, p) for p in points])
    expected = np.asarray(jax.jit(lambda z: jax.lax.map(hepg2.log_density, z))(jnp.asarray(points))) - jacobian
    np.testing.assert_allclose(density_of_numpyro(hepg2, points), expected, rtol=1e-8)


@pytest.mark.tier("slow")
def test_sites(decay: Callable[..., Problem]) -> None:
    problem = decay()
    trace = numpyro.handlers.trace(numpyro.handlers.seed(partial(numpyro_model, problem), 0)).get_trace()
    sampled = [n for n, s in trace.items() if s["type"] == "sample" and not s["is_observed"]]
    assert tuple(sampled) == problem.space.names
    rows = rows_of_sites(problem)
    assert set(rows) == {"A_abs", "robust", "lone", "rows of scale_1", "rows of scale_2"}
    np.testing.assert_array_equal(np.sort(np.concatenate([*rows.values()])), np.arange(len(problem.dataset)))
    measured = np.array([m.value for m in problem.dataset.measurements])
    for site, at in rows.items():
        np.testing.assert_allclose(trace[site]["value"], measured[at])
    # One term a row, one for all rows of a scale.
    assert trace["A_abs"]["fn"].batch_shape == (2,)
    assert trace["rows of scale_1"]["fn"].batch_shape == ()
    assert trace["rows of scale_1"]["fn"].event_shape == (3,)


def test_replicates_are_in_the_units_of_the_measurements(decay: Callable[..., Problem]) -> None:
    """The gel's row shares a scale with rows of the qPCR: its values are positive, theirs are logarithms."""
    values = {"k": jnp.array(0.4), "a0": jnp.array(1.7), "noise": jnp.array(0.05)}
    problem = decay()
    model = numpyro.handlers.substitute(partial(numpyro_model, problem), data=values)
    drawn = infer.Predictive(model, num_samples=300)(jax.random.key(0), data=dict.fromkeys(rows_of_sites(problem)))
    rows = np.asarray(drawn["rows of scale_1"])
    log_s = rows[:, 0] * math.log(10) - math.log(1.7 * math.exp(-0.2))
    assert log_s.mean() == pytest.approx(0.1 * math.log(10), abs=0.25)
    assert np.all(rows[:, 2] > 0)
    # Both show the same scale, up to noise.
    between = np.log(rows[:, 2]) + 0.4 - (rows[:, 0] * math.log(10) + 0.2)
    assert np.abs(between).max() < 1.0


def test_data_take_the_place_of_the_measured_values(decay_model: Model, decay_data: Dataset) -> None:
    """All of them, or those of one site; in one compiled function."""
    problem = with_closed_form(decay_model, decay_data)
    values = {"k": jnp.array(0.4), "a0": jnp.array(1.7), "noise": jnp.array(0.3)}
    density = jax.jit(lambda data: log_density(partial(numpyro_model, problem, data=data), (), {}, values)[0])
    sites, measured = rows_of_sites(problem), np.array([m.value for m in decay_data.measurements])
    other = measured * np.linspace(1.1, 1.4, len(measured))
    of_other = partial(numpyro_model, problem.with_data(other))
    assert float(density(other)) == pytest.approx(float(log_density(of_other, (), {}, values)[0]), abs=1e-10)
    mixed = measured.copy()
    mixed[sites["robust"]] = 0.9
    expected = float(density(mixed))
    assert expected != pytest.approx(float(density(measured)), abs=1e-3)
    one = partial(numpyro_model, problem, data={"robust": np.full(2, 0.9)})
    assert float(log_density(one, (), {}, values)[0]) == pytest.approx(expected, abs=1e-10)
    for data, message in {
        "an unknown site": ({"robst": np.ones(2)}, "data of 'robst', which is not an observed site; .*'robust'"),
        "rows of a site": (
            {"robust": np.ones(3)},
            r"data of 'robust' have shape \(3,\): give one value for each of its 2",
        ),
        "rows": (np.ones(3), r"data have shape \(3,\): give one value for each of 10 measurements"),
    }.values():
        with pytest.raises(ValueError, match=message):
            log_density(partial(numpyro_model, problem, data=data), (), {}, values)


def test_a_failed_simulation_has_no_density(blow_up: Problem) -> None:
    failures = FailureCounter()

    def density(k):
        return log_density(partial(numpyro_model, blow_up, failures), (), {}, {"k": k})[0]

    f = jax.jit(jax.vmap(jax.value_and_grad(density)))
    values, gradients = f(jnp.array([0.3, 1.5, 2.0]))
    assert np.isfinite(values[0])
    assert np.isneginf(values[1:]).all()
    assert np.all(np.isfinite(gradients))
    assert sum(failures.take().values()) == 2


@pytest.mark.tier("slow")
def test_nuts_finds_a_posterior_in_closed_form() -> None:
    """y' = 0 from y(0) = m, read with known noise: a normal prior gives a normal posterior."""
    text = "model still; m = 1; nothing = 0; species y = m; J: y -> ; nothing*y; end"
    model = compile_network(read_antimony(text))
    readings, sd = [1.1, 0.7, 1.6, 0.9], 0.4
    data = Dataset(
        "still",
        {"y": direct("y", "y", sd=sd)},
        {"rest": Protocol("rest")},
        tuple(Measurement("y", "rest", 1.0, v) for v in readings),
        {"m": Parameter("m", Prior("normal", "lin", 0.0, 0.5))},
    )
    problem, failures = Problem(model, data), FailureCounter()
    mcmc = infer.MCMC(
        infer.NUTS(partial(numpyro_model, problem, failures)), num_warmup=150, num_samples=400, progress_bar=False
    )
    mcmc.run(jax.random.key(0))
    draws = np.asarray(mcmc.get_samples()["m"])
    precision = 1 / 0.5**2 + len(readings) / sd**2
    mean, spread = sum(readings) / sd**2 / precision, precision**-0.5
    effective = float(numpyro.diagnostics.effective_sample_size(draws[None]))
    assert effective > 50
    assert draws.mean() == pytest.approx(mean, abs=4 * spread / math.sqrt(effective))
    assert draws.std() == pytest.approx(spread, rel=4 / math.sqrt(2 * effective))
    assert failures.take() == {}
