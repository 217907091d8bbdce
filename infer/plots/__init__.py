"""Figures of fits and posteriors; each function returns matplotlib figures, and touches no global state."""

from .arms import arm_share
from .checks import evaluation, observed_predicted, residuals
from .dose import dose
from .dose_response import dose_response, drug_response
from .fit import fit
from .optimiser import starts, traces, waterfall
from .parameters import chains, prior_posterior
from .population import population
from .surface import surface

__all__ = [
    "arm_share",
    "chains",
    "dose",
    "dose_response",
    "drug_response",
    "evaluation",
    "fit",
    "observed_predicted",
    "population",
    "prior_posterior",
    "residuals",
    "starts",
    "surface",
    "traces",
    "waterfall",
]
