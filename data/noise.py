"""Noise: how readings scatter about their mean. A distribution is added here, as a class, and nowhere else.

All are symmetric about 0, and r is a residual in standard deviations (normal) or scale parameters.
"""

from __future__ import annotations

import abc
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float

from ..models.listing import did_you_mean

if TYPE_CHECKING:  # tables are read without JAX, which takes half a second to import
    import numpyro.distributions as dist
    from jaxtyping import Array


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
        return f"student_t({repr(self.dof).removesuffix('.0')})"

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


_PLAIN: dict[str, Noise] = {n.text: n for n in (Normal(), Laplace())}
KNOWN = f"{', '.join(_PLAIN)}, student_t(N) with N degrees of freedom above 0"


def meant_noise(text: str) -> str:
    """The end of a message on an unknown noise: which one was meant, if one is near.

    >>> meant_noise("laplas")
    "; did you mean 'laplace'?"
    """
    return did_you_mean(text, [*_PLAIN, "student_t(4)"])


def noise_of(text: str) -> Noise:
    """The noise that a table calls by a text.

    Parameters
    ----------
    text : str
        `normal`, `laplace` or, with 4 degrees of freedom, `student_t(4)`.

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
    if match := re.fullmatch(r"student_t\(\s*([0-9.eE+-]+)\s*\)", text.strip()):
        try:
            return StudentT(float(match.group(1)))
        except ValueError as error:
            raise ValueError(f"the noise {text!r}: {error}") from None
    raise ValueError(f"unknown noise {text!r}; known: {KNOWN}{meant_noise(text)}")


__all__ = ["KNOWN", "Laplace", "Noise", "Normal", "StudentT", "meant_noise", "noise_of"]
