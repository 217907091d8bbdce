"""Checks of the fit: residuals, and what was observed against what was predicted.

All of them are in-sample: the rows that are drawn are those that were fitted. So even where the model is right they lie
somewhat closer to what is predicted than new measurements would. Limits have no residual; they are drawn as limits, and
counted apart.

ArviZ's predictive checks (`plot_ppc_interval`, `plot_ppc_pit`, `plot_loo_pit`) know rows only by their number: they
have no time, no unit, no logarithmic axis, and take limits for measurements; nor do they show one evaluation.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import special

from ...data.noise import Normal
from ..posterior.row_layout import observables_of, of_rows
from ..problem.evaluation import Evaluation
from ..problem.problem import Problem
from .limits import censored, describe_inside, draw_points, limit_handles
from .margins import legend_outside, note_below
from .style import BLUE, GREY, VERMILION, note_cut_axis, pages, panel_grid, shown_from, styled, time_label, wrapped

BAND = 1.645  # ± of a standard normal: 90%
IN_SAMPLE = "in-sample: these rows were fitted, so they lie somewhat closer than new measurements would"


def standardised(problem: Problem, tree: xr.DataTree, observable: str) -> np.ndarray:
    """Residuals of an observable's rows: the normal quantile of each measurement among its replicates.

    What falls outside all replicates stays finite; draws whose simulation failed are left out. Of new measurements of
    a right model they would be standard normal; of the rows that were fitted they are somewhat narrower. That of a
    limit is the middle of the probability that it has.
    """
    replicated, measured = _replicated(tree, observable), _measured(tree, observable)
    below = np.sum(replicated < measured, axis=0) + 0.5 * np.sum(replicated == measured, axis=0)
    return special.ndtri((below + 0.5) / (np.sum(np.isfinite(replicated), axis=0) + 1))


def median_readings(tree: xr.DataTree, observable: str | None = None) -> Float[np.ndarray, " rows"]:
    """Posterior medians of what each row would read without noise, in its run, in the unit of the measurements."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        return np.nanmedian(of_rows(tree, "noise_free_prediction", observable).values, axis=(0, 1)).astype(float)


def _replicated(tree: xr.DataTree, observable: str) -> np.ndarray:
    """Draws × rows."""
    values = of_rows(tree, "posterior_predictive", observable).values
    return values.reshape(-1, values.shape[-1])


def _measured(tree: xr.DataTree, observable: str) -> np.ndarray:
    return of_rows(tree, "observed_data", observable).values


def _names(problem: Problem, tree: xr.DataTree) -> list[str]:
    """Observables with rows, in the order of the problem."""
    measured = observables_of(tree)
    return [n for n in problem.dataset.observables if n in measured]


def _rows(problem: Problem, observable: str) -> np.ndarray:
    return np.array([i for i, m in enumerate(problem.dataset.measurements) if m.observable == observable])


def _tail(problem: Problem, observable: str) -> np.ndarray:
    return censored([problem.dataset.measurements[i] for i in _rows(problem, observable)])


@styled
def residuals(problem: Problem, tree: xr.DataTree, *, time_unit: str | None = None) -> list[Figure]:
    """Residuals of each observable over time.

    The residual of a measurement is its normal quantile among the replicates that the posterior predicts for its row.
    90% of new measurements lie within ±1.645, the grey band; the measurements shown here were fitted, so a few more of
    them should. Dots are blue inside the band and orange outside. Limits are open marks, and the counts in the titles
    leave them out.

    Parameters
    ----------
    problem : Problem
        What was fitted.
    tree : xarray.DataTree
        Its posterior, with the groups `observed_data` and `posterior_predictive`.
    time_unit : str, optional
        The unit in the labels of the time axes, by default that of the data. Times are not converted.

    Returns
    -------
    list of matplotlib.figure.Figure
        One figure per page, with a panel for each observable and at most twelve panels. Residuals are dimensionless.
    """
    names = _names(problem, tree)
    unit = problem.dataset.time_unit if time_unit is None else time_unit
    return [_residual_page(problem, tree, page, unit) for page in pages(names)]


def _residual_page(problem: Problem, tree: xr.DataTree, names, time_unit: str) -> Figure:
    figure, axes = panel_grid(len(names), height=2.3)
    for ax, name in zip(axes, names, strict=True):
        r, tail = standardised(problem, tree, name), _tail(problem, name)
        time = of_rows(tree, "observed_data", name)["time"].values
        _residuals(ax, time, r, tail, time_label(time_unit))
        ax.set_ylabel("residual [normal quantile]", fontsize=8)
        _titles(ax, name, describe_inside(np.abs(r) <= BAND, tail, "90%"), width=36, sizes=(9.5, 8))
    _legend(figure, problem, names)
    return figure


