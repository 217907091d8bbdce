"""A model with its data: parameters, likelihood and failures."""

from .evaluation import Evaluation
from .load import load_problem
from .problem import Problem

__all__ = ["Evaluation", "Problem", "load_problem"]
