"""The estimated parameters as one unconstrained vector z, and their priors as a density over it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import laplace, norm
from jaxtyping import Array, Float

from ...data.parameter import Parameter, Prior, Scale, to_scale
from .folding import half_normal, log_slope, normal

if TYPE_CHECKING:
    from scipy import stats

Z = Float[Array, " parameters"]
LOG_BASE: Mapping[Scale, float] = {"lin": 0.0, "log": 1.0, "log10": math.log(10.0)}
"""ln of the base of each logarithmic scale, 0 for the linear one."""
_AFFINE, _INTERVAL, _ABOVE, _BELOW, _FOLDED = range(5)


def effective_prior(parameter: Parameter) -> Prior:
    """The prior with the bounds in force: a logarithmic search keeps one on the linear scale above zero.

    Raises `ValueError` where that leaves nothing of it.
    """
    prior = parameter.prior
    assert prior is not None
    logarithmic = (parameter.scale or prior.scale) != "lin"
    if prior.scale != "lin" or not logarithmic or prior.family == "half_normal" or prior.lower >= 0:
        return prior
    if prior.upper <= 0:
        raise ValueError(f"{parameter.name} is searched on a logarithmic scale, which its prior gives no mass: {prior}")
    return replace(prior, lower=0.0)


def _convert(x: float, source: Scale, target: Scale) -> float:
    """`x` on another scale."""
    if source == target:
        return x
    if source == "lin":
        return to_scale(x, target) if x > 0 else -math.inf
    if target == "lin":
        exponent = x * LOG_BASE[source]
        return math.exp(exponent) if exponent < 700.0 else math.inf
    return x * LOG_BASE[source] / LOG_BASE[target]


def search_bounds(parameter: Parameter) -> tuple[float, float] | None:
    """Bounds on the search scale, where there are two."""
    prior = effective_prior(parameter)
    scale = parameter.scale or prior.scale
    lower, upper = (_convert(b, prior.scale, scale) for b in (prior.lower, prior.upper))
    return (lower, upper) if math.isfinite(lower) and math.isfinite(upper) else None


def _family(prior: Prior) -> stats.rv_continuous:
    from scipy import stats  # a quarter of a second to import

    return stats.norm if prior.family == "normal" else stats.laplace


def _standard_bounds(prior: Prior) -> tuple[float, float, bool]:
    """Standardised bounds of a symmetric prior, mirrored (third value) if both lie above its centre.

    So that what is integrated is never an upper tail, whose distribution function rounds to one.
    """
    low, high = (prior.lower - prior.location) / prior.spread, (prior.upper - prior.location) / prior.spread
    return (-high, -low, True) if low > 0 else (low, high, False)


def _log_normaliser(prior: Prior) -> float:
    """log of the integral over the support of what `log_prior_of_search` takes as density."""
    if prior.family == "half_normal":
        return 0.0
    if prior.family == "uniform":
        return math.log(prior.upper - prior.lower)
    low, high, _ = _standard_bounds(prior)
    below, above = (float(_family(prior).logcdf(b)) for b in (low, high))
    if not below < above:
        raise ValueError(f"the bounds [{prior.lower}, {prior.upper}] leave nothing of the prior {prior}")
    return above + math.log1p(-math.exp(below - above))


@dataclass(frozen=True, eq=False)
class _Row:
    """One parameter's numbers; see `ParameterSpace`."""

    kind: int
    centre: float
    width: float
    lower: float
    upper: float


def _row(parameter: Parameter) -> _Row:
    prior = effective_prior(parameter)
    scale = parameter.scale or prior.scale
    if prior.family == "half_normal" and scale == "lin":
        return _Row(_FOLDED, 0.0, prior.spread, 0.0, math.inf)
    lower, upper = (_convert(b, prior.scale, scale) for b in (prior.lower, prior.upper))
    if prior.family == "half_normal":
        lower = -math.inf
    bounded = math.isfinite(lower), math.isfinite(upper)
    kind = {(False, False): _AFFINE, (True, True): _INTERVAL, (True, False): _ABOVE, (False, True): _BELOW}
    centre, width = prior.location, prior.spread
    if prior.scale == "lin" and scale != "lin":
        candidates = (parameter.value, prior.location, prior.spread)
        centre, width = to_scale(next(c for c in candidates if c is not None and c > 0), scale), 1.0
    elif scale == "lin" and prior.scale != "lin":
        typical = _convert(prior.location, prior.scale, "lin")
        width = parameter.value if parameter.value is not None and parameter.value > 0 else typical
    elif scale != prior.scale:
        centre, width = (_convert(c, prior.scale, scale) for c in (centre, width))
    return _Row(kind[bounded], centre, width, lower if bounded[0] else 0.0, upper if bounded[1] else 0.0)