def _titles(ax: Axes, name: str, count: str, *, width: int, sizes: tuple[float, float]) -> None:
    """The name on the left and the count on the right; a name that leaves the count no room stands above it.

    `width` is how many characters of the name's size fit over the panel; `sizes` are those of name and count, points.
    """
    title = wrapped(name, width)
    beside = max(map(len, count.splitlines())) * sizes[1] / sizes[0]
    if len(name) + beside + 1 > width:
        title += "\n" * len(count.splitlines())
    ax.set_title(title, fontsize=sizes[0])
    ax.set_title(count, loc="right", fontsize=sizes[1], fontweight="normal")


def _residuals(ax: Axes, time: np.ndarray, r: np.ndarray, tail: np.ndarray, label: str) -> None:
    ax.axhspan(-BAND, BAND, color=GREY, alpha=0.15, lw=0)
    ax.axhline(0, color=GREY, lw=0.8)
    outside = (np.abs(r) > BAND) & (tail == "")
    draw_points(ax, time[~outside], r[~outside], tail[~outside], BLUE, ms=3.0)
    draw_points(ax, time[outside], r[outside], tail[outside], VERMILION, ms=3.4)
    top = max(3.0, 1.15 * float(np.nanmax(np.abs(r), initial=0.0)))
    ax.set_ylim(-top, top)
    if len(time) and np.ptp(time) == 0:
        ax.set_xlim(time[0] - 1, time[0] + 1)
        ax.set_xticks([time[0]])
    ax.set_xlabel(label)


def _legend(figure: Figure, problem: Problem, names: Sequence[str], *more: Line2D) -> None:
    """What marks mean, where that is not plain, and below all panels that they are in-sample."""
    handles = [*more, *limit_handles(np.concatenate([_tail(problem, n) for n in names]), BLUE)]
    if handles:
        legend_outside(figure, handles)
    note_below(figure, IN_SAMPLE)


@styled
def observed_predicted(problem: Problem, tree: xr.DataTree) -> list[Figure]:
    """Measurements against their predictions, with a panel for each observable and equal axes.

    A prediction is the posterior median of the reading without noise, in the measurement's own run (gel or plate). The
    bar through a dot spans 90% of new measurements in its place, with noise. Dots on the diagonal agree exactly; dots
    outside their 90% are orange. A limit is an open mark; if its prediction lies beyond the axes, the mark is at their
    edge. Axes are logarithmic if all values are above 0 and the largest is more than 20 times the smallest.

    Parameters
    ----------
    problem : Problem
        What was fitted.
    tree : xarray.DataTree
        Its posterior, with the groups `observed_data` and `posterior_predictive`.

    Returns
    -------
    list of matplotlib.figure.Figure
        One figure per page, with at most twelve panels. Both axes have the observable's unit.
    """
    names = _names(problem, tree)
    return [_observed_predicted_page(problem, tree, page) for page in pages(names)]


def _observed_predicted_page(problem: Problem, tree: xr.DataTree, names) -> Figure:
    figure, axes = panel_grid(len(names), columns=4, height=3.1)
    for ax, name in zip(axes, names, strict=True):
        _draw_observed_predicted(ax, problem, tree, name)
    bar = Line2D([], [], color=BLUE, alpha=0.4, lw=1.2, label="90% of new measurements, noise included")
    _legend(figure, problem, names, bar)
    return figure


def _draw_observed_predicted(ax: Axes, problem: Problem, tree: xr.DataTree, name: str) -> None:
    tail, measured, middle = _tail(problem, name), _measured(tree, name), median_readings(tree, name)
    low, high = _replicate_interval(_replicated(tree, name))
    inside = np.abs(standardised(problem, tree, name)) <= BAND  # the same as in `residuals`
    scored = tail == ""
    both = np.concatenate([measured, middle[scored]])
    both = both[np.isfinite(both)]
    logarithmic = bool(len(both)) and both.min() > 0 and both.max() > 20 * both.min()
    if logarithmic and np.any(both < (least := shown_from(measured))):
        both = both[both >= least]
        note_cut_axis(ax)
    if logarithmic:
        ax.set_xscale("log")
        ax.set_yscale("log")
    spanned = both if logarithmic else np.concatenate([both, low[scored], high[scored]])
    edges = _equal_limits(ax, spanned, bool(logarithmic))
    ax.plot(edges, edges, color=GREY, lw=0.9, zorder=0, scalex=False, scaley=False)
    for rows, colour in ((inside & scored, BLUE), (~inside & scored, VERMILION)):
        at = np.maximum(middle[rows], edges[0])
        ax.vlines(
            at, np.maximum(low[rows], edges[0]), np.maximum(high[rows], edges[0]), color=colour, alpha=0.25, lw=0.9
        )
        draw_points(ax, at, measured[rows], tail[rows], colour, ms=2.8)
    at = np.clip(middle[~scored], *edges)
    draw_points(ax, at, measured[~scored], tail[~scored], BLUE, ms=2.8, clip_on=False)
    unit = problem.dataset.observables[name].unit
    ax.set_xlabel(f"predicted [{unit}]" if unit else "predicted", fontsize=8)
    ax.set_ylabel(f"observed [{unit}]" if unit else "observed", fontsize=8)
    count = describe_inside(inside, tail, "90%").replace(", ", ",\n")
    _titles(ax, name, count, width=27, sizes=(8.5, 7))


