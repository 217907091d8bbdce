"""Two drugs together: their effect over both doses, and what is beyond Bliss and Loewe.

ArviZ has no such figure: it has no surfaces over two doses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...models.listing import known_names
from ..doses.quantiles import quantiles_over_draws
from .style import panel_grid, styled

_PANELS = (("effect", "effect"), ("bliss_excess", "beyond Bliss"), ("loewe_excess", "beyond Loewe"))


@styled
def surface(combined: xr.Dataset, *, conditions: Sequence[str] | None = None) -> Figure:
    """The effect of two drugs over doses of both, and its excess over the effects that Bliss and Loewe expect.

    Each condition has a row of three panels with medians over draws: the effect, the excess over Bliss, and the excess
    over Loewe. Red is an excess above 0 (synergy), blue below 0 (antagonism). A dot marks an excess that is larger than
    0.01 and whose 90% interval over draws excludes 0; an excess over Loewe must also be larger than three times the
    misfit of the Hill curves from which it is computed.

    Parameters
    ----------
    combined : xarray.Dataset
        What `hexamer.infer.combination` returns.
    conditions : sequence of str, optional
        Which conditions are shown, and in which order; by default all.

    Returns
    -------
    matplotlib.figure.Figure
        Effects and excesses are dimensionless; doses are in the unit that they were given in.

    Raises
    ------
    ValueError
        For unknown conditions.
    """
    available = [str(c) for c in combined["condition"].values]
    names = available if conditions is None else list(conditions)
    if unknown := sorted(set(names) - set(available)):
        raise ValueError(f"unknown conditions {', '.join(unknown)}; {known_names(unknown, available)}")
    figure, axes = panel_grid(3 * len(names), columns=3, height=3.4)
    for i, name in enumerate(names):
        data = combined.sel(condition=name)
        misfit = float(data["misfit"].max("drug").median("draw"))
        for (key, title), ax in zip(_PANELS, axes[3 * i : 3 * i + 3], strict=True):
            _panel(figure, ax, data[key], max(0.01, 3 * misfit) if key == "loewe_excess" else 0.01, key != "effect")
            ax.set_title(f"{name}: {title}" if name else title)
            ax.set_xlabel(_label(data, combined.attrs["second"]))
            ax.set_ylabel(_label(data, combined.attrs["first"]))
    return figure


def _label(data: xr.Dataset, drug: str) -> str:
    return f"{drug} [{data[drug].attrs.get('unit', '')}]"


def _panel(figure: Figure, ax: Axes, values: xr.DataArray, least: float, excess: bool) -> None:
    low, middle, high = quantiles_over_draws(values, (0.05, 0.5, 0.95)).values
    limit = max(0.1, float(np.nanmax(np.abs(middle), initial=0.0))) if excess else 1.0
    drawn = ax.pcolormesh(middle, cmap="RdBu_r" if excess else "viridis", vmin=-limit if excess else 0.0, vmax=limit)
    bar = figure.colorbar(drawn, ax=ax, shrink=0.9)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    if excess:
        sure = ((low > 0) | (high < 0)) & (np.abs(middle) > least)
        rows, columns = np.nonzero(sure)
        ax.plot(columns + 0.5, rows + 0.5, ".", ms=3, color="#222222")
    for axis, dim in ((ax.yaxis, values.dims[-2]), (ax.xaxis, values.dims[-1])):
        doses = values.coords[dim].values
        step = max(1, len(doses) // 5)
        axis.set_ticks(np.arange(0, len(doses), step) + 0.5, [_short(g) for g in doses[::step]])
    ax.tick_params(axis="x", rotation=30)


def _short(dose: float) -> str:
    """Two digits, without an exponent that would run into the next one."""
    return np.format_float_positional(float(f"{dose:.2g}"), trim="-")
