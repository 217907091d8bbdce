"""A calibration problem as a NumPyro model, so that everything of NumPyro's can be done with it.

Sites: each estimated parameter by its name, in its own unit; the rows of each observable by the observable's name
(`rows of <observable>` where a parameter has it), and the rows that share an integrated-out scale by
`rows of <scale>`, both observed, with values as measured. A failed simulation is a factor −∞, at the site
`failed_simulation`. A censored row has the probability of its limit, and is drawn as it would be recorded: never beyond
the limit.

The density is that of `Problem.log_density` over natural parameters: the same up to the Jacobian of the map
from z, and, for noise scales, up to the folding of z.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpyro import distributions as dist

from ...data.noise import Noise
from ...data.parameter import Parameter, effective_prior
from ...data.prior import FAMILIES
from ...data.scale import Scale
from ...models.listing import known_names
from ...models.solvers.status import Status
from .censoring import INTERVAL, recorded, uppers, with_censored
from .failures import FailureCounter, worst
from .problem import Problem
from .readout import Readout
from .row_noise import RowNoise

SiteValues = Float[Array | np.ndarray, " _"]
"""Values as measured, in the units of the measurements."""


class PriorDistribution(dist.Distribution):
    """The prior of θ, in the parameter's own unit, for NumPyro. Its density is that of `hexamer.data.Prior`."""

    pytree_aux_fields = ("prior",)

    def __init__(self, parameter: Parameter):
        self.prior = effective_prior(parameter)
        super().__init__(())

    @property
    def support(self) -> dist.constraints.Constraint:  # pyright: ignore[reportIncompatibleVariableOverride]
        prior = self.prior
        low, high = (prior.scale.convert(b, Scale.LIN) for b in prior.bounds)
        if prior.scale != "lin":
            low = max(low, 0.0)
        if FAMILIES[prior.family].folded:
            return dist.constraints.nonnegative
        if math.isinf(low):
            return dist.constraints.real if math.isinf(high) else dist.constraints.less_than(high)
        if low == 0 and math.isinf(high):
            return dist.constraints.positive
        return dist.constraints.greater_than(low) if math.isinf(high) else dist.constraints.interval(low, high)

    def sample(self, key, sample_shape=()):
        assert key is not None
        return self.icdf(jax.random.uniform(key, sample_shape))

    def icdf(self, q):
        """Quantiles, by scipy; they have no derivative."""
        prior, u = self.prior, jnp.asarray(q, float)

        def natural(u: jax.Array) -> np.ndarray:
            return np.asarray(prior.scale.natural(prior.quantile(np.asarray(u))), dtype=u.dtype)

        return jax.pure_callback(natural, jax.ShapeDtypeStruct(u.shape, u.dtype), u, vmap_method="expand_dims")

    def _inside(self, value: ArrayLike) -> Array:
        """Whether a value is in the support; on a bound of a logarithmic prior, too, whose logarithm was rounded."""
        base, (low, high) = self.prior.scale.log_base, self.prior.bounds
        if not base:
            return jnp.asarray(self.support(value))
        value = jnp.asarray(value)
        t = jnp.log(jnp.where(value > 0, value, 1.0)) / base
        return jnp.asarray((value > 0) & (t >= low) & (t <= high))

    def log_prob(self, value, intermediates=None):
        """log p(θ): the prior's on its own scale, and the slope of that scale."""
        prior, family, base = self.prior, FAMILIES[self.prior.family], self.prior.scale.log_base
        inside = self._inside(value)
        value = jnp.where(inside, value, 1.0 if base or not family.on_real_line else prior.location)
        logarithm = jnp.log(value) if base else jnp.zeros_like(value)
        t = logarithm / base if base else value
        shape = jnp.full_like(t, prior.shape or 1.0)
        density = family.log_density(t, jnp.full_like(t, prior.location), jnp.full_like(t, prior.spread), shape)
        slope = -logarithm - math.log(base) if base else 0.0
        return jnp.where(inside, density - prior.log_mass + slope, -jnp.inf)


class _FromScale(dist.transforms.Transform):
    """x ↦ b^x for the elements with a base, else x; `log_base` is ln b, 0 without."""

    def __init__(self, log_base: Float[Array, " rows"]):
        self.log_base = log_base

    @property
    def domain(self) -> dist.constraints.Constraint:
        return dist.constraints.real_vector

    @property
    def codomain(self) -> dist.constraints.Constraint:
        return dist.constraints.real_vector

    def __call__(self, x):
        logarithmic = self.log_base > 0
        return jnp.where(logarithmic, jnp.exp(jnp.where(logarithmic, x * self.log_base, 0.0)), x)

    def _inverse(self, y):
        logarithmic = self.log_base > 0
        logged = jnp.log(jnp.where(logarithmic, y, 1.0))
        return jnp.where(logarithmic, logged / jnp.where(logarithmic, self.log_base, 1.0), y)

    def log_abs_det_jacobian(self, x, y, intermediates=None):
        logarithmic = self.log_base > 0
        slope = jnp.log(jnp.where(logarithmic, self.log_base, 1.0)) + x * self.log_base
        return jnp.sum(jnp.where(logarithmic, slope, 0.0), -1)

    def tree_flatten(self):
        return (self.log_base,), (("log_base",), {})

    def eq(self, other, static=False):
        return isinstance(other, _FromScale) and bool(np.array_equal(self.log_base, other.log_base))


