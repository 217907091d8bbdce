"""Dose-response curves with their bands and the measurements beside.

ArviZ has no such figure: `plot_lm` has no logarithmic axis with a place for dose 0, and smooths between measured doses.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ...data.dataset import Measurement
from ...models.protocols.protocol import Protocol
from ..prediction.assay_curves import Curve, as_mapping, dose_of, over_doses, posterior_values
from ..prediction.runs import aligned, average_run, protocol_of
from ..problem.problem import Problem
from .limits import censored, draw_points, limit_handles
from .observable_panels import BANDS, axis_label
from .style import BLUE, INK, panel_grid, set_y_limits, shown_from, styled


@styled
def dose(
    problem: Problem,
    tree: xr.DataTree,
    observable: str,
    input: str,
    time: float,
    template: str | Protocol,
    *,
    doses: ArrayLike | None = None,
    dose_unit: str = "",
    time_unit: str | None = None,
    draws: int = 200,
) -> Figure:
    """An observable at one time over doses of an input, with the measurements.

    The line is the posterior median of the reading without noise, and dashed lines span 90% of the posterior's curves.
    Bands span 90% and 50% of new measurements. Measurements are dots: those at this time under protocols that differ
    from `template` at most in the dose of `input`. Measurements of several runs (gels or plates) are moved to the
    average run; if the observable's formula does not allow this, the label of the axis says so.

    Parameters
    ----------
    problem : Problem
        What was fitted.
    tree : xarray.DataTree
        Its posterior.
    observable : str
        The observable.
    input : str
        The species or parameter whose dose varies.
    time : float
        When the observable is read, in the model's unit of time.
    template : str or Protocol
        A protocol that gives `input`, or the name of one in the data. All but the dose is as in this protocol.
    doses : array, doses, optional
        Doses in the model's unit; dose 0 is added to them. By default 50 doses, from a tenth of the smallest dose above
        0 (of the measurements and of `template`) to ten times the largest.
    dose_unit : str
        The unit in the label of the dose axis. Doses are not converted.
    time_unit : str, optional
        The unit of `time` in the title, by default that of the data. `time` is not converted.
    draws : int
        About how many draws of the posterior are simulated; they are spread evenly over the chains.

    Returns
    -------
    matplotlib.figure.Figure
        One panel. Readings are in the observable's unit.

    Raises
    ------
    KeyError
        If the problem does not have this observable or a protocol of this name.
    ValueError
        If `template` does not give `input`, and if the posterior lacks parameters of the problem.
    """
    values = posterior_values(problem, tree, draws=draws)
    named = as_mapping(problem, values)
    protocol = protocol_of(problem.dataset, template)
    measured, rows = measured_doses(problem, observable, input, time, protocol)
    if doses is None:
        positive = [d for d in (*measured, dose_of(protocol, input, protocol)) if d]
        doses = np.geomspace(min(positive, default=1.0) / 10, max(positive, default=1.0) * 10, 50)
    at = np.unique(np.append(np.asarray(doses, dtype=float), 0.0))
    run = {observable: average_run(problem.dataset, observable, named, len(values))}
    curve = over_doses(problem, values, observable, input, at, time, protocol, run=run)
    figure, (ax,) = panel_grid(1, height=4.2)
    figure.set_figwidth(6.4)
    dose_axis(ax, at)
    drawn, least = _draw_bands(ax, curve), 0.0
    if rows:
        value = aligned(problem.dataset, rows, named, len(values))
        draw_points(ax, measured, value, censored(rows), INK, ms=4.5, label="measured")
        drawn.append(value)
        least = shown_from(value)
    set_y_limits(ax, np.concatenate([np.ravel(d) for d in drawn]), least=least)
    ax.set_xlabel(f"{input} [{dose_unit}]" if dose_unit else input)
    ax.set_ylabel(axis_label(curve.observable, problem.dataset.measurements))
    unit = problem.dataset.time_unit if time_unit is None else time_unit
    ax.set_title(f"{observable} at {time:g} {unit}".rstrip())
    handles, _ = ax.get_legend_handles_labels()
    ax.legend(handles=[*handles, *limit_handles(censored(rows), INK)])
    return figure


def measured_doses(
    problem: Problem, observable: str, input: str, time: float, template: Protocol
) -> tuple[np.ndarray, list[Measurement]]:
    """Measurements at `time` under protocols that are the template at another dose, and their doses."""
    dose_by_protocol = {n: dose_of(p, input, template) for n, p in problem.dataset.protocols.items()}
    pairs = [
        (dose, m)
        for m in problem.dataset.measurements
        if m.observable == observable
        and abs(m.time - time) < 1e-6
        and (dose := dose_by_protocol[m.protocol]) is not None
    ]
    return np.array([d for d, _ in pairs]), [m for _, m in pairs]


def _draw_bands(ax: Axes, curve: Curve) -> list[np.ndarray]:
    if curve.observable.scale != "lin":
        ax.set_yscale("log")
    drawn = []
    for low, high, alpha in BANDS:
        edges = curve.replicated([low, high])
        label = f"{100 * (high - low):.0f}% of new measurements"
        ax.fill_between(curve.x, *edges, color=BLUE, alpha=alpha, lw=0, label=label)
        drawn.append(edges)
    ax.plot(curve.x, curve.signal(0.5), color=BLUE, label="median without noise")
    for edge, label in zip(curve.signal([0.05, 0.95]), ("90% of the curve", None), strict=True):
        ax.plot(curve.x, edge, color=BLUE, lw=0.9, ls="--", label=label)
    return drawn


def dose_axis(ax: Axes, doses: np.ndarray) -> None:
    """A logarithmic axis, on which zero has its place, left of the smallest dose, where it is one of them."""
    if not np.any(doses > 0):  # zero alone
        ax.set_xticks([0.0], ["0"])
        return
    least, most = doses[doses > 0].min(), doses.max()
    zero = bool(np.any(doses == 0))
    if zero:
        ax.set_xscale("symlog", linthresh=least / 2, linscale=0.35)
    else:
        ax.set_xscale("log")
    decades = 10.0 ** np.arange(np.floor(np.log10(least)), np.ceil(np.log10(most)) + 1)
    decades = decades[(decades >= least * 0.999) & (decades <= most * 1.001)]
    ax.set_xticks([*([0.0] * zero), *decades], [*(["0"] * zero), *(f"{d:g}" for d in decades)])
    ax.set_xticks([], minor=True)
    low, high = (least, most) if least < most else (least / 2, most * 2)  # a single dose has no extent
    if low < least:
        ax.set_xticks([*([0.0] * zero), least], [*(["0"] * zero), f"{least:g}"])
    ax.set_xlim(-least / 6 if zero else low, high)
