"""What we believe: priors and likelihood, posterior, predictions."""

from typing import TYPE_CHECKING

from ..later import later
from .calibration import Fit, fit
from .checks.gradient_check import GradientCheck, check_gradient
from .checks.solver_choice import choose_solver
from .optimisation.laplace import Curvature, curvature, find_mode
from .optimisation.many_starts import Fits, find_map
from .problem.evaluation import Evaluation
from .problem.load import load_problem
from .problem.problem import Problem
from .sampling.nuts import Draws, sample
from .sampling.store import StoreError
from .storage.lock import LockedError

if TYPE_CHECKING:
    from .doses import Condition, DoseResponse, arm_share, combination, dose_response
    from .doses.population import Population, Spread, virtual_population
    from .posterior.datatree import to_datatree
    from .posterior.file import PosteriorFileError, read, save
    from .posterior.summary import Summary, summarise
    from .reports.calibration import report, report_fits

# Trees and figures bring xarray and matplotlib, which half a script never needs.
__getattr__, __dir__ = later(
    __name__,
    {
        "Condition": "doses",
        "DoseResponse": "doses",
        "Population": "doses.population",
        "PosteriorFileError": "posterior.file",
        "Spread": "doses.population",
        "Summary": "posterior.summary",
        "arm_share": "doses",
        "combination": "doses",
        "dose_response": "doses",
        "read": "posterior.file",
        "report": "reports.calibration",
        "report_fits": "reports.calibration",
        "save": "posterior.file",
        "summarise": "posterior.summary",
        "to_datatree": "posterior.datatree",
        "virtual_population": "doses.population",
    },
)

__all__ = [
    "Condition",
    "Curvature",
    "DoseResponse",
    "Draws",
    "Evaluation",
    "Fit",
    "Fits",
    "GradientCheck",
    "LockedError",
    "Population",
    "PosteriorFileError",
    "Problem",
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
    "report",
    "report_fits",
    "sample",
    "save",
    "summarise",
    "to_datatree",
    "virtual_population",
]
