"""Responses over doses of a ligand or of a drug, with bands over draws, and EC50 or IC50 in the legend.

ArviZ has no such figure: its curves are of measured rows, and have neither conditions nor EC50.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...models.listing import did_you_mean, known_names
from ..doses.hill import CurveStatus, HillFits
from ..doses.quantiles import quantiles_over_draws
from ..doses.result import DoseResponse
from .dose_readings import dose_axis
from .style import COLOURS, panel_grid, set_y_limits, styled

BAND = (0.05, 0.95)
MOST_MARKED = 12  # doses, each of which is marked


@styled
def dose_response(result: DoseResponse, *, conditions: Sequence[str] | None = None) -> Figure:
    """The response over doses of the ligand, with EC50.

    Each condition has a colour: a line at the median over draws, and a band from the 5% to the 95% quantile. If a drug
    was given at several doses, each condition has a panel, and each dose of the drug a colour. From five doses of the
    ligand on, the legend has the median of EC50 and its 90% interval over draws, or says that the doses do not
    determine it. Failed draws are left out.

    Parameters
    ----------
    result : hexamer.infer.DoseResponse
        What `hexamer.infer.dose_response` returns, at one time or of a summary, without a population.
    conditions : sequence of str, optional
        Which conditions are shown, and in which order; by default all.

    Returns
    -------
    matplotlib.figure.Figure
        Responses are in the observable's unit, doses in the unit that they were given in.

    Raises
    ------
    ValueError
        For courses over time, a population, several doses of two drugs or more, and unknown conditions.
    """
    drugs = _varied(result)
    if len(drugs) > 1:
        raise ValueError(f"doses of {' and '.join(drugs)} make a surface: use plots.surface, or choose one dose of one")
    return _figure(result, "dose", drugs[0] if drugs else None, conditions)


@styled
def drug_response(result: DoseResponse, drug: str, *, conditions: Sequence[str] | None = None) -> Figure:
    """The response over doses of a drug, with IC50.

    Each condition has a colour: a line at the median over draws, and a band from the 5% to the 95% quantile. If the
    ligand has several doses, each condition has a panel, and each dose of the ligand a colour. From five doses of the
    drug on, the legend has the median of IC50, its 90% interval over draws, and the part of the response that the drug
    takes away. If the doses do not determine IC50, the legend says so. Failed draws are left out.

    Parameters
    ----------
    result : hexamer.infer.DoseResponse
        What `hexamer.infer.dose_response` returns, at one time or of a summary, without a population.
    drug : str
        The drug, which was given at several doses.
    conditions : sequence of str, optional
        Which conditions are shown, and in which order; by default all.

    Returns
    -------
    matplotlib.figure.Figure
        Responses are in the observable's unit, doses in the unit that they were given in.

    Raises
    ------
    ValueError
        For a drug that was not given at several doses, for several doses of two drugs, courses over time, a population,
        and unknown conditions.
    """
    varied = _varied(result)
    if drug not in varied:
        raise ValueError(
            f"{drug!r} was not given at several doses; what was: {', '.join(varied) or 'no drug'}"
            f"{did_you_mean(drug, varied)}"
        )
    if len(varied) > 1:
        raise ValueError("doses of two drugs make a surface: use plots.surface, or choose one dose of one")
    return _figure(result, drug, "dose" if result.response.sizes["dose"] > 1 else None, conditions)


def _varied(result: DoseResponse) -> list[str]:
    if "time" in result.response.dims:
        raise ValueError("these are courses over time: choose at= or summary= in dose_response")
    if "member" in result.response.dims:
        raise ValueError("these are responses of a population: use plots.population")
    return [d.name for d in result.drugs if d.name in result.response.dims]


def _figure(result: DoseResponse, along: str, other: str | None, conditions: Sequence[str] | None) -> Figure:
    available = [str(c) for c in result.data["condition"].values]
    names = available if conditions is None else list(conditions)
    if unknown := sorted(set(names) - set(available)):
        raise ValueError(f"unknown conditions {', '.join(unknown)}; {known_names(unknown, available)}")
    response = result.response.sel(condition=names)
    if "dose" in response.dims and along != "dose" and other is None:
        response = response.isel(dose=0)
    fits = result.hill(along) if len(result.doses(along).values) >= 5 else None
    if other is None:
        panels = [("", [(name, dict(condition=name)) for name in names])]
        colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    else:
        levels = result.doses(other)
        labels = [f"{levels.name} {g:.3g} {levels.unit}" for g in levels.stated]
        panels = [
            (n, [(s, {"condition": n, other: v}) for s, v in zip(labels, result.data[other].values, strict=True)])
            for n in names
        ]
        colours = [mpl.colormaps["viridis"](x) for x in np.linspace(0.9, 0.1, len(labels))]
    columns = min(len(panels), 3 if len(panels) in (3, 5, 6) else 2)
    figure, axes = panel_grid(len(panels), columns=columns, height=4.0)
    figure.set_figwidth(6.6 if columns == 1 else 5.0 * columns)
    doses = result.doses(along)
    for ax, (title, curves) in zip(axes, panels, strict=True):
        for (label, where), colour in zip(curves, colours, strict=True):
            _curve(ax, doses.stated, response.sel(where), colour, _legend(label, fits, where, along))
        dose_axis(ax, doses.stated)
        ax.set_xlabel(f"{doses.name} [{doses.unit}]")
        ax.set_ylabel(result.reading)
        ax.set_title(title or f"{result.reading} over {doses.name}")
        ax.legend(loc="best", fontsize=7.5)
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for ax in axes for line in ax.lines])
    for ax in axes:
        set_y_limits(ax, drawn)
    return figure


def _curve(ax: Axes, x: np.ndarray, response: xr.DataArray, colour, label: str) -> None:
    if not np.any(np.isfinite(response.values)):
        ax.plot([], [], color=colour, label=f"{label}: every draw failed")
        return
    several = response.sizes["draw"] > 1
    low, middle, high = quantiles_over_draws(response, (BAND[0], 0.5, BAND[1])).values
    if several:
        ax.fill_between(x, low, high, color=colour, alpha=0.18, lw=0)
    markers = {"marker": "o", "ms": 3.5, "clip_on": False} if len(x) <= MOST_MARKED else {}
    ax.plot(x, middle, color=colour, label=label, **markers)
    for edge in (low, high):
        ax.plot(x, edge, color=colour, lw=0.5, alpha=0.6 if several else 0.0)


def _legend(label: str, fits: HillFits | None, where: dict, along: str) -> str:
    if fits is None:
        return label or "median"
    selection = {k: v for k, v in where.items() if k in fits.data.dims}
    data = fits.data.sel(selection)
    if "dose" in data.dims:
        data = data.isel(dose=0)
    text = describe_half_dose(HillFits(data, fits.doses, fits.name), "EC50" if along == "dose" else "IC50")
    return f"{label}: {text}" if label else text


def describe_half_dose(fits: HillFits, name: str) -> str:
    """EC50 or IC50 of one condition in words, with its 90% interval; what the doses do not show is said so."""
    low, middle, high = fits.interval("ec50", (BAND[0], 0.5, BAND[1])).values
    unit, ends, kinds = fits.doses.unit, fits.doses.stated, fits.kinds
    total = sum(kinds.values())
    for kind, words in ((CurveStatus.FLAT, "no effect"), (CurveStatus.NOT_SIGMOID, "no sigmoid")):
        count = kinds.get(kind.label, 0)
        if 2 * count > total:
            return words if count == total else f"{words} in {count} of {total} draws"
    if np.isnan(middle):
        return ", ".join(f"{n} {k.replace('_', ' ')}" for k, n in kinds.items())
    if middle == np.inf:
        return f"no plateau by {ends.max():.4g} {unit}"
    if middle == -np.inf:
        return f"acts below {ends[ends > 0].min():.3g} {unit}"
    edges = {_edge(low), _edge(high)}
    ranged = f" ({_edge(low)} to {_edge(high)})" if len(edges) > 1 else ""
    taken = 1 - fits.data["emax"] / fits.data["bottom"]
    part = f", takes away {100 * float(taken.median()):.0f}%" if name.startswith("IC50") else ""
    return f"{name} {middle:.3g}{ranged} {unit}{part}"


def _edge(x: float) -> str:
    return "beyond" if x == np.inf else "below" if x == -np.inf else f"{x:.3g}"


__all__ = ["describe_half_dose", "dose_response", "drug_response"]
