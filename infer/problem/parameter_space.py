"""The estimated parameters as one unconstrained vector z, and their priors as a density over it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...data.joint_prior import JointPrior
from ...data.parameter import Parameter, effective_prior
from ...data.prior import FAMILIES, Family, Prior
from ...data.scale import Scale
from .folding import half_normal, log_slope, normal

Z = Float[Array, " parameters"]
_AFFINE, _INTERVAL, _ABOVE, _BELOW, _FOLDED = range(5)


def search_bounds(parameter: Parameter) -> tuple[float, float] | None:
    """Bounds on the search scale, where there are two."""
    prior = effective_prior(parameter)
    scale = parameter.search_scale
    lower, upper = (prior.scale.convert(b, scale) for b in prior.bounds)
    return (lower, upper) if math.isfinite(lower) and math.isfinite(upper) else None


@dataclass(frozen=True, eq=False)
class _SearchMap:
    """One parameter's numbers; see `ParameterSpace`."""

    kind: int
    centre: float
    width: float
    lower: float
    upper: float


def _search_map(parameter: Parameter) -> _SearchMap:
    prior = effective_prior(parameter)
    scale = parameter.search_scale
    centre, width = prior.typical
    if FAMILIES[prior.family].folded and scale == "lin":
        return _SearchMap(_FOLDED, 0.0, width, 0.0, math.inf)
    lower, upper = (prior.scale.convert(b, scale) for b in prior.bounds)
    bounded = math.isfinite(lower), math.isfinite(upper)
    kind = {(False, False): _AFFINE, (True, True): _INTERVAL, (True, False): _ABOVE, (False, True): _BELOW}
    if prior.scale == "lin" and scale != "lin":
        candidates = (parameter.value, centre, width)
        centre, width = scale.of(next(c for c in candidates if c is not None and c > 0)), 1.0
    elif scale == "lin" and prior.scale != "lin":
        in_unit = prior.scale.convert(centre, scale)
        width = parameter.value if parameter.value is not None and parameter.value > 0 else in_unit
    elif scale != prior.scale:
        centre, width = (prior.scale.convert(c, scale) for c in (centre, width))
    return _SearchMap(kind[bounded], centre, width, lower if bounded[0] else 0.0, upper if bounded[1] else 0.0)


@dataclass(frozen=True, eq=False)
class _Densities:
    """The parameters whose priors are of one family, and its numbers."""

    family: Family
    rows: np.ndarray
    location: np.ndarray
    spread: np.ndarray
    shape: np.ndarray

    def __call__(self, t: Z) -> Float[Array, " rows"]:
        return self.family.log_density(t[self.rows], self.location, self.spread, self.shape)


def _densities(priors: Sequence[Prior]) -> list[_Densities]:
    densities = []
    for family in dict.fromkeys(FAMILIES[p.family] for p in priors):
        rows = np.array([i for i, p in enumerate(priors) if p.family == family.name])
        mine = [priors[i] for i in rows]
        numbers = ([p.location for p in mine], [p.spread for p in mine], [p.shape or 1.0 for p in mine])
        densities.append(_Densities(family, rows, *(np.array(n, dtype=float) for n in numbers)))
    return densities


@dataclass(frozen=True, eq=False)
class _Block:
    """The parameters of a joint prior: z of these rows is standard normal with the covariance L Lᵀ."""

    rows: np.ndarray
    factor: np.ndarray  # L
    inverse: np.ndarray  # L⁻¹
    log_diagonal: np.ndarray  # of L

    @staticmethod
    def of(joint: JointPrior, names: Sequence[str]) -> _Block:
        factor = joint.factor()
        rows = np.array([names.index(n) for n in joint.parameters])
        return _Block(rows, factor, np.linalg.inv(factor), np.log(np.diag(factor)))

    def log_ratio(self, s: Float[Array, " rows"]) -> Float[Array, " rows"]:
        """Log density of each standardised parameter given those before it, less that of the parameter alone."""
        return 0.5 * (s**2 - (jnp.asarray(self.inverse) @ s) ** 2) - self.log_diagonal


