"""`hexamer map`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
from .problem import load_and_note, read_data, warn_of_noise

if TYPE_CHECKING:
    from ..infer import Fits, Problem


class ObjectiveChoice(StrEnum):
    posterior = "posterior"
    likelihood = "likelihood"


class InitialChoice(StrEnum):
    prior = "prior"
    wide = "wide"


def command(
    problem: ProblemArgument,
    starts: Annotated[int, arguments.count_option("Number of random starts.")] = 50,
    objective: Annotated[
        ObjectiveChoice,
        typer.Option(
            help="posterior: with priors; likelihood: without, every scale a parameter.",
            **arguments.choice_of(ObjectiveChoice),
        ),
    ] = ObjectiveChoice.posterior,
    initial: Annotated[
        InitialChoice,
        typer.Option(
            help="Starts drawn from the priors, or log-uniform over 1e-5 to 1e3.", **arguments.choice_of(InitialChoice)
        ),
    ] = InitialChoice.prior,
    seed: Annotated[int, arguments.count_option("Seed of the starts.", 0)] = 0,
    iterations: Annotated[int, arguments.count_option("Largest number of iterations per start.")] = 1000,
    model: ModelOption = None,
    engine: EngineOption = EngineChoice.auto,
    device: DeviceOption = None,
    solver: SolverOption = "auto",
    rtol: RtolOption = 1e-6,
    atol: AtolOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for map.json, best.csv and figures.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Best fits of PROBLEM from many starts, ranked."""
    chosen = solver_of(engine, solver)
    dataset = read_data(problem, model)
    if out is not None:
        check_folder(out, "--out", problem)
    use_device(device, sys.maxsize)
    from ..infer.calibration import writable
    from ..infer.optimisation.many_starts import find_map
    from ..infer.reports.calibration import report_fits

    if out is not None:
        writable(out)
    loaded = load_and_note(problem, dataset, model=model, marginalise=() if objective == "likelihood" else None)
    loaded = loaded.with_settings(rtol=rtol, atol=atol, solver=chosen)
    fits = find_map(
        loaded,
        starts=starts,
        seed=seed,
        objective=objective.value,
        initial=initial.value,
        max_iterations=iterations,
        progress=not quiet,
    )
    if out is not None:
        report_fits(fits, loaded, out)
    _say_best(loaded, fits)
    _say_starts(fits, starts)
    if out is not None:
        typer.echo(f"all of it in {out}")


def _say_best(problem: Problem, fits: Fits) -> None:
    """Prints the best fit, with warnings if the solver's errors matter there."""
    from ..infer.checks.exactness import solver_words

    evaluation = problem.evaluate(fits.best)
    beside = f", {evaluation.censored} limits beside" if evaluation.censored else ""
    measured = evaluation.n - evaluation.censored
    for sentence in solver_words(problem, problem.values(fits.z[0])):
        typer.echo(f"warning: {sentence}", err=True)
    typer.echo(f"best objective (−log {fits.kind}) {fits.objective[0]:.4f}, nllh {evaluation.nllh:.4f}, "
               f"chi2 {evaluation.chi2:.1f} over {measured} measurements{beside}")  # fmt: skip
    warn_of_noise(problem, fits.best)


def _say_starts(fits: Fits, starts: int) -> None:
    """Prints how the starts ended, and the ten best."""
    typer.echo(f"{fits.near_best()} of {starts} starts within 0.1 of the best; {int(fits.converged.sum())} converged; "
               f"{fits.redrawn} redrawn; evaluations failed: {fits.failed or 0}; {fits.seconds:.0f} s")  # fmt: skip
    for rank in range(min(10, starts)):
        typer.echo(
            f"{rank + 1:4d}  {fits.objective[rank]:12.4f}  {fits.reason[rank]:<12}  "
            f"{fits.iterations[rank]:5d} iterations"
        )
    for sentence in fits.words():
        typer.echo(sentence)


__all__ = ["command"]
