"""What we believe: priors and likelihood, posterior, predictions."""

from .problem import Evaluation, Problem

__all__ = ["Evaluation", "Problem"]
