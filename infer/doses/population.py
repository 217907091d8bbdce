"""Responses of a population of cells or patients: moments over its members, and the share above a gate."""

from __future__ import annotations

import numpy as np
import xarray as xr


def moments(response: xr.DataArray) -> xr.Dataset:
    """Mean and coefficient of variation over the dimension `member`; members whose simulation failed are left out."""
    mean, sd = response.mean("member"), response.std("member", ddof=1)
    return xr.Dataset({"mean": mean, "cv": sd / np.abs(mean)})


def share_above(response: xr.DataArray, gate: float) -> xr.DataArray:
    """Share of members above the gate, the quantile `gate` of members at dose 0, as flow cytometry counts cells.

    Raises `ValueError` if dose 0 of the ligand is missing, and for a gate that is not a quantile.
    """
    if not np.any(response["dose"].values == 0):
        raise ValueError("the gate is set on unstimulated members: give dose 0 of the ligand as well")
    if not 0 < gate < 1:
        raise ValueError(f"the gate is a quantile, between 0 and 1, not {gate}")
    threshold = response.sel(dose=0.0, drop=True).quantile(gate, dim="member", skipna=True).drop_vars("quantile")
    return (response > threshold).where(response.notnull()).mean("member")


__all__ = ["moments", "share_above"]
