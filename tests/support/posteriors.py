"""Posteriors without a fit."""

from __future__ import annotations

import numpy as np

from hexamer import Problem
from hexamer.infer.posterior import to_datatree


def tree_of(problem: Problem, draws: int = 3):
    """A posterior of a few draws around the priors' centres, without a fit."""
    z = 0.1 * np.random.default_rng(0).normal(size=(1, draws, len(problem.space)))
    stats = {"diverging": np.zeros((1, draws), bool)}
    return to_datatree(problem, z, stats, seed=1, failures={}, predictive=False)
