"""Data and what the posterior predicts of them, an observable a panel.

ArviZ has no such figure: `plot_lm` smooths between measured points, where the model here is simulated, and neither it
nor `plot_ppc_interval` knows conditions, limits, or that readings of several gels have several scales.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ...data.dataset import Dataset, Measurement, Observable
from ...models.listing import known_names
from ...models.protocols.protocol import Protocol
from ..prediction.assay_curves import Curve, as_mapping, curves, posterior_values
from ..prediction.runs import aligned, alignment, average_run
from ..problem.problem import Problem
from .limits import censored, draw_points, limit_handles
from .margins import legend_outside
from .style import (
    COLOURS,
    GREY,
    INK,
    pages,
    panel_grid,
    set_y_limits,
    shortened,
    shown_from,
    styled,
    time_label,
    wrapped,
)

POINTS = 90  # along a curve
OVERLAID = 3  # protocols in one panel
COURSE = 3  # distinct times that make a course
BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.34))  # quantiles and opacity

Pair = tuple[str, str]
SingleReading = tuple[str, float]  # protocol, time


@dataclass(frozen=True)
class Panel:
    """One panel: courses of an observable over time, or, with none, its readings at single times."""

    observable: str
    courses: tuple[str, ...]  # protocols
    cells: tuple[SingleReading, ...] = ()  # single readings


def arrange(dataset: Dataset, observables: Collection[str] | None = None) -> list[Panel]:
    """Which panels show the data: courses that were followed over time, up to three protocols in each, and
    readings at single times side by side.

    Raises `ValueError` for unknown observables.
    """
    if observables is not None and (unknown := sorted(set(observables) - set(dataset.observables))):
        raise ValueError(f"unknown observables {', '.join(unknown)}; {known_names(unknown, dataset.observables)}")
    times: dict[str, dict[str, set[float]]] = {}
    doses = _doses(dataset)
    for m in sorted(dataset.measurements, key=lambda m: doses[m.protocol]):
        times.setdefault(m.observable, {}).setdefault(m.protocol, set()).add(m.time)
    panels = []
    for name in dataset.observables:
        if name in times and (observables is None or name in observables):
            panels += _panels(name, times[name])
    return panels


def _doses(dataset: Dataset) -> dict[str, tuple[float, ...]]:
    """What each protocol gives at most of everything, to put them in order."""
    targets = sorted(frozenset().union(*(q.targets for q in dataset.protocols.values())))

    def most(protocol: Protocol, target: str) -> float:
        doses = [v for s in protocol.steps for v in (s.assign.get(target), s.add.get(target))]
        return max((v for v in doses if isinstance(v, (int, float))), default=0.0)

    return {n: tuple(most(q, t) for t in targets) for n, q in dataset.protocols.items()}


def _panels(name: str, times: Mapping[str, set[float]]) -> list[Panel]:
    courses = sorted((p for p in times if len(times[p]) >= COURSE), key=lambda p: -len(times[p]))
    single = [(p, t) for p in times if p not in courses for t in sorted(times[p])]
    if courses and len(single) + len(courses) <= OVERLAID:
        return [Panel(name, tuple(courses), tuple(single))]
    panels = [Panel(name, tuple(part)) for part in pages(courses, OVERLAID)] if courses else []
    if single:
        at = {t for _, t in single}
        panels.append(Panel(name, (), tuple((p, t) for p in times for t in sorted(times[p] & at))))
    return panels


@styled
def fit(
    problem: Problem,
    tree: xr.DataTree,
    *,
    observables: Collection[str] | None = None,
    draws: int = 200,
    time_unit: str | None = None,
) -> list[Figure]:
    """Measurements, and what the posterior predicts of them.

    Lines are posterior medians of the reading without noise; bands, or bars at single times, span 90% and 50% of new
    measurements. Dots are measurements, open marks are limits. An observable that was followed over time (at three
    times or more) has panels with up to three protocols each. Readings at single times are in such a panel (diamonds)
    if three protocols or fewer are there, else side by side in one of their own. Measurements of different runs are
    moved to the average run (see `infer/prediction/runs.py`): those of a blot are divided by their gel's scale relative
    to the geometric mean of all gels' scales. If an observable's formula does not allow this, the label of the axis
    says so.

    Parameters
    ----------
    problem : Problem
        What was fitted.
    tree : xarray.DataTree
        Its posterior.
    observables : collection of str, optional
        Which observables are shown; by default all that were measured.
    draws : int
        About how many draws of the posterior are simulated; they are spread evenly over the chains.
    time_unit : str, optional
        The unit in the labels of times, by default that of the data. Times are not converted.

    Returns
    -------
    list of matplotlib.figure.Figure
        One figure per page, with at most twelve panels. Readings are in the observable's unit.

    Raises
    ------
    ValueError
        For unknown observables, and if the posterior lacks parameters of the problem.
    """
    panels = arrange(problem.dataset, observables)
    values = posterior_values(problem, tree, draws=draws)
    named = as_mapping(problem, values)
    names = list(dict.fromkeys(p.observable for p in panels))
    run = {n: average_run(problem.dataset, n, named, len(values)) for n in names}
    shown = curves(problem, values, _grids(problem.dataset, panels), pairs=_pairs(panels), run=run)
    points = {n: _points(problem.dataset, n, named, len(values)) for n in names}
    colours = _colours(problem.dataset, panels)
    unit = problem.dataset.time_unit if time_unit is None else time_unit
    return [_page(problem.dataset, page, shown, points, colours, unit) for page in pages(panels)]


def _pairs(panels: Sequence[Panel]) -> list[Pair]:
    return list(dict.fromkeys((p.observable, q) for p in panels for q in (*p.courses, *(c for c, _ in p.cells))))


def _grids(dataset: Dataset, panels: Sequence[Panel]) -> dict[Pair, np.ndarray]:
    """Times of each curve: dense for a course, as measured for single readings."""
    grids: dict[Pair, set[float]] = {}
    for panel in panels:
        measured = [m for m in dataset.measurements if m.observable == panel.observable and m.protocol in panel.courses]
        for p in panel.courses:
            low, high = min(m.time for m in measured), max(m.time for m in measured)
            measured_here = {m.time for m in measured if m.protocol == p}
            grids.setdefault((panel.observable, p), set()).update({*np.linspace(low, high, POINTS), *measured_here})
        for p, t in panel.cells:
            grids.setdefault((panel.observable, p), set()).add(t)
    return {pair: np.array(sorted(g)) for pair, g in grids.items()}


@dataclass(frozen=True, eq=False)
class _Points:
    rows: list[Measurement]
    value: np.ndarray  # as in the average run

    def of(self, protocol: str, time: float | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times, values, and which of them are limits."""
        positions = [i for i, m in enumerate(self.rows) if m.protocol == protocol and time in (None, m.time)]
        rows = [self.rows[i] for i in positions]
        return np.array([m.time for m in rows]), self.value[positions], censored(rows)


