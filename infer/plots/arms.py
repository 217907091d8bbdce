"""Which arm of IL-6 signalling carries the response, over doses.

ArviZ has no such figure: it knows neither doses nor arms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ...models.listing import known_names
from ..doses.quantiles import quantiles_over_draws
from .dose_readings import dose_axis
from .style import COLOURS, panel_grid, styled


@styled
def arm_share(shares: xr.Dataset, *, conditions: Sequence[str] | None = None) -> Figure:
    """The share of the response that each arm of signalling carries, over doses of the ligand.

    There is a panel for each condition, and a colour for each arm: a line at the median over draws, and a band from the
    5% to the 95% quantile. Doses at which the ligand does next to nothing have no shares, so lines and bands leave them
    out.

    Parameters
    ----------
    shares : xarray.Dataset
        What `hexamer.infer.arm_share` returns: its variable `share`, along arm × draw × condition × dose.
    conditions : sequence of str, optional
        Which conditions are shown, and in which order; by default all.

    Returns
    -------
    matplotlib.figure.Figure
        Shares are dimensionless; doses are in the unit that they were given in.

    Raises
    ------
    ValueError
        For unknown conditions, and for shares with further dimensions, such as doses of a drug.
    """
    share = shares["share"]
    if more := set(share.dims) - {"arm", "draw", "condition", "dose"}:
        raise ValueError(f"choose one of {', '.join(sorted(map(str, more)))} first")
    available = [str(c) for c in share["condition"].values]
    names = available if conditions is None else list(conditions)
    if unknown := sorted(set(names) - set(available)):
        raise ValueError(f"unknown conditions {', '.join(unknown)}; {known_names(unknown, available)}")
    figure, axes = panel_grid(len(names), columns=3, height=3.2)
    doses = share["dose"]
    for ax, name in zip(axes, names, strict=True):
        for arm, colour in zip(share["arm"].values, COLOURS, strict=False):
            low, middle, high = quantiles_over_draws(share.sel(arm=arm, condition=name), (0.05, 0.5, 0.95)).values
            ax.fill_between(doses.values, low, high, color=colour, alpha=0.2, lw=0)
            ax.plot(doses.values, middle, color=colour, label=str(arm))
        dose_axis(ax, doses.values)
        ax.set_ylim(-0.04, 1.04)
        ax.set_title(name)
        ax.set_xlabel(f"{shares.attrs['ligand']} [{doses.attrs.get('unit', '')}]")
        ax.set_ylabel("share of the response")
        if np.isnan(share.sel(condition=name).values).all():
            ax.text(0.5, 0.5, "no response", ha="center", transform=ax.transAxes)
    axes[0].legend()
    return figure
