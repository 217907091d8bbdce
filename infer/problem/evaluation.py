"""The result of evaluating a problem at given parameter values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A problem at given parameter values; rows are in the order of the measurements.

    Attributes
    ----------
    log_likelihood : float
        With all constants, in nats; −∞ if a row has no density.
    chi2 : float
        Sum of squared standardised residuals, dimensionless, without rows that are censored, which have none.
    n : int
        Number of all rows.
    failed : dict
        Failed simulations by kind, or one `not_finite` if all succeeded and a row has no density: see `undefined`.
    predictions : array, rows
        In the units of the measurements; NaN if a simulation failed.
    standard_deviations : array, rows
        In the units of each observable's scale (in log10 for one on that scale); NaN if a simulation failed.
    censored : int
        Number of rows that are limits.
    notes : tuple of str
        Why simulations failed, if it is known.
    undefined : tuple of str
        Rows without a density though their simulation succeeded, and why.
    """

    log_likelihood: float
    chi2: float
    n: int
    failed: dict[str, int]
    predictions: np.ndarray
    standard_deviations: np.ndarray
    censored: int = 0
    notes: tuple[str, ...] = ()
    undefined: tuple[str, ...] = ()

    def __repr__(self) -> str:
        limits = f", {self.censored} limits" if self.censored else ""
        failed = ", ".join(f"{n} {kind}" for kind, n in self.failed.items())
        rows = f"{self.n - self.censored} measurements{limits}"
        return f"Evaluation(nllh {self.nllh:.4f}, chi2 {self.chi2:.1f} over {rows}; failed: {failed or 'none'})"

    @property
    def nllh(self) -> float:
        """The negative log likelihood, in nats."""
        return -self.log_likelihood


__all__ = ["Evaluation"]
