"""Measurements as dots, and limits, of which only a bound is known, as open triangles that point to where they lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ...data.dataset import Measurement

_MARKERS = {"left": "v", "right": "^", "interval": "D"}  # an interval stands at its lower limit
_WORDS = {"left": "at most", "right": "at least", "interval": "at least, with an upper limit too"}


def censored(rows: Sequence[Measurement]) -> np.ndarray:
    """What each row is: "left", "right", "interval", or "" for one that was measured."""
    return np.array([m.censored for m in rows], dtype=str)


def draw_points(ax: Axes, x: np.ndarray, y: np.ndarray, tail: np.ndarray, colour: str, **style) -> None:
    """Values at x, measured ones filled in `colour` (marker "o", unless `style` says another), limits open."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    measured = tail == ""
    drawn = {"marker": "o", "ms": 3.2, "mec": "white", "mew": 0.3, "zorder": 3, **style, "ls": "none"}
    if measured.any():  # the extent of a line without points, where it is not clipped, is not a number
        ax.plot(x[measured], y[measured], color=colour, **drawn)
    for side, marker in _MARKERS.items():
        on_this_side = tail == side
        if on_this_side.any():
            hollow = {**drawn, "marker": marker, "mec": colour, "mew": 0.9, "ms": drawn["ms"] + 1.0, "label": None}
            ax.plot(x[on_this_side], y[on_this_side], color=colour, **{**hollow, "mfc": "none"})


def limit_handles(tail: np.ndarray, colour: str) -> list[Line2D]:
    """Entries of a legend for the kinds of limits that there are."""
    return [
        Line2D([], [], color=colour, marker=marker, mfc="none", ls="none", ms=4.5, label=f"{_WORDS[side]} (a limit)")
        for side, marker in _MARKERS.items()
        if np.any(tail == side)
    ]


def describe_inside(inside: np.ndarray, tail: np.ndarray, within: str) -> str:
    """Text that says how many measured rows lie inside; limits do not count as such rows, and their number follows."""
    measured = tail == ""
    limits = int(np.sum(~measured))
    beside = f", {limits} limit{'s' if limits > 1 else ''} not scored" if limits else ""
    return f"{int(np.sum(inside & measured))} of {int(measured.sum())} within {within}{beside}"
