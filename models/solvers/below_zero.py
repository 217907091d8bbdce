"""Amounts, concentrations and volumes that a model lets fall below 0."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..compiled.domain import TOLERATED
from ..compiled.model import Model
from .scale import FLOOR, LEAST


def lowest(model: Model, y: Any, rtol: float, atol: float | None, xp: ModuleType = np) -> Any:
    """For each species how far below 0 its trajectories fall, by more than the solver's error; else 0.

    `y` is … × times × species, an array of `xp` (numpy, or jax.numpy). Species that start below 0 may mean it, and so
    may parameters with a rate rule: they are 0. Trajectories that failed (NaN) have no say.
    """
    course = xp.where(xp.isfinite(y), y, 0.0)
    if atol is None:
        atol = judging_atol(model, course, rtol, xp)[..., None]
    allowed = TOLERATED * (atol + rtol * xp.abs(course).max(axis=-2))
    low = course.min(axis=-2)
    falls = (low < -allowed) & (course[..., 0, :] >= -allowed) & np.broadcast_to(_starts_nonnegative(model), low.shape)
    return xp.where(falls, low, 0.0).min(axis=tuple(range(low.ndim - 1)))


def judging_atol(model: Model, y: Any, rtol: Any, xp: ModuleType = np) -> Any:
    """The absolute tolerance that outputs are judged by where it follows the model's own scale: one a trajectory.

    `y` is … × times × species; that of the largest species, since a smaller one may be a difference of such.
    """
    species = np.arange(y.shape[-1]) != (-1 if model.time_index is None else model.time_index)
    largest = xp.where(np.broadcast_to(species, y.shape) & xp.isfinite(y), xp.abs(y), 0.0).max(axis=(-2, -1))
    return xp.maximum(FLOOR["float64"] * rtol * largest, LEAST)


def reading_atol(model: Model, y: jax.Array, rtol: Any, atol: Any) -> Any:
    """The absolute tolerance that formulas over outputs are read with: `atol`, or what follows from the outputs."""
    return jnp.max(judging_atol(model, jax.lax.stop_gradient(y), rtol, jnp)) if atol is None else atol


def by_species(model: Model, low: np.ndarray) -> dict[str, float]:
    """What `lowest` found, by the species' names."""
    if not np.size(low):
        return {}
    return {n: float(x) for n, x in zip(model.species, np.asarray(low), strict=True) if x < 0}


def below_zero_warning(species_below_zero: Mapping[str, float]) -> str:
    """A warning about species below 0, empty if there are none."""
    if not species_below_zero:
        return ""
    listed = ", ".join(f"{name} (to {value:.3g})" for name, value in species_below_zero.items())
    return (
        f"the model takes below 0 what is an amount, a concentration or a volume: {listed}. "
        "A rate that removes a species must end where there is none of it, as k*A does"
    )


@cache
def _starts_nonnegative(model: Model) -> np.ndarray:
    with jax.ensure_compile_time_eval():
        start = np.asarray(model.initial(jnp.asarray(np.nan_to_num(model.defaults))))
    volumes = () if model.network is None else tuple(model.network.compartments)
    return np.isin(model.species, (*model.nonnegative, *volumes)) & ~(start < 0)
