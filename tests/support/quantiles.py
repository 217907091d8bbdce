"""Posteriors of which only the quantiles of left-out rows matter, made up so that the verdict is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from hexamer.infer.posterior.left_out import EFFECTIVE, LEFT_OUT, PARETO_K
from hexamer.infer.posterior.row_layout import MEASUREMENT, ROW


def tree_of_quantiles(quantiles: np.ndarray, *, parameters: float = 2.0, **columns: Any) -> xr.DataTree:
    """A tree whose rows have these quantiles; `columns` are coordinates of the rows, `value` and `k`."""
    n = len(quantiles)
    known: dict[str, Any] = {"observable": "A", "protocol": "P", "run": "", "censored": "", "unit": "nM"}
    known |= {"time": np.arange(n) / 2, "line": 2 + np.arange(n), "value": 10.0 + np.arange(n), "k": 0.1} | columns
    known = {name: np.broadcast_to(np.asarray(v), (n,)) for name, v in known.items()}
    value, k = known.pop("value"), known.pop("k")
    coords = {name: (ROW, v) for name, v in known.items()}

    def rows(values: np.ndarray, *leading: str) -> xr.DataArray:
        return xr.DataArray(values, dims=(*leading, ROW), coords=coords)

    of_rows = xr.Dataset({MEASUREMENT: rows(quantiles), PARETO_K: rows(k)}, attrs={EFFECTIVE: parameters})
    replicates = value + np.linspace(-2, 2, 201)[None, :, None]
    return xr.DataTree.from_dict(
        {
            LEFT_OUT: of_rows,
            "observed_data": xr.Dataset({MEASUREMENT: rows(value)}),
            "posterior_predictive": xr.Dataset({MEASUREMENT: rows(replicates, "chain", "draw")}),
        }
    )


def spread_quantiles(n: int, seed: int = 0) -> np.ndarray:
    """Quantiles 0.5/n, 1.5/n, … in random order."""
    return np.random.default_rng(seed).permutation((np.arange(n) + 0.5) / n)
