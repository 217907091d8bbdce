"""The command line: `hexamer fit`, `map`, `evaluate`, `simulate`, `dose-response`, `list`."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import arguments, interrupt
from .inventory import Kind, inventory

if TYPE_CHECKING:
    from .data.quantities.model_units import ModelUnits
    from .infer import Problem
    from .models import Model, Settings
    from .models.solvers.settings import Engine, Solver

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Calibrates mechanistic models of receptor signalling with full Bayesian uncertainty.\n\n"
    "PROBLEM is a bundled name (il6_demo, hepg2, hepg2_assembly, hepatocytes), a folder with problem.toml, "
    "measurements.csv and priors.csv, or a PEtab v1 YAML file. MODEL is a bundled network (il6_stat3, il6_full, "
    "hepg2_core, …), parts of one joined by + (il6_stat3+tocilizumab+T_cell), or an Antimony (.ant) or SBML (.xml) "
    "file.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from . import __version__

        typer.echo(f"hexamer {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None: ...


ProblemArgument = Annotated[str, typer.Argument(metavar="PROBLEM", help="Bundled name, folder, or PEtab YAML.")]


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


EngineOption = Annotated[
    EngineChoice, typer.Option(help="fused: code compiled for the model; auto: fused where it can, else diffrax.")
]


class DeviceChoice(StrEnum):
    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


DeviceOption = Annotated[
    DeviceChoice | None,
    typer.Option(
        help="Where to solve; auto: few trajectories on the CPU, many on a GPU if there is one. "
        "Default: the environment variable HEXAMER_DEVICE, else auto.",
    ),
]

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

ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Another network than the problem's: a bundled one, parts joined by +, or a file."),
]


class ObjectiveChoice(StrEnum):
    posterior = "posterior"
    likelihood = "likelihood"


class InitialChoice(StrEnum):
    prior = "prior"
    wide = "wide"


def _use_device(device: DeviceChoice | None, cpus: int | None = None) -> None:
    """Starts JAX with this many CPU devices, at most one a core (None: as JAX does), and checks the device asked for.

    Before a problem is loaded and a folder made, so that a device that is not there is told at once.
    """
    from .models.solvers.machine import usable_cores
    from .models.solvers.placement import prefer, require_asked

    prefer(None if device is None else device.value)
    if cpus is not None:
        _use_cpus(max(1, min(cpus, usable_cores())))
    require_asked()


def _use_cpus(wanted: int) -> None:
    import jax

    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        # JAX may have started, where `main` is called from a program: the sampler then says what it has.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", wanted)


def _engine(engine: EngineChoice, solver: SolverChoice) -> Engine:
    """A solver of diffrax's asks for diffrax."""
    if solver in (SolverChoice.auto, SolverChoice.rodas5p):
        return engine.value
    if engine == EngineChoice.fused:
        raise ValueError(f"--engine fused solves by rodas5p: leave out --solver {solver.value}, or --engine")
    return "diffrax"


def _solver(solver: SolverChoice) -> Solver:
    return "rodas5p" if solver == SolverChoice.auto else solver.value


def _solver_of(engine: EngineChoice, rtol: float | None, atol: float | None) -> Settings | None:
    """Settings if one of them is given; None: those of the fit."""
    from .models import Settings

    if engine == EngineChoice.auto and rtol is None and atol is None:
        return None
    return Settings(engine=engine.value, rtol=1e-6 if rtol is None else rtol, atol=atol)


def _truth_of(problem: str) -> dict[str, float] | None:
    """Values that a bundled data set was simulated with, where it was."""
    from importlib.resources import as_file, files

    from .data import bundled, read_values

    if problem not in bundled():
        return None
    resource = files("hexamer.data").joinpath("bundled_problems", problem, "truth.csv")
    if not resource.is_file():
        return None
    with as_file(resource) as path:
        return read_values(path)


