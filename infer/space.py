"""The estimated parameters as one unconstrained vector z, and their priors as a density over it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import laplace, norm
from jaxtyping import Array, Float
from scipy import stats

from ..data.parameter import Parameter, Prior, Scale, to_scale

Z = Float[Array, " parameters"]
_LN10 = math.log(10.0)
_AFFINE, _INTERVAL, _ABOVE, _BELOW, _FOLDED = range(5)


def _from_scale(x: float, scale: Scale) -> float:
    if scale == "lin":
        return x
    return math.inf if x == math.inf else (math.exp(x) if scale == "log" else 10.0**x)


def _normaliser(prior: Prior) -> float:
    """log of the mass that the bounds leave."""
    if prior.family in ("uniform", "half_normal") or (prior.lower == -math.inf and prior.upper == math.inf):
        return 0.0
    family = stats.norm if prior.family == "normal" else stats.laplace
    mass = family.cdf(prior.upper, prior.location, prior.spread) - family.cdf(prior.lower, prior.location, prior.spread)
    if mass <= 0:
        raise ValueError(f"the bounds [{prior.lower}, {prior.upper}] leave nothing of the prior {prior}")
    return math.log(mass)


@dataclass(frozen=True, eq=False)
class _Row:
    """One parameter's numbers; see `ParameterSpace`."""

    kind: int
    centre: float
    width: float
    lower: float
    upper: float


def _row(parameter: Parameter) -> _Row:
    prior = parameter.prior
    assert prior is not None
    scale = parameter.scale or prior.scale
    if prior.family == "half_normal":
        return _Row(_FOLDED, 0.0, prior.spread, 0.0, math.inf)
    natural = (-math.inf, math.inf) if prior.scale != "lin" or scale == "lin" else (0.0, math.inf)
    lower = max(_from_scale(prior.lower, prior.scale), natural[0]) if prior.lower > -math.inf else natural[0]
    upper = _from_scale(prior.upper, prior.scale)
    if scale != "lin":
        lower = to_scale(lower, scale) if lower > 0 else -math.inf
        upper = to_scale(upper, scale) if upper < math.inf else math.inf
    elif prior.scale != "lin":
        lower = max(lower, 0.0)
    bounded = math.isfinite(lower), math.isfinite(upper)
    kind = {(False, False): _AFFINE, (True, True): _INTERVAL, (True, False): _ABOVE, (False, True): _BELOW}[bounded]
    centre, width = prior.location, prior.spread
    if prior.scale != scale:
        middle = parameter.value if parameter.value and parameter.value > 0 else 1.0
        centre, width = to_scale(middle, scale), 1.0
    return _Row(kind, centre, width, lower if bounded[0] else 0.0, upper if bounded[1] else 0.0)


