"""What a calibration leaves in its folder: posterior, summary, figures."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
from matplotlib.figure import Figure

from . import plots
from .exactness import solver_words
from .fit import Fit
from .optimise import Fits
from .posterior import to_datatree
from .posterior_file import save
from .problem import Problem
from .summary import Summary, summarise


def save_figures(figures: Mapping[str, Figure | Iterable[Figure]], folder: Path) -> list[Path]:
    """Writes figures as PNG, numbering the pages of those that have several."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, drawn in figures.items():
        pages = [drawn] if isinstance(drawn, Figure) else list(drawn)
        for i, page in enumerate(pages):
            path = folder / (f"{name}.png" if len(pages) == 1 else f"{name}-{i + 1}.png")
            page.savefig(path, dpi=110)
            written.append(path)
    return written


def report(fit: Fit, folder: str | Path, *, truth: Mapping[str, float] | None = None) -> Summary:
    """Writes `posterior.nc`, `summary.csv` and `figures/` of a fit; returns the summary.

    `truth` (values the data were simulated with) is listed beside the intervals, and marked in the figures.
    """
    folder = Path(folder)
    draws, problem = fit.draws, fit.problem
    tree = to_datatree(
        problem,
        draws.z,
        draws.stats,
        seed=draws.seed,
        failures=draws.failed,
        provenance={
            "seconds": draws.seconds,
            "warmup_leapfrogs": draws.warmup_steps,
            "max_tree_depth": draws.max_tree_depth,
            "complete": draws.complete,
        },
    )
    save(tree, folder / "posterior.nc")
    known = None if truth is None else {k: v for k, v in truth.items() if k in tree["posterior"]}
    summary = summarise(tree, truth=known)
    centre = problem.values(problem.space.fold(jnp.asarray(fit.start.centre)))
    summary = replace(summary, words=(*summary.words, *solver_words(problem, centre)))
    summary.table.to_csv(folder / "summary.csv")
    (folder / "summary.txt").write_text(f"{summary}\n")
    if summary.truth is not None:
        summary.truth.to_csv(folder / "truth.csv")
    save_figures(
        {
            "fit": plots.fit(problem, tree),
            "residuals": plots.residuals(problem, tree),
            "observed_predicted": plots.observed_predicted(problem, tree),
            "chains": plots.chains(tree),
            "prior_posterior": plots.prior_posterior(tree, truth=known),
        },
        folder / "figures",
    )
    return summary


def report_fits(fits: Fits, problem: Problem, folder: str | Path) -> None:
    """Writes `map.json`, `best.csv` and the figures of optimisation runs."""
    folder = Path(folder)
    fits.save(folder / "map.json")
    with (folder / "best.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("parameter", "value"), *fits.best.items()])
    figures: dict[str, Figure | Iterable[Figure]] = {
        "waterfall": plots.waterfall(fits.objective, fits.converged),
        "starts": plots.starts(problem.space.names, fits.z, fits.objective),
        "traces": plots.traces(fits.traces),
        "best_fit": plots.evaluation(problem, problem.evaluate(fits.best)),
    }
    save_figures(figures, folder / "figures")
