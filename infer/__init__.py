"""What we believe: priors and likelihood, posterior, predictions."""

from typing import TYPE_CHECKING

from ..later import later
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
from .sampling.draws import Draws
from .sampling.nuts import NUTS, sample
from .sampling.runner import run_sampler
from .sampling.sampler import Block, Info, Sampler
from .sampling.store import StoreError
from .storage.lock import LockedError

if TYPE_CHECKING:
    from .doses import Condition, DoseResponse, Ensemble, arm_share, combination, dose_response
    from .posterior.datatree import to_datatree
    from .posterior.file import PosteriorFileError, read, save
    from .posterior.summary import Summary, summarise
    from .reports.calibration import report, report_fits
    from .result import Calibration, read_posterior

# Trees and figures bring xarray and matplotlib, which half a script never needs.
__getattr__, __dir__ = later(
    __name__,
    {
        "Calibration": "result",
        "Condition": "doses",
        "DoseResponse": "doses",
        "Ensemble": "doses",
        "PosteriorFileError": "posterior.file",
        "Summary": "posterior.summary",
        "arm_share": "doses",
        "combination": "doses",
        "dose_response": "doses",
        "read": "posterior.file",
        "read_posterior": "result",
        "report": "reports.calibration",
        "report_fits": "reports.calibration",
        "save": "posterior.file",
        "summarise": "posterior.summary",
        "to_datatree": "posterior.datatree",
    },
)

__all__ = [
    "NUTS",
    "Block",
    "Calibration",
    "Condition",
    "Curvature",
    "DoseResponse",
    "Draws",
    "Ensemble",
    "Evaluation",
    "Fits",
    "GradientCheck",
    "Info",
    "LockedError",
    "PosteriorFileError",
    "Problem",
    "Sampler",
    "Spread",
    "StoreError",
    "Summary",
    "arm_share",
    "check_gradient",
    "choose_solver",
    "combination",
    "curvature",
    "dose_response",
    "find_map",
    "find_mode",
    "fit",
    "load_problem",
    "read",
    "read_posterior",
    "report",
    "report_fits",
    "run_sampler",
    "sample",
    "save",
    "summarise",
    "to_datatree",
]
