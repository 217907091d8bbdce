"""`hexamer fit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import interrupt
from . import arguments
from .device import use_device
from .inputs import check_folder
from .options import (
    AtolOption,
    DeviceOption,
    EngineChoice,
    EngineOption,
    FitChainsOption,
    FitDrawsOption,
    FitSolverOption,
    FitStartOption,
    FitTargetOption,
    FitWarmupOption,
    MethodChoice,
    MethodOption,
    ModelOption,
    ProblemArgument,
    QuietOption,
    RtolOption,
    solver_of,
)
from .problem import load_and_note, read_data

if TYPE_CHECKING:
    from ..infer import Calibration, Problem


def command(
    problem: ProblemArgument,
    out: Annotated[
        Path, typer.Option(help="Folder for draws, posterior, summary and figures; resumed if it holds some.")
    ],
    method: MethodOption = MethodChoice.nuts,
    chains: FitChainsOption = None,
    start: FitStartOption = None,
    warmup: FitWarmupOption = None,
    draws: FitDrawsOption = None,
    seed: Annotated[int, arguments.count_option("Seed of starts and sampler.", 0)] = 0,
    starts: Annotated[int, arguments.count_option("Starts of the search for the best fit.")] = 16,
    model: ModelOption = None,
    engine: EngineOption = EngineChoice.auto,
    device: DeviceOption = None,
    solver: FitSolverOption = "auto",
    rtol: RtolOption = 1e-6,
    atol: AtolOption = None,
    minutes: Annotated[
        float | None,
        arguments.number_option("Stop sampling after so many minutes; the same command resumes it."),
    ] = None,
    target_acceptance: FitTargetOption = None,
    quiet: QuietOption = False,
) -> None:
    """Posterior of PROBLEM by NUTS, started from its best fits or another posterior, or by SMC, from the prior.

    If the folder holds a finished run of NUTS, more --draws continue it.
    """
    chosen = solver_of(engine, solver)
    dataset = read_data(problem, model)
    check_folder(out, "--out", problem)
    use_device(device, 4 if chains is None or method is MethodChoice.smc else chains)
    from ..infer.calibration import describe_progress, writable
    from ..infer.calibration import fit as run

    writable(out)
    interrupt.leaves(lambda: describe_progress(out))
    loaded = load_and_note(problem, dataset, model=model).with_settings(rtol=rtol, atol=atol, solver=chosen)
    _say_what_is_estimated(loaded)
    result = run(
        loaded,
        out,
        method=method.value,
        start=start,
        chains=chains,
        warmup=warmup,
        draws=draws,
        seed=seed,
        starts=starts,
        solver=None if solver.casefold() == "auto" else chosen,
        target_acceptance=target_acceptance,
        progress=not quiet,
        stop_after=None if minutes is None else 60 * minutes,
        say=typer.echo,
    )
    if result is None:
        typer.echo(f"stopped after {minutes:g} minutes, before any draws; the same command resumes the run in {out}")
        raise typer.Exit(3)
    from ..infer.reports.calibration import report  # brings matplotlib

    typer.echo(f"\n{report(result, truth=_truth_of(problem))}")
    _say_how_it_ended(result, out, minutes)


def _say_how_it_ended(result: Calibration, out: Path, minutes: float | None) -> None:
    """Prints how long it took, and where the results are. Exits with 3 if draws are still to be made."""
    spent = result.draws.seconds
    first, last = ("warmup", "draws") if result.draws.facts.get("sampler") != "SMC" else ("tempering", "last moves")
    typer.echo(f"\n{first} {spent['warmup']:.0f} s, {last} {spent['draws']:.0f} s; all of it in {out}")
    if not result.draws.complete:
        typer.echo(f"stopped after {minutes:g} minutes; the same command resumes the run in {out}")
        raise typer.Exit(3)


def _say_what_is_estimated(problem: Problem) -> None:
    typer.echo(
        f"{problem.name}: {len(problem.dataset)} measurements under {len(problem.assays.protocols)} protocols; "
        f"{len(problem.space)} parameters sampled, {len(problem.nuisance)} scales integrated out"
    )
    if problem.fixed:
        typer.echo("fixed: " + ", ".join(f"{n} = {v:g}" for n, v in problem.fixed.items()))


def _truth_of(problem: str) -> dict[str, float] | None:
    """Values that a bundled data set was simulated with, where it was."""
    from importlib.resources import as_file, files

    from ..data import bundled, read_values

    if problem not in bundled():
        return None
    resource = files("hexamer.data").joinpath("bundled_problems", problem, "truth.csv")
    if not resource.is_file():
        return None
    with as_file(resource) as path:
        return read_values(path)


__all__ = ["command"]
