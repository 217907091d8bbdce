"""The measured values as arrays: the part of a data set that a likelihood compares with what the assays read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from ...data.dataset import Dataset
from .censoring import tails, uppers
from .marginal_scales import Nuisance


class Measured(NamedTuple):
    """All that differs between data sets of one shape, on each observable's scale; an argument of what is compiled."""

    value: Float[np.ndarray | Array, " rows"]  # of a censored row its limit, of an interval the lower one
    width: Float[np.ndarray | Array, " rows"]  # of an interval; 1 for other rows
    tail: Int[np.ndarray | Array, " rows"]  # see `censoring.tails`
    jacobian: Float[np.ndarray | Array, " rows"]  # log |d scale(v)/dv|, which makes a density one of v; 0 if censored
    of_scales: Float[np.ndarray | Array, " scales"]  # its sums over the rows of each scale that is integrated out


def measured_of(dataset: Dataset, log_base: Float[np.ndarray, " rows"], nuisance: Nuisance) -> Measured:
    """The values of a data set. Raises `ValueError` with all rows whose value has no logarithm and needs one."""
    values, tail, logarithmic = np.array([m.value for m in dataset.measurements]), tails(dataset), log_base > 0
    if bad := [m for m, x in zip(dataset.measurements, logarithmic, strict=True) if x and not m.value > 0]:
        rows = "; ".join(f"row {m.row}: {m.observable} is {m.value:g}" for m in bad)
        raise ValueError(
            f"a value on a logarithmic scale must be positive: {rows}. Leave such a row out, state it as censored at "
            "the assay's limit, or put the observable on the linear scale"
        )
    logged = np.log(np.where(logarithmic, values, 1.0))
    jacobian = np.where(logarithmic & (tail == 0), -logged - np.log(np.where(logarithmic, log_base, 1.0)), 0.0)
    value, upper = _on_base(values, log_base), _on_base(uppers(dataset), log_base)
    rows = nuisance.group >= 0
    of_scales = np.bincount(nuisance.group[rows], jacobian[rows], len(nuisance))
    return Measured(value, np.where(upper > value, upper - value, 1.0), tail, jacobian, of_scales)


def _on_base(values: Float[np.ndarray, " rows"], log_base: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Values on their observable's scale."""
    logarithmic = log_base > 0
    logged = np.log(np.where(logarithmic, values, 1.0))
    return np.where(logarithmic, logged / np.where(logarithmic, log_base, 1.0), values)


__all__ = ["Measured", "measured_of"]
