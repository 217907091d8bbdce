"""`hexamer export`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .inputs import check_folder
from .messages import pointing_to
from .options import ModelOption, ProblemArgument
from .problem import load_and_note, read_data, values_of


class VersionChoice(StrEnum):
    two = "2"
    one = "1"


class FormatChoice(StrEnum):
    petab = "petab"


def command(
    problem: ProblemArgument,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to write to: problem.yaml, model.xml and tables.")
    ],
    to: Annotated[FormatChoice, typer.Option(help="The format.")],
    version: Annotated[
        VersionChoice, typer.Option(help="Of PEtab; in 1, protocols may set values at time 0 only.")
    ] = VersionChoice.two,
    at: Annotated[
        Path | None,
        typer.Option(help="CSV with columns parameter,value, such as best.csv of `map`: the nominal values."),
    ] = None,
    model: ModelOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files in a folder that is not empty.")] = False,
) -> None:
    """Write PROBLEM for other tools: as PEtab, which AMICI, PEtab.jl, COPASI and pyPESTO read.

    They, and hexamer itself, find the same likelihood and priors there. Numbers are in the model's units.

    What PEtab cannot say, such as a limit of detection or Student-t noise, is refused, with what to do instead.
    """
    dataset = read_data(problem, model)
    check_folder(folder, "DIR", problem, dataset.model, model)
    values = None if at is None else values_of(at, dataset, model)
    from ..infer import export_petab

    loaded = load_and_note(problem, dataset, model=model)
    if unused := sorted(loaded.unknown(values or {})):
        typer.echo(f"note: {loaded.name} has no use for {', '.join(unused)}", err=True)
        values = {n: v for n, v in (values or {}).items() if n not in unused}
    with pointing_to({FileExistsError: "--force"}):
        exported = export_petab(loaded, folder, version=int(version), values=values, overwrite=force)
    for note in exported.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{loaded.name} as PEtab v{version.value} in {exported.path}")


__all__ = ["command"]