class ParameterSpace:
    """Maps z to parameter values θ, elementwise and smoothly, through x = scale(θ), the search scale.

    A prior without bounds is standardised (x = location + spread·z), so that it is a unit normal over z; two
    bounds are a logit, one an exponential. A half-normal scale of noise is folded, θ = |spread·z|: noise
    enters as a square, so the density is smooth through zero, which lies in the support. (Searched on a
    logarithmic scale, it is not folded, and zero is not in the support.)

    Best fits are sought over z. A sampler works over u, where nothing is folded: see `fold`.
    """

    def __init__(self, parameters: Sequence[Parameter]):
        self.parameters = tuple(parameters)
        self.names = tuple(p.name for p in parameters)
        rows = [_row(p) for p in parameters]
        self._kind = np.array([r.kind for r in rows], dtype=int)
        self._centre, self._width, self._lower, self._upper = (
            np.array([getattr(r, k) for r in rows], dtype=float) for k in ("centre", "width", "lower", "upper")
        )
        priors = [effective_prior(p) for p in parameters]
        self.scales: tuple[Scale, ...] = tuple(p.scale or q.scale for p, q in zip(parameters, priors, strict=True))
        self._log = np.array([LOG_BASE[s] for s in self.scales], dtype=float)
        self._prior_log = np.array([LOG_BASE[q.scale] for q in priors], dtype=float)
        self._family = np.array([q.family for q in priors], dtype=str)
        self._location = np.array([q.location for q in priors], dtype=float)
        self._spread = np.array([q.spread for q in priors], dtype=float)
        self._constant = np.array([_log_normaliser(q) for q in priors], dtype=float)
        uniform = (self._upper - self._lower) / math.sqrt(12.0)  # standard deviation
        narrow = np.where(self._family == "uniform", uniform, np.minimum(uniform, self._width))
        self._typical = np.where(self._kind == _INTERVAL, narrow, self._width)

    def __len__(self) -> int:
        return len(self.names)

    def search(self, z: Float[Array, "*batch parameters"]) -> Float[Array, "*batch parameters"]:
        """x, the parameters on their search scale."""
        safe = {k: jnp.where(self._kind == k, z, 0.0) for k in (_INTERVAL, _ABOVE, _BELOW)}
        return jnp.select(
            [self._kind == k for k in (_AFFINE, _INTERVAL, _ABOVE, _BELOW)],
            [
                self._centre + self._width * z,
                self._lower + (self._upper - self._lower) * jax.nn.sigmoid(safe[_INTERVAL]),
                self._lower + self._width * jnp.exp(safe[_ABOVE]),
                self._upper - self._width * jnp.exp(safe[_BELOW]),
            ],
            jnp.abs(self._width * z),
        )

    def standard(self, z: Float[np.ndarray, "*draws parameters"]) -> Float[np.ndarray, "*draws parameters"]:
        """The search scale in prior standard deviations, in which distances of parameters compare."""
        return np.asarray(self.search(jnp.asarray(z))) / self._typical

    def one_sided(self, z: Float[np.ndarray, "*draws parameters"]) -> Float[np.ndarray, "*draws parameters"]:
        """z with |z| of folded scales, where both signs are one point."""
        return np.where(self._kind == _FOLDED, np.abs(z), z)

    def _linear(self, x: Z) -> Z:
        logarithmic = self._log > 0
        return jnp.where(logarithmic, jnp.exp(jnp.where(logarithmic, x * self._log, 0.0)), x)

    def constrain(self, z: Z) -> Z:
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
        x = [to_scale(float(values[n]), s) for n, s in zip(self.names, self.scales, strict=True)]
        z = np.array([self._of_search(i, v) for i, v in enumerate(x)], dtype=float)
        outside = [f"{n} = {values[n]:g}" for n, v in zip(self.names, z, strict=True) if not math.isfinite(v)]
        if outside:
            raise ValueError(f"outside the support of their priors: {', '.join(outside)}")
        return z

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
        """Log density of each prior with respect to x, the search scale."""
        theta = self._linear(x)
        tiny = jnp.finfo(x.dtype).tiny
        log_theta = jnp.where(self._log > 0, x * self._log, jnp.log(jnp.maximum(jnp.abs(theta), tiny)))
        logarithmic, prior_logarithmic = self._log > 0, self._prior_log > 0
        base, prior_base = (np.where(b > 0, b, 1.0) for b in (self._log, self._prior_log))
        t = jnp.where(prior_logarithmic, log_theta / prior_base, theta)
        density = jnp.select(
            [self._family == "normal", self._family == "laplace", self._family == "half_normal"],
            [
                norm.logpdf(t, self._location, self._spread),
                laplace.logpdf(t, self._location, self._spread),
                norm.logpdf(t, 0.0, self._spread) + math.log(2.0),
            ],
            jnp.zeros_like(t),
        )
        # |dt/dx| = |dt/dθ| |dθ/dx|, where the prior is on another scale than the search.
        into = jnp.where(logarithmic, jnp.log(base) + log_theta, 0.0)
        out = jnp.where(prior_logarithmic, jnp.log(prior_base) + log_theta, 0.0)
        return density - self._constant + jnp.where(self._log == self._prior_log, 0.0, into - out)

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
        x = [
            _convert(_draw(effective_prior(p), rng), p.prior.scale, s)
            for p, s in zip(self.parameters, self.scales, strict=True)
            if p.prior is not None
        ]
        return jnp.array([self._of_search(i, v) for i, v in enumerate(x)], dtype=float)


def _draw(prior: Prior, rng: np.random.Generator) -> float:
    """A draw of scale(θ)."""
    if prior.family == "half_normal":
        return abs(rng.normal(0.0, prior.spread))
    if prior.family == "uniform":
        return rng.uniform(prior.lower, prior.upper)
    low, high, mirrored = _standard_bounds(prior)
    family = _family(prior)
    t = float(family.ppf(rng.uniform(family.cdf(low), family.cdf(high))))
    return prior.location + prior.spread * (-t if mirrored else t)
