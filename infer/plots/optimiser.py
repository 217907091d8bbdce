"""How the starts of an optimiser ended, from plain arrays.

ArviZ has no such figures: it begins with draws, and knows no optimiser.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from .style import BLUE, COLOURS, GREY, INK, VERMILION, panel_grid, shortened, styled

NEAR = 0.1  # a start that ends within this of the best found the same optimum


@styled
def waterfall(objectives: Float[ArrayLike, " starts"], converged: ArrayLike | None = None) -> Figure:
    """The final objective of each start, best first, as its distance to the best.

    A plateau means that several starts found the same optimum. The grey band reaches to 0.1 above the best; the title
    says how many starts end within it. Starts that did not converge are orange. Starts that failed (whose objective is
    not finite) are counted in a corner.

    Parameters
    ----------
    objectives : array, starts
        Final values of the objective, in nats, in any order.
    converged : array of bool, starts, optional
        Whether each start converged (dimensionless), in the order of `objectives`; by default all did.

    Returns
    -------
    matplotlib.figure.Figure
        One panel. The vertical axis is linear up to 0.1 and logarithmic beyond.
    """
    values = np.asarray(objectives, dtype=float)
    done = np.ones(len(values), bool) if converged is None else np.asarray(converged, dtype=bool)
    order = np.argsort(np.where(np.isfinite(values), values, np.inf), kind="stable")
    values, done = values[order], done[order]
    finite = np.isfinite(values)
    figure, (ax,) = panel_grid(1, height=3.6)
    figure.set_figwidth(6.4)
    if finite.any():
        distance = values[finite] - values[0]
        rank = np.arange(1, len(distance) + 1)
        ax.axhspan(0, NEAR, color=GREY, alpha=0.18, lw=0)
        ax.plot(rank, distance, color=GREY, lw=0.8, zorder=1)
        for selected, colour, label in ((done, BLUE, "converged"), (~done, VERMILION, "not converged")):
            part = selected[finite]
            if part.any():
                ax.plot(rank[part], distance[part], "o", ms=4.5, color=colour, mec="white", mew=0.4, label=label)
        ax.set_yscale("symlog", linthresh=NEAR, linscale=0.6)
        ax.set_ylim(bottom=-0.02)
        near = int(np.sum(distance <= NEAR))
        ax.set_title(f"{near} of {len(values)} starts end within {NEAR:g} of the best, {values[0]:.6g}", fontsize=9)
        ax.legend(loc="upper left")
    if not finite.all():
        ax.text(0.99, 0.97, f"{np.sum(~finite)} failed", transform=ax.transAxes, ha="right", va="top", color=INK)
    ax.set_xlabel("rank of the start")
    ax.set_ylabel("objective − best [nats]")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


@styled
def starts(
    names: Sequence[str],
    x: Float[ArrayLike, "starts parameters"],
    objectives: Float[ArrayLike, " starts"],
    *,
    best: int = 20,
    optima: Sequence[Sequence[int]] = (),
) -> Figure:
    """Parameter values at which the best starts ended: a line for each start, through all parameters.

    Where the lines of good fits lie close together, the fits agree on the parameter. Blue starts end within 0.1 of the
    best objective, grey ones above it; the best one is drawn darkest. With several `optima`, each optimum has a colour
    instead, and grey starts belong to none of them. Failed starts (whose objective is not finite) are left out.

    Parameters
    ----------
    names : sequence of str
        Names of the parameters.
    x : array, starts × parameters
        Where each start ended, in the coordinates z (dimensionless; 0 is the centre of the prior).
    objectives : array, starts
        Final values of the objective, in nats.
    best : int
        How many starts are shown at most.
    optima : sequence of sequences of int
        For each optimum, the positions in `x` of the starts that ended there. At most six optima have a colour.

    Returns
    -------
    matplotlib.figure.Figure
        One panel, the first parameter on top.
    """
    x, objectives = np.asarray(x, dtype=float), np.asarray(objectives, dtype=float)
    shown = [i for i in np.argsort(objectives) if np.isfinite(objectives[i])][:best]
    figure, (ax,) = panel_grid(1, height=max(3.0, 0.2 * len(names) + 1.0))
    figure.set_figwidth(7.2)
    position = np.arange(len(names))
    several = [set(o) for o in optima[: len(COLOURS)]] if len(optima) > 1 else []
    ax.axvline(0, color=GREY, lw=0.8)
    for rank in reversed(range(len(shown))):
        distance = objectives[shown[rank]] - objectives[shown[0]]
        optimum = next((i for i, o in enumerate(several) if shown[rank] in o), None)
        same = optimum is not None if several else distance <= NEAR
        ax.plot(
            x[shown[rank]],
            position,
            "-o",
            ms=3.0,
            lw=1.2 if rank == 0 else 0.8,
            color=(COLOURS[optimum] if optimum is not None else BLUE) if same else GREY,
            alpha=1.0 if rank == 0 else (0.55 if same else 0.35),
            zorder=3 if same else 2,
        )
    for i, members in enumerate(several):
        label = f"optimum {i + 1}: {len(members)} start{'' if len(members) == 1 else 's'}"
        ax.plot([], [], color=COLOURS[i], marker="o", ms=3, label=label)
    if not several:
        ax.plot([], [], color=BLUE, marker="o", ms=3, label=f"within {NEAR:g} of the best")
    others = [r for r in shown if not any(r in o for o in several)]
    if others if several else len(shown) and objectives[shown[-1]] - objectives[shown[0]] > NEAR:
        ax.plot([], [], color=GREY, marker="o", ms=3, label="other" if several else "worse")
    ax.set_yticks(position, [shortened(n, 34) for n in names], fontsize=8 if len(names) <= 40 else 6.5)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="y", color="#E5E5E5", lw=0.6)
    ax.set_xlabel("z at the optimum (0: centre of the prior)")
    ax.set_title(f"the best {len(shown)} starts", fontsize=9)
    figure.legend(loc="outside lower center", ncols=max(2, min(4, len(several))))
    return figure


@styled
def traces(histories: Sequence[ArrayLike]) -> Figure:
    """The objective of each start over its iterations, as the distance to the best value that any start reached.

    Starts that end within 0.1 of the best value are blue, all others grey; a dot marks the end of each.

    Parameters
    ----------
    histories : sequence of arrays, each iterations + 1
        For each start, the objective at the start and after each iteration, in nats. Values that are not finite leave
        gaps.

    Returns
    -------
    matplotlib.figure.Figure
        One panel. The vertical axis is linear up to 0.1 and logarithmic beyond.
    """
    paths = [np.asarray(h, dtype=float) for h in histories]
    finite = [h[np.isfinite(h)] for h in paths]
    ends = np.array([h[-1] if len(h) else np.inf for h in finite])
    best = min((h.min() for h in finite if len(h)), default=0.0)
    figure, (ax,) = panel_grid(1, height=3.6)
    figure.set_figwidth(6.4)
    for history, end in zip(paths, ends, strict=True):
        near = end - best <= NEAR
        distance = np.where(np.isfinite(history), history - best, np.nan)
        ax.plot(
            distance,
            color=BLUE if near else GREY,
            lw=1.0,
            alpha=0.7 if near else 0.45,
            zorder=3 if near else 2,
        )
        if np.isfinite(end):
            ax.plot([len(history) - 1], [end - best], "o", ms=2.5, color=BLUE if near else GREY, zorder=4)
    ax.plot([], [], color=BLUE, label=f"ends within {NEAR:g} of the best")
    ax.plot([], [], color=GREY, label="ends worse")
    ax.set_yscale("symlog", linthresh=NEAR, linscale=0.6)
    ax.set_ylim(bottom=-0.02)
    ax.set_xlabel("iteration")
    ax.set_ylabel("objective − best [nats]")
    ax.legend()
    return figure
