"""Replicated measurements, of the posterior or the prior, and the same without noise."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr
from jaxtyping import Float

from ..problem.censoring import recorded, uppers
from ..problem.failures import count_kinds
from ..problem.problem import Problem
from .draw_evaluation import Evaluated
from .row_layout import over_rows

SAMPLE = ("chain", "draw")


def in_their_runs(
    problem: Problem, evaluated: Evaluated, log_scales: Float[np.ndarray, "draws scales"]
) -> Float[np.ndarray, "draws rows"]:
    """Means of all rows on their observables' scales, with the scales that are integrated out."""
    nuisance = problem.nuisance
    if not len(nuisance):
        return evaluated.mean
    shift = nuisance.slope * log_scales[:, nuisance.group.clip(0)]
    return evaluated.mean + np.where(nuisance.group >= 0, shift, 0.0)


def replicates(
    problem: Problem,
    mean: Float[np.ndarray, "draws rows"],
    evaluated: Evaluated,
    noise: Float[np.ndarray, "draws rows"],
    shape: tuple[int, int],
) -> xr.Dataset:
    """Measurements drawn anew, as they would be recorded: what lies beyond a row's limit is its limit."""
    assays, tail = problem.assays, np.asarray(problem.measured.tail)
    measured = np.array([m.value for m in problem.dataset.measurements])
    # Half the room is enough, but for those that must equal their limit.
    kind = np.float64 if np.any(tail) else np.float32
    with np.errstate(over="ignore", invalid="ignore"):  # a prior may be wide
        read = assays.natural(mean + evaluated.sd * noise)
        drawn = np.asarray(recorded(read, measured, uppers(problem.dataset), tail)).astype(kind)
    return over_draws(over_rows(problem, drawn.reshape(*shape, -1), SAMPLE), shape)


def without_noise(problem: Problem, mean: Float[np.ndarray, "draws rows"], shape: tuple[int, int]) -> xr.Dataset:
    """Readings of each row without noise, in its run and in the unit of the measurements."""
    read = problem.assays.natural(mean).reshape(*shape, -1).astype(np.float32)
    return over_draws(over_rows(problem, read, SAMPLE), shape)


def prior_replicates(
    problem: Problem,
    evaluated: Evaluated,
    log_scales: Float[np.ndarray, "draws scales"],
    noise: Float[np.ndarray, "draws rows"],
) -> xr.Dataset:
    """Measurements as the prior predicts them; draws whose simulation failed are left out, and counted."""
    shape = (1, len(noise))
    drawn = replicates(problem, in_their_runs(problem, evaluated, log_scales), evaluated, noise, shape)
    return drawn.dropna("draw").assign_attrs(failed(evaluated))


def failed(evaluated: Evaluated) -> dict[str, str]:
    """Failed solves by kind, as an attribute."""
    return {"failed_solves": json.dumps(count_kinds(evaluated.status))}


def over_draws(dataset: xr.Dataset, shape: tuple[int, int]) -> xr.Dataset:
    """The data set, with the numbers of chains and draws as coordinates."""
    return dataset.assign_coords(chain=np.arange(shape[0]), draw=np.arange(shape[1]))


__all__ = ["SAMPLE", "failed", "in_their_runs", "over_draws", "prior_replicates", "replicates", "without_noise"]
