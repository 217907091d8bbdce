"""The result of evaluating a problem at given parameter values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A problem at given parameter values, every row in the order of the measurements.

    `predictions` are in the units of the measurements, `standard_deviations` on each observable's scale (in
    log10 for one on that scale); NaN where a simulation failed. `nllh` is the negative log likelihood with
    all constants, infinite then; `chi2` the sum of squared standardised residuals, without rows that are
    censored, which have none; `n` counts all rows, `censored` those that are limits; `failed` counts failed simulations
    by kind, or is one `not_finite` where all succeeded and a row has no density: `undefined` then names such rows.
    """

    log_likelihood: float
    chi2: float
    n: int
    failed: dict[str, int]
    predictions: np.ndarray
    standard_deviations: np.ndarray
    censored: int = 0
    notes: tuple[str, ...] = ()  # what failed simulations come from, where it is known
    undefined: tuple[str, ...] = ()  # rows without a density though their simulation succeeded, and why

    def __repr__(self) -> str:
        limits = f", {self.censored} limits" if self.censored else ""
        failed = ", ".join(f"{n} {kind}" for kind, n in self.failed.items())
        rows = f"{self.n - self.censored} measurements{limits}"
        return f"Evaluation(nllh {self.nllh:.4f}, chi2 {self.chi2:.1f} over {rows}; failed: {failed or 'none'})"

    @property
    def nllh(self) -> float:
        return -self.log_likelihood


__all__ = ["Evaluation"]
