"""The arguments and options of `hexamer dose-response` that no other command has."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from . import arguments
from .catalogue import Kind, inventory


class SummaryChoice(StrEnum):
    peak = "peak"
    area = "area"
    time_of_peak = "time_of_peak"


ResultArgument = Annotated[
    str,
    typer.Argument(
        metavar="RESULT",
        help="Folder of `hexamer fit` (its posterior), or a model: a bundled one, with drugs joined by + "
        "(il6_stat3+tocilizumab), or an .ant or .xml file.",
        autocompletion=lambda: list(inventory(Kind.models)),
    ),
]

OutOption = Annotated[Path, typer.Option(help="Folder for responses.csv, curves.csv and figures.")]
LigandOption = Annotated[str, typer.Option(help="A species, or an input of the model.")]
DosesOption = Annotated[
    str,
    typer.Option(help="Numbers, or START:STOP:COUNT at equal ratios, with a unit: '0, 0.01:500:32 ng/ml'."),
]
AtOption = Annotated[
    float | None,
    arguments.number_option(
        "Time of the reading in the model's unit, such as min; by default 20 min, unless --summary is given."
    ),
]
SummaryOption = Annotated[
    SummaryChoice | None,
    typer.Option(help="Quantity of the course, in place of --at.", **arguments.choice_of(SummaryChoice)),
]
TimesOption = Annotated[
    str | None, typer.Option(help="Times of the course for --summary: START:STOP:STEP, or separated by commas.")
]
ObserveOption = Annotated[
    str | None,
    typer.Option(help="Rule, species, or formula over the model's names; that of IL-6 networks is pSTAT3_total."),
]
ConditionOption = Annotated[
    list[str],
    typer.Option(
        help="'NAME: PARAMETER=VALUE, SPECIES=DOSE UNIT; STATEMENT', may be repeated; e.g. "
        "'no IL6R: IL6R_0=0, sIL6R=100 ng/ml' or 'pulse: ; wash out IL6 at 15'."
    ),
]
DrugOption = Annotated[
    list[str],
    typer.Option(help="NAME=DOSES given with the ligand, may be repeated: 'tocilizumab=0, 0.01:50:9 ug/ml'."),
]
PretreatOption = Annotated[
    float,
    arguments.number_option("How long drugs come before the ligand, in the model's unit of time, such as min.", 0),
]
PreequilibrateOption = Annotated[
    bool | None,
    typer.Option(help="Whether cells start in steady state. Default: as in the fitted problem; yes for a model."),
]
DrawsOption = Annotated[int, arguments.count_option("Draws of the posterior, evenly spread.")]
OtherModelOption = Annotated[
    str | None, typer.Option(help="Another model for a posterior, e.g. its own with drugs; else its own.")
]
ProblemOption = Annotated[
    str | None, typer.Option(help="Problem that was fitted, for results of older versions, which do not hold it.")
]
MolarMassOption = Annotated[
    list[str],
    typer.Option(help="NAME=MASS, e.g. 'IL6=21 kDa', if the fitted problem does not state it; may be repeated."),
]
ParameterOption = Annotated[
    list[str], typer.Option("--set", help="NAME=VALUE of a parameter of a model; may be repeated.")
]
MemoryOption = Annotated[int, arguments.count_option("Most memory that a batch of trajectories takes, MiB.")]
FittedRtolOption = Annotated[
    float | None,
    arguments.number_option("Relative tolerance of the solver. Default: as fitted, else 1e-6.", 1e-12, 1e-2),
]


__all__ = [
    "AtOption",
    "ConditionOption",
    "DosesOption",
    "DrawsOption",
    "DrugOption",
    "FittedRtolOption",
    "LigandOption",
    "MemoryOption",
    "MolarMassOption",
    "ObserveOption",
    "OtherModelOption",
    "OutOption",
    "ParameterOption",
    "PreequilibrateOption",
    "PretreatOption",
    "ProblemOption",
    "ResultArgument",
    "SummaryChoice",
    "SummaryOption",
    "TimesOption",
]
