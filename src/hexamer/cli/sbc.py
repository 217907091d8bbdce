"""`hexamer sbc`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    ModelOption,
    ProblemArgument,
    QuietOption,
    RtolOption,
    SolverOption,
    solver_of,
)
from .problem import load_and_note, read_data


def command(
    problem: ProblemArgument,
    out: Annotated[Path, typer.Option(help="Folder for replicates, ranks and figure; resumed if it holds some.")],
    replicates: Annotated[
        int, arguments.count_option("Simulated data sets, at least 20; more of them show smaller errors.")
    ] = 200,
    seed: Annotated[int, arguments.count_option("Seed of all replicates.", 0)] = 0,
    chains: Annotated[int, arguments.count_option("Chains per replicate, in parallel over cores.")] = 2,
    warmup: Annotated[int, arguments.count_option("Warmup iterations per chain.")] = 300,
    draws: Annotated[int, arguments.count_option("Draws per chain, at least 20.")] = 300,
    starts: Annotated[int, arguments.count_option("Starts of the search for each best fit.")] = 4,
    model: ModelOption = None,
    engine: EngineOption = EngineChoice.auto,
    device: DeviceOption = None,
    solver: SolverOption = "auto",
    rtol: RtolOption = 1e-6,
    atol: AtolOption = None,
    level: Annotated[
        float, arguments.number_option("Probability of 'not calibrated' if all is right.", 1e-6, 0.5)
    ] = 0.01,
    minutes: Annotated[
        float | None, arguments.number_option("Begin no replicate after so many minutes; the same command resumes.")
    ] = None,
    target_acceptance: Annotated[
        float, arguments.number_option("Mean acceptance that NUTS aims at; raise it if draws diverge.", 0.5, 0.999)
    ] = 0.8,
    quiet: QuietOption = False,
) -> None:
    """Whether posteriors of PROBLEM cover the truth, by fits of data simulated from its prior."""
    chosen = solver_of(engine, solver)
    dataset = read_data(problem, model)
    check_folder(out, "--out", problem)
    use_device(device, chains)
    from ..infer.reports.rank_tables import report_ranks
    from ..infer.simulation_calibration.replicate_runs import describe_replicates
    from ..infer.simulation_calibration.replicate_runs import sbc as run

    interrupt.leaves(lambda: describe_replicates(out))
    loaded = load_and_note(problem, dataset, model=model).with_settings(rtol=rtol, atol=atol, solver=chosen)
    check = run(
        loaded,
        replicates=replicates,
        seed=seed,
        chains=chains,
        warmup=warmup,
        draws=draws,
        starts=starts,
        target_acceptance=target_acceptance,
        level=level,
        out=out,
        progress=not quiet,
        stop_after=None if minutes is None else 60 * minutes,
    )
    if check is not None:
        report_ranks(check, out)
        typer.echo(f"{check}\nall of it in {out}")
    if check is None or not check.complete:
        typer.echo(f"stopped after {minutes:g} minutes; the same command resumes the run in {out}")
        raise typer.Exit(3)


__all__ = ["command"]
