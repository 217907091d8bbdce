"""Legends above and notes below all panels, as wide as the figure is and no wider."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .style import GREY

_POINTS = 72  # an inch
_LETTER = 0.53  # mean width of a letter, in font sizes


def legend_outside(
    figure: Figure,
    handles: Sequence[Artist],
    labels: Sequence[str] | None = None,
    *,
    most: int = 5,
) -> None:
    """A legend of as many columns, up to `most`, as stand beside one another within the figure."""
    labels = [str(h.get_label()) for h in handles] if labels is None else labels
    wide = figure.get_figwidth() * figure.dpi
    renderer = FigureCanvasAgg(figure).get_renderer()
    for columns in range(min(len(handles), most), 0, -1):
        legend = figure.legend(handles=list(handles), labels=list(labels), loc="outside upper center", ncols=columns)
        if columns == 1 or legend.get_window_extent(renderer).width <= wide:
            return
        legend.remove()


def note_below(figure: Figure, text: str, *, size: float = 7.5) -> None:
    """A remark in small letters below all panels, in as many lines as it needs."""
    letters = int(figure.get_figwidth() * _POINTS / (_LETTER * size))
    figure.supxlabel(textwrap.fill(text, letters), fontsize=size, color=GREY)


__all__ = ["legend_outside", "note_below"]
