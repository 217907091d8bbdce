"""Results as tables, in which doses stand as they were given, with their unit beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

if TYPE_CHECKING:
    import pandas as pd


def as_table(data: xr.Dataset, source: xr.Dataset) -> pd.DataFrame:
    """Rows by condition and doses: `dose` as it was given, and `dose_unit`; so for the doses of each drug.

    `source` is what `data` was computed from, whose coordinates `given_…` still state their unit.
    """
    import pandas as pd

    if data.dims:
        frame = data.to_dataframe().reset_index()
    else:
        frame = pd.DataFrame({str(n): [v.item()] for n, v in data.reset_coords().items()})
    for given in [str(n) for n in frame.columns if str(n).startswith("given_")]:
        name = given.removeprefix("given_")
        frame[name] = frame.pop(given)
        frame.insert(list(frame.columns).index(name) + 1, f"{name}_unit", source[given].attrs.get("unit", ""))
    return frame