class ParameterSpace:
    """Maps z to parameter values θ, elementwise and smoothly, through x = scale(θ), the search scale.

    A prior without bounds is standardised (x = location + spread·z), so that a normal one is a unit normal over z; two
    bounds are a logit, one an exponential. A half-normal scale of noise is folded, θ = |spread·z|: noise
    enters as a square, so the density is smooth through zero, which lies in the support. (Searched on a
    logarithmic scale, it is not folded, and zero is not in the support.)

    Joint priors correlate parameters with normal priors, whose z are then correlated standard normal ones. Of a joint
    prior with parameters that are not in this space, the marginal distribution of the others holds.

    Best fits are sought over z. A sampler works over u, where nothing is folded: see `fold`.
    """

    def __init__(self, parameters: Sequence[Parameter], joint_priors: Collection[JointPrior] = ()):
        self.parameters = tuple(parameters)
        self.names = tuple(p.name for p in parameters)
        rows = [_search_map(p) for p in parameters]
        self._kind = np.array([r.kind for r in rows], dtype=int)
        self._centre, self._width, self._lower, self._upper = (
            np.array([getattr(r, k) for r in rows], dtype=float) for k in ("centre", "width", "lower", "upper")
        )
        priors = [effective_prior(p) for p in parameters]
        self.scales: tuple[Scale, ...] = tuple(p.search_scale for p in parameters)
        self._log = np.array([s.log_base for s in self.scales], dtype=float)
        self._prior_log = np.array([q.scale.log_base for q in priors], dtype=float)
        self._densities = _densities(priors)
        joint = [j for j in (j.among(self.names) for j in joint_priors) if j is not None]
        self.joint_priors: tuple[JointPrior, ...] = tuple(joint)
        self._blocks = [_Block.of(j, self.names) for j in joint]
        self._log_mass = np.array([q.log_mass for q in priors], dtype=float)
        flat = np.array([q.family == "uniform" for q in priors], dtype=bool)
        uniform = (self._upper - self._lower) / math.sqrt(12.0)  # standard deviation
        narrow = np.where(flat, uniform, np.minimum(uniform, self._width))
        self._typical = np.where(self._kind == _INTERVAL, narrow, self._width)

    def __len__(self) -> int:
        return len(self.names)

    def search(self, z: Float[Array, "*batch parameters"]) -> Float[Array, "*batch parameters"]:
        """x, the parameters on their search scale."""
        of_parameters = (self._kind, self._centre, self._width, self._lower, self._upper)
        kind, centre, width, lower, upper = (np.broadcast_to(x, z.shape) for x in of_parameters)
        safe = {k: jnp.where(kind == k, z, 0.0) for k in (_INTERVAL, _ABOVE, _BELOW)}
        return jnp.select(
            [kind == k for k in (_AFFINE, _INTERVAL, _ABOVE, _BELOW)],
            [
                centre + width * z,
                lower + (upper - lower) * jax.nn.sigmoid(safe[_INTERVAL]),
                lower + width * jnp.exp(safe[_ABOVE]),
                upper - width * jnp.exp(safe[_BELOW]),
            ],
            jnp.abs(width * z),
        )

    def standard(self, z: Float[np.ndarray, "*draws parameters"]) -> Float[np.ndarray, "*draws parameters"]:
        """The search scale in prior standard deviations, in which distances of parameters compare."""
        return np.asarray(self.search(jnp.asarray(z))) / self._typical

    def one_sided(self, z: Float[np.ndarray, "*draws parameters"]) -> Float[np.ndarray, "*draws parameters"]:
        """z with |z| of folded scales, where both signs are one point."""
        return np.where(self._kind == _FOLDED, np.abs(z), z)

    def _linear(self, x: Float[Array, "*batch parameters"]) -> Float[Array, "*batch parameters"]:
        log = np.broadcast_to(self._log, x.shape)
        return jnp.where(log > 0, jnp.exp(jnp.where(log > 0, x * log, 0.0)), x)

    def constrain(self, z: Float[Array, "*batch parameters"]) -> Float[Array, "*batch parameters"]:
        """θ, the parameters in their own units."""
        return self._linear(self.search(z))

    def _of_search(self, i: int, x: float) -> float:
        """z of the i-th parameter at `x` on its search scale; not finite on or beyond a bound."""
        lower, upper, width = self._lower[i], self._upper[i], self._width[i]
        above, below = x - lower, upper - x
        match self._kind[i]:
            case k if k == _AFFINE:
                return (x - self._centre[i]) / width
            case k if k == _FOLDED:
                return x / width if x >= 0 else math.nan
            case k if k == _INTERVAL:
                return math.log(above / below) if above > 0 and below > 0 else math.nan
            case k if k == _ABOVE:
                return math.log(above / width) if above > 0 else math.nan
            case _:
                return math.log(below / width) if below > 0 else math.nan

    def unconstrain(self, values: Mapping[str, float]) -> np.ndarray:
        """z of parameter values; names that are not estimated are not looked at.

        Raises `ValueError` naming every parameter without a value, and every value on or beyond a bound.
        """
        if missing := [n for n in self.names if n not in values]:
            raise ValueError(f"no value for {', '.join(missing)}")
        x = [s.of(float(values[n])) for n, s in zip(self.names, self.scales, strict=True)]
        z = np.array([self._of_search(i, v) for i, v in enumerate(x)], dtype=float)
        outside = [f"{n} = {values[n]:g}" for n, v in zip(self.names, z, strict=True) if not math.isfinite(v)]
        if outside:
            raise ValueError(f"outside the support of their priors: {', '.join(outside)}")
        return z

    def coordinates(self, theta: Float[np.ndarray, "draws parameters"]) -> Float[np.ndarray, "draws parameters"]:
        """z of many parameter sets in their own units; not finite on or beyond a bound."""
        sets = theta.tolist()
        z = [
            [self._of_search(i, s.of(x)) for i, (s, x) in enumerate(zip(self.scales, row, strict=True))] for row in sets
        ]
        return np.array(z).reshape(theta.shape)

    def fold(self, u: Float[Array, "*draws parameters"]) -> Float[Array, "*draws parameters"]:
        """z of u, the sampler's coordinates: |z| of a folded scale of noise is half-normal where u is normal.

        A scale that the data bind has two modes over z, ±; over u it has one. All else has u = z.
        """
        folded = self._kind == _FOLDED
        return jnp.where(folded, half_normal(jnp.where(folded, u, 0.0)), u)

    def unfold(self, z: Float[np.ndarray, "*draws parameters"]) -> Float[np.ndarray, "*draws parameters"]:
        """u of z, of whichever sign; a scale of zero, which u does not reach, becomes 1e-15 of its prior's."""
        return np.where(self._kind == _FOLDED, normal(np.abs(z)), z)

    def log_slope(self, u: Z) -> Float[Array, ""]:
        """What a log density over z gains as one over u: ln |dz/du|, and ln 2 where two z are one u."""
        folded = self._kind == _FOLDED
        safe = jnp.where(folded, u, 0.0)
        return jnp.sum(jnp.where(folded, log_slope(safe, half_normal(safe)) + math.log(2.0), 0.0))

    def log_prior_of_search(self, x: Z) -> Z:
        """Log density of each prior with respect to x, the search scale.

        In a joint prior it is the density of each parameter given those before it, so that the sum is the joint one.
        """
        theta = self._linear(x)
        tiny = jnp.finfo(x.dtype).tiny
        log_theta = jnp.where(self._log > 0, x * self._log, jnp.log(jnp.maximum(jnp.abs(theta), tiny)))
        logarithmic, prior_logarithmic = self._log > 0, self._prior_log > 0
        base, prior_base = (np.where(b > 0, b, 1.0) for b in (self._log, self._prior_log))
        t = jnp.where(prior_logarithmic, log_theta / prior_base, theta)
        parts = [density(t) for density in self._densities]
        order = np.argsort(np.concatenate([d.rows for d in self._densities])) if parts else np.zeros(0, int)
        density = jnp.concatenate(parts)[order] if parts else jnp.zeros_like(t)
        # |dt/dx| = |dt/dθ| |dθ/dx|, where the prior is on another scale than the search; of two logarithms θ cancels.
        powers = logarithmic.astype(float) - prior_logarithmic.astype(float)
        theta_part = jnp.where(powers == 0, 0.0, powers * jnp.where(powers == 0, 0.0, log_theta))
        slope = np.log(base) - np.log(prior_base) + theta_part
        density = density - self._log_mass + jnp.where(self._log == self._prior_log, 0.0, slope)
        for block in self._blocks:
            s = (x[block.rows] - self._centre[block.rows]) / self._width[block.rows]
            density = density.at[block.rows].add(block.log_ratio(s))
        return density

    def log_prior(self, z: Z) -> Float[Array, ""]:
        """Log density of the prior over z (the Jacobian of the map included); integrates to one."""
        safe = {k: jnp.where(self._kind == k, z, 0.0) for k in (_INTERVAL, _ABOVE, _BELOW)}
        slope = jnp.select(
            [self._kind == k for k in (_AFFINE, _INTERVAL, _ABOVE, _BELOW)],
            [
                jnp.broadcast_to(jnp.log(self._width), z.shape),
                jnp.log(np.where(self._kind == _INTERVAL, self._upper - self._lower, 1.0))
                + jax.nn.log_sigmoid(safe[_INTERVAL])
                + jax.nn.log_sigmoid(-safe[_INTERVAL]),
                jnp.log(self._width) + safe[_ABOVE],
                jnp.log(self._width) + safe[_BELOW],
            ],
            jnp.broadcast_to(jnp.log(self._width) - math.log(2.0), z.shape),  # both signs of z are one θ
        )
        return jnp.sum(self.log_prior_of_search(self.search(z)) + slope)

    def log_prior_mode(self, z: Z) -> Float[Array, ""]:
        """Log density with respect to the search scale: what a maximum a posteriori is found under."""
        return jnp.sum(self.log_prior_of_search(self.search(z)))

    def sample(self, key: Array) -> Z:
        """One draw of z from the prior."""
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        z = np.array([self._drawn(i, p, rng) for i, p in enumerate(self.parameters)], dtype=float)
        for block in self._blocks:
            z[block.rows] = block.factor @ rng.standard_normal(len(block.rows))
        return jnp.asarray(z)

    def sample_many(self, seed: int, count: int) -> Float[np.ndarray, "count parameters"]:
        """Draws of z from the prior, each with a key of its own."""
        keys = jax.random.split(jax.random.PRNGKey(seed), count)
        return np.stack([np.asarray(self.sample(key)) for key in keys])

    def _drawn(self, i: int, parameter: Parameter, rng: np.random.Generator) -> float:
        if self._kind[i] == _FOLDED:  # normal over z
            return self._of_search(i, abs(rng.normal(0.0, self._width[i])))
        prior = effective_prior(parameter)
        t = float(prior.quantile(np.asarray(rng.uniform())))
        return self._of_search(i, prior.scale.convert(t, self.scales[i]))