def _load(problem: str, **options):
    from .infer import load_problem

    loaded = load_problem(problem, **options)
    for note in loaded.dataset.notes:
        typer.echo(f"note: {note}", err=True)
    return loaded


@app.command()
def fit(
    problem: ProblemArgument,
    out: Annotated[
        Path, typer.Option(help="Folder for draws, posterior, summary and figures; resumed if it holds some.")
    ],
    chains: Annotated[int, arguments.count_option("Chains, in parallel over cores.")] = 4,
    warmup: Annotated[int, arguments.count_option("Warmup iterations a chain.")] = 1000,
    draws: Annotated[int, arguments.count_option("Draws a chain.")] = 1000,
    seed: Annotated[int, arguments.count_option("Seed of starts and sampler.", 0)] = 0,
    starts: Annotated[int, arguments.count_option("Starts of the search for the best fit.")] = 16,
    model: ModelOption = None,
    engine: EngineOption = EngineChoice.auto,
    device: DeviceOption = None,
    solver: Annotated[
        SolverChoice,
        typer.Option(help="auto: rodas5p; with diffrax the cheapest that agrees with kvaerno5 around the best fit."),
    ] = SolverChoice.auto,
    rtol: RtolOption = 1e-6,
    atol: AtolOption = None,
    minutes: Annotated[
        float | None,
        arguments.number_option("Stop sampling after so many minutes; the same command goes on from there."),
    ] = None,
    target_acceptance: Annotated[
        float,
        arguments.number_option("Of proposals; raise it where draws diverge.", 0.5, 0.999),
    ] = 0.8,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Posterior of PROBLEM by NUTS, started from its best fit."""
    _use_device(device, chains)
    from .infer.calibration import fit as run
    from .infer.calibration import kept_in, writable
    from .infer.reports.calibration import report

    writable(out)
    interrupt.leaves(lambda: kept_in(out))
    loaded = _load(problem, model=model).with_settings(rtol=rtol, atol=atol, engine=_engine(engine, solver))
    _say_what_is_estimated(loaded)
    result = run(
        loaded,
        out,
        chains=chains,
        warmup=warmup,
        draws=draws,
        seed=seed,
        starts=starts,
        solver=solver.value,
        target_acceptance=target_acceptance,
        progress=not quiet,
        stop_after=None if minutes is None else 60 * minutes,
        say=typer.echo,
    )
    if result is None:
        typer.echo(f"stopped in the warmup after {minutes:g} minutes; the same command goes on from {out}")
        raise typer.Exit(3)
    summary = report(result, out, truth=_truth_of(problem))
    typer.echo(f"\n{summary}")
    spent = result.draws.seconds
    typer.echo(f"\nwarmup {spent['warmup']:.0f} s, draws {spent['draws']:.0f} s; all of it in {out}")
    if not result.draws.complete:
        typer.echo(f"stopped after {minutes:g} minutes; the same command goes on from {out}")
        raise typer.Exit(3)


def _say_what_is_estimated(problem) -> None:
    typer.echo(
        f"{problem.name}: {len(problem.dataset)} measurements under {len(problem.assays.protocols)} protocols; "
        f"{len(problem.space)} parameters sampled, {len(problem.nuisance)} scales integrated out"
    )
    if problem.fixed:
        typer.echo("fixed: " + ", ".join(f"{n} = {v:g}" for n, v in problem.fixed.items()))


@app.command("map")
def map_(
    problem: ProblemArgument,
    starts: Annotated[int, arguments.count_option("Number of random starts.")] = 50,
    objective: Annotated[
        ObjectiveChoice,
        typer.Option(help="posterior: with priors; likelihood: without, every scale a parameter."),
    ] = ObjectiveChoice.posterior,
    initial: Annotated[
        InitialChoice, typer.Option(help="Starts drawn from the priors, or log-uniform over 1e-5 to 1e3.")
    ] = InitialChoice.prior,
    seed: Annotated[int, arguments.count_option("Seed of the starts.", 0)] = 0,
    iterations: Annotated[int, arguments.count_option("Most iterations a start.")] = 1000,
    model: ModelOption = None,
    engine: EngineOption = EngineChoice.auto,
    device: DeviceOption = None,
    solver: Annotated[SolverChoice, typer.Option(help="auto: rodas5p.")] = SolverChoice.auto,
    rtol: RtolOption = 1e-6,
    atol: AtolOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for map.json, best.csv and figures.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Best fits of PROBLEM from many starts, ranked."""
    _use_device(device, sys.maxsize)
    from .infer.calibration import writable
    from .infer.checks.exactness import solver_words
    from .infer.optimisation.many_starts import find_map
    from .infer.reports.calibration import report_fits

    if out is not None:
        writable(out)
    loaded = _load(problem, model=model, marginalise=() if objective == "likelihood" else None)
    loaded = loaded.with_settings(rtol=rtol, atol=atol, engine=_engine(engine, solver), solver=_solver(solver))
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
    evaluation = loaded.evaluate(fits.best)
    beside = f", {evaluation.censored} limits beside" if evaluation.censored else ""
    measured = evaluation.n - evaluation.censored
    for sentence in solver_words(loaded, loaded.values(fits.z[0])):
        typer.echo(f"warning: {sentence}", err=True)
    typer.echo(f"best objective (−log {objective.value}) {fits.objective[0]:.4f}, nllh {evaluation.nllh:.4f}, "
               f"chi2 {evaluation.chi2:.1f} over {measured} measurements{beside}")  # fmt: skip
    _warn_of_noise(loaded, fits.best)
    typer.echo(f"{fits.near_best()} of {starts} starts within 0.1 of the best; {int(fits.converged.sum())} converged; "
               f"{fits.redrawn} redrawn; evaluations failed: {fits.failed or 0}; {fits.seconds:.0f} s")  # fmt: skip
    for rank in range(min(10, starts)):
        typer.echo(
            f"{rank + 1:4d}  {fits.objective[rank]:12.4f}  {fits.reason[rank]:<12}  "
            f"{fits.iterations[rank]:5d} iterations"
        )
    for sentence in fits.words():
        typer.echo(sentence)
    if out is not None:
        typer.echo(f"all of it in {out}")


@app.command()
def evaluate(
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
    solver: Annotated[SolverChoice, typer.Option(help="auto: rodas5p.")] = SolverChoice.auto,
    rtol: RtolOption = 1e-8,
    atol: AtolOption = None,
) -> None:
    """Likelihood of PROBLEM at given parameter values, as one JSON object: nllh, chi2, n, censored, failed.

    chi2 is the sum over the rows that were measured; `censored` of the n rows are limits, which have none.
    """
    _use_device(device)
    from .data import read_values
    from .data.quantities.model_units import ModelUnits
    from .infer.problem.problem import MissingValueError

    loaded = _load(problem, model=model).with_settings(rtol=rtol, atol=atol, max_steps=20_000)
    network = loaded.model.network if loaded.dataset.time_unit else None  # PEtab's numbers are in the model's units
    units = None if network is None else ModelUnits(network, loaded.dataset.time_unit)
    values = None if at is None else read_values(at, {n: p.unit for n, p in loaded.parameters.items()}, units)
    loaded = loaded.with_settings(engine=_engine(engine, solver), solver=_solver(solver))
    if values is not None:
        idle = sorted(loaded.unknown(values))
        if held := [n for n in idle if n in loaded.model.parameters]:
            raise ValueError(
                f"{at} gives {', '.join(held)}, which the problem holds at the network's own value: "
                "give a prior, or a value in [fixed] of problem.toml"
            )
        if idle:
            typer.echo(f"note: {loaded.name} has no use for {', '.join(idle)}", err=True)
        values = {n: v for n, v in values.items() if n not in idle}
    with _pointing_to({MissingValueError: "--at"}):
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
    _warn_of_noise(loaded, values)


def _warn_of_noise(problem: Problem, values: Mapping[str, float] | None) -> None:
    from .infer.checks.solver_noise import drowned_noise

    for sentence in drowned_noise(problem, problem.vector(values)):
        typer.echo(f"warning: {sentence}", err=True)


@app.command()
def simulate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Bundled network, parts joined by +, or .ant or .xml file.")
    ],
    out: Annotated[Path, typer.Option(help="CSV to write: protocol, time, status, and a column for each name.")],
    protocol: Annotated[
        list[str],
        typer.Option(help="What is done to the cells, e.g. 'equilibrate; add IL6 0.48; wash out IL6 at 15'."),
    ] = [],  # noqa: B006
    times: Annotated[
        str, typer.Option(help="START:STOP:STEP, or times separated by commas, in the model's unit.")
    ] = "0:180:1",
    at: Annotated[Path | None, typer.Option(help="CSV with columns parameter,value.")] = None,
    parameter: Annotated[list[str], typer.Option("--set", help="NAME=VALUE of a parameter; may be repeated.")] = [],  # noqa: B006
    engine: EngineOption = EngineChoice.auto,
    device: DeviceOption = None,
    solver: Annotated[SolverChoice, typer.Option(help="auto: rodas5p.")] = SolverChoice.auto,
    rtol: RtolOption = 1e-6,
    atol: AtolOption = None,
) -> None:
    """Trajectories of MODEL under each --protocol, with all species and rules."""
    from .data import read_values
    from .infer.calibration import writable
    from .infer.storage.destination import file_behind, is_stream
    from .infer.storage.files import write
    from .models import Settings, Status, load_model
    from .models import simulate as run
    from .models.compiled.starts import unsound_starts_under
    from .models.protocols.text import parse_protocol
    from .models.solvers import accuracy
    from .models.solvers.unsettled import unsettled_under

    _use_device(device)
    if out.is_dir():
        raise ValueError(f"{out} is a folder: name the CSV file to write")
    if not is_stream(out):
        writable(file_behind(out).parent)
    loaded = load_model(model)
    protocols = [parse_protocol(text) for text in protocol or [""]]
    units = _units_of(loaded)
    unitless = dict.fromkeys(set().union(*(q.references for q in protocols)) - loaded.names, "")
    values = read_values(at, unitless, units) if at is not None else {}
    idle = sorted(set(values) - set(loaded.parameters) - set().union(*(q.references for q in protocols)))
    if idle:
        typer.echo(f"note: {loaded.name} has no use for {', '.join(idle)}", err=True)
    values = {n: v for n, v in values.items() if n not in idle}
    values |= arguments.numbers_by_name("--set", parameter)
    grid = _times(times)
    arguments.check_memory("--times", len(grid) * len(protocols), len(loaded.species) + len(loaded.rules))
    settings = Settings(engine=_engine(engine, solver), solver=_solver(solver), rtol=rtol, atol=atol)
    result = run(loaded, values, protocols, grid, observe=list(loaded.rules), settings=settings)
    import numpy as np

    strict = run(loaded, values, protocols, grid, settings=accuracy.stricter(settings))
    found = accuracy.inexact(loaded, np.asarray(result.y), np.asarray(strict.y))
    for sentence in accuracy.words(found, settings):
        typer.echo(f"warning: {sentence}", err=True)
    import pandas as pd

    tables = []
    for i, q in enumerate(protocols):
        states = [(j, n) for j, n in enumerate(loaded.species) if j != loaded.time_index]
        columns = {n: np.asarray(result.y[i, :, j]) for j, n in states}
        columns |= {n: np.asarray(v[i]) for n, v in result.observed.items()}
        status = Status(int(result.status[i]))
        first = {"protocol": q.name, "time": grid, "status": status.label}
        # A species may be called as one of these.
        columns = {f"{n} (model)" if n in first else n: v for n, v in columns.items()}
        tables.append(pd.DataFrame({**first, **columns}))
        if status != Status.OK:
            reason = status.sentence
            starts = unsound_starts_under(loaded, values, q) if status == Status.NOT_FINITE else ()
            reason = "; ".join(starts or unsettled_under(loaded, values, q, settings).sentences()) or reason
            typer.echo(f"protocol {q.name!r} failed: {reason}", err=True)
    write(out, pd.concat(tables).to_csv(index=False))
    typer.echo(f"{len(protocols)} protocol(s) × {len(grid)} times in {out}", err=is_stream(out))
    if all(int(s) != Status.OK for s in result.status):
        raise typer.Exit(2)


