"""`hexamer dose-response`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from . import arguments
from .device import use_device
from .dose_options import (
    AtOption,
    ConditionOption,
    DosesOption,
    DrawsOption,
    DrugOption,
    FittedRtolOption,
    LigandOption,
    MemoryOption,
    MolarMassOption,
    ObserveOption,
    OtherModelOption,
    OutOption,
    ParameterOption,
    PreequilibrateOption,
    PretreatOption,
    ProblemOption,
    ResultArgument,
    SummaryChoice,
    SummaryOption,
    TimesOption,
)
from .inputs import check_folder
from .messages import pointing_to
from .options import AtolOption, DeviceOption, EngineChoice, EngineOption, QuietOption, settings_of, times_of
from .problem import load_and_note

if TYPE_CHECKING:
    import xarray as xr

    from ..infer.doses.result import DoseResponse
    from ..models import Network


def command(
    result: ResultArgument,
    out: OutOption,
    ligand: LigandOption = "IL6",
    doses: DosesOption = "0.01:500:32 ng/ml",
    at: AtOption = None,
    summary: SummaryOption = None,
    times: TimesOption = None,
    observe: ObserveOption = None,
    condition: ConditionOption = [],  # noqa: B006
    drug: DrugOption = [],  # noqa: B006
    pretreat: PretreatOption = 0.0,
    preequilibrate: PreequilibrateOption = None,
    draws: DrawsOption = 1000,
    model: OtherModelOption = None,
    problem: ProblemOption = None,
    molar_mass: MolarMassOption = [],  # noqa: B006
    parameter: ParameterOption = [],  # noqa: B006
    memory: MemoryOption = 256,
    engine: EngineOption = EngineChoice.auto,
    device: DeviceOption = None,
    rtol: FittedRtolOption = None,
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
    check_folder(out, "--out", problem)
    use_device(device)
    from ..infer.calibration import writable
    from ..infer.doses.response import dose_response as run
    from ..infer.doses.text import parse_conditions, parse_drugs
    from ..infer.reports.dose_response import report_doses
    from ..models import load_model

    writable(out)
    source = _posterior(result) if network is None else load_model(network)
    fitted = model if problem is None else load_and_note(problem)
    _check_options(network, parameter, at, summary, times)
    masses = arguments.texts_by_name("--molar-mass", molar_mass)
    with pointing_to(_ways_out()):
        response = run(
            source,
            ligand,
            doses,
            **_reading(at, summary, times),
            observe=observe,
            molar_mass=masses,
            conditions=parse_conditions(condition) or None,
            drugs=parse_drugs(drug) or None,
            pretreat=pretreat,
            preequilibrate=preequilibrate,
            parameters=arguments.numbers_by_name("--set", parameter) or None,
            model=fitted,
            draws=draws,
            settings=settings_of(engine, rtol, atol),
            memory=memory * 2**20,
            progress=not quiet,
        )
    _say_outcome(response, report_doses(response, out), out)


def _check_options(
    network: Network | None, parameter: list[str], at: float | None, summary: SummaryChoice | None, times: str | None
) -> None:
    """Raises `ValueError` for options that exclude one another, or that a posterior does not take."""
    if parameter and network is None:
        raise ValueError("--set belongs to a model; change a posterior's parameters in a --condition")
    if at is not None and (summary is not None or times is not None):
        raise ValueError("--at is a single time: leave out --summary and --times, or --at")


def _ways_out() -> dict[type[Exception], str]:
    """The options to name in errors of the library that speak of its arguments."""
    from ..infer.doses.cells import MolarMassError, UnknownStartError
    from ..infer.doses.ensemble import UnknownModelError
    from ..infer.doses.failing import NoSteadyStateError
    from ..infer.doses.reading import NoReadoutError

    return {
        MolarMassError: "--molar-mass",
        NoReadoutError: "--observe",
        UnknownModelError: "--problem or --model",
        UnknownStartError: "--problem, --preequilibrate, --no-preequilibrate, or a --condition with 'equilibrate'",
        NoSteadyStateError: "--no-preequilibrate",
    }


def _reading(at: float | None, summary: SummaryChoice | None, times: str | None) -> dict[str, Any]:
    """Arguments of `dose_response` for the time or the summary of a reading; 20 min if neither is given."""
    return {
        "at": "20 min" if at is None and summary is None and times is None else at,
        "summary": None if summary is None else summary.value,
        "times": None if times is None else times_of(times),
    }


def _say_outcome(response: DoseResponse, lines: Sequence[str], out: Path) -> None:
    """Prints the lines of the report. Exits with 2 if no simulation succeeded."""
    for line in lines:
        typer.echo(line)
    typer.echo(f"{response.data['status'].size} simulations in {response.seconds:.1f} s; all of it in {out}")
    if sum(response.failed.values()) == response.data["status"].size:
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
    from ..infer.posterior.file import file_of, read_datatree
    from ..infer.posterior.summary import summarise

    tree = read_datatree(file_of(result))
    verdict = summarise(tree).verdict
    if verdict == "not converged":
        typer.echo("warning: this posterior has NOT CONVERGED, so its intervals mean little", err=True)
    elif verdict == "not judged":
        typer.echo("warning: one chain, or a few draws, cannot show whether this posterior has converged", err=True)
    return tree


__all__ = ["command"]
