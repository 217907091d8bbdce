"""What is drawn in a figure: points, lines, legends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D


def points(ax: Axes) -> list[tuple[float, float]]:
    """All measurements drawn on an axis."""
    dots = [line for line in ax.lines if line.get_marker() in ("o", "D") and line.get_linestyle() == "None"]
    return [(x, y) for line in dots for x, y in zip(x_of(line), y_of(line), strict=True)]


def x_of(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_xdata(), dtype=float)


def y_of(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_ydata(), dtype=float)


def legend(ax: Axes) -> list[str]:
    drawn = ax.get_legend()
    assert drawn is not None
    return [t.get_text() for t in drawn.get_texts()]


def rendered(figure: Figure, tmp_path: Path) -> None:
    """Draws the figure into a file, which is not empty."""
    path = tmp_path / "figure.png"
    figure.savefig(path, dpi=50)
    assert path.stat().st_size > 2000
