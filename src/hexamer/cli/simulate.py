"""`hexamer simulate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import arguments
from .device import use_device
from .inputs import check_file
from .options import (
    AtolOption,
    DeviceOption,
    EngineChoice,
    EngineOption,
    ModelArgument,
    RtolOption,
    SolverOption,
    solver_of,
    times_of,
)

if TYPE_CHECKING:
    import pandas as pd

    from ..data.quantities.model_units import ModelUnits
    from ..models import Model, Network, Protocol, Settings, Trajectories


def command(
    model: ModelArgument,
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
    solver: SolverOption = "auto",
    rtol: RtolOption = 1e-6,
    atol: AtolOption = None,
) -> None:
    """Trajectories of MODEL under each --protocol, with all species and rules."""
    from ..models import load_network

    chosen = solver_of(engine, solver)
    network = load_network(model)  # what is wrong with it is said before JAX is imported, which takes seconds
    use_device(device)
    from ..data import read_values
    from ..infer.calibration import writable
    from ..infer.storage.destination import file_behind, is_stream
    from ..infer.storage.files import write
    from ..models import Settings, Status, load_model
    from ..models import simulate as run
    from ..models.protocols.text import parse_protocol

    if out.is_dir():
        raise ValueError(f"{out} is a folder: name the CSV file to write")
    check_file(out, model, at)
    if not is_stream(out):
        writable(file_behind(out).parent)
    loaded = load_model(network)
    protocols = [parse_protocol(text) for text in protocol or [""]]
    units = _units_of(network)
    unitless = dict.fromkeys(set().union(*(q.references for q in protocols)) - loaded.names, "")
    values = read_values(at, unitless, units) if at is not None else {}
    unused = sorted(set(values) - set(loaded.parameters) - set().union(*(q.references for q in protocols)))
    if unused:
        typer.echo(f"note: {loaded.name} has no use for {', '.join(unused)}", err=True)
    values = {n: v for n, v in values.items() if n not in unused}
    values |= arguments.numbers_by_name("--set", parameter)
    grid = times_of(times)
    arguments.check_memory("--times", len(grid) * len(protocols), len(loaded.species) + len(loaded.rules))
    settings = Settings(chosen, rtol=rtol, atol=atol)
    result = run(loaded, values, protocols, grid, observe=list(loaded.rules), settings=settings)
    _warn_of_errors(loaded, values, protocols, grid, settings, result)
    _say_what_failed(loaded, values, protocols, settings, result)
    write(out, _table(loaded, protocols, grid, result).to_csv(index=False))
    typer.echo(f"{len(protocols)} protocol(s) × {len(grid)} times in {out}", err=is_stream(out))
    if all(int(s) != Status.OK for s in result.status):
        raise typer.Exit(2)


def _warn_of_errors(
    model: Model,
    values: Mapping[str, float],
    protocols: Sequence[Protocol],
    times: Sequence[float],
    settings: Settings,
    result: Trajectories,
) -> None:
    """Warns of what moves when the tolerances become finer."""
    import numpy as np

    from ..models import simulate as run
    from ..models.solvers import accuracy

    strict = run(model, values, protocols, times, settings=accuracy.stricter(settings))
    inexact = accuracy.inexact(model, np.asarray(result.y), np.asarray(strict.y))
    for sentence in accuracy.words(inexact, settings):
        typer.echo(f"warning: {sentence}", err=True)


def _say_what_failed(
    model: Model,
    values: Mapping[str, float],
    protocols: Sequence[Protocol],
    settings: Settings,
    result: Trajectories,
) -> None:
    from ..models import Status
    from ..models.compiled.starts import unsound_starts_under
    from ..models.solvers.unsettled import find_unsettled_under

    for protocol, status in zip(protocols, map(Status, map(int, result.status)), strict=True):
        if status == Status.OK:
            continue
        starts = unsound_starts_under(model, values, protocol) if status == Status.NOT_FINITE else ()
        reasons = starts or find_unsettled_under(model, values, protocol, settings).sentences()
        typer.echo(f"protocol {protocol.name!r} failed: {'; '.join(reasons) or status.sentence}", err=True)


def _table(model: Model, protocols: Sequence[Protocol], times: Sequence[float], result: Trajectories) -> pd.DataFrame:
    """A row per protocol and time, a column per species and rule."""
    import numpy as np
    import pandas as pd

    from ..models import Status

    tables = []
    for i, protocol in enumerate(protocols):
        states = [(j, n) for j, n in enumerate(model.species) if j != model.time_index]
        columns = {n: np.asarray(result.y[i, :, j]) for j, n in states}
        columns |= {n: np.asarray(v[i]) for n, v in result.observed.items()}
        first = {"protocol": protocol.name, "time": times, "status": Status(int(result.status[i])).label}
        # A species may be called as one of these.
        columns = {f"{n} (model)" if n in first else n: v for n, v in columns.items()}
        tables.append(pd.DataFrame({**first, **columns}))
    return pd.concat(tables)


def _units_of(network: Network) -> ModelUnits | None:
    """Units of a network, with a note on what is assumed of them; None if it contradicts itself, which is said."""
    from ..data.quantities.model_units import ModelUnits
    from ..data.quantities.units import UnitError

    try:
        units = ModelUnits(network)
    except UnitError as error:
        typer.echo(f"note: {error}; numbers are taken as they are", err=True)
        return None
    for note in units.notes():
        typer.echo(f"note: {note}", err=True)
    return units


__all__ = ["command"]
