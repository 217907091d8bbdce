"""`hexamer dose-response`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import arguments
from .device import use_device
from .messages import pointing_to
from .options import (
    AtolOption,
    DeviceOption,
    EngineChoice,
    EngineOption,
    QuietOption,
    settings_of,
    times_of,
)
from .problem import load_problem

if TYPE_CHECKING:
    import xarray as xr

    from ..models import Network


class SummaryChoice(StrEnum):
    peak = "peak"
    area = "area"
    time_of_peak = "time_of_peak"


def command(
    result: Annotated[
        str,
        typer.Argument(
            metavar="RESULT",
            help="Folder of `hexamer fit` (its posterior), or a model: a bundled one, with drugs joined by + "
            "(il6_stat3+tocilizumab), or an .ant or .xml file.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for responses.csv, curves.csv and figures.")],
    ligand: Annotated[str, typer.Option(help="What is given: a species, or an input of the model.")] = "IL6",
    doses: Annotated[
        str,
        typer.Option(help="Numbers, or START:STOP:COUNT at equal ratios, with a unit: '0, 0.01:500:32 ng/ml'."),
    ] = "0.01:500:32 ng/ml",
    at: Annotated[
        float | None,
        arguments.number_option(
            "Time of the reading in the model's unit, such as min; 20 min where no --summary is given."
        ),
    ] = None,
    summary: Annotated[SummaryChoice | None, typer.Option(help="What of the course is read, in place of --at.")] = None,
    times: Annotated[
        str | None, typer.Option(help="Times of the course for --summary: START:STOP:STEP, or separated by commas.")
    ] = None,
    observe: Annotated[
        str | None,
        typer.Option(help="Rule, species, or formula over the model's names; that of IL-6 networks is pSTAT3_total."),
    ] = None,
    condition: Annotated[
        list[str],
        typer.Option(
            help="'NAME: PARAMETER=VALUE, SPECIES=DOSE UNIT; STATEMENT', may be repeated; e.g. "
            "'no IL6R: IL6R_0=0, sIL6R=100 ng/ml' or 'pulse: ; wash out IL6 at 15'."
        ),
    ] = [],  # noqa: B006
    drug: Annotated[
        list[str],
        typer.Option(help="NAME=DOSES given with the ligand, may be repeated: 'tocilizumab=0, 0.01:50:9 ug/ml'."),
    ] = [],  # noqa: B006
    pretreat: Annotated[
        float,
        arguments.number_option("How long drugs come before the ligand, in the model's unit of time, such as min.", 0),
    ] = 0.0,
    preequilibrate: Annotated[
        bool | None,
        typer.Option(help="Whether cells come to rest first. Default: as in the fitted problem; yes for a model."),
    ] = None,
    draws: Annotated[int, arguments.count_option("Draws of the posterior, evenly spread.")] = 1000,
    model: Annotated[
        str | None, typer.Option(help="Another model for a posterior, e.g. its own with drugs; else its own.")
    ] = None,
    problem: Annotated[
        str | None, typer.Option(help="Problem that was fitted, for results of older versions, which do not hold it.")
    ] = None,
    molar_mass: Annotated[
        list[str],
        typer.Option(help="NAME=MASS, e.g. 'IL6=21 kDa', where the fitted problem states none; may be repeated."),
    ] = [],  # noqa: B006
    parameter: Annotated[
        list[str], typer.Option("--set", help="NAME=VALUE of a parameter of a model; may be repeated.")
    ] = [],  # noqa: B006
    memory: Annotated[
        int,
        arguments.count_option("Most memory that a batch of trajectories takes, MiB."),
    ] = 256,
    engine: EngineOption = EngineChoice.auto,
    device: DeviceOption = None,
    rtol: Annotated[
        float | None,
        arguments.number_option("Relative tolerance of the solver. Default: as fitted, else 1e-6.", 1e-12, 1e-2),
    ] = None,
    atol: AtolOption = None,
    quiet: QuietOption = False,
) -> None:
    """Response to doses of a ligand, with drugs: EC50, IC50 and their intervals over the draws of a posterior.

    \b
    hexamer dose-response runs/demo --out dr --doses "0.1:500:32 ng/ml"
    hexamer dose-response il6_stat3+tocilizumab --out dr --doses "10 ng/ml" \\
        --drug "tocilizumab=0, 0.01:50:9 ug/ml" \\
        --condition "classic:" --condition "trans: IL6R_0=0, sIL6R=100 ng/ml"
    """
    network = _network_of(result, model, problem)
    use_device(device)
    from ..infer.calibration import writable
    from ..infer.doses.cells import MolarMassError, UnknownStartError
    from ..infer.doses.ensemble import UnknownModelError
    from ..infer.doses.failing import NeverAtRestError
    from ..infer.doses.reading import NoReadoutError
    from ..infer.doses.response import dose_response as run
    from ..infer.doses.text import parse_conditions, parse_drugs
    from ..infer.reports.dose_response import report
    from ..models import Model, load_model

    writable(out)
    source = _posterior(result) if network is None else load_model(network)
    given = model if problem is None else load_problem(problem)
    if parameter and not isinstance(source, Model):
        raise ValueError("--set belongs to a model; change a posterior's parameters in a --condition")
    if at is not None and (summary is not None or times is not None):
        raise ValueError("--at is a single time: leave out --summary and --times, or --at")
    masses = arguments.texts_by_name("--molar-mass", molar_mass)
    way_out = {
        MolarMassError: "--molar-mass",
        NoReadoutError: "--observe",
        UnknownModelError: "--problem or --model",
        UnknownStartError: "--problem, --preequilibrate, --no-preequilibrate, or a --condition with 'equilibrate'",
        NeverAtRestError: "--no-preequilibrate",
    }
    with pointing_to(way_out):
        found = run(
            source,
            ligand,
            doses,
            at="20 min" if at is None and summary is None and times is None else at,
            summary=None if summary is None else summary.value,
            times=None if times is None else times_of(times),
            observe=observe,
            molar_mass=masses,
            conditions=parse_conditions(condition) or None,
            drugs=parse_drugs(drug) or None,
            pretreat=pretreat,
            preequilibrate=preequilibrate,
            parameters=arguments.numbers_by_name("--set", parameter) or None,
            model=given,
            draws=draws,
            settings=settings_of(engine, rtol, atol),
            memory=memory * 2**20,
            progress=not quiet,
        )
    for line in report(found, out):
        typer.echo(line)
    typer.echo(f"{found.data['status'].size} simulations in {found.seconds:.1f} s; all of it in {out}")
    if sum(found.failed.values()) == found.data["status"].size:
        raise typer.Exit(2)


def _network_of(result: str, model: str | None, problem: str | None) -> Network | None:
    """The network that RESULT names, None if it is a posterior.

    Raises what is wrong with the arguments and with the network before JAX is imported, which takes seconds.
    """
    from ..models import load_network

    path = Path(result)
    if path.suffix == ".nc" or (path.is_dir() and (path / "posterior.nc").is_file()):
        if model is not None and problem is not None:
            raise ValueError("give --model or --problem, not both")
        return None
    if model is not None or problem is not None:
        raise ValueError(f"--model and --problem belong to a posterior, and {result} has none (posterior.nc)")
    if path.is_dir():
        raise ValueError(f"{result} holds no posterior.nc: name the folder of a finished `hexamer fit`")
    return load_network(result)


def _posterior(result: str) -> xr.DataTree:
    """The posterior in a folder or file; warns if it has not converged."""
    from ..infer.posterior.file import file_of, read
    from ..infer.posterior.summary import summarise

    tree = read(file_of(result))
    if not summarise(tree).converged:
        typer.echo("warning: this posterior has NOT CONVERGED, so its intervals mean little", err=True)
    return tree


__all__ = ["command"]
