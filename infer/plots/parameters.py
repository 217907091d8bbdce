"""Parameters: prior against posterior; traces and ranks of the chains, which ArviZ draws.

`prior_posterior` is ours: `arviz_plots.plot_prior_posterior` estimates the prior from draws instead of drawing its
density, has no units and no true values, and draws both to one scale, so that a prior far wider than the posterior is
flat.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import arviz_stats
import numpy as np
import xarray as xr
from arviz_plots import PlotCollection, plot_rank, plot_trace
from arviz_stats.base import array_stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...data.prior import Prior
from ...data.scale import Scale
from ...models.listing import did_you_mean
from ..posterior.datatree import on_search_scale, safe
from ..posterior.fitted import read_fitted
from ..posterior.intervals import parameter_table
from .margins import legend_outside
from .style import BLUE, COLOURS, GREY, VERMILION, pages, panel_grid, shortened, styled

_TAIL = 3.0  # widths of the middle 68 % beyond it that are shown
_RANKED = 500  # draws of each chain, at most: the time that it takes grows with their square
_TRACE: Any = {"trace": {"width": 0.6, "alpha": 0.8}, "title": False, "xlabel": False}
_RANK: Any = {"remove_axis": False, "title": False, "xlabel": False}


@styled
def prior_posterior(
    tree: xr.DataTree, names: Sequence[str] | None = None, *, truth: Mapping[str, float] | None = None
) -> list[Figure]:
    """Densities of prior and posterior of each parameter, on the scale on which the parameter is searched.

    The prior is grey, the posterior blue. Each density is drawn to its own peak, so heights cannot be compared.
    A dashed line marks the true value of a parameter in `truth`. Heavy tails of the prior are cut off.

    Parameters
    ----------
    tree : xarray.DataTree
        The posterior, with the groups `posterior` and `prior`.
    names : sequence of str, optional
        Which parameters are shown, and in which order; by default all.
    truth : dict of float, optional
        Values that the data were simulated with, in each parameter's unit.

    Returns
    -------
    list of matplotlib.figure.Figure
        One figure per page, with at most twelve parameters. An axis is labelled with the parameter's unit, after
        "log10" or "ln" if the parameter is searched on a logarithm.

    Raises
    ------
    ValueError
        For parameters that the posterior does not have.
    """
    chosen = _chosen(tree, names)
    return [_densities(tree, page, truth or {}) for page in pages(chosen)]


def _chosen(tree: xr.DataTree, names: Sequence[str] | None) -> list[str]:
    known = [str(n) for n in tree["posterior"].data_vars]
    if names is None:
        return known
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"the posterior does not have {', '.join(unknown)}{did_you_mean(unknown, known)}")
    return list(names)


def _densities(tree: xr.DataTree, names: Sequence[str], truth: Mapping[str, float]) -> Figure:
    figure, axes = panel_grid(len(names), columns=4, height=2.1)
    handles, priors = {}, _priors(tree)
    for ax, name in zip(axes, names, strict=True):
        after = on_search_scale(tree["posterior"].dataset[name]).ravel()
        before = on_search_scale(tree["prior"].dataset[name]).ravel()
        before = before[np.isfinite(before)]  # a heavy tail of a logarithm goes beyond what floats hold
        low, high = _shown(before)
        low, high = min(low, after.min()), max(high, after.max())
        low = 0.0 if _from_zero(before) else low
        scale = tree["posterior"][name].attrs.get("search_scale", "lin")
        prior = priors.get(name)
        exact = _kernel_density(before, low, high) if prior is None else _density_of(prior, Scale(scale))
        drawn = ((exact, GREY, "prior"), (_kernel_density(after, low, high), BLUE, "posterior"))
        for (at, y), colour, label in drawn:
            ax.plot(at, y / y.max(), color=colour, label=label, lw=1.2)
            ax.fill_between(at, y / y.max(), color=colour, alpha=0.25, lw=0)
        if name in truth:
            ax.axvline(Scale(scale).of(truth[name]), color=VERMILION, lw=1.2, ls="--", label="truth")
        unit = tree["posterior"][name].attrs.get("unit", "")
        ax.set_title(shortened(name, 34), fontsize=8.5)
        prefix = Scale(scale).prefix
        ax.set_xlabel(f"{prefix}[{unit}]" if unit not in ("", "1") else f"{prefix}value", fontsize=8)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.set_ylim(0, 1.05)
        ax.set_xlim(low, high)
        handles |= {label: h for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    legend_outside(figure, list(handles.values()), list(handles), most=3)
    figure.supylabel("density, each to its own peak", fontsize=8.5)
    return figure


def _shown(draws: np.ndarray) -> tuple[float, float]:
    """The range of nearly all draws; of heavy tails that near the middle."""
    least, low, high, most = np.quantile(draws, [0.002, 0.16, 0.84, 0.998])
    return max(least, low - _TAIL * (high - low)), min(most, high + _TAIL * (high - low))


def _priors(tree: xr.DataTree) -> dict[str, Prior]:
    """The priors that the tree's problem holds, by the names of the posterior's variables."""
    fitted = read_fitted(tree)
    known = {} if fitted is None else {safe(n): p.prior for n, p in fitted.dataset.parameters.items()}
    posterior = tree["posterior"].dataset
    same = {n: p for n, p in known.items() if p is not None and n in posterior}
    return {n: p for n, p in same.items() if posterior[n].attrs.get("prior") == p.text}  # else it was given apart


def _density_of(prior: Prior, search: Scale) -> tuple[np.ndarray, np.ndarray]:
    """Points on the search scale, and the density there: the slope of the distribution function."""
    share = np.linspace(0.0005, 0.9995, 2000)
    x = prior.quantile(share)
    if prior.scale is not search:
        x = search.of_values(prior.scale.natural(x))
    return x, np.gradient(share) / np.gradient(x)


def _kernel_density(draws: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Points and the density of the draws between `low` and `high`; draws that never move are a line."""
    shown = draws[(draws >= low) & (draws <= high)]
    if np.ptp(shown) < 1e-9 * max(1.0, abs(shown[0])):
        return np.full(2, shown[0]), np.array([0.0, 1.0])
    bounded = _from_zero(shown)  # no mass leaks below zero
    x, y, _ = array_stats.kde(shown, bound_correction=bounded, extend=not bounded, extend_fct=0.5)
    return x, y


