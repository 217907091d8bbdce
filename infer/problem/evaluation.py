"""The result of evaluating a problem at given parameter values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float

from ...data.dataset import Dataset
from ...models.solvers.settings import Settings
from ...models.solvers.status import Status
from .failures import count_kinds
from .measured import Measured
from .readout import Assays, Readout
from .reasons import why_not_solved
from .undefined import undefined_rows


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


def evaluation_of(
    assays: Assays,
    dataset: Dataset,
    measured: Measured,
    settings: Settings,
    vector: Float[Array, " names"],
    readout: Readout,
    rows: Float[Array, " rows"],
) -> Evaluation:
    """The evaluation at `vector`, all parameters in their units, from what the assays read there and log densities."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # `undefined` says so in words
        r = (np.asarray(measured.value) - np.asarray(readout.mean)) / np.asarray(readout.sd)
        chi2 = float(np.sum(r[measured.tail == 0] ** 2))
    log_likelihood = float(rows.sum())
    failed, undefined = count_kinds(np.asarray(readout.status)), []
    if not math.isfinite(log_likelihood):
        log_likelihood, failed = -math.inf, failed or {Status.NOT_FINITE.label: 1}
        undefined = undefined_rows(assays, dataset, readout, np.asarray(rows))
    return Evaluation(
        log_likelihood=log_likelihood,
        chi2=chi2,
        n=len(dataset),
        failed=failed,
        predictions=assays.natural(np.asarray(readout.mean)),
        standard_deviations=np.asarray(readout.sd),
        censored=int(np.sum(measured.tail != 0)),
        notes=why_not_solved(assays, settings, failed, vector),
        undefined=tuple(undefined),
    )


__all__ = ["Evaluation", "evaluation_of"]
