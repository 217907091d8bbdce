"""What a calibration leaves in its folder: posterior, summary, figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from .. import plots
from ..optimisation.fits import Fits
from ..optimisation.optima import comparable
from ..posterior.file import POSTERIOR, save_datatree
from ..posterior.summary import Summary
from ..problem.problem import Problem
from ..result import Calibration
from ..storage.files import replacing, write


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


def report(
    calibration: Calibration, folder: str | Path | None = None, *, truth: Mapping[str, float] | None = None
) -> Summary:
    """Writes `posterior.nc`, `summary.csv` and `figures/` of a calibration.

    Parameters
    ----------
    calibration : Calibration
        What to report.
    folder : path, optional
        Where to write; by default the calibration's own folder.
    truth : dict of float, optional
        Values that the data were simulated with, in each parameter's unit; listed beside the intervals, and marked in
        the figures.

    Returns
    -------
    Summary
        Table, verdict and what to do.
    """
    folder = calibration.folder if folder is None else Path(folder)
    problem, tree = calibration.problem, calibration.tree
    if folder.resolve() != calibration.folder.resolve():
        save_datatree(tree, folder / POSTERIOR)
    true_values = calibration.sampled_of(truth or {})
    summary = calibration.summary.with_truth(tree, true_values) if true_values else calibration.summary
    write(folder / "summary.csv", summary.table.to_csv())
    write(folder / "summary.txt", f"{summary}\n")
    if summary.truth is not None:
        write(folder / "truth.csv", summary.truth.to_csv())
    save_figures(plots.of_calibration(problem, tree, true_values), folder / "figures")
    return summary


def report_fits(fits: Fits, problem: Problem, folder: str | Path) -> None:
    """Writes `map.json`, `best.csv` and the figures of optimisation runs; `optima.csv` if there are several optima.

    Parameters
    ----------
    fits : Fits
        The runs.
    problem : Problem
        What was fitted.
    folder : path
        Where to write.
    """
    folder = Path(folder)
    fits.save(folder / "map.json")
    best = io.StringIO()
    csv.writer(best, lineterminator="\n").writerows([("parameter", "value"), *fits.best.items()])
    write(folder / "best.csv", best.getvalue())
    near = comparable(fits.optima)
    if len(near) > 1:
        _write_optima(fits, [o.rank for o in near], folder / "optima.csv")
    else:
        (folder / "optima.csv").unlink(missing_ok=True)  # of an earlier run
    save_figures(plots.of_fits(fits, problem), folder / "figures")


def _write_optima(fits: Fits, ranks: Iterable[int], path: Path) -> None:
    """A row for each parameter, a column for each optimum."""
    columns = [fits.values(r) for r in ranks]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["parameter", *(f"optimum {k}" for k, _ in enumerate(columns, start=1))])
    table.writerows([name, *(c[name] for c in columns)] for name in columns[0])
    write(path, text.getvalue())
