"""The figures that a report writes, by the names of their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..optimisation.optima import comparable
from .checks import evaluation, observed_predicted, residuals
from .dose_curves import dose_response, drug_response
from .dose_surface import surface
from .observable_panels import fit
from .optimiser import starts, traces, waterfall
from .parameters import chains, prior_posterior
from .population_bands import population

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from ..doses.result import DoseResponse
    from ..optimisation.fits import Fits
    from ..problem.problem import Problem


def of_calibration(
    problem: Problem, tree: xr.DataTree, truth: Mapping[str, float] | None = None
) -> dict[str, Figure | list[Figure]]:
    """Figures of a calibration: measurements and predictions, residuals, chains, prior and posterior.

    Parameters
    ----------
    problem : Problem
        What was fitted.
    tree : xarray.DataTree
        Its posterior.
    truth : dict of float, optional
        Values that the data were simulated with, in each parameter's unit; marked in `prior_posterior`.

    Returns
    -------
    dict
        By the names of the files: a figure, or a list of figures with one per page.
    """
    return {
        "fit": fit(problem, tree),
        "residuals": residuals(problem, tree),
        "observed_predicted": observed_predicted(problem, tree),
        "chains": chains(tree),
        "prior_posterior": prior_posterior(tree, truth=truth),
    }


def of_fits(fits: Fits, problem: Problem) -> dict[str, Figure | list[Figure]]:
    """Figures of an optimisation from many starts: how the starts ended, and the best fit.

    Parameters
    ----------
    fits : Fits
        What `hexamer.find_map` returns.
    problem : Problem
        What was fitted.

    Returns
    -------
    dict
        By the names of the files: a figure, or a list of figures with one per page.
    """
    optima = [o.members for o in comparable(fits.optima)]
    return {
        "waterfall": waterfall(fits.objective, fits.converged),
        "starts": starts(problem.space.names, problem.space.one_sided(fits.z), fits.objective, optima=optima),
        "traces": traces(fits.traces),
        "best_fit": evaluation(problem, problem.evaluate(fits.best)),
    }


def of_doses(result: DoseResponse, combined: xr.Dataset | None = None) -> dict[str, Figure]:
    """Figures of a dose-response experiment, as far as its doses allow.

    Courses over time have no figure. A population has one (`population`) if no drug has several doses.

    Parameters
    ----------
    result : hexamer.infer.DoseResponse
        What `hexamer.infer.dose_response` returns.
    combined : xarray.Dataset, optional
        What `hexamer.infer.combination` returns of two drugs; shown as `surface`.

    Returns
    -------
    dict
        By the names of the files: a figure.
    """
    dims = set(result.response.dims)
    if "member" in dims:
        return {"population": population(result)} if dims == {"draw", "member", "condition", "dose"} else {}
    if "time" in dims:
        return {}
    varied = [d.name for d in result.drugs if d.name in dims]
    figures: dict[str, Figure] = {}
    if not varied or (len(varied) == 1 and len(result.ligand.values) > 2):
        figures["dose_response"] = dose_response(result)
    if len(varied) == 1:
        figures[f"drug_response_{varied[0]}"] = drug_response(result, varied[0])
    if combined is not None:
        figures["surface"] = surface(combined)
    return figures


__all__ = ["of_calibration", "of_doses", "of_fits"]
