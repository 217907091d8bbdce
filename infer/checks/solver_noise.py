"""Noise that is smaller than the solver's error, so that a likelihood scores the solver and not the model.

The error of a reading is how far it moves when the solver's tolerances become 100 times finer, and at least the
relative tolerance times the reading.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from ...models.listing import after_number
from ...models.solvers.accuracy import stricter
from ...models.solvers.dispatch import uses_fused
from ..posterior.draw_evaluation import map_draws
from ..problem.problem import Problem

_NEAR = 1e4  # times the relative tolerance of a reading: noise above is not compared where that takes long
_WAYS_OUT = "solve at a finer tolerance, or let the noise be what the assay has"


def drowned_noise(problem: Problem, values: Float[ArrayLike, "draws names"]) -> list[str]:
    """For each observable with rows whose noise lies below the solver's error: a sentence with both numbers.

    `values` are those of all parameters, in the order of `problem.names`. A row counts where that is so in at least
    half of the draws. Rows whose simulation fails do not.
    """
    table = np.atleast_2d(np.asarray(values, dtype=float))
    mean, sd = _readings(problem, table)
    error = _relative_tolerance(problem, mean)
    if uses_fused(problem.model, problem.settings) or np.any(sd < _NEAR * error):
        finer = problem.with_settings(stricter(problem.settings))
        moved = np.abs(mean - _readings(finer, table)[0])
        error = np.fmax(error, moved)
    below = sd < error
    return [
        _sentence(problem, name, rows, sd, error)
        for name in problem.dataset.observables
        if len(rows := _rows(problem, name, below))
    ]


def _readings(problem: Problem, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations, draws × rows, on each observable's scale."""
    mean, sd = map_draws(problem, _mean_and_sd, table)
    return mean, sd


def _mean_and_sd(problem: Problem, values: Float[Array, " names"]) -> tuple[Array, Array]:
    readout = problem.read(values)
    return readout.mean, readout.sd


def _relative_tolerance(problem: Problem, mean: np.ndarray) -> np.ndarray:
    """The relative tolerance of a reading, on its observable's scale."""
    observables = problem.dataset.observables
    base = np.array([observables[m.observable].scale.log_base for m in problem.dataset.measurements])
    logarithmic = base > 0
    return problem.settings.rtol * np.where(logarithmic, 1 / np.where(logarithmic, base, 1.0), np.abs(mean))


def _rows(problem: Problem, name: str, below: np.ndarray) -> np.ndarray:
    mine = np.array([m.observable == name for m in problem.dataset.measurements])
    return np.flatnonzero(mine & (np.mean(below, axis=0) >= 0.5))


def _sentence(problem: Problem, name: str, rows: np.ndarray, sd: np.ndarray, error: np.ndarray) -> str:
    middle_sd, middle_error = (np.nanmedian(x[:, rows], axis=0) for x in (sd, error))
    worst = int(np.argmax(middle_error / np.maximum(middle_sd, 1e-300)))
    m = problem.dataset.measurements[int(rows[worst])]
    observable = problem.dataset.observables[name]
    unit = after_number(observable.unit) if observable.scale == "lin" else ""
    on = "" if observable.scale == "lin" else f", on its {observable.scale} scale,"
    total = sum(x.observable == name for x in problem.dataset.measurements)
    return (
        f"the noise of {name}{on} lies below the solver's error in {len(rows)} of {total} rows: in row {m.row} (time "
        f"{m.time:g}, {m.protocol}) its sd is {middle_sd[worst]:.2g}{unit}, the error about {middle_error[worst]:.2g}"
        f"{unit} at a relative tolerance of {problem.settings.rtol:g}. The likelihood of such rows scores the solver: "
        f"{_WAYS_OUT}"
    )


__all__ = ["drowned_noise"]
