"""What we believe: priors and likelihood, posterior, predictions."""

from typing import TYPE_CHECKING

from ..late_imports import later
from ..models.variation import Spread
from .calibration import fit
from .checks.gradient_check import GradientCheck, check_gradient
from .checks.solver_choice import choose_solver
from .optimisation.fits import Fits
from .optimisation.laplace import Curvature, curvature, find_mode
from .optimisation.many_starts import find_map
from .problem.evaluation import Evaluation
from .problem.load import load_problem
from .problem.problem import Problem
from .sampling.array_state import ArrayState
from .sampling.draws import Draws
from .sampling.nuts import NUTS, sample
from .sampling.runner import run_sampler
from .sampling.sampler import Block, Info, Sampler
from .sampling.smc import SMC
from .sampling.store import StoreError
from .storage.lock import LockedError

if TYPE_CHECKING:
    from .comparison.leave_one_out import loo
    from .doses import Condition, DoseResponse, Ensemble, arm_share, combination, dose_response
    from .posterior.datatree import to_datatree
    from .posterior.file import PosteriorFileError, read_datatree, save_datatree
    from .posterior.summary import Summary, summarise
    from .posterior.verdicts.verdict import Verdict
    from .prediction.prediction import Prediction, predict
    from .problem.petab_export import export_petab
    from .reports.calibration import report, report_fits
    from .reports.rank_tables import report_ranks
    from .result import Calibration, read_posterior
    from .simulation_calibration.calibration_check import CalibrationCheck
    from .simulation_calibration.replicate_runs import sbc

# Trees and figures bring xarray and matplotlib, which half a script never needs.
__getattr__, __dir__ = later(
    __name__,
    dict.fromkeys(("Condition", "DoseResponse", "Ensemble", "arm_share", "combination", "dose_response"), "doses")
    | dict.fromkeys(("PosteriorFileError", "read_datatree", "save_datatree"), "posterior.file")
    | dict.fromkeys(("Summary", "summarise"), "posterior.summary")
    | {"Verdict": "posterior.verdicts.verdict"}
    | dict.fromkeys(("Prediction", "predict"), "prediction.prediction")
    | dict.fromkeys(("report", "report_fits"), "reports.calibration")
    | dict.fromkeys(("Calibration", "read_posterior"), "result")
    | {"CalibrationCheck": "simulation_calibration.calibration_check", "sbc": "simulation_calibration.replicate_runs"}
    | {"report_ranks": "reports.rank_tables"}
    | {"export_petab": "problem.petab_export", "loo": "comparison.leave_one_out", "to_datatree": "posterior.datatree"},
)

# What is fitted, and searches for the best fit:
__all__ = ["Curvature", "Evaluation", "Fits", "GradientCheck", "Problem", "check_gradient", "choose_solver"]
__all__ += ["curvature", "export_petab", "find_map", "find_mode", "fit", "load_problem"]
# Samplers and their draws:
__all__ += ["NUTS", "SMC", "ArrayState", "Block", "Draws", "Info", "LockedError", "Sampler", "StoreError"]
__all__ += ["run_sampler", "sample"]
# Results:
__all__ += ["Calibration", "CalibrationCheck", "PosteriorFileError", "Summary", "Verdict", "loo"]
__all__ += ["read_datatree", "read_posterior", "report", "report_fits", "report_ranks", "save_datatree", "sbc"]
__all__ += ["summarise", "to_datatree"]
# What they predict:
__all__ += ["Condition", "DoseResponse", "Ensemble", "Prediction", "Spread", "arm_share", "combination"]
__all__ += ["dose_response", "predict"]