def _units_of(model: Model) -> ModelUnits | None:
    """Units of a model, with a note on what is assumed of them; None where it contradicts itself, which is said."""
    from .data.quantities.model_units import ModelUnits
    from .data.quantities.units import UnitError

    if model.network is None:
        return None
    try:
        units = ModelUnits(model.network)
    except UnitError as error:
        typer.echo(f"note: {error}; numbers are taken as they are", err=True)
        return None
    for note in units.notes():
        typer.echo(f"note: {note}", err=True)
    return units


class SummaryChoice(StrEnum):
    peak = "peak"
    area = "area"
    time_of_peak = "time_of_peak"


@app.command("dose-response")
def dose_response(
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
    observe: Annotated[str, typer.Option(help="Rule, species, or formula over the model's names.")] = "pSTAT3_total",
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
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Response to doses of a ligand, with drugs: EC50, IC50 and their intervals over the draws of a posterior.

    \b
    hexamer dose-response runs/demo --out dr --doses "0.1:500:32 ng/ml"
    hexamer dose-response il6_stat3+tocilizumab --out dr --doses "10 ng/ml" \\
        --drug "tocilizumab=0, 0.01:50:9 ug/ml" \\
        --condition "classic:" --condition "trans: IL6R_0=0, sIL6R=100 ng/ml"
    """
    _use_device(device)
    from .infer.calibration import writable
    from .infer.doses.cells import MolarMassError, UnknownStartError
    from .infer.doses.ensemble import UnknownModelError
    from .infer.doses.failing import NeverAtRestError
    from .infer.doses.response import dose_response as run
    from .infer.doses.text import parse_conditions, parse_drugs
    from .infer.reports.dose_response import report
    from .models import Model

    writable(out)
    source, given = _source(result, model, problem)
    if parameter and not isinstance(source, Model):
        raise ValueError("--set belongs to a model; change a posterior's parameters in a --condition")
    if at is not None and (summary is not None or times is not None):
        raise ValueError("--at is a single time: leave out --summary and --times, or --at")
    masses = arguments.texts_by_name("--molar-mass", molar_mass)
    way_out = {
        MolarMassError: "--molar-mass",
        UnknownModelError: "--problem or --model",
        UnknownStartError: "--problem, --preequilibrate, --no-preequilibrate, or a --condition with 'equilibrate'",
        NeverAtRestError: "--no-preequilibrate",
    }
    with _pointing_to(way_out):
        found = run(
            source,
            ligand,
            doses,
            at="20 min" if at is None and summary is None and times is None else at,
            summary=None if summary is None else summary.value,
            times=None if times is None else _times(times),
            observe=observe,
            molar_mass=masses,
            conditions=parse_conditions(condition) or None,
            drugs=parse_drugs(drug) or None,
            pretreat=pretreat,
            preequilibrate=preequilibrate,
            parameters=arguments.numbers_by_name("--set", parameter) or None,
            model=given,
            draws=draws,
            settings=_solver_of(engine, rtol, atol),
            memory=memory * 2**20,
            progress=not quiet,
        )
    for line in report(found, out):
        typer.echo(line)
    typer.echo(f"{found.data['status'].size} simulations in {found.seconds:.1f} s; all of it in {out}")
    if sum(found.failed.values()) == found.data["status"].size:
        raise typer.Exit(2)


def _times(text: str) -> list[float]:
    if said := arguments.decimal_comma("--times", text):
        typer.echo(f"note: {said}", err=True)
    return arguments.times("--times", text)


@contextlib.contextmanager
def _pointing_to(options: Mapping[type[Exception], str]) -> Iterator[None]:
    """What the library refuses, with the option that is the way out."""
    try:
        yield
    except tuple(options) as error:
        option = next(text for kind, text in options.items() if isinstance(error, kind))
        raise ValueError(f"{error} (option {option})") from None


def _source(result: str, model: str | None, problem: str | None):
    """A posterior with the model or problem named for it, or a model; says if the posterior has not converged."""
    from .infer.posterior.file import read
    from .infer.posterior.summary import summarise
    from .models import load_model

    path = Path(result)
    if path.suffix != ".nc" and not (path.is_dir() and (path / "posterior.nc").is_file()):
        if model is not None or problem is not None:
            raise ValueError(f"--model and --problem belong to a posterior, and {result} has none (posterior.nc)")
        if path.is_dir():
            raise ValueError(f"{result} holds no posterior.nc: name the folder of a finished `hexamer fit`")
        return load_model(result), None
    if model is not None and problem is not None:
        raise ValueError("give --model or --problem, not both")
    tree = read(path / "posterior.nc" if path.is_dir() else path)
    if not summarise(tree).converged:
        typer.echo("warning: this posterior has NOT CONVERGED, so its intervals mean little", err=True)
    return tree, model if problem is None else _load(problem)


@app.command("list")
def list_(
    kind: Annotated[
        Kind | None, typer.Argument(help="What to list; by default all.", case_sensitive=False, show_default=False)
    ] = None,
) -> None:
    """List the models, problems, modules, drugs, cells and assays that come with hexamer, a line each."""
    for one in Kind if kind is None else (kind,):
        lines = inventory(one)
        width = max(map(len, lines))
        if kind is None:
            typer.echo(f"{one}:")
        for name, line in lines.items():
            typer.echo(f"  {name:<{width}}  {line}" if kind is None else f"{name:<{width}}  {line}")
        if kind is None and one is not list(Kind)[-1]:
            typer.echo("")


def main() -> None:
    """Runs the command line: exit status 0, or 2 with one message and no traceback; 3 where `fit` stopped early.

    130 where it was interrupted, at once.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    placement = logging.getLogger("hexamer.models.solvers.placement")
    placement.setLevel(logging.INFO)  # where it solves, on a machine with a GPU
    with interrupt.ends_at_once():
        _run()


def _run() -> None:
    try:
        app()
    except SystemExit as ended:
        if ended.code == interrupt.EXIT:  # Ctrl-C before or beside `ends_at_once`
            interrupt.end()
        raise
    except OSError as error:
        with contextlib.suppress(OSError):
            typer.echo(f"error: {_of_output(error) if error.filename is None else error}", err=True)
        sys.exit(2)
    except (ValueError, FloatingPointError, RuntimeError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except Exception as error:
        if os.environ.get("HEXAMER_DEBUG"):
            raise
        typer.echo(f"error: {type(error).__name__}: {error} (HEXAMER_DEBUG=1 shows where)", err=True)
        sys.exit(2)


def _of_output(error: OSError) -> str:
    """An error that names no file, as those of writing to the standard output do."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return str(error)
    try:
        path = os.readlink("/proc/self/fd/1")
    except OSError:  # not on this system
        path = "the standard output"
    return f"cannot write to {path}: {(error.strerror or str(error)).lower()}; make room there, or write elsewhere"


if __name__ == "__main__":
    main()
