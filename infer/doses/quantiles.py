"""Quantiles over draws, some of which may have no value."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import xarray as xr


def quantiles_over_draws(x: xr.DataArray, probabilities: Sequence[float]) -> xr.DataArray:
    """Quantiles along `draw`, NaN left out; NaN if nothing is left."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        return x.quantile(list(probabilities), dim="draw", skipna=True)
