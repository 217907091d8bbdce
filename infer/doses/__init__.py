"""Dose response: doses of ligands and drugs, their curves, combinations and arms, over all draws of a posterior."""

from .amounts import Doses, doses_of
from .arms import arm_share
from .combination import combination
from .conditions import Condition
from .hill import Curve, HillFits
from .response import DoseResponse, dose_response

__all__ = [
    "Condition",
    "Curve",
    "DoseResponse",
    "Doses",
    "HillFits",
    "arm_share",
    "combination",
    "dose_response",
    "doses_of",
]
