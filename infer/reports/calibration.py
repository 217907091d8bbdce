"""What a calibration leaves in its folder: posterior, summary, figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from .. import plots
from ..calibration import Fit
from ..checks.exactness import solver_words
from ..checks.solver_noise import drowned_noise
from ..optimisation.many_starts import Fits
from ..optimisation.modes import nearest, record
from ..optimisation.optima_words import comparable
from ..posterior.datatree import thinned, to_datatree
from ..posterior.file import save
from ..posterior.summary import NOISE, Summary, summarise
from ..problem.problem import Problem
from ..storage.files import replacing, write

_JUDGED = 8  # draws at which noise is compared with the solver's error


def save_figures(figures: Mapping[str, Figure | Iterable[Figure]], folder: Path) -> list[Path]:
    """Writes figures as PNG, numbering the pages of those that have several."""
    written = []
    for name, drawn in figures.items():
        pages = [drawn] if isinstance(drawn, Figure) else list(drawn)
        for i, page in enumerate(pages):
            path = folder / (f"{name}.png" if len(pages) == 1 else f"{name}-{i + 1}.png")
            with replacing(path) as part:
                page.savefig(part, dpi=110, format="png")
            written.append(path)
    return written


def posterior_tree(fit: Fit, *, predictive: bool = True) -> xr.DataTree:
    """The draws of a fit as an ArviZ tree, with where the chains began and which optimum each draw is nearest to."""
    draws, problem = fit.draws, fit.problem
    stats, optima = dict(draws.stats), {}
    if fit.modes is not None and len(fit.modes) > 1:
        stats["optimum"] = 1 + nearest(fit.modes, problem.space.unfold(draws.z))
        optima = record(problem, fit.modes, len(draws.z))
    return to_datatree(
        problem,
        draws.z,
        stats,
        seed=draws.seed,
        failures=draws.failed,
        provenance={
            "seconds": draws.seconds,
            "warmup_leapfrogs": draws.warmup_steps,
            "max_tree_depth": draws.max_tree_depth,
            "complete": draws.complete,
            NOISE: _drowned(fit),
            **optima,
        },
        predictive=predictive,
    )


def report(fit: Fit, folder: str | Path, *, truth: Mapping[str, float] | None = None) -> Summary:
    """Writes `posterior.nc`, `summary.csv` and `figures/` of a fit; returns the summary.

    `truth` (values the data were simulated with) is listed beside the intervals, and marked in the figures.
    """
    folder = Path(folder)
    problem = fit.problem
    tree = posterior_tree(fit)
    save(tree, folder / "posterior.nc")
    known = None if truth is None else {k: v for k, v in truth.items() if k in tree["posterior"]}
    summary = summarise(tree, truth=known)
    centre = problem.values(problem.space.fold(jnp.asarray(fit.start.centre)))
    summary = replace(summary, words=(*summary.words, *solver_words(problem, centre)))
    write(folder / "summary.csv", summary.table.to_csv())
    write(folder / "summary.txt", f"{summary}\n")
    if summary.truth is not None:
        write(folder / "truth.csv", summary.truth.to_csv())
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


def _drowned(fit: Fit) -> list[str]:
    """What noise lies below the solver's error, judged at a few draws."""
    z = fit.draws.z.reshape(-1, fit.draws.z.shape[-1])
    some = jnp.asarray(z[thinned(len(z), _JUDGED)])
    return drowned_noise(fit.problem, np.asarray(jax.vmap(fit.problem.values)(some)))


def report_fits(fits: Fits, problem: Problem, folder: str | Path) -> None:
    """Writes `map.json`, `best.csv` and the figures of optimisation runs; `optima.csv` where there are several."""
    folder = Path(folder)
    fits.save(folder / "map.json")
    best = io.StringIO()
    csv.writer(best, lineterminator="\n").writerows([("parameter", "value"), *fits.best.items()])
    write(folder / "best.csv", best.getvalue())
    near = comparable(fits)
    if len(near) > 1:
        _write_optima(fits, [o.rank for o in near], folder / "optima.csv")
    else:
        (folder / "optima.csv").unlink(missing_ok=True)  # of an earlier run
    figures: dict[str, Figure | Iterable[Figure]] = {
        "waterfall": plots.waterfall(fits.objective, fits.converged),
        "starts": plots.starts(
            problem.space.names,
            problem.space.one_sided(fits.z),
            fits.objective,
            optima=[o.members for o in near],
        ),
        "traces": plots.traces(fits.traces),
        "best_fit": plots.evaluation(problem, problem.evaluate(fits.best)),
    }
    save_figures(figures, folder / "figures")


def _write_optima(fits: Fits, ranks: Iterable[int], path: Path) -> None:
    """A row for each parameter, a column for each optimum."""
    columns = [fits.values(r) for r in ranks]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["parameter", *(f"optimum {k}" for k, _ in enumerate(columns, start=1))])
    table.writerows([name, *(c[name] for c in columns)] for name in columns[0])
    write(path, text.getvalue())
