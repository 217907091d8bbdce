"""How a population of virtual cells or patients answers to doses.

ArviZ has no such figure: its bands are over draws, these are over members within one draw.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ...models.listing import known_names
from ..doses.result import DoseResponse
from .dose_readings import dose_axis
from .style import BLUE, COLOURS, INK, panel_grid, set_y_limits, styled

_BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.34))


@styled
def population(result: DoseResponse, *, conditions: Sequence[str] | None = None, draw: int = 0) -> Figure:
    """Responses of a population over doses of the ligand, in one draw.

    Each condition has a panel: a line at the median member, bands of 50% and 90% of the members, and a dashed line at
    the mean over members, which is what a blot measures. If dose 0 is among the doses, a last panel has the share of
    members above the gate: the 95% quantile of the members at dose 0.

    Parameters
    ----------
    result : hexamer.infer.DoseResponse
        What `hexamer.infer.dose_response` returns of a population (`Ensemble.vary`), at one time or of a summary.
    conditions : sequence of str, optional
        Which conditions are shown, and in which order; by default all.
    draw : int
        The position of the draw.

    Returns
    -------
    matplotlib.figure.Figure
        Responses are in the observable's unit, doses in the unit that they were given in; shares are dimensionless.

    Raises
    ------
    ValueError
        If the result is not of a population, for courses over time, several doses of a drug, and unknown conditions.
    """
    if "member" not in result.response.dims:
        raise ValueError("these are not the responses of a population: use plots.dose_response")
    response = result.response.isel(draw=draw)
    if more := set(response.dims) - {"member", "condition", "dose"}:
        raise ValueError(f"choose one of {', '.join(sorted(map(str, more)))} first")
    available = [str(c) for c in response["condition"].values]
    names = available if conditions is None else list(conditions)
    if unknown := sorted(set(names) - set(available)):
        raise ValueError(f"unknown conditions {', '.join(unknown)}; {known_names(unknown, available)}")
    gated = bool(np.any(response["dose"].values == 0))
    figure, axes = panel_grid(len(names) + gated, columns=3, height=3.2)
    doses = response["dose"]
    drawn = []
    for ax, name in zip(axes, names, strict=False):
        values = response.sel(condition=name).transpose("member", "dose").values
        for low, high, alpha in _BANDS:
            edges = np.nanquantile(values, [low, high], axis=0)
            label = f"{100 * (high - low):.0f}% of members"
            ax.fill_between(doses.values, *edges, color=BLUE, alpha=alpha, lw=0, label=label)
            drawn.append(edges)
        ax.plot(doses.values, np.nanmedian(values, axis=0), color=BLUE, label="median member")
        ax.plot(doses.values, np.nanmean(values, axis=0), color=INK, ls="--", lw=1.1, label="mean")
        ax.set_title(name or "population")
        ax.set_ylabel(result.reading)
    for ax in axes[: len(names)]:
        set_y_limits(ax, np.concatenate(drawn))
    axes[0].legend(fontsize=7.5)
    if gated:
        positive = result.positive().isel(draw=draw)
        for i, name in enumerate(names):
            axes[-1].plot(
                doses.values, positive.sel(condition=name).values, color=COLOURS[i % len(COLOURS)], label=name
            )
        axes[-1].set_ylim(-0.02, 1.02)
        axes[-1].set_ylabel("share above the gate")
        axes[-1].set_title("positive members")
        if len(names) > 1:
            axes[-1].legend(fontsize=7.5)
    for ax in axes:
        dose_axis(ax, doses.values)
        ax.set_xlabel(f"{doses.attrs.get('substance', 'dose')} [{doses.attrs.get('unit', '')}]")
    return figure
