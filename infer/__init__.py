"""What we believe: priors and likelihood, posterior, predictions."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .curvature import Curvature, curvature, find_mode
from .fit import Fit, fit
from .gradient_check import GradientCheck, check_gradient
from .optimise import Fits, find_map
from .problem import Evaluation, Problem
from .sample import Draws, sample
from .solver_choice import choose_solver
from .store import StoreError

if TYPE_CHECKING:
    from .posterior import to_datatree
    from .posterior_file import PosteriorFileError, read, save
    from .reporting import report, report_fits
    from .summary import Summary, summarise

# Trees and figures bring xarray and matplotlib, which half a script never needs: imported at first use.
_LATER = {
    "PosteriorFileError": "posterior_file",
    "Summary": "summary",
    "read": "posterior_file",
    "report": "reporting",
    "report_fits": "reporting",
    "save": "posterior_file",
    "summarise": "summary",
    "to_datatree": "posterior",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LATER[name]}", __name__), name)


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
    "find_mode",
    "fit",
    "read",
    "report",
    "report_fits",
    "sample",
    "save",
    "summarise",
    "to_datatree",
]
