"""Ranks of simulation-based calibration, which ArviZ draws; the envelope is ours.

`arviz_plots.plot_ecdf_pit` has an envelope for continuous values, of one variable at a time, and deprecates it. Ours is
of discrete ranks, and as wide as the correction for several quantities makes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from arviz_plots import PlotCollection, plot_ecdf_pit
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..posterior.datatree import safe
from ..simulation_calibration.uniformity import envelope
from .margins import note_below
from .style import BLUE, GREY, VERMILION, pages, panel_grid, shortened, styled

if TYPE_CHECKING:
    from ..simulation_calibration.calibration_check import CalibrationCheck

_VISUALS: Any = {
    "ecdf_lines": {"color": BLUE},
    "suspicious_points": False,
    "p_value_text": False,
    "title": False,
    "xlabel": False,
    "ylabel": False,
}
_ROOM = 1.25  # of the axis, beyond the envelope and the curve


@styled
def ranks(check: CalibrationCheck) -> list[Figure]:
    """Curves of ranks: for each quantity, the share of ranks below a value, minus the share that uniform ranks have.

    A curve that leaves the grey envelope somewhere shows that the posterior is not calibrated: if all is right, one of
    all curves does so with at most the probability `check.level`. A curve above 0 at the left and below 0 at the right
    shows a posterior that is too narrow, the opposite one that is too wide. A curve that is above 0 everywhere shows a
    posterior that is too high, one below 0 a posterior that is too low. The title has the corrected p value, and is red
    at most at the level.

    Parameters
    ----------
    check : CalibrationCheck
        What `hexamer.sbc` returned.

    Returns
    -------
    list of matplotlib.figure.Figure
        One figure per page, with at most twelve quantities.
    """
    count, level = len(check.ranks), check.level / len(check.quantities)
    band = envelope(count, check.ranked, level)
    return [_page(check, page, band) for page in pages(list(enumerate(check.quantities)))]


def _page(check: CalibrationCheck, shown: list[tuple[int, str]] | Any, band: tuple[np.ndarray, np.ndarray]) -> Figure:
    figure, axes = panel_grid(len(shown), columns=4, height=2.1)
    at = np.arange(1, check.ranked + 1) / (check.ranked + 1)
    low, high = (np.concatenate([[0.0], edge - at, [0.0]]) for edge in band)
    at = np.concatenate([[0.0], at, [1.0]])
    # The middle of each rank's share: as many of them lie below i/(ranked + 1) as ranks below i.
    middles = (check.ranks + 0.5) / (check.ranked + 1)
    for ax, (i, name) in zip(axes, shown, strict=True):
        data = xr.Dataset({safe(name): ("replicate", middles[:, i])})
        ax.fill_between(at, low, high, color=GREY, alpha=0.25, lw=0)
        plot_ecdf_pit(
            xr.DataTree.from_dict({"prior_sbc": data}),
            sample_dims="replicate",
            plot_collection=_panel(data, figure, ax),
            visuals=_VISUALS,
        )
        curve = np.max(np.abs(np.concatenate([line.get_ydata() for line in ax.lines])))
        most = _ROOM * max(curve, np.max(np.abs([low, high])))
        ax.set_ylim(-most, most)
        corrected = check.table["corrected"].iloc[i]
        colour = VERMILION if corrected <= check.level else "black"
        ax.set_title(f"{shortened(name, 26)}, p = {corrected:.2g}", fontsize=8.5, color=colour)
    figure.supylabel("Δ share of ranks", fontsize=8.5)
    note_below(figure, f"rank of the truth among {check.ranked} draws, as a share; p is corrected for all quantities")
    return figure


def _panel(data: xr.Dataset, figure: Figure, ax: Axes) -> PlotCollection:
    """One axis for ArviZ to draw one variable on."""
    axes = {"/": xr.Dataset({"figure": ((), figure)}), "plot": xr.Dataset(dict.fromkeys(data, ((), ax)))}
    return PlotCollection(data, xr.DataTree.from_dict(axes), backend="matplotlib")


__all__ = ["ranks"]