class ParameterSpace:
    """Maps z to parameter values θ, elementwise and smoothly, through x = scale(θ), the search scale.

    A prior without bounds is standardised (x = location + spread·z), so that it is a unit normal over z; two bounds
    are a logit, one an exponential. A half-normal scale of noise is folded, θ = |spread·z|: noise enters as a square,
    so the density is smooth through zero, which lies in the support.
    """

    def __init__(self, parameters: Sequence[Parameter]):
        self.parameters = tuple(parameters)
        self.names = tuple(p.name for p in parameters)
        rows = [_row(p) for p in parameters]
        self._kind = np.array([r.kind for r in rows], dtype=int)
        self._centre, self._width, self._lower, self._upper = (
            np.array([getattr(r, k) for r in rows], dtype=float) for k in ("centre", "width", "lower", "upper")
        )
        priors = [p.prior for p in parameters if p.prior is not None]
        self.scales = tuple(p.scale or q.scale for p, q in zip(parameters, priors, strict=True))
        self._log = np.array([{"lin": 0.0, "log": 1.0, "log10": _LN10}[s] for s in self.scales])
        self._prior_log = np.array([{"lin": 0.0, "log": 1.0, "log10": _LN10}[q.scale] for q in priors])
        self._family = np.array([q.family for q in priors], dtype=str)
        self._location = np.array([q.location for q in priors], dtype=float)
        self._spread = np.array([q.spread for q in priors], dtype=float)
        finite = [q.upper - q.lower if q.family == "uniform" else 1.0 for q in priors]
        self._constant = np.array([_normaliser(q) for q in priors]) + np.log(np.array(finite, dtype=float))

    def __len__(self) -> int:
        return len(self.names)

    def search(self, z: Z) -> Z:
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

    def _linear(self, x: Z) -> Z:
        logarithmic = self._log > 0
        return jnp.where(logarithmic, jnp.exp(jnp.where(logarithmic, x * self._log, 0.0)), x)

    def constrain(self, z: Z) -> Z:
        """θ, the parameters in their own units."""
        return self._linear(self.search(z))

    def unconstrain(self, values: Mapping[str, float]) -> np.ndarray:
        """z of parameter values; a value on or beyond a bound is an error that names all such."""
        z, outside = np.empty(len(self)), []
        for i, name in enumerate(self.names):
            x = to_scale(float(values[name]), self.scales[i])
            lower, upper, width = self._lower[i], self._upper[i], self._width[i]
            kind = self._kind[i]
            if kind == _AFFINE:
                z[i] = (x - self._centre[i]) / width
            elif kind == _FOLDED:
                z[i] = x / width if x >= 0 else math.nan
            else:
                inside = (kind == _BELOW or x > lower) and (kind == _ABOVE or x < upper)
                if not inside:
                    z[i] = math.nan
                elif kind == _INTERVAL:
                    z[i] = math.log((x - lower) / (upper - x))
                else:
                    z[i] = math.log((x - lower if kind == _ABOVE else upper - x) / width)
            if not math.isfinite(z[i]):
                outside.append(f"{name} = {values[name]:g}")
        if outside:
            raise ValueError(f"outside the support of their priors: {', '.join(outside)}")
        return z

    def log_prior_of_search(self, x: Z) -> Z:
        """Log density of each prior with respect to x, the search scale."""
        theta = self._linear(x)
        tiny = jnp.finfo(x.dtype).tiny
        log_theta = jnp.where(self._log > 0, x * self._log, jnp.log(jnp.maximum(jnp.abs(theta), tiny)))
        t = jnp.where(self._prior_log > 0, log_theta / np.where(self._prior_log > 0, self._prior_log, 1.0), theta)
        density = jnp.select(
            [self._family == "normal", self._family == "laplace", self._family == "half_normal"],
            [
                norm.logpdf(t, self._location, self._spread),
                laplace.logpdf(t, self._location, self._spread),
                norm.logpdf(t, 0.0, self._spread) + math.log(2.0),
            ],
            jnp.zeros_like(t),
        )
        # |dt/dx| where the prior is on another scale than the search.
        same = self._log == self._prior_log
        into = jnp.where(self._log > 0, jnp.log(np.where(self._log > 0, self._log, 1.0)) + log_theta, 0.0)
        out = jnp.where(self._prior_log > 0, jnp.log(np.where(self._prior_log > 0, self._prior_log, 1.0)) + log_theta, 0.0)
        return density - self._constant + jnp.where(same, 0.0, into - out)

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
        """Log density of the prior with respect to the search scale: what a maximum a posteriori is found under."""
        return jnp.sum(self.log_prior_of_search(self.search(z)))

    def sample(self, key: Array) -> Z:
        """One draw of z from the prior."""
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key) if jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key) else key))
        return jnp.asarray(self.unconstrain({p.name: _draw(p, rng) for p in self.parameters}))


def _draw(parameter: Parameter, rng: np.random.Generator) -> float:
    prior = parameter.prior
    assert prior is not None
    if prior.family == "half_normal":
        return abs(rng.normal(0.0, prior.spread))
    if prior.family == "uniform":
        t = rng.uniform(prior.lower, prior.upper)
    else:
        family = stats.norm if prior.family == "normal" else stats.laplace
        low, high = (family.cdf(b, prior.location, prior.spread) for b in (prior.lower, prior.upper))
        t = float(family.ppf(rng.uniform(low, high), prior.location, prior.spread))
    scale = parameter.scale or prior.scale
    value = _from_scale(t, prior.scale)
    return value if scale == "lin" or value > 0 else _draw(parameter, rng)