def _points(dataset: Dataset, name: str, named, draws: int) -> _Points:
    rows = [m for m in dataset.measurements if m.observable == name]
    return _Points(rows, aligned(dataset, rows, named, draws))


def axis_label(observable: Observable, rows: Sequence[Measurement] = ()) -> str:
    """The unit of an observable's values, and that they were moved to the average run where they were.

    Rows that all have the same scale and offset are of one run.
    """
    aligned_by = alignment(observable)
    unit = "value" if observable.unit in ("", "1") else observable.unit
    of_run = [i for i, role in enumerate(aligned_by.roles) if role != "noise"]
    runs = {tuple(m.arguments[i] for i in of_run) for m in rows if m.observable == observable.name}
    if not of_run or len(runs) == 1:
        return unit
    return f"{unit}, average run" if aligned_by.affine is not None else f"{unit}; dots: own runs, bands: average run"


def _colours(dataset: Dataset, panels: Sequence[Panel]) -> dict[str, str]:
    """A protocol that is followed over time has one colour in all panels."""
    courses = list(dict.fromkeys(p for panel in panels for p in panel.courses))
    counts = {p: sum(m.protocol == p for m in dataset.measurements) for p in courses}
    ranked = sorted(courses, key=lambda p: -counts[p])
    return {p: COLOURS[i % len(COLOURS)] for i, p in enumerate(ranked)}


