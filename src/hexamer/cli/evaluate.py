"""`hexamer evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .device import use_device
from .messages import pointing_to
from .options import (
    AtolOption,
    DeviceOption,
    EngineChoice,
    EngineOption,
    ModelOption,
    ProblemArgument,
    RtolOption,
    SolverOption,
    solver_of,
)
from .problem import load_and_note, read_data, values_of, warn_of_noise


def command(
    problem: ProblemArgument,
    at: Annotated[
        Path | None,
        typer.Option(
            help="CSV with columns parameter,value, such as best.csv of `map`; else nominal values, where all have one."
        ),
    ] = None,
    model: ModelOption = None,
    engine: EngineOption = EngineChoice.auto,
    device: DeviceOption = None,
    solver: SolverOption = "auto",
    rtol: RtolOption = 1e-8,
    atol: AtolOption = None,
) -> None:
    """Likelihood of PROBLEM at given parameter values, as one JSON object: nllh, chi2, n, censored, failed.

    chi2 is the sum over the rows that were measured; `censored` of the n rows are limits, which have none.
    """
    chosen = solver_of(engine, solver)
    dataset = read_data(problem, model)
    values = None if at is None else values_of(at, dataset, model)
    use_device(device)
    from ..infer.problem.problem import MissingValueError

    loaded = load_and_note(problem, dataset, model=model).with_settings(
        solver=chosen, rtol=rtol, atol=atol, max_steps=20_000
    )
    if values is not None:
        unused = sorted(loaded.unknown(values))
        if fixed := [n for n in unused if n in loaded.model.parameters]:
            raise ValueError(
                f"{at} gives {', '.join(fixed)}, which the problem holds at the network's own value: "
                "give a prior, or a value in [fixed] of problem.toml"
            )
        if unused:
            typer.echo(f"note: {loaded.name} has no use for {', '.join(unused)}", err=True)
        values = {n: v for n, v in values.items() if n not in unused}
    with pointing_to({MissingValueError: "--at"}):
        result = loaded.evaluate(values)
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    finite = result.nllh == result.nllh and abs(result.nllh) != float("inf")
    typer.echo(
        json.dumps(
            {
                "problem": loaded.name,
                "nllh": result.nllh if finite else None,
                "chi2": result.chi2 if finite else None,
                "n": result.n,
                "censored": result.censored,
                "failed": result.failed,
            }
        )
    )
    if not finite:
        kinds = ", ".join(f"{n} {kind}" for kind, n in result.failed.items())
        why = ";\n  ".join(result.undefined) or f"failed solves ({kinds})"
        typer.echo(f"the likelihood does not exist at these values: {why}", err=True)
        raise typer.Exit(2)
    warn_of_noise(loaded, values)


__all__ = ["command"]
