"""What a dose-response experiment leaves in a folder: tables, figures, and a few lines to read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr

from .. import plots
from ..doses.drug_pairs import combination
from ..doses.hill import CurveStatus, HillFits
from ..doses.result import DoseResponse
from ..doses.tables import as_table
from ..plots.dose_curves import describe_half_dose
from ..storage.files import write
from .calibration import save_figures

_FEWEST = 5  # doses that a Hill curve needs


def report_doses(result: DoseResponse, folder: str | Path) -> list[str]:
    """Writes `responses.csv`, `curves*.csv` with EC50 and IC50, `combination.csv` and figures; lines that sum them up.

    A figure is drawn of what has one: doses of the ligand, of one drug, of two drugs together. Of a population it
    writes `population.csv`, moments over its members, and its figure.
    """
    folder = Path(folder)
    if "member" in result.response.dims:
        return _of_population(result, folder)
    write(folder / "responses.csv", result.table().to_csv(index=False))
    dims = result.response.dims
    lines = []
    varied = [d.name for d in result.drugs if d.name in dims]
    for along in ("dose", *varied):
        if len(result.doses(along).values) >= _FEWEST:
            fits = result.hill(along)
            name = "curves.csv" if along == "dose" else f"curves_{along}.csv"
            write(folder / name, fits.table().to_csv(index=False))
            if "time" not in dims:
                lines += _lines(result, along, fits)
        elif len(result.doses(along).values) > 2:
            wanted = "EC50" if along == "dose" else f"IC50 of {along}"
            lines.append(f"no {wanted}: a Hill curve has 4 parameters, and takes {_FEWEST} doses or more")
    combined = _combined(result, varied)
    if combined is not None:
        medians = as_table(combined.drop_dims("drug").median("draw"), combined)
        write(folder / "combination.csv", medians.to_csv(index=False))
    save_figures(plots.of_doses(result, combined), folder)
    if len(varied) == 2 and combined is None:
        both = " and ".join(varied)
        lines.append(f"no surface of {both}: it takes dose 0 and 4 more of each, and dose 0 and one of the ligand")
    return lines + _failed(result)


def _of_population(result: DoseResponse, folder: Path) -> list[str]:
    """Writes `population.csv`, the mean and the coefficient of variation over members, medians over draws."""
    medians = result.moments().median("draw")
    write(folder / "population.csv", as_table(medians, result.data).to_csv(index=False))
    save_figures(plots.of_doses(result), folder)
    return _failed(result)


def _failed(result: DoseResponse) -> list[str]:
    failed = sum(result.failed.values())
    return [f"{failed} of {result.data['status'].size} simulations failed: {result.failed}"] if failed else []


def _combined(result: DoseResponse, varied: list[str]) -> xr.Dataset | None:
    """The effect of two drugs together; None if their doses do not allow it, or if responses are courses over time."""
    if len(varied) != 2 or "time" in result.response.dims:
        return None
    zero = all(np.any(result.doses(d).values == 0) for d in (*varied, "dose"))
    enough = all(len(result.doses(d).values) >= _FEWEST for d in varied)
    return combination(result, *varied) if zero and enough and len(result.ligand.values) == 2 else None


def _lines(result: DoseResponse, along: str, fits: HillFits) -> Iterator[str]:
    """A line for each condition, and each dose of what else is varied: of the ligand all but 0, of other drugs 0."""
    data = fits.data
    others = [str(d) for d in data["kind"].dims if d not in ("draw", "condition")]
    for dim in others:
        if along != "dose":
            selected = data[dim].values > 0 if dim == "dose" else np.arange(data.sizes[dim]) == 0
            data = data.isel({dim: np.flatnonzero(selected)})
    for where in product(*([(d, i) for i in range(data.sizes[d])] for d in ("condition", *others))):
        one = data.isel(dict(where))
        amounts_here = [(result.doses(d), float(one[d])) for d in others]
        amounts = [f"{d.name} {x:.3g} {d.unit}" for d, x in amounts_here if x > 0 or d is not result.ligand]
        label = ", ".join(filter(None, [str(one["condition"].values), *amounts])) or fits.doses.name
        fits_here = HillFits(one, fits.doses, fits.name)
        counts = fits_here.kinds
        undetermined = [f"{n} {k.replace('_', ' ')}" for k, n in counts.items() if k != CurveStatus.OK.label]
        mixed = f" [of {sum(counts.values())} draws {', '.join(undetermined)}]" if len(counts) > 1 else ""
        yield f"{label}: {describe_half_dose(fits_here, 'EC50' if along == 'dose' else f'IC50 of {along}')}{mixed}"