def _page(dataset: Dataset, panels, shown: Mapping[Pair, Curve], points, colours, time_unit: str) -> Figure:
    figure, axes = panel_grid(len(panels))
    for ax, panel in zip(axes, panels, strict=True):
        observable = dataset.observables[panel.observable]
        if observable.scale != "lin":
            ax.set_yscale("log")
        drawn = (_draw_courses if panel.courses else _draw_cells)(ax, panel, shown, points[panel.observable], colours)
        set_y_limits(ax, np.concatenate([np.ravel(v) for v in drawn]), least=shown_from(points[panel.observable].value))
        ax.set_title(wrapped(panel.observable, 36))
        ax.set_ylabel(axis_label(observable, dataset.measurements))
        if panel.courses:
            ax.set_xlabel(time_label(time_unit))
        else:
            _label_cells(ax, panel, time_unit)
    used = [p for p in colours if any(p in (*panel.courses, *(c for c, _ in panel.cells)) for panel in panels)]
    handles = [Line2D([], [], color=colours[p], marker="o", ms=4, label=shortened(p, 40)) for p in used]
    handles += [Line2D([], [], color=GREY, label="median without noise")]
    handles += [
        Patch(color=GREY, alpha=a + 0.1, label=f"{100 * (high - low):.0f}% of new measurements")
        for low, high, a in BANDS
    ]
    handles += limit_handles(np.concatenate([censored(points[panel.observable].rows) for panel in panels]), GREY)
    legend_outside(figure, handles)
    return figure


def _draw_courses(ax: Axes, panel: Panel, shown, points: _Points, colours) -> list[np.ndarray]:
    drawn = []
    for protocol in panel.courses:
        curve, colour = shown[panel.observable, protocol], colours[protocol]
        for low, high, alpha in BANDS:
            edges = curve.replicated([low, high])
            ax.fill_between(curve.x, *edges, color=colour, alpha=alpha, lw=0)
            drawn.append(edges)
        ax.plot(curve.x, curve.signal(0.5), color=colour)
        time, value, tail = points.of(protocol)
        draw_points(ax, time, value, tail, colour, ms=3.2 if len(time) < 120 else 2.2)
        drawn.append(value)
    for protocol, t in panel.cells:
        curve = shown[panel.observable, protocol]
        colour = colours.get(protocol, INK)
        drawn += _interval(ax, t, curve, t, colour)
        time, value, tail = points.of(protocol, t)
        draw_points(ax, time, value, tail, colour, marker="D", ms=3.5)
        drawn.append(value)
    return drawn


def _draw_cells(ax: Axes, panel: Panel, shown, points: _Points, colours) -> list[np.ndarray]:
    drawn = []
    for i, (protocol, t) in enumerate(panel.cells):
        colour = colours.get(protocol, GREY)
        drawn += _interval(ax, i, shown[panel.observable, protocol], t, colour)
        _, value, tail = points.of(protocol, t)
        beside = i + np.linspace(-0.12, 0.12, len(value)) * (len(value) > 1)
        draw_points(ax, beside, value, tail, INK if colour == GREY else colour)
        drawn.append(value)
    return drawn


def _interval(ax: Axes, x: float, curve: Curve, t: float, colour: str) -> list[np.ndarray]:
    """Bars of a new measurement at one time."""
    at = int(np.argmin(np.abs(curve.x - t)))
    drawn = []
    for (low, high, alpha), width in zip(BANDS, (4.0, 9.0), strict=True):
        edges = curve.replicated([low, high])[:, at]
        ax.vlines(x, *edges, color=colour, alpha=alpha + 0.15, lw=width)
        drawn.append(edges)
    ax.plot([x], curve.signal(0.5)[at], "_", ms=11, mew=1.5, color=colour)
    return drawn


def _label_cells(ax: Axes, panel: Panel, time_unit: str) -> None:
    times = {t for _, t in panel.cells}
    same = len(times) == 1
    labels = [shortened(p, 18) if same else f"{shortened(p, 18)}\n{t:g} {time_unit}".rstrip() for p, t in panel.cells]
    slanted = len(labels) > 4
    ax.set_xticks(range(len(labels)), labels, rotation=35 if slanted else 0, ha="right" if slanted else "center")
    ax.set_xlim(-0.6, len(labels) - 0.4)
    if same:
        ax.set_xlabel(f"at {next(iter(times)):g} {time_unit}".rstrip())
