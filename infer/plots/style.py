"""The look of all figures: colours that colour-blind readers tell apart, thin axes, panels in a grid."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, YELLOW = (  # Okabe and Ito (2008)
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
)
GREY, INK = "#8A8A8A", "#222222"
COLOURS = (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY)
PANELS = 12  # on a page
_NARROWEST = 5.0  # inches: titles of both sides, and legends of two columns, fit

STYLE: dict[RcKeyType, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.5,
    "figure.dpi": 100.0,
    "savefig.dpi": 150.0,
}


def styled[**P, T](function: Callable[P, T]) -> Callable[P, T]:
    """Draws in this style, and leaves matplotlib's settings as they were."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with mpl.rc_context(STYLE):
            return function(*args, **kwargs)

    return wrapper


_BELOW = 100.0  # how far below the lowest measurement a logarithmic axis reaches


def panel_grid(panels: int, *, columns: int = 3, width: float = 12.0, height: float = 2.8) -> tuple[Figure, list[Axes]]:
    """A figure with that many panels, row by row; `height` is of one row, inches."""
    columns = min(columns, max(panels, 1))
    rows = max(1, math.ceil(panels / columns))
    wide = max(width * columns / max(columns, 3), min(width, _NARROWEST))
    figure = Figure(figsize=(wide, height * rows + 0.4), layout="constrained")
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(w_pad=0.09, h_pad=0.06)  # pyright: ignore[reportCallIssue]
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(panels)]
    return figure, axes


def pages[T](items: Sequence[T], most: int = PANELS) -> Iterable[Sequence[T]]:
    """`items` on as few pages as hold them, about as many on each."""
    count = max(1, math.ceil(len(items) / most))
    return [[items[int(i)] for i in part] for part in np.array_split(range(len(items)), count)]


def shown_from(measured: np.ndarray) -> float:
    """Where a logarithmic axis begins: what is predicted to be 0 there, as before a stimulus, would fill it else."""
    positive = np.asarray(measured, dtype=float)
    positive = positive[np.isfinite(positive) & (positive > 0)]
    return float(positive.min()) / _BELOW if positive.size else 0.0


def note_cut_axis(axes: Axes) -> None:
    """Writes into a panel that lower values lie below its axis."""
    axes.annotate("lower values lie below the axis", (0.02, 0.02), xycoords="axes fraction", fontsize=6.5, color=GREY)


def set_y_limits(axes: Axes, values: np.ndarray, *, part: float = 0.08, least: float = 0.0) -> None:
    """Limits of the y axis around finite values, with some room, on its scale; a logarithmic one from `least`."""
    v = np.asarray(values, dtype=float).ravel()
    logarithmic = axes.get_yscale() == "log"
    v = v[np.isfinite(v) & ((v > 0) | (not logarithmic))]
    if logarithmic and np.any(v < least):
        v = np.append(v[v >= least], least)
        note_cut_axis(axes)
    if not v.size:
        return
    low, high = v.min(), v.max()
    if logarithmic:
        low, high = np.log(low), np.log(high)
    room = part * (high - low) or 0.5 * abs(high) or 0.5
    low, high = low - room, high + room
    axes.set_ylim(*(np.exp([low, high]) if logarithmic else (low, high)))


def shortened(name: str, width: int) -> str:
    """A long name with its middle left out."""
    if len(name) <= width:
        return name
    head = (width - 1) // 2
    return f"{name[:head]}…{name[-(width - 1 - head) :]}"


def wrapped(name: str, width: int) -> str:
    """A long name in lines of at most `width` characters, which end at a mark such as _ if they can.

    >>> wrapped("pSTAT3_total_in_the_nucleus", 16)
    'pSTAT3_total_in_\\nthe_nucleus'
    """
    lines = [""]
    for part in re.findall(rf"[^\s_:-]{{1,{width - 1}}}[\s_:-]?|[\s_:-]", name):
        if len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def time_label(unit: str) -> str:
    """`time [min]`; without the unit where nobody states it, as in a PEtab problem."""
    return f"time [{unit}]" if unit else "time"
