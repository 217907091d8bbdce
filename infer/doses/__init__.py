"""Dose response: doses of ligands and drugs, their curves, combinations and arms, over all members of an ensemble."""

from .amounts import Doses, doses_of
from .arms import arm_share
from .combination import combination
from .conditions import Condition
from .ensemble import Ensemble
from .hill import Curve, HillFits
from .response import dose_response
from .result import DoseResponse

__all__ = [
    "Condition",
    "Curve",
    "DoseResponse",
    "Doses",
    "Ensemble",
    "HillFits",
    "arm_share",
    "combination",
    "dose_response",
    "doses_of",
]
