"""The native form of a data set: a folder with `problem.toml`, `measurements.csv` and `priors.csv`."""

from __future__ import annotations

from pathlib import Path

from .dataset import Dataset
from .description import Description, read_description
from .parameter import Parameter
from .priors import PriorTable, covers, parse_priors
from .problems import Problems
from .rows import Rows, read_rows

_MEASUREMENTS, _PRIORS = "measurements.csv", "priors.csv"


def read_folder(folder: str | Path) -> Dataset:
    """The data set described by `problem.toml` in `folder`.

    Raises `TableError` with every problem of the description, or else of the tables, and `DataNotFound` where
    the tables are published ones that the user has to provide.
    """
    folder = Path(folder)
    description = read_description(folder)
    tables = folder if description.published is None else description.published.locate()
    problems = Problems(f"the data set {description.name!r} in {tables}")
    rows = read_rows(tables / _MEASUREMENTS, description, problems)
    priors = PriorTable({})
    if (tables / _PRIORS).exists() or _needed(description, rows):
        priors = parse_priors(tables / _PRIORS, problems)
    parameters = {} if priors is None else _parameters(description, rows, priors, problems)
    problems.raise_any()
    return Dataset(
        name=description.name,
        observables={name: reading.observable for name, reading in description.readings.items()},
        protocols=rows.protocols,
        measurements=rows.measurements,
        parameters=parameters,
        model=description.model,
        source=description.source or (description.published.reference if description.published else ""),
        notes=(*description.notes, *_notes(description, rows, priors)),
    )


def _needed(description: Description, rows: Rows) -> list[str]:
    """Names of all parameters of scale and noise."""
    noise = [p for reading in description.readings.values() for p in reading.parameters]
    return list(dict.fromkeys([*rows.scales, *noise]))


def _parameters(description: Description, rows: Rows, priors: PriorTable, problems: Problems) -> dict[str, Parameter]:
    needed = _needed(description, rows)
    found = dict(priors.named)
    for name, value in description.fixed.items():
        if name in priors.named:
            problems.add(
                "problem.toml",
                f"no row for {name!r} in {_PRIORS} beside it",
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
        found[name] = Parameter(name, value=value, unit=unit, source="fixed by problem.toml")
    for name in needed:
        if name not in found:
            parameter = priors.parameter(name)
            if parameter is None:
                problems.add(
                    _PRIORS,
                    f"each parameter of scale and noise needs a prior; no row covers {name!r}",
                    column="parameter",
                )
            else:
                found[name] = parameter
    return found


def _notes(description: Description, rows: Rows, priors: PriorTable | None) -> list[str]:
    measured = {m.observable for m in rows.measurements}
    notes = [f"observable {name!r} has no measurements" for name in description.readings if name not in measured]
    needed = _needed(description, rows)
    for pattern, _ in priors.patterns if priors else ():
        if not any(covers(pattern, name) for name in needed):
            notes.append(f"the row {pattern!r} of {_PRIORS} covers no parameter of this data set")
    return notes
