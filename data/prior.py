"""Priors: distributions of one parameter. A family of distributions is added to the table `FAMILIES`, and nowhere else.

Sources of the densities: Johnson, Kotz and Balakrishnan (1994, 1995), Continuous Univariate Distributions, 2nd ed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ..models.listing import known_names
from .normal_quantiles import NormalQuantiles
from .scale import Scale

if TYPE_CHECKING:
    from jaxtyping import Array
    from scipy.stats import rv_continuous

_POSITIVE = (0.0, math.inf)
_RARE = 1e-4  # a probability; what is rarer may lie beyond what floats hold
_LEAST_MASS = -690.0  # nats, 1e-300: less is not a float of full precision


@dataclass(frozen=True)
class Family:
    """A family of continuous distributions of a real number t.

    - `uses`: which of a prior's `location`, `spread` and `shape` it has;
    - `log_density(t, location, spread, shape)`: JAX arrays of one shape; normalised over `support`;
    - `scipy`: the name of the same distribution in `scipy.stats`, which knows quantiles and tails; its `loc` and
      `scale` are location and spread;
    - `folded`: t = |x| of a symmetric x: a search moves x through both signs, and 0 is allowed;
    - `infinite_at_zero`: for which shapes the density is infinite at t = 0.
    """

    name: str
    uses: tuple[str, ...]
    log_density: Callable[..., Float[Array, " n"]]
    scipy: str
    support: tuple[float, float] = (-math.inf, math.inf)
    folded: bool = False
    infinite_at_zero: Callable[[float], bool] = lambda shape: False

    def frozen(self, location: float, spread: float, shape: float | None) -> Any:
        """The distribution, with the functions that `scipy.stats` gives it."""
        if self.scipy == "norm":  # most priors
            return NormalQuantiles(location, spread)
        from scipy import stats  # a second to import

        family: rv_continuous = getattr(stats, self.scipy)
        return family(*(() if shape is None else (shape,)), loc=location, scale=spread)

    @property
    def on_real_line(self) -> bool:
        return self.support == (-math.inf, math.inf)


def _stats() -> Any:
    """JAX's distributions. Tables of priors are read without JAX, which takes half a second to import."""
    from jax.scipy import stats

    return stats


def _inside(t):
    """t, at least 1e-300 and at most 1e150: beyond, the formulas give ∞ − ∞."""
    import jax.numpy as jnp

    return jnp.clip(t, 1e-300, 1e150)


def _gamma(t, location, spread, shape):
    return _stats().gamma.logpdf(_inside(t), shape, 0.0, spread)


def _half_cauchy(t, location, spread, shape):
    return _stats().cauchy.logpdf(t, 0.0, spread) + math.log(2.0)


def _half_normal(t, location, spread, shape):
    return _stats().norm.logpdf(t, 0.0, spread) + math.log(2.0)


def _inverse_gamma(t, location, spread, shape):
    import jax.numpy as jnp
    from jax.scipy.special import gammaln

    t = _inside(t)
    return shape * jnp.log(spread) - gammaln(shape) - (shape + 1) * jnp.log(t) - spread / t


def _rayleigh(t, location, spread, shape):
    import jax.numpy as jnp

    t = _inside(t)
    return jnp.log(t) - 2 * jnp.log(spread) - 0.5 * (t / spread) ** 2


def _uniform(t, location, spread, shape):
    import jax.numpy as jnp

    return jnp.zeros_like(t)


_TABLE = (
    Family("normal", ("location", "spread"), lambda t, m, s, _: _stats().norm.logpdf(t, m, s), "norm"),
    Family("laplace", ("location", "spread"), lambda t, m, s, _: _stats().laplace.logpdf(t, m, s), "laplace"),
    Family("cauchy", ("location", "spread"), lambda t, m, s, _: _stats().cauchy.logpdf(t, m, s), "cauchy"),
    Family("student_t", ("location", "spread", "shape"), lambda t, m, s, n: _stats().t.logpdf(t, n, m, s), "t"),
    Family("uniform", (), _uniform, "uniform"),
    Family("half_normal", ("spread",), _half_normal, "halfnorm", _POSITIVE, folded=True),
    Family("half_cauchy", ("spread",), _half_cauchy, "halfcauchy", _POSITIVE),
    Family("exponential", ("spread",), lambda t, m, s, _: _stats().expon.logpdf(t, 0.0, s), "expon", _POSITIVE),
    Family("gamma", ("spread", "shape"), _gamma, "gamma", _POSITIVE, infinite_at_zero=lambda shape: shape < 1),
    Family("inverse_gamma", ("spread", "shape"), _inverse_gamma, "invgamma", _POSITIVE),
    Family("rayleigh", ("spread",), _rayleigh, "rayleigh", _POSITIVE),
)
FAMILIES: Mapping[str, Family] = {family.name: family for family in _TABLE}


