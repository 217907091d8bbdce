"""Arguments and options that several commands share, and what they mean to the library."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from . import arguments

if TYPE_CHECKING:
    from ..models import Settings
    from ..models.solvers.settings import Engine, Solver


class SolverChoice(StrEnum):
    auto = "auto"
    rodas5p = "rodas5p"
    tsit5 = "tsit5"
    kvaerno5 = "kvaerno5"
    kvaerno3 = "kvaerno3"


class EngineChoice(StrEnum):
    auto = "auto"
    fused = "fused"
    diffrax = "diffrax"


class DeviceChoice(StrEnum):
    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


ProblemArgument = Annotated[str, typer.Argument(metavar="PROBLEM", help="Bundled name, folder, or PEtab YAML.")]

ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Another network than the problem's: a bundled one, parts joined by +, or a file."),
]
EngineOption = Annotated[
    EngineChoice, typer.Option(help="fused: code compiled for the model; auto: fused where it can, else diffrax.")
]
DeviceOption = Annotated[
    DeviceChoice | None,
    typer.Option(
        help="Where to solve; auto: few trajectories on the CPU, many on a GPU if there is one. "
        "Default: the environment variable HEXAMER_DEVICE, else auto.",
    ),
]
SolverOption = Annotated[SolverChoice, typer.Option(help="auto: rodas5p.")]
RtolOption = Annotated[
    float,
    arguments.number_option("Relative error a step of the solver, of each species' size.", 1e-12, 1e-2),
]
AtolOption = Annotated[
    float | None,
    arguments.number_option(
        "Absolute error a step, in the model's units, for all species alike; by default each species has its own, "
        "which follows from --rtol and from what the species starts at, is set to, or soon comes to."
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]


def engine_of(engine: EngineChoice, solver: SolverChoice) -> Engine:
    """The engine; a solver of diffrax's asks for diffrax."""
    if solver in (SolverChoice.auto, SolverChoice.rodas5p):
        return engine.value
    if engine == EngineChoice.fused:
        raise ValueError(f"--engine fused solves by rodas5p: leave out --solver {solver.value}, or --engine")
    return "diffrax"


def solver_of(solver: SolverChoice) -> Solver:
    return "rodas5p" if solver == SolverChoice.auto else solver.value


def settings_of(engine: EngineChoice, rtol: float | None, atol: float | None) -> Settings | None:
    """Settings if one of them is given; None: those of the fit."""
    from ..models import Settings

    if engine == EngineChoice.auto and rtol is None and atol is None:
        return None
    return Settings(engine=engine.value, rtol=1e-6 if rtol is None else rtol, atol=atol)


def times_of(text: str) -> list[float]:
    """Times of --times, with a note if a decimal comma may have been meant."""
    if said := arguments.decimal_comma("--times", text):
        typer.echo(f"note: {said}", err=True)
    return arguments.times("--times", text)


__all__ = [
    "AtolOption",
    "DeviceChoice",
    "DeviceOption",
    "EngineChoice",
    "EngineOption",
    "ModelOption",
    "ProblemArgument",
    "QuietOption",
    "RtolOption",
    "SolverChoice",
    "SolverOption",
    "engine_of",
    "settings_of",
    "solver_of",
    "times_of",
]