class _Censored(dist.Distribution):
    """Rows of `measured`, where those with a `tail` are read to a limit alone, from `limit` to `upper` in an interval.

    `on_scale` and `sd` are the means and standard deviations behind `measured`, on its scale of base e^log_base.
    """

    support = dist.constraints.real  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    pytree_data_fields = ("measured", "on_scale", "sd", "limit", "upper")
    pytree_aux_fields = ("log_base", "noise", "tail")

    def __init__(self, measured: dist.Distribution, on_scale, sd, limits, *, log_base: float, noise: Noise, tail):
        self.measured, self.on_scale, self.sd = measured, on_scale, sd
        self.limit, self.upper = limits
        self.log_base, self.noise, self.tail = log_base, noise, tuple(tail)
        super().__init__(measured.batch_shape)

    def sample(self, key, sample_shape=()):
        return recorded(
            jnp.asarray(self.measured.sample(key, sample_shape)), self.limit, self.upper, np.array(self.tail)
        )

    def log_prob(self, value, intermediates=None):
        tail = np.array(self.tail)
        limit, upper = (jnp.log(x) / self.log_base if self.log_base else x for x in (self.limit, self.upper))
        r, width = (limit - self.on_scale) / self.sd, (upper - limit) / self.sd
        inside = (tail == INTERVAL) & (value >= self.limit) & (value <= self.upper)
        beyond = ((np.abs(tail) == 1) & (tail * (value - self.limit) >= 0)) | inside
        density = jnp.asarray(self.measured.log_prob(value))
        limited = with_censored(density, r, tail, RowNoise((self.noise,), np.zeros(len(tail), int)), width)
        return jnp.where(beyond, limited, density)


def rows_of_sites(problem: Problem) -> dict[str, np.ndarray]:
    """The rows of the data set behind each observed site, as positions in `dataset.measurements`."""
    sites: dict[str, np.ndarray] = {}
    names = np.array([m.observable for m in problem.dataset.measurements])
    parameters = {p.name for p in problem.space.parameters}
    for name in problem.dataset.observables:
        if len(rows := np.flatnonzero((names == name) & (problem.nuisance.group < 0))):
            sites[f"rows of {name}" if name in parameters else name] = rows
    for i, name in enumerate(problem.nuisance.names):
        sites[f"rows of {name}"] = np.flatnonzero(problem.nuisance.group == i)
    return sites


def numpyro_model(
    problem: Problem,
    failures: FailureCounter | None = None,
    data: SiteValues | Mapping[str, SiteValues | None] | None = None,
) -> None:
    """Samples every parameter, simulates, and observes; see the module. `failures` counts simulations that fail.

    `data` takes the place of the measured values: all of them, in the order of the measurements and in their units, or
    those of some sites by name (`rows_of_sites` has the rows of each). A site whose data are None is drawn. Values may
    be traced, so that a function of them is compiled once.

    For NumPyro: `MCMC(NUTS(partial(numpyro_model, problem)), …)`, and `Predictive(partial(numpyro_model, problem), …)`
    with `data=dict.fromkeys(rows_of_sites(problem))` for replicates. Raises `ValueError` for unknown sites, and for
    values of another shape.
    """
    sampled: dict[str, Array] = {}
    for p in problem.space.parameters:
        sampled[p.name] = jnp.asarray(numpyro.sample(p.name, _prior_given(problem, p, sampled)))
    values = jnp.asarray(problem.base)
    if sampled:
        theta = jnp.stack([jnp.asarray(v, float) for v in sampled.values()])
        values = values.at[problem.position].set(_with_finite_gradient(theta))
    readout = problem.read(values)
    rows = jnp.isfinite(readout.mean) & (readout.sd > 0) & jnp.isfinite(readout.sd)
    status = worst(readout.status, jnp.all(rows))
    if failures is not None:
        failures.record(status)
    numpyro.factor("failed_simulation", jnp.where(status == Status.OK, 0.0, -jnp.inf))
    # Rows without a prediction are judged by something finite: the density is zero already.
    mean = jnp.where(rows, readout.mean, problem.measured.value)
    sd = jnp.where(rows, readout.sd, 1.0)
    _observe(problem, readout._replace(mean=mean, sd=sd), _observed(problem, data))


