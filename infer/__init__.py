"""What we believe: priors and likelihood, posterior, predictions."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .curvature import Curvature, curvature, find_mode
from .fit import Fit, fit
from .gradient_check import GradientCheck, check_gradient
from .lock import LockedError
from .optimise import Fits, find_map
from .problem import Evaluation, Problem
from .sample import Draws, sample
from .solver_choice import choose_solver
from .store import StoreError

if TYPE_CHECKING:
    from .doses import Condition, DoseResponse, arm_share, combination, dose_response
    from .population import Population, Spread, virtual_population
    from .posterior import to_datatree
    from .posterior_file import PosteriorFileError, read, save
    from .reporting import report, report_fits
    from .summary import Summary, summarise

# Trees and figures bring xarray and matplotlib, which half a script never needs: imported at first use.
_LATER = {
    "Condition": "doses",
    "DoseResponse": "doses",
    "Population": "population",
    "PosteriorFileError": "posterior_file",
    "Spread": "population",
    "Summary": "summary",
    "arm_share": "doses",
    "combination": "doses",
    "dose_response": "doses",
    "read": "posterior_file",
    "report": "reporting",
    "report_fits": "reporting",
    "save": "posterior_file",
    "summarise": "summary",
    "to_datatree": "posterior",
    "virtual_population": "population",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LATER[name]}", __name__), name)


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
    "read",
    "report",
    "report_fits",
    "sample",
    "save",
    "summarise",
    "to_datatree",
    "virtual_population",
]
