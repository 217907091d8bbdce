"""Figures of fits and posteriors; each function returns matplotlib figures, and touches no global state.

The functions `of_...` return all figures that a report writes, by the names of their files.
"""

from .arms import arm_share
from .checks import evaluation, observed_predicted, residuals
from .dose_curves import dose_response, drug_response
from .dose_readings import dose
from .dose_surface import surface
from .observable_panels import fit
from .optimiser import starts, traces, waterfall
from .parameters import chains, prior_posterior
from .population_bands import population
from .rank_curves import ranks
from .report_figures import of_calibration, of_doses, of_fits

__all__ = ["of_calibration", "of_doses", "of_fits"]
__all__ += ["arm_share", "chains", "dose", "dose_response", "drug_response", "evaluation", "fit", "observed_predicted"]
__all__ += ["population", "prior_posterior", "ranks", "residuals", "starts", "surface", "traces", "waterfall"]