def _from_zero(draws: np.ndarray) -> bool:
    """Whether draws begin at zero, as those of a half-normal do."""
    return 0 <= draws.min() < 0.1 * draws.std()


@styled
def chains(tree: xr.DataTree, names: Sequence[str] | None = None, *, most: int = 6) -> Figure:
    """Traces and ranks of the chains, two panels for each parameter.

    On the left are the draws of each chain in order, on the scale on which the parameter is searched; a bar below them
    marks a divergence. On the right, each chain has a curve: its share of low ranks minus the share that is expected if
    all chains sample one distribution. p is the probability of curves that lie as far from 0, and black dots mark what
    makes it small. The test assumes independent draws, so only every few draws of a slow chain are ranked. A single
    chain, and chains that do not move, have no ranks.

    Parameters
    ----------
    tree : xarray.DataTree
        The posterior, with the group `posterior`.
    names : sequence of str, optional
        Which parameters are shown, and in which order; by default those with the largest R-hat.
    most : int
        How many parameters are shown if `names` is not given.

    Returns
    -------
    matplotlib.figure.Figure
        A row of two panels for each parameter.

    Raises
    ------
    ValueError
        For parameters that the posterior does not have.
    """
    table = parameter_table(tree)
    if names is None:
        names = list(table.sort_values("ess_bulk").sort_values("r_hat", ascending=False, kind="stable").index[:most])
    names = _chosen(tree, names)
    posterior = tree["posterior"].dataset[names].map(lambda array: array.copy(data=on_search_scale(array)))
    shown = tree.assign(posterior=xr.DataTree(posterior))
    slowest = arviz_stats.ess(posterior, sample_dims="draw").min()  # of all chains it falls where they disagree
    figure, axes = panel_grid(2 * len(names), columns=2, width=16.0, height=1.75)
    for name, left, right in zip(names, axes[::2], axes[1::2], strict=True):
        one, row = posterior[[name]], table.loc[name]
        plot_trace(shown, var_names=name, plot_collection=_panel(one, figure, left), visuals=_TRACE)
        left.set_title(f"{Scale(one[name].attrs.get('search_scale', 'lin')).prefix}{shortened(name, 44)}")
        right.set_title(f"R-hat {row['r_hat']:.3f}, bulk ESS {row['ess_bulk']:.0f}", fontweight="normal")
        if np.isfinite(row["r_hat"]):  # several chains, of which at least one moved
            thin: Any = {"thin": {"factor": math.ceil(one.sizes["draw"] / np.clip(slowest[name], 10, _RANKED))}}
            ax = _panel(one, figure, right)
            plot_rank(shown, var_names=name, plot_collection=ax, thin=True, stats=thin, visuals=_RANK)
            right.set_ylabel("Δ share")
        else:
            right.set_axis_off()
    axes[-2].set_xlabel("draw")
    axes[-1].set_xlabel("fractional rank among all draws")
    handles = [Line2D([], [], color=line.get_color(), label=f"chain {i}") for i, line in enumerate(axes[0].lines)]
    legend_outside(figure, handles, most=9)
    return figure


def _panel(data: xr.Dataset, figure: Figure, ax: Axes) -> PlotCollection:
    """One axis for ArviZ to draw one variable on; a figure that it makes itself is pyplot's, which may open windows."""
    axes = {"/": xr.Dataset({"figure": ((), figure)}), "plot": xr.Dataset(dict.fromkeys(data, ((), ax)))}
    aes = {"color": ["chain"], "overlay": ["chain"]}
    return PlotCollection(data, xr.DataTree.from_dict(axes), backend="matplotlib", aes=aes, color=COLOURS)
