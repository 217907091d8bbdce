"""Checks of the fit: residuals, and what was observed against what was predicted."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy import special

from ..posterior import safe
from ..problem import Evaluation, Problem
from .style import BLUE, GREY, VERMILION, breathe, grid, pages, styled, time_label


def standardised(problem: Problem, tree: xr.DataTree, observable: str) -> np.ndarray:
    """Residuals of an observable's rows: the normal quantile of each measurement among its replicates.

    Standard normal where the model is right; what falls outside all replicates stays finite.
    """
    replicated, measured = _replicated(tree, observable), _measured(tree, observable)
    below = np.sum(replicated < measured, axis=0) + 0.5 * np.sum(replicated == measured, axis=0)
    return special.ndtri((below + 0.5) / (len(replicated) + 1))


def _replicated(tree: xr.DataTree, observable: str) -> np.ndarray:
    """Draws × rows."""
    values = tree["posterior_predictive"].dataset[safe(observable)].values
    return values.reshape(-1, values.shape[-1])


def _measured(tree: xr.DataTree, observable: str) -> np.ndarray:
    return tree["observed_data"].dataset[safe(observable)].values


@styled
def residuals(problem: Problem, tree: xr.DataTree, *, time_unit: str | None = None) -> list[Figure]:
    """Pages with the residuals of each observable over time, twelve observables each.

    A residual is the normal quantile of a measurement among its own replicates, so 90% should lie within
    ±1.64.
    """
    names = [n for n in problem.dataset.observables if safe(n) in tree["observed_data"]]
    unit = problem.dataset.time_unit if time_unit is None else time_unit
    return [_residual_page(problem, tree, page, unit) for page in pages(names)]


def _residual_page(problem: Problem, tree: xr.DataTree, names, time_unit: str) -> Figure:
    figure, axes = grid(len(names), height=2.3)
    for ax, name in zip(axes, names, strict=True):
        r = standardised(problem, tree, name)
        time = tree["observed_data"].dataset[f"time[{safe(name)}]"].values
        ax.axhspan(-1.645, 1.645, color=GREY, alpha=0.15, lw=0)
        ax.axhline(0, color=GREY, lw=0.8)
        outside = np.abs(r) > 1.645
        ax.plot(time[~outside], r[~outside], "o", ms=3, color=BLUE, mec="white", mew=0.3)
        ax.plot(time[outside], r[outside], "o", ms=3.4, color=VERMILION, mec="white", mew=0.3)
        top = max(3.0, float(np.max(np.abs(r))) * 1.15)
        ax.set_ylim(-top, top)
        if np.ptp(time) == 0:
            ax.set_xlim(time[0] - 1, time[0] + 1)
            ax.set_xticks([time[0]])
        ax.set_title(name)
        ax.set_title(f"{np.sum(~outside)} of {len(r)} within 90%", loc="right", fontsize=8, fontweight="normal")
        ax.set_xlabel(time_label(time_unit))
        ax.set_ylabel("residual [sd]")
    return figure


@styled
def observed_predicted(problem: Problem, tree: xr.DataTree) -> list[Figure]:
    """Pages with measurements against medians and 90% intervals of their replicates, on their own gels."""
    names = [n for n in problem.dataset.observables if safe(n) in tree["observed_data"]]
    return [_against(problem, tree, page) for page in pages(names)]


def _against(problem: Problem, tree: xr.DataTree, names) -> Figure:
    figure, axes = grid(len(names), columns=4, height=2.6)
    for ax, name in zip(axes, names, strict=True):
        low, middle, high = np.nanquantile(_replicated(tree, name), [0.05, 0.5, 0.95], axis=0)
        measured = _measured(tree, name)
        both = np.concatenate([measured, middle])
        if both.min() > 0 and both.max() > 20 * both.min():
            ax.set_xscale("log")
            ax.set_yscale("log")
            low = np.maximum(low, both.min() / 10)
        inside = (measured >= low) & (measured <= high)
        for kept, colour in ((inside, BLUE), (~inside, VERMILION)):
            ax.vlines(middle[kept], low[kept], high[kept], color=colour, alpha=0.25, lw=0.9)
            ax.plot(middle[kept], measured[kept], "o", ms=2.8, color=colour, mec="white", mew=0.3)
        breathe(ax, both if ax.get_yscale() == "log" else np.concatenate([low, high, measured]))
        edges = np.array(ax.get_ylim())
        ax.set_xlim(*_room(middle, ax.get_xscale() == "log"))
        ax.plot(edges, edges, color=GREY, lw=0.9, zorder=0, scalex=False, scaley=False)
        unit = problem.dataset.observables[name].unit
        ax.set_title(name, fontsize=8.5)
        ax.set_xlabel(f"predicted [{unit}]" if unit else "predicted", fontsize=8)
        ax.set_ylabel(f"observed [{unit}]" if unit else "observed", fontsize=8)
        ax.set_title(f"{inside.sum()}/{len(inside)}", loc="right", fontsize=8, fontweight="normal")
    return figure


def _room(values: np.ndarray, logarithmic: bool) -> tuple[float, float]:
    v = np.log(values[values > 0]) if logarithmic else values
    room = 0.08 * np.ptp(v) or 0.05 * abs(v[0]) or 0.5
    low, high = v.min() - room, v.max() + room
    return (float(np.exp(low)), float(np.exp(high))) if logarithmic else (float(low), float(high))


def _on_scale(values: np.ndarray, scale: str) -> np.ndarray:
    return values if scale == "lin" else np.log(values) if scale == "log" else np.log10(values)


@styled
def evaluation(problem: Problem, result: Evaluation) -> list[Figure]:
    """Pages for one fit, of two panels an observable: observed against predicted, and residuals over time.

    On each observable's scale; a residual is in standard deviations.
    """
    rows = problem.dataset.measurements
    value = problem.assays.value
    names = [n for n in problem.dataset.observables if any(m.observable == n for m in rows)]
    figures = []
    for page in pages(names, 6):
        figure, axes = grid(2 * len(page), columns=2, height=2.4)
        for name, left, right in zip(page, axes[::2], axes[1::2], strict=True):
            mine = np.array([m.observable == name for m in rows])
            scale = problem.dataset.observables[name].scale
            predicted = _on_scale(result.predictions[mine], scale)
            sd = result.standard_deviations[mine]
            unit = problem.dataset.observables[name].unit
            left.errorbar(predicted, value[mine], sd, fmt="o", ms=3, lw=0.6, color=BLUE, ecolor=GREY)
            ends = [min(predicted.min(), value[mine].min()), max(predicted.max(), value[mine].max())]
            left.plot(ends, ends, color=GREY, lw=0.8)
            label = name if scale == "lin" else f"{scale} {name}"
            left.set_title(label)
            left.set_xlabel(f"predicted [{unit}]")
            left.set_ylabel(f"observed [{unit}]")
            r = (value[mine] - predicted) / sd
            right.axhspan(-1.645, 1.645, color=GREY, alpha=0.15, lw=0)
            right.axhline(0, color=GREY, lw=0.8)
            right.plot([m.time for m in rows if m.observable == name], r, "o", ms=3, color=BLUE, mec="white", mew=0.3)
            right.set_title(f"{label}: {np.sum(np.abs(r) <= 1.645)} of {len(r)} within ±1.645")
            right.set_xlabel(time_label(problem.dataset.time_unit))
            right.set_ylabel("residual [sd]")
        figures.append(figure)
    return figures
