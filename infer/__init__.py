"""What we believe: priors and likelihood, posterior, predictions."""

from .curvature import Curvature, curvature
from .fit import Fit, fit
from .gradient_check import GradientCheck, check_gradient
from .optimise import Fits, find_map
from .posterior import to_datatree
from .posterior_file import PosteriorFileError, read, save
from .problem import Evaluation, Problem
from .report import report, report_fits
from .sample import Draws, sample
from .solver_choice import choose_solver
from .store import StoreError
from .summary import Summary, summarise

__all__ = [
    "Curvature",
    "Draws",
    "Evaluation",
    "Fit",
    "Fits",
    "GradientCheck",
    "PosteriorFileError",
    "Problem",
    "StoreError",
    "Summary",
    "check_gradient",
    "choose_solver",
    "curvature",
    "find_map",
    "fit",
    "read",
    "report",
    "report_fits",
    "sample",
    "save",
    "summarise",
    "to_datatree",
]