def _replicate_interval(replicated: Float[np.ndarray, "draws rows"]) -> Float[np.ndarray, "2 rows"]:
    """The replicates between which a measurement's normal quantile lies within ±1.645; NaN without any."""
    count = np.sum(np.isfinite(replicated), axis=0)
    beyond = np.ceil(special.ndtr(-BAND) * (count + 1) - 0.5).astype(int)  # replicates below, at least
    ordered = np.sort(replicated, axis=0)  # NaN last
    columns = np.arange(replicated.shape[1])
    low, high = np.maximum(beyond - 1, 0), np.maximum(count - np.maximum(beyond, 1), 0)
    return np.stack([ordered[low, columns], ordered[high, columns]])


def _equal_limits(ax: Axes, values: np.ndarray, logarithmic: bool) -> tuple[float, float]:
    """The same limits for both axes, around all values, and a square panel."""
    v = np.asarray(values, dtype=float)
    v = v[np.isfinite(v)]
    if not v.size:
        return 0.0, 1.0
    v = np.log(v) if logarithmic else v
    room = 0.06 * np.ptp(v) or 0.05 * abs(v[0]) or 0.5
    low, high = float(v.min() - room), float(v.max() + room)
    edges = (float(np.exp(low)), float(np.exp(high))) if logarithmic else (low, high)
    ax.set_xlim(*edges)
    ax.set_ylim(*edges)
    ax.set_box_aspect(1)
    return edges


@styled
def evaluation(problem: Problem, result: Evaluation, *, time_unit: str | None = None) -> list[Figure]:
    """Predictions and residuals of a problem at one set of parameter values, such as the best fit.

    Each observable has two panels. On the left are measurements against predictions, on the observable's scale (linear,
    log or log10); a bar is one standard deviation of the noise, or its scale parameter if the noise is not normal. On
    the right are residuals over time, with a grey band at ±1.645. A limit has no residual: it is an open mark on the
    left only.

    Parameters
    ----------
    problem : Problem
        What was evaluated.
    result : Evaluation
        What `Problem.evaluate` returns.
    time_unit : str, optional
        The unit in the labels of the time axes, by default that of the data. Times are not converted.

    Returns
    -------
    list of matplotlib.figure.Figure
        One figure per page, with at most six observables. Residuals are in standard deviations if the noise is normal,
        else normal quantiles; both are dimensionless.
    """
    rows = problem.dataset.measurements
    names = [n for n in problem.dataset.observables if any(m.observable == n for m in rows)]
    clock = problem.dataset.time_unit if time_unit is None else time_unit
    figures = []
    for page in pages(names, 6):
        figure, axes = panel_grid(2 * len(page), columns=2, height=2.6)
        for name, left, right in zip(page, axes[::2], axes[1::2], strict=True):
            _evaluated(left, right, problem, result, name, clock)
        _legend(figure, problem, page)
        figures.append(figure)
    return figures


def _evaluated(left: Axes, right: Axes, problem: Problem, result: Evaluation, name: str, time_unit: str) -> None:
    mine, tail = _rows(problem, name), _tail(problem, name)
    observable = problem.dataset.observables[name]
    value, sd = np.asarray(problem.measured.value)[mine], result.standard_deviations[mine]
    middle = observable.scale.of_values(result.predictions[mine])
    scored = tail == ""
    left.errorbar(middle[scored], value[scored], sd[scored], fmt="none", lw=0.6, ecolor=GREY, zorder=1)
    edges = _equal_limits(left, np.concatenate([middle[scored], value]), logarithmic=False)
    left.plot(edges, edges, color=GREY, lw=0.8, zorder=0, scalex=False, scaley=False)
    draw_points(left, np.clip(middle, *edges), value, tail, BLUE, ms=3.0, clip_on=False)
    prefix = observable.scale.prefix
    unit = f" [{observable.unit}]" if observable.unit else ""
    left.set_title(wrapped(name, 32))
    left.set_xlabel(f"{prefix}predicted{unit}")
    left.set_ylabel(f"{prefix}observed{unit}")
    r = observable.noise.normal_score((value - middle) / sd)
    time = np.array([problem.dataset.measurements[i].time for i in mine])
    _residuals(right, time[scored], r[scored], tail[scored], time_label(time_unit))
    count = describe_inside(np.abs(r) <= BAND, tail, f"±{BAND}")
    right.set_title(wrapped(f"{name}: {count}", 48), fontsize=8.5)
    right.set_ylabel("residual [sd]" if observable.noise == Normal() else "residual [normal quantile]")


__all__ = ["evaluation", "median_readings", "observed_predicted", "residuals", "standardised"]
