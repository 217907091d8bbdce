"""Figures of fits and posteriors; each function returns matplotlib figures, and touches no global state."""

from .checks import evaluation, observed_predicted, residuals
from .dose import dose
from .fit import fit
from .optimiser import starts, traces, waterfall
from .parameters import chains, prior_posterior

__all__ = [
    "chains",
    "dose",
    "evaluation",
    "fit",
    "observed_predicted",
    "prior_posterior",
    "residuals",
    "starts",
    "traces",
    "waterfall",
]