@dataclass(frozen=True, init=False)
class Prior:
    """A distribution of one parameter θ on a scale: t = scale(θ) has the distribution `family`.

    Families of positive numbers are on the linear scale. Raises `ValueError` for numbers that make no distribution.

    Parameters
    ----------
    family : str
        `normal`, `laplace`, `cauchy`, `student_t`, `half_normal`, `half_cauchy`, `exponential`, `gamma`,
        `inverse_gamma`, `rayleigh` or `uniform`.
    scale : Scale or str
        `"lin"`, `"log"` or `"log10"`. The numbers below are in units of it (for `log10`, decades).
    location : float
        Centre of normal, laplace, cauchy and student_t, in units of the scale.
    spread : float
        Their standard deviation (normal) or scale parameter, and the scale parameter of half_normal, half_cauchy,
        exponential (its mean), gamma, inverse_gamma and rayleigh, in units of the scale.
    lower, upper : float
        Truncate, in units of the scale; uniform has nothing else.
    shape : float, optional
        Of gamma and inverse_gamma; the degrees of freedom of student_t; dimensionless. A chi-squared distribution with
        ν degrees of freedom is a gamma with shape ν/2 and spread 2.

    Examples
    --------
    >>> Prior("normal", "log10", location=-2.0, spread=1.0).text     # median 0.01, a decade wide
    'log10 θ ~ normal(-2, 1)'
    >>> Prior("gamma", shape=2.0, spread=0.5, upper=10.0).text
    'θ ~ gamma(0.5, 2) in [0, 10]'
    """

    family: str
    scale: Scale
    location: float
    spread: float
    lower: float
    upper: float
    shape: float | None

    def __init__(
        self,
        family: str,
        scale: Scale | str = "lin",
        location: float = 0.0,
        spread: float = 1.0,
        lower: float = -math.inf,
        upper: float = math.inf,
        shape: float | None = None,
    ) -> None:
        values = {"location": location, "spread": spread, "lower": lower, "upper": upper, "shape": shape}
        for name, value in {"family": family, "scale": Scale(scale), **values}.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"unknown prior family {self.family!r}; {known_names(str(self.family), FAMILIES)}")
        family, lower, upper = FAMILIES[self.family], self.lower, self.upper
        if not math.isfinite(self.location):
            raise ValueError(f"a prior's location must be finite, not {self.location}")
        if not (math.isfinite(self.spread) and self.spread > 0):
            raise ValueError(f"a prior's scale must be positive and finite, not {self.spread}")
        if not lower < upper:
            raise ValueError(f"lower bound {lower} is not below upper bound {upper}")
        if self.family == "uniform" and not (math.isfinite(lower) and math.isfinite(upper)):
            raise ValueError(f"a uniform prior needs two finite bounds on its scale, not [{lower}, {upper}]")
        words = f"the prior {self.family!r}"
        if "location" not in family.uses and self.location != 0:
            raise ValueError(f"{words} has no location, and {self.location} was given")
        if family.folded and (self.scale != "lin" or lower > 0 or upper < math.inf):
            raise ValueError(f"{words} exists on the linear scale only, from zero up")
        if not family.on_real_line and self.scale != "lin":
            raise ValueError(f"{words} exists on the linear scale only")
        if not family.on_real_line and upper <= 0:
            raise ValueError(f"{words} is of positive numbers: the upper bound {upper} leaves nothing of it")
        if "shape" not in family.uses and self.shape is not None:
            raise ValueError(f"{words} has no shape")
        if "shape" in family.uses and not (self.shape is not None and 0 < self.shape < math.inf):
            raise ValueError(f"{words} needs a shape, positive and finite, not {self.shape}")
        if "shape" in family.uses and not family.on_real_line:
            with np.errstate(all="ignore"):
                least, most = self._frozen.ppf(_RARE), self._frozen.isf(_RARE)
            if not 0 < least < most < math.inf:
                raise ValueError(f"{words} of shape {self.shape} goes beyond what floats hold: take a log_normal")

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval that holds all of the prior, in units of its scale."""
        low, high = FAMILIES[self.family].support
        return max(low, self.lower), min(high, self.upper)

    @property
    def truncated(self) -> bool:
        """True if bounds take something away from the family."""
        return self.bounds != FAMILIES[self.family].support

    @property
    def typical(self) -> tuple[float, float]:
        """A centre and a width, in units of its scale; for a family of positive numbers, both are its median."""
        family = FAMILIES[self.family]
        if family.on_real_line or family.folded:
            return self.location, self.spread
        median = float(self._frozen.median())
        return median, median

    @property
    def search_scale(self) -> Scale:
        """The scale to search on by default: its own, but a logarithm if its density is infinite at 0."""
        family = FAMILIES[self.family]
        infinite = self.shape is not None and self.bounds[0] == 0 and family.infinite_at_zero(self.shape)
        return Scale.LOG if infinite else self.scale

    @property
    def log_normal(self) -> tuple[float, float] | None:
        """Mean and standard deviation (dimensionless) of ln θ if that is normal without bounds, else None."""
        if self.family != "normal" or self.scale == "lin" or self.truncated:
            return None
        return self.location * self.scale.log_base, self.spread * self.scale.log_base

    @property
    def text(self) -> str:
        """The prior in words, the same for equal priors; numbers are exact. It enters files and identities of runs."""
        return self._in_words(_exact)

    @property
    def short_text(self) -> str:
        """The prior in words for people, with numbers of four digits."""
        return self._in_words("{:.4g}".format)

    def _in_words(self, number: Callable[[float], str]) -> str:
        uses = FAMILIES[self.family].uses
        inside = ", ".join(number(getattr(self, n)) for n in uses)
        if self.family == "uniform":
            inside = f"{number(self.lower)}, {number(self.upper)}"
        bounds = f" in [{', '.join(map(number, self.bounds))}]" if uses and self.truncated else ""
        return f"{self.scale.prefix}θ ~ {self.family.replace('_', '-')}({inside}){bounds}"

    @property
    def _frozen(self) -> Any:
        return FAMILIES[self.family].frozen(self.location, self.spread, self.shape)

    @property
    def log_mass(self) -> float:
        """log of the integral of the family's `log_density` over the bounds, in nats.

        Raises `ValueError` if the bounds leave nothing, or so little that no draw can be made. What is integrated is
        never a tail whose distribution function rounds to one.
        """
        low, high = self.bounds
        if self.family == "uniform":
            return math.log(high - low)
        if not self.truncated:
            return 0.0
        frozen = self._frozen
        if low > frozen.median():
            less, more = float(frozen.logsf(high)), float(frozen.logsf(low))
        else:
            less, more = float(frozen.logcdf(low)), float(frozen.logcdf(high))
        if not less < more or more < _LEAST_MASS:
            raise ValueError(f"the bounds [{self.lower}, {self.upper}] leave nothing of the prior {self.text}")
        return more + math.log1p(-math.exp(less - more))

    def quantile(self, u: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Quantiles of t = scale(θ).

        Parameters
        ----------
        u : array
            Probabilities to be below the quantile, dimensionless.
        """
        low, high = self.bounds
        if self.family == "uniform":
            return np.asarray(low + u * (high - low))
        frozen = self._frozen
        if low > frozen.median():  # probabilities of the upper tail do not round to one
            least, most = frozen.sf(low), frozen.sf(high)
            return np.asarray(frozen.isf(least + u * (most - least)))
        least, most = frozen.cdf(low), frozen.cdf(high)
        return np.asarray(frozen.ppf(least + u * (most - least)))

    def scaled(self, factor: float) -> Prior:
        """The prior of the same quantity in another unit.

        Parameters
        ----------
        factor : float
            How many times as large its numbers are there, dimensionless.
        """
        if self.scale == "lin":
            moved = {n: getattr(self, n) * factor for n in ("location", "spread", "lower", "upper")}
            return replace(self, **moved)
        shift = math.log(factor) if self.scale == "log" else math.log10(factor)
        moved = ("location", "lower", "upper") if "location" in FAMILIES[self.family].uses else ("lower", "upper")
        return replace(self, **{n: getattr(self, n) + shift for n in moved})


def _exact(number: float) -> str:
    """The shortest text that reads back to the same number."""
    return repr(float(number)).removesuffix(".0")


__all__ = ["FAMILIES", "Family", "Prior"]
