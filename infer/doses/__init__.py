"""Dose response: doses of ligands and drugs, their curves, combinations and arms, over all members of an ensemble."""

from typing import Any
from warnings import warn

from .amounts import Doses, doses_of
from .arms import arm_share
from .combination import combination
from .conditions import Condition
from .ensemble import Ensemble
from .hill import CurveStatus, HillFits
from .response import dose_response
from .result import DoseResponse

__all__ = [
    "Condition",
    "CurveStatus",
    "DoseResponse",
    "Doses",
    "Ensemble",
    "HillFits",
    "arm_share",
    "combination",
    "dose_response",
    "doses_of",
]


def __getattr__(name: str) -> Any:
    """An old name, for one release: importing these modules brings xarray, so `hexamer.moved` does not."""
    if name != "Curve":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = "hexamer.infer.doses.CurveStatus"
    warn(f"{__name__}.Curve is now {new}; the old name goes with the next release", DeprecationWarning, stacklevel=2)
    return CurveStatus
