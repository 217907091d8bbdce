"""Results as tables, in which doses have their unit beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

if TYPE_CHECKING:
    import pandas as pd


def as_table(data: xr.Dataset, source: xr.Dataset) -> pd.DataFrame:
    """One row per condition and dose. Columns `dose` and `dose_unit` are as given, and each drug has such a pair, too.

    `source` is what `data` was computed from, whose coordinates state their unit. Doses in the model's unit
    (`model_…`) are left out.
    """
    import pandas as pd

    if data.dims:
        frame = data.to_dataframe().reset_index()
    else:
        frame = pd.DataFrame({str(n): [v.item()] for n, v in data.reset_coords().items()})
    for name in [str(n) for n in frame.columns if f"model_{n}" in source.coords]:
        frame = frame.drop(columns=f"model_{name}")
        frame.insert(list(frame.columns).index(name) + 1, f"{name}_unit", source[name].attrs.get("unit", ""))
    return frame