def _prior_given(problem: Problem, parameter: Parameter, sampled: Mapping[str, Array]) -> dist.Distribution:
    """The prior of a parameter; in a joint prior, given those of its parameters that are sampled already."""
    prior, name = parameter.prior, parameter.name
    joint = next((j for j in problem.space.joint_priors if name in j.parameters), None)
    known = [] if joint is None else [n for n in sampled if n in joint.parameters]
    if joint is None or prior is None or not known:
        return PriorDistribution(parameter)
    weights, sd = joint.given(name, known)
    others = [(problem.parameters[n].prior, sampled[n]) for n in known]
    scores = [(_on_scale(q.scale, x) - q.location) / q.spread for q, x in others if q is not None]
    mean = sum(w * s for w, s in zip(weights.tolist(), scores, strict=True))
    conditional = dist.Normal(prior.location + prior.spread * mean, prior.spread * sd)
    base = prior.scale.log_base
    if not base:
        return conditional
    return dist.TransformedDistribution(
        conditional, [dist.transforms.AffineTransform(0.0, base), dist.transforms.ExpTransform()]
    )


def _on_scale(scale: Scale, x: Array) -> Array:
    return jnp.log(x) / scale.log_base if scale.log_base else x


def _observed(
    problem: Problem, data: SiteValues | Mapping[str, SiteValues | None] | None
) -> dict[str, SiteValues | None]:
    """The values of each observed site, None if it is to be drawn."""
    sites = rows_of_sites(problem)
    measured = np.array([m.value for m in problem.dataset.measurements])
    if isinstance(data, Mapping):
        if unknown := [n for n in data if n not in sites]:
            raise ValueError(f"data of {unknown[0]!r}, which is not an observed site; {known_names(unknown[0], sites)}")
        for name, values in data.items():
            if values is not None and jnp.shape(values) != sites[name].shape:
                raise ValueError(
                    f"data of {name!r} have shape {jnp.shape(values)}: give one value for each of its "
                    f"{len(sites[name])} rows, or None to draw them"
                )
        return {n: measured[rows] for n, rows in sites.items()} | dict(data)
    if data is not None and jnp.shape(data) != measured.shape:
        raise ValueError(
            f"data have shape {jnp.shape(data)}: give one value for each of {len(measured)} measurements, in their "
            "order, or a mapping of the names of sites"
        )
    values = jnp.asarray(measured if data is None else data)
    return {n: values[rows] for n, rows in sites.items()}


def _observe(problem: Problem, readout: Readout, observed: Mapping[str, SiteValues | None]) -> None:
    assays, nuisance, tails = problem.assays, problem.nuisance, np.asarray(problem.measured.tail)
    measured, upper = np.array([m.value for m in problem.dataset.measurements]), uppers(problem.dataset)
    for site, rows in rows_of_sites(problem).items():
        mean, sd, base = readout.mean[rows], readout.sd[rows], assays.log_base[rows]
        group = nuisance.group[rows[0]]
        if group < 0:
            (noise,) = {assays.noise.kinds[k] for k in assays.noise.of_row[rows]}
            family = noise.numpyro(mean, sd)
            parts = [dist.transforms.AffineTransform(0.0, base[0]), dist.transforms.ExpTransform()]
            family = dist.TransformedDistribution(family, parts) if base[0] > 0 else family
            if np.any(tails[rows]):
                kind = {"log_base": float(base[0]), "noise": noise, "tail": tails[rows]}
                family = _Censored(family, mean, sd, (measured[rows], upper[rows]), **kind)
        else:
            # Jointly normal, ln s integrated out: covariance diag(σ²) + τ² κ κᵀ about m(s=1) + κ μ.
            slope = nuisance.slope[rows]
            family = dist.LowRankMultivariateNormal(
                mean + slope * nuisance.location[group],
                nuisance.spread[group] * jnp.asarray(slope)[:, None],
                sd**2,
            )
            if np.any(base > 0):
                family = dist.TransformedDistribution(family, _FromScale(jnp.asarray(base)))
        values = observed[site]
        numpyro.sample(site, family, obs=None if values is None else jnp.asarray(values))


@jax.custom_vjp
def _with_finite_gradient(x: Float[Array, " n"]) -> Float[Array, " n"]:
    """x; where its gradient is not finite, as after a failed simulation, it is zero."""
    return x


_with_finite_gradient.defvjp(
    lambda x: (x, None), lambda _, bar: (jnp.where(jnp.all(jnp.isfinite(bar)), bar, jnp.zeros_like(bar)),)
)
