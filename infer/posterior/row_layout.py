"""Rows of a posterior's tree: one variable, `measurement`, over one dimension, `row`.

`row` counts the measurements from 0, in the order of the problem. Its coordinates are `observable`, `protocol`, `time`
(of the model), `run` (the gel, plate or other experiment; empty if none is named), `censored` ("left", "right",
"interval", or empty), `line` (of the table that the row comes from), `unit`, and `scale` (the scale that is
integrated out in this row, or empty). To see a part of the data alone, take it from the tree:
`tree.isel(row=np.flatnonzero(tree["observed_data"]["observable"] == "pSTAT3"))`.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..problem.problem import Problem
from .file import MEASUREMENT, OLDER_LAYOUT, PosteriorFileError

ROW = "row"


def row_coordinates(problem: Problem) -> dict[str, tuple[str, np.ndarray]]:
    """The coordinates of the rows."""
    rows = problem.dataset.measurements
    units = [problem.dataset.observables[m.observable].unit for m in rows]
    scales = ["" if g < 0 else problem.nuisance.names[g] for g in problem.nuisance.group]
    coordinates = {
        ROW: np.arange(len(rows)),
        "observable": np.array([m.observable for m in rows]),
        "protocol": np.array([m.protocol for m in rows]),
        "time": np.array([m.time for m in rows], dtype=float),
        "run": np.array([m.experiment for m in rows]),
        "censored": np.array([m.censored for m in rows]),
        "line": np.array([m.row for m in rows]),
        "unit": np.array(units),
        "scale": np.array(scales),
    }
    return {name: (ROW, values) for name, values in coordinates.items()}


def over_rows(problem: Problem, values: np.ndarray, leading: tuple[str, ...] = ()) -> xr.Dataset:
    """Values of all rows, the last axis, as a group's data set."""
    return xr.Dataset({MEASUREMENT: xr.DataArray(values, dims=(*leading, ROW), coords=row_coordinates(problem))})


def observed_data(problem: Problem) -> xr.Dataset:
    """The measurements, as measured; of a limit or an interval its (lower) limit."""
    return over_rows(problem, np.array([m.value for m in problem.dataset.measurements], dtype=float))


def constant_data(problem: Problem) -> xr.Dataset:
    """1 for rows that were measured and 0 for limits and intervals, as `arviz_plots.plot_ppc_censored` takes it."""
    measured = np.array([not m.censored for m in problem.dataset.measurements], dtype=np.int8)
    return over_rows(problem, measured).assign_attrs(meaning="1: measured, 0: a limit or an interval")


def of_rows(tree: xr.DataTree, group: str, observable: str | None = None) -> xr.DataArray:
    """The rows of a group, all or those of one observable.

    Raises `PosteriorFileError` if the tree has no such group, or has the layout of an older release.
    """
    if group not in tree.children:
        raise PosteriorFileError(f"the posterior has no group {group!r}: it was made without predictions")
    rows = tree[group].dataset
    if MEASUREMENT not in rows:
        raise PosteriorFileError(OLDER_LAYOUT)
    values = rows[MEASUREMENT]
    return values if observable is None else values.isel({ROW: np.flatnonzero(values["observable"] == observable)})


def observables_of(tree: xr.DataTree) -> set[str]:
    """The observables with rows in a posterior's tree."""
    return set(map(str, np.unique(of_rows(tree, "observed_data")["observable"].values)))


__all__ = ["MEASUREMENT", "ROW", "constant_data", "observables_of", "observed_data", "of_rows", "over_rows"]
__all__ += ["row_coordinates"]
