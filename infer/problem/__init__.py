"""A model with its data: parameters, likelihood and failures."""

from .problem import Evaluation, Problem

__all__ = ["Evaluation", "Problem"]
