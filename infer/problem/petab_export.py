"""A calibration problem as a PEtab problem, for other tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from ...data.parameter import effective_prior
from ...data.petab.export import Exported, PetabExportError, write_petab
from ...data.petab.export.priors import bounds_of
from ...models.listing import did_you_mean, listed
from .problem import Problem

_NAMED = 5  # names that a note lists


def export_petab(
    problem: Problem,
    folder: str | Path,
    *,
    version: int = 2,
    values: Mapping[str, float] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Writes a problem as PEtab: `problem.yaml`, the model as SBML, and tables.

    What another tool, or `load_problem`, reads from there has the same likelihood and the same priors. Everything is in
    the model's units. Scales that hexamer integrates out are estimated parameters of the PEtab problem, so its
    likelihood is that of `Problem.evaluate`, not that of `Problem.log_likelihood`.

    Parameters
    ----------
    problem : Problem
        The problem.
    folder : str or path
        Where to write; it is made if it is missing.
    version : int
        Of PEtab: 2, or 1, in which protocols may set values at time 0 only.
    values : dict of float, optional
        Nominal values by name, in each parameter's unit; those that are not named are the problem's own, if it has one.
    overwrite : bool
        Whether files in a folder that is not empty may be replaced.

    Returns
    -------
    Exported
        The path of the YAML file, ids by name, and notes.

    Raises
    ------
    PetabExportError
        With all that PEtab cannot say: Student-t or contaminated noise, limits of detection, and priors that it does
        not have.
    FileExistsError
        If the folder holds files and `overwrite` is false, or if the problem's own model lies there.
    NotADirectoryError
        If the folder, or one that it is in, is a file.
    ValueError
        For values of names that the problem does not have, a model without a network, and other versions.
    """
    network = problem.model.network
    if network is None:
        raise PetabExportError(f"{problem.model.name} is a Python function, and PEtab needs a network: write it as one")
    if unknown := problem.unknown(values or {}):
        meant = did_you_mean(unknown, problem.parameters)
        raise ValueError(f"{problem.name} has no parameter {', '.join(unknown)}: leave out what it does not use{meant}")
    stated = values or {}
    parameters = {n: replace(p, value=stated.get(n, p.value)) for n, p in problem.parameters.items()}
    dataset = replace(problem.dataset, parameters=parameters)
    exported = write_petab(
        dataset, network, folder, constants=problem.model.parameters, version=version, overwrite=overwrite
    )
    return replace(exported, notes=tuple(_notes(problem, dataset.parameters, exported)))


def _notes(problem: Problem, parameters: Mapping, exported: Exported) -> list[str]:
    """What differs from hexamer's own density, and what another tool may miss."""
    notes: list[str] = []
    if scales := problem.nuisance.names:
        notes.append(
            f"{len(scales)} scales that hexamer integrates out are estimated parameters in PEtab: its likelihood is "
            f"that of `hexamer evaluate`, at a value of each ({listed(scales, _NAMED)})"
        )
    if unused := [n for n, p in parameters.items() if p.estimated and n not in exported.ids]:
        notes.append(
            f"{len(unused)} estimated parameters that no measurement uses are left out; their posterior is their prior "
            f"({listed(unused, _NAMED)})"
        )
    estimated = [n for n in exported.ids if parameters[n].estimated]
    if missing := [n for n in estimated if parameters[n].value is None]:
        notes.append(
            f"{len(missing)} of {len(estimated)} estimated parameters have no nominal value, which some tools need "
            f"({listed(missing, _NAMED)})"
        )
    bounds = {n: bounds_of(effective_prior(parameters[n])) for n in estimated if n not in missing}
    if outside := [n for n, (low, high) in bounds.items() if not low <= cast("float", parameters[n].value) <= high]:
        notes.append(f"nominal values lie outside of the parameters' bounds, where the prior is 0: {listed(outside)}")
    if renamed := [n for n, i in exported.ids.items() if i != n]:
        first = f"{renamed[0]} is {exported.ids[renamed[0]]}"
        notes.append(f"{len(renamed)} parameters have other ids ({first}); parameterName has the names")
    return notes


__all__ = ["export_petab"]
