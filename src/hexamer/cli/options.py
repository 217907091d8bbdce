"""Arguments and options that several commands share, and what they mean to the library."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import arguments
from .catalogue import Kind, inventory

if TYPE_CHECKING:
    from ..models import Settings
    from ..models.solvers.solver import Solver


class EngineChoice(StrEnum):
    auto = "auto"
    fused = "fused"
    diffrax = "diffrax"


class DeviceChoice(StrEnum):
    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class MethodChoice(StrEnum):
    nuts = "nuts"
    smc = "smc"
    auto = "auto"


ProblemArgument = Annotated[
    str,
    typer.Argument(
        metavar="PROBLEM",
        help="Bundled name, folder, or PEtab YAML.",
        autocompletion=lambda: list(inventory(Kind.problems)),
    ),
]

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Bundled network, parts joined by +, or .ant or .xml file.",
        autocompletion=lambda: list(inventory(Kind.models)),
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Another network than the problem's: a bundled one, parts joined by +, or a file.",
        autocompletion=lambda: list(inventory(Kind.models)),
    ),
]
EngineOption = Annotated[
    EngineChoice,
    typer.Option(
        help="fused: code compiled for the model; auto: fused if it can solve the model, else diffrax.",
        **arguments.choice_of(EngineChoice),
    ),
]
DeviceOption = Annotated[
    DeviceChoice | None,
    typer.Option(
        help="Where to solve; auto: few trajectories on the CPU, many on a GPU if there is one. "
        "Default: the environment variable HEXAMER_DEVICE, else auto.",
        **arguments.choice_of(DeviceChoice),
    ),
]
SolverOption = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="Rodas5P (auto), or one of diffrax's solvers by name: Tsit5, Kvaerno5, Dopri8, …"
    ),
]
FitSolverOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Rodas5P, or one of diffrax's solvers by name: Tsit5, Kvaerno5, Dopri8, … auto: Rodas5P; with diffrax "
        "the cheapest that agrees with Kvaerno5 around the best fit.",
    ),
]
MethodOption = Annotated[
    MethodChoice,
    typer.Option(
        help="nuts: from the best fits; smc: tempered from the prior, weighs several optima, takes several times as "
        "long; auto: smc if several optima were found, or if draws of nuts diverge on a ridge.",
        **arguments.choice_of(MethodChoice),
    ),
]
FitChainsOption = Annotated[
    int | None,
    arguments.count_option("Chains, in parallel over cores, by default 4; with smc populations, by default 16."),
]
FitDrawsOption = Annotated[
    int | None,
    arguments.count_option("Draws per chain, by default 1000; with smc particles per population, by default 250."),
]
FitStartOption = Annotated[
    Path | None,
    typer.Option(help="Folder of an earlier fit, from whose draws NUTS starts; parameters are matched by name."),
]
FitWarmupOption = Annotated[
    int | None,
    arguments.count_option("Warmup iterations per chain, by default 1000, with --start 300; SMC has none."),
]
FitTargetOption = Annotated[
    float | None,
    arguments.number_option("Mean acceptance that NUTS aims at, by default 0.8; more if draws diverge.", 0.5, 0.999),
]
RtolOption = Annotated[
    float,
    arguments.number_option("Relative error per step of the solver, for each species.", 1e-12, 1e-2),
]
AtolOption = Annotated[
    float | None,
    arguments.number_option(
        "Absolute error per step, in the model's units, the same for all species. By default each species has its own, "
        "which follows from --rtol and from what the species starts at, is set to, or soon comes to."
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]


def solver_of(engine: EngineChoice, solver: str) -> Solver:
    """The solver that the options name; one of diffrax's asks for diffrax."""
    from ..models.solvers.diffrax_methods import RODAS5P, is_rodas5p
    from ..models.solvers.solver_words import solver_by_words

    name = RODAS5P if solver.casefold() == "auto" else solver
    if engine == EngineChoice.fused and not is_rodas5p(name):
        raise ValueError(f"--engine fused solves by Rodas5P: leave out --solver {solver}, or --engine")
    return solver_by_words(engine=engine.value, solver=name)


def settings_of(engine: EngineChoice, rtol: float | None, atol: float | None) -> Settings | None:
    """Settings if one of them is given; None: those of the fit."""
    from ..models import Settings

    if engine == EngineChoice.auto and rtol is None and atol is None:
        return None
    return Settings(solver_of(engine, "auto"), rtol=1e-6 if rtol is None else rtol, atol=atol)


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
    "FitSolverOption",
    "ModelArgument",
    "ModelOption",
    "ProblemArgument",
    "QuietOption",
    "RtolOption",
    "SolverOption",
    "settings_of",
    "solver_of",
    "times_of",
]
