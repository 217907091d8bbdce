"""Noise: how readings scatter about their mean. A distribution is added here, as a class, and nowhere else.

All are symmetric about 0, and r is a residual in standard deviations (normal) or scale parameters.
"""

from __future__ import annotations

import abc
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float

from ..models.listing import did_you_mean

if TYPE_CHECKING:  # tables are read without JAX, which takes half a second to import
    import numpyro.distributions as dist
    from jaxtyping import Array

_HALVINGS = 60  # of an interval, after which its ends are the same number


class Noise(abc.ABC):
    """A symmetric distribution of residuals r.

    Its `text` stands for it in tables, and it equals that text: `noise_of("laplace") == "laplace"`.

    Other Parameters
    ----------------
    r : array
        Residuals in standard deviations (normal) or scale parameters, dimensionless.
    u : array
        Probabilities, dimensionless.
    rng : numpy.random.Generator
        The source of random numbers.
    shape : tuple of int
        Of the result.
    mean, sd : array, rows
        Of the readings, in units of the observable's scale.
    """

    def __eq__(self, other: object) -> bool:
        return self.text == (other.text if isinstance(other, Noise) else other)

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    @abc.abstractmethod
    def text(self) -> str:
        """The noise in one word, with its numbers: `student_t(4)`."""

    @abc.abstractmethod
    def log_density(self, r: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """log p(r)."""

    @abc.abstractmethod
    def log_distribution(self, r: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """log F(r), exact in the lower tail."""

    @abc.abstractmethod
    def normal_score(self, r: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """The normal quantile of F(r), by which residuals of different noise compare."""

    @abc.abstractmethod
    def quantile(self, u: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """r with F(r) = u."""

    @abc.abstractmethod
    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Float[np.ndarray, ...]:
        """Independent residuals."""

    @abc.abstractmethod
    def numpyro(self, mean: Float[Array, " rows"], sd: Float[Array, " rows"]) -> dist.Distribution:
        """The distribution of readings, for NumPyro."""


@dataclass(frozen=True, eq=False)
class Normal(Noise):
    """exp(−r²/2)/√(2π)."""

    text: ClassVar[str] = "normal"  # pyright: ignore[reportIncompatibleMethodOverride]

    def log_density(self, r):
        return -0.5 * r**2 - 0.5 * math.log(2 * math.pi)

    def log_distribution(self, r):
        from jax.scipy.special import log_ndtr

        return log_ndtr(r)

    def normal_score(self, r):
        return r

    def quantile(self, u):
        from scipy import special

        return special.ndtri(u)

    def draw(self, rng, shape):
        return rng.standard_normal(shape)

    def numpyro(self, mean, sd):
        from numpyro import distributions

        return distributions.Normal(mean, sd)


@dataclass(frozen=True, eq=False)
class Laplace(Noise):
    """exp(−|r|)/2."""

    text: ClassVar[str] = "laplace"  # pyright: ignore[reportIncompatibleMethodOverride]

    def log_density(self, r):
        import jax.numpy as jnp

        return -jnp.abs(r) - math.log(2)

    def log_distribution(self, r):
        import jax.numpy as jnp

        above = jnp.log1p(-0.5 * jnp.exp(-jnp.where(r < 0, 0.0, r)))
        return jnp.where(r < 0, r - math.log(2.0), above)

    def normal_score(self, r):
        from scipy import special

        return -np.sign(r) * special.ndtri(0.5 * np.exp(-np.abs(r)))

    def quantile(self, u):
        return np.where(u < 0.5, np.log(2 * u), -np.log(2 * (1 - u)))

    def draw(self, rng, shape):
        return rng.laplace(size=shape)

    def numpyro(self, mean, sd):
        from numpyro import distributions

        return distributions.Laplace(mean, sd)


@dataclass(frozen=True, eq=False)
class StudentT(Noise):
    """Γ((ν+1)/2)/(√(νπ) Γ(ν/2)) · (1 + r²/ν)^(−(ν+1)/2): outliers count less than under normal noise.

    `dof`: ν, the degrees of freedom, above 0. A standard deviation that a table states is its scale parameter σ; the
    standard deviation of readings is σ √(ν/(ν−2)) if ν is above 2.
    """

    dof: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "dof", float(self.dof))
        if not 0 < self.dof < math.inf:
            raise ValueError(f"student_t noise needs degrees of freedom above 0, not {self.dof}")

    @property
    def text(self) -> str:
        return f"student_t({_exact(self.dof)})"

    def log_density(self, r):
        from .student_t import log_density

        return log_density(self.dof, r)

    def log_distribution(self, r):
        from .student_t import log_distribution

        return log_distribution(self.dof, r)

    def normal_score(self, r):
        from scipy import special

        return -np.sign(r) * special.ndtri(special.stdtr(self.dof, -np.abs(r)))

    def quantile(self, u):
        from scipy import special

        return special.stdtrit(self.dof, u)

    def draw(self, rng, shape):
        return rng.standard_t(self.dof, size=shape)

    def numpyro(self, mean, sd):
        from numpyro import distributions

        return distributions.StudentT(self.dof, mean, sd)


@dataclass(frozen=True, eq=False)
class Contaminated(Noise):
    """(1−ε) φ(r) + ε φ(r/k)/k, with the unit normal density φ: a share ε of the readings scatters k times as far.

    A standard deviation that a table states is that of the other readings; the standard deviation of all of them is
    σ √(1 − ε + ε k²). Source: Tukey (1960), A survey of sampling from contaminated distributions, in: Contributions to
    Probability and Statistics, 448-485.

    - `share`: ε, between 0 and 1;
    - `times`: k, above 1.
    """

    share: float
    times: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", float(self.share))
        object.__setattr__(self, "times", float(self.times))
        if not 0 < self.share < 1:
            raise ValueError(f"contaminated noise needs a share of outliers between 0 and 1, not {self.share}")
        if not 1 < self.times < math.inf:
            raise ValueError(f"the outliers of contaminated noise scatter more than 1 times as far, not {self.times}")

    @property
    def text(self) -> str:
        return f"contaminated({_exact(self.share)}, {_exact(self.times)})"

    def _mixed(self, of: Callable[[Any], Any], r: Any, more: float) -> Any:
        """log [(1−ε) exp(of(r)) + ε exp(of(r/k) + more)]."""
        import jax.numpy as jnp

        return jnp.logaddexp(math.log1p(-self.share) + of(r), math.log(self.share) + more + of(r / self.times))

    def log_density(self, r):
        return self._mixed(Normal().log_density, r, -math.log(self.times))

    def log_distribution(self, r):
        return self._mixed(Normal().log_distribution, r, 0.0)

    def normal_score(self, r):
        from scipy import special

        return -np.sign(r) * special.ndtri(self._lower_tail(-np.abs(r)))

    def quantile(self, u):
        from scipy import special

        u = np.asarray(u, dtype=float)
        tail = np.minimum(u, 1 - u)
        near = special.ndtri(tail)
        far = self.times * near  # F(far) ≤ tail ≤ F(near)
        for _ in range(_HALVINGS):
            middle = 0.5 * (near + far)
            above = self._lower_tail(middle) > tail
            near, far = np.where(above, middle, near), np.where(above, far, middle)
        return np.where(u < 0.5, far, -far)

    def _lower_tail(self, r):
        """F(r), which has all its digits below 0."""
        from scipy import special

        return (1 - self.share) * special.ndtr(r) + self.share * special.ndtr(r / self.times)

    def draw(self, rng, shape):
        outlier = rng.random(shape) < self.share
        return rng.standard_normal(shape) * np.where(outlier, self.times, 1.0)

    def numpyro(self, mean, sd):
        import jax.numpy as jnp
        from numpyro import distributions

        shares = jnp.broadcast_to(jnp.array([1 - self.share, self.share]), (*jnp.shape(mean), 2))
        parts = distributions.Normal(mean[..., None], jnp.stack([sd, self.times * sd], axis=-1))
        return distributions.MixtureSameFamily(distributions.Categorical(probs=shares), parts)


def _exact(number: float) -> str:
    """The shortest text that reads back to the same number."""
    return repr(number).removesuffix(".0")


_PLAIN: dict[str, Noise] = {n.text: n for n in (Normal(), Laplace())}
_WITH_NUMBERS: dict[str, Callable[..., Noise]] = {"student_t": StudentT, "contaminated": Contaminated}
KNOWN = (
    f"{', '.join(_PLAIN)}, student_t(N) with N degrees of freedom above 0, contaminated(S, K) with a share S of "
    "outliers that scatter K times as far"
)


def meant_noise(text: str) -> str:
    """The end of a message on an unknown noise: which one was meant, if one is near.

    >>> meant_noise("laplas")
    "; did you mean 'laplace'?"
    """
    return did_you_mean(text, [*_PLAIN, "student_t(4)", "contaminated(0.05, 10)"])


def noise_of(text: str) -> Noise:
    """The noise that a table calls by a text.

    Parameters
    ----------
    text : str
        `normal`, `laplace`, `student_t(4)` with 4 degrees of freedom, or `contaminated(0.05, 10)`, where 5 % of the
        readings scatter 10 times as far.

    Returns
    -------
    Noise
        The distribution.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> noise_of("student_t(4)")
    StudentT(dof=4.0)
    """
    if text in _PLAIN:
        return _PLAIN[text]
    match = re.fullmatch(r"(\w+)\(([0-9.eE+,\s-]+)\)", text.strip())
    if match and match.group(1) in _WITH_NUMBERS:
        try:
            return _WITH_NUMBERS[match.group(1)](*map(float, match.group(2).split(",")))
        except TypeError:
            pass  # another count of numbers
        except ValueError as error:
            raise ValueError(f"the noise {text!r}: {error}") from None
    raise ValueError(f"unknown noise {text!r}; known: {KNOWN}{meant_noise(text)}")


__all__ = ["KNOWN", "Contaminated", "Laplace", "Noise", "Normal", "StudentT", "meant_noise", "noise_of"]
