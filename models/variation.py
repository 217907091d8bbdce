r"""Quantities that vary from cell to cell, or from patient to patient, lognormally:

    ln x = ln m − s²/2 + s z,   s² = ln(1 + cv²),   z ~ normal(0, R)

so that m is the mean over members, which is what a blot of many cells measures, cv their coefficient of variation, and
R the correlations on the logarithmic scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

from .listing import did_you_mean

Correlation = float | Mapping[tuple[str, str], float]
"""On the logarithmic scale: one number for all pairs, or numbers by pair; pairs that are not named have 0."""


@dataclass(frozen=True)
class Spread:
    """How a quantity varies over members, lognormally.

    Parameters
    ----------
    cv : float
        Coefficient of variation, dimensionless; 0 or more and finite, else `ValueError`.
    mean : float or str, optional
        A number in the model's units, or text with a unit. Without it, the value of the parameter itself, in each draw.
    """

    cv: float
    mean: float | str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.cv < np.inf:
            raise ValueError(f"cv must be 0 or more and finite, not {self.cv}")


def lognormal_factors(
    cv: Mapping[str, float], size: int, seed: int, correlation: Correlation = 0.0
) -> dict[str, Float[np.ndarray, " members"]]:
    """By name, what the quantities of `size` members are multiplied with: mean 1, and these coefficients of variation.

    Raises `ValueError` for correlations of names that do not vary, and for those that no distribution has.
    """
    root = np.linalg.cholesky(_matrix(tuple(cv), correlation))
    z = np.random.default_rng(seed).normal(size=(size, len(cv))) @ root.T
    s = np.sqrt(np.log1p(np.array(list(cv.values())) ** 2))
    return dict(zip(cv, np.exp(s * z - 0.5 * s**2).T, strict=True))


def _matrix(names: tuple[str, ...], correlation: Correlation) -> Float[np.ndarray, "names names"]:
    correlations = (
        correlation if isinstance(correlation, Mapping) else dict.fromkeys(combinations(names, 2), correlation)
    )
    if unknown := sorted({n for pair in correlations for n in pair} - set(names)):
        raise ValueError(
            f"correlation names {', '.join(unknown)}, which does not vary; what does: {', '.join(names)}"
            f"{did_you_mean(unknown, names)}"
        )
    r = np.eye(len(names))
    for (a, b), value in correlations.items():
        r[names.index(a), names.index(b)] = r[names.index(b), names.index(a)] = value
    if not np.all(np.isfinite(r)) or np.any(np.diag(r) != 1) or np.linalg.eigvalsh(r)[0] < 1e-10:
        raise ValueError(f"no distribution has these correlations: {dict(correlations)}")
    return r


__all__ = ["Correlation", "Spread", "lognormal_factors"]
