"""Parameters: prior against posterior, traces and ranks of the chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde, rankdata

from ...data.prior import Prior
from ...data.scale import Scale
from ..posterior.datatree import on_search_scale, safe
from ..posterior.fitted import read_fitted
from ..posterior.summary import summarise
from .margins import legend_outside
from .style import BLUE, COLOURS, GREY, INK, VERMILION, grid, pages, shortened, styled

_TAIL = 3.0  # widths of the middle 68 % beyond it that are shown


@styled
def prior_posterior(
    tree: xr.DataTree, names: Sequence[str] | None = None, *, truth: Mapping[str, float] | None = None
) -> list[Figure]:
    """Pages with the densities of prior and posterior on the search scale, each drawn to its own peak; twelve
    parameters a page. A line marks the true value, where `truth` has one.
    """
    chosen = _chosen(tree, names)
    return [_densities(tree, page, truth or {}) for page in pages(chosen)]


def _chosen(tree: xr.DataTree, names: Sequence[str] | None) -> list[str]:
    known = [str(n) for n in tree["posterior"].data_vars]
    if names is None:
        return known
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"the posterior does not have {', '.join(unknown)}")
    return list(names)


def _densities(tree: xr.DataTree, names: Sequence[str], truth: Mapping[str, float]) -> Figure:
    figure, axes = grid(len(names), columns=4, height=2.1)
    handles, priors = {}, _priors(tree)
    for ax, name in zip(axes, names, strict=True):
        after = on_search_scale(tree["posterior"].dataset[name]).ravel()
        before = on_search_scale(tree["prior"].dataset[name]).ravel()
        before = before[np.isfinite(before)]  # a heavy tail of a logarithm goes beyond what floats hold
        low, high = _shown(before)
        low, high = min(low, after.min()), max(high, after.max())
        low = 0.0 if _from_zero(before) else low
        # A posterior far narrower than its prior would fall between the points of one grid.
        x = np.unique(np.concatenate([np.linspace(low, high, 400), np.linspace(after.min(), after.max(), 200)]))
        scale = tree["posterior"][name].attrs.get("search_scale", "lin")
        prior = priors.get(name)
        exact = (x, density(before, x)) if prior is None else _density_of(prior, Scale(scale))
        for (at, y), colour, label in ((exact, GREY, "prior"), ((x, density(after, x)), BLUE, "posterior")):
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


def density(draws: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A kernel density of draws at x; draws that never move are a single peak."""
    finite = draws[np.isfinite(draws)]
    width = (x[-1] - x[0]) / 100
    if np.ptp(finite) < 1e-9 * max(1.0, abs(finite[0])):
        return np.exp(-0.5 * ((x - finite[0]) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    low, high = np.quantile(finite, [0.16, 0.84])
    narrow = (high - low) / 2 / finite.std()  # 1 for a normal; a kernel as wide as a heavy tail would show no peak
    kernel = gaussian_kde(finite, "scott" if narrow > 0.5 else narrow * len(finite) ** -0.2)
    if _from_zero(finite):
        return np.where(x >= 0, kernel(x) + kernel(-x), 0.0)  # no mass leaks below zero
    return kernel(x)


def _from_zero(draws: np.ndarray) -> bool:
    """Whether draws begin at zero, as those of a half-normal do."""
    return 0 <= draws.min() < 0.1 * draws.std()


@styled
def chains(tree: xr.DataTree, names: Sequence[str] | None = None, *, most: int = 6) -> Figure:
    """Traces on the search scale and ranks of each chain; by default of the parameters that mixed worst.

    Where chains agree, a chain's share of low ranks departs from what is expected by no more than chance: the
    band is three standard errors of independent draws, as many as the effective sample size.
    """
    table = summarise(tree).table
    if names is None:
        names = list(table.sort_values("ess_bulk").sort_values("r_hat", ascending=False, kind="stable").index[:most])
    names = _chosen(tree, names)
    figure, axes = grid(2 * len(names), columns=2, width=16.0, height=1.75)
    stats = tree["sample_stats"].dataset if "sample_stats" in tree.children else xr.Dataset()
    diverging = np.asarray(stats["diverging"].values, dtype=bool) if "diverging" in stats else None
    for i, name in enumerate(names):
        array = tree["posterior"].dataset[name]
        _trace(axes[2 * i], on_search_scale(array), diverging)
        ess = table.loc[name, "ess_bulk"]
        _ranks(axes[2 * i + 1], np.asarray(array.values), float(ess) / array.sizes["chain"])
        scale = Scale(array.attrs.get("search_scale", "lin")).prefix
        axes[2 * i].set_title(f"{scale}{shortened(name, 44)}")
        axes[2 * i + 1].set_title(f"R-hat {table.loc[name, 'r_hat']:.3f}, bulk ESS {ess:.0f}", fontweight="normal")
    axes[-2].set_xlabel("draw")
    axes[-1].set_xlabel("fractional rank among all draws")
    handles, labels = axes[1].get_legend_handles_labels()
    legend_outside(figure, handles, labels, most=9)
    return figure


def _trace(ax: Axes, draws: np.ndarray, diverging: np.ndarray | None) -> None:
    for i, chain in enumerate(draws):
        ax.plot(chain, color=COLOURS[i % len(COLOURS)], lw=0.6, alpha=0.8)
    ax.set_xlim(0, draws.shape[1] - 1)
    if diverging is not None and diverging.any():
        at = np.flatnonzero(diverging.any(axis=0))
        ax.plot(at, np.full(len(at), 0.02), "|", color=INK, ms=6, transform=ax.get_xaxis_transform())


def _ranks(ax: Axes, draws: np.ndarray, ess: float) -> None:
    """Departure of each chain's distribution of ranks from uniform."""
    ranks = rankdata(draws).reshape(draws.shape) / draws.size
    u = np.linspace(0, 1, 200)
    band = 3 * np.sqrt(u * (1 - u) / max(ess, 1.0)) if np.isfinite(ess) else np.zeros_like(u)
    ax.fill_between(u, -band, band, color=GREY, alpha=0.2, lw=0, label="by chance")
    for i, chain in enumerate(ranks):
        share = np.searchsorted(np.sort(chain), u, side="right") / len(chain)
        ax.plot(u, share - u, color=COLOURS[i % len(COLOURS)], lw=1.1, label=f"chain {i}")
    ax.set_xlim(0, 1)
    ax.set_ylabel("Δ share")
