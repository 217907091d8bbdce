"""Dose response: doses of ligands and drugs, their curves, combinations and arms, over all members of an ensemble."""

from ...moved import rename_names
from .amounts import Doses, doses_of
from .arms import arm_share
from .conditions import Condition
from .drug_pairs import combination
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

# An old name; importing these modules brings xarray, so `hexamer.moved` does not.
__getattr__ = rename_names(__name__, {"Curve": "infer.doses.CurveStatus"})
