"""The native form of a data set: a folder with `problem.toml`, `measurements.csv` and `priors.csv`."""

from __future__ import annotations

from pathlib import Path

from ..models.network import Network
from .dataset import Dataset
from .description import MEASUREMENTS, PRIORS, Description, read_description
from .literature import literature
from .parameter import FIXED, Parameter
from .priors import PriorTable, covers, parse_priors
from .problems import Problems
from .rows import Rows, read_rows


def read_folder(folder: str | Path) -> Dataset:
    """The data set described by `problem.toml` in `folder`; priors beside it win over those of published tables.

    Raises `TableError` with every problem of the description, or else of the tables, and `DataNotFound` where
    the tables are published ones that the user has to provide.
    """
    folder = Path(folder)
    description = read_description(folder)
    tables = folder if description.published is None else description.published.locate()
    problems = Problems(f"the data set {description.name!r} in {tables}")
    rows = read_rows(tables / MEASUREMENTS, description, problems)
    priors = PriorTable({})
    beside = folder / PRIORS
    table = beside if beside.exists() else tables / PRIORS
    if table.exists() or _needed(description, rows):
        priors = parse_priors(table, problems)
    parameters = {} if priors is None else _parameters(description, rows, priors, problems)
    problems.raise_any()
    if description.literature:
        known = Network.load(description.model).parameters
        parameters = {n: p for n, p in literature().items() if n in known} | parameters
    return Dataset(
        name=description.name,
        observables={name: reading.observable for name, reading in description.readings.items()},
        protocols=rows.protocols,
        measurements=rows.measurements,
        parameters=parameters,
        model=description.model,
        source=description.source or (description.published.reference if description.published else ""),
        notes=(*description.notes, *_notes(description, rows, priors)),
        inputs=description.inputs,
    )


def _needed(description: Description, rows: Rows) -> list[str]:
    """Names of all parameters of scale, offset and noise."""
    noise = [p for reading in description.readings.values() for p in reading.parameters]
    return list(dict.fromkeys([*rows.scales, *noise]))


def _parameters(description: Description, rows: Rows, priors: PriorTable, problems: Problems) -> dict[str, Parameter]:
    needed = _needed(description, rows)
    found = dict(priors.named)
    for name, value in description.fixed.items():
        if name in priors.named:
            problems.add(
                "problem.toml",
                f"no row for {name!r} in {PRIORS} beside it",
                column=f"fixed.{name}",
                holds=f"{value:g}",
            )
        elif rows.scales and name.endswith("]") and name not in needed:
            known = ", ".join(n for n in needed if n.startswith(name.split("[")[0])) or "none like it"
            problems.add(
                "problem.toml",
                f"a scale that a row uses; there are {known}",
                column="fixed",
                holds=repr(name),
            )
        unit = getattr(priors.parameter(name), "unit", "")
        found[name] = Parameter(name, value=value, unit=unit, source=FIXED)
    for name in needed:
        if name not in found:
            parameter = priors.parameter(name)
            if parameter is None:
                problems.add(
                    PRIORS,
                    f"each parameter of scale and noise needs a prior; no row covers {name!r}",
                    column="parameter",
                )
            else:
                found[name] = parameter
    return found


def _notes(description: Description, rows: Rows, priors: PriorTable | None) -> list[str]:
    measured = {m.observable for m in rows.measurements}
    notes = [f"observable {name!r} has no measurements" for name in description.readings if name not in measured]
    if rows.idle:
        notes.append(f"conditions without measurements: {', '.join(sorted(rows.idle))}")
    needed = _needed(description, rows)
    for pattern, _ in priors.patterns if priors else ():
        if not any(covers(pattern, name) for name in needed):
            notes.append(f"the row {pattern!r} of {PRIORS} covers no parameter of this data set")
    return notes
