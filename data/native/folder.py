"""The native form of a data set: a folder with `problem.toml`, `measurements.csv` and `priors.csv`."""

from __future__ import annotations

from pathlib import Path

from ...models.listing import listed
from ...models.load import load_network
from ..dataset import Dataset
from ..files.issues import Issues
from ..literature_table import literature
from ..parameter import FIXED, Parameter
from ..quantities.units import UnitError
from .coverage import check_patterns, near
from .description import FILE, MEASUREMENTS, PRIORS, Description, read_description
from .joint_priors import check_joint_priors
from .prior_table import PriorTable, covers, parse_priors
from .prior_units import in_model_units
from .rows import Rows, read_rows
from .signal_units import SignalUnits

_UNITS = "; write such as '1/min', '1/(nM min)' or 'au', or nothing where the number is in the model's own unit"


def read_folder(folder: str | Path) -> Dataset:
    """The data set described by `problem.toml` in a folder; priors beside it win over those of published tables.

    Parameters
    ----------
    folder : path
        The folder.

    Returns
    -------
    Dataset
        The data set.

    Raises
    ------
    TableError
        With every problem of the description, or else of the tables.
    DataNotFound
        If the tables are published ones that the user has to provide.
    """
    folder = Path(folder)
    description = read_description(folder)
    tables = folder if description.published is None else description.published.locate()
    issues = Issues(f"the data set {description.name!r} in {tables}")
    rows = read_rows(tables / MEASUREMENTS, description, issues)
    priors = PriorTable({})
    beside = folder / PRIORS
    table = beside if beside.exists() else tables / PRIORS
    if table.exists() or _needed(description, rows):
        priors = parse_priors(table, issues)
    parameters = {} if priors is None else _parameters(description, rows, priors, issues)
    issues.raise_any()
    if description.literature:
        known = load_network(description.model).parameters
        published = {n: p for n, p in literature().items() if n in known}
        parameters = {n: in_model_units(p, description.units, {}) for n, p in published.items()} | parameters
    earlier = () if priors is None else priors.joint_priors
    check_joint_priors(description.joint_priors, earlier, parameters, FILE, issues)
    issues.raise_any()
    return Dataset(
        name=description.name,
        observables={name: entry.observable for name, entry in description.entries.items()},
        protocols=rows.protocols,
        measurements=rows.measurements,
        parameters=parameters,
        model=description.model,
        time_unit=str(description.units.time),
        source=description.source or (description.published.reference if description.published else ""),
        notes=(*description.notes, *_notes(description, rows, priors)),
        described_in=FILE,
        tables=((MEASUREMENTS, 0),),
        inputs=description.inputs,
        joint_priors=(*description.joint_priors.values(), *earlier),
    )


def _needed(description: Description, rows: Rows) -> list[str]:
    """Names of all parameters of scale, offset and noise."""
    noise = [p for entry in description.entries.values() for p in entry.parameters]
    return list(dict.fromkeys([*rows.scales, *noise]))


def _parameters(description: Description, rows: Rows, priors: PriorTable, issues: Issues) -> dict[str, Parameter]:
    needed = _needed(description, rows)
    parameters = dict(priors.named)
    parameters |= {name: _fixed_parameter(name, description, priors) for name in description.fixed}
    _check_fixed(description, rows, priors, issues)
    missed = set()
    for name in needed:
        if name not in parameters and (name.partition("[")[0] not in missed or not name.endswith("]")):
            parameter = priors.parameter(name)
            if parameter is None:
                known = [*parameters, *(pattern for pattern, _ in priors.patterns)]
                each = f"each parameter of scale and noise needs a prior; no row covers {name!r}{near(name, known)}"
                issues.add(PRIORS, each, column="parameter")
                missed.add(name.partition("[")[0])
            else:
                parameters[name] = parameter
    unmeasured = [n for r in description.entries.values() for n in r.families if n not in needed]
    check_patterns(priors, needed, description.fixed, unmeasured, description.units.network, PRIORS, issues)
    _check_inputs(description, priors, issues)
    return _converted(parameters, description, issues)


def _fixed_parameter(name: str, description: Description, priors: PriorTable) -> Parameter:
    """A parameter of `[fixed]`; without a unit of its own it is in that of the model, or of the row that covers it."""
    value, unit = description.fixed[name]
    label = "" if unit else getattr(priors.parameter(name), "unit", "")
    return Parameter(name, value=value, unit=unit or label, source=FIXED)


def _check_fixed(description: Description, rows: Rows, priors: PriorTable, issues: Issues) -> None:
    needed = _needed(description, rows)
    for name, value in description.fixed.items():
        column, number = f"fixed.{name}", f"{value.value:g}"
        if name in priors.named:
            row = priors.named[name].row
            expected = f"no row for {name!r} in {PRIORS} beside it (row {row}): keep one of them"
            issues.add(FILE, expected, column=column, holds=number)
        elif rows.scales and name.endswith("]") and name not in needed:
            known = ", ".join(n for n in needed if n.startswith(name.split("[")[0])) or "none like it"
            issues.add(FILE, f"a scale that a row uses; there are {known}", column="fixed", holds=repr(name))


def _check_inputs(description: Description, priors: PriorTable, issues: Issues) -> None:
    """A prior of an input that the table sets would change nothing."""
    for item in description.inputs:
        parameter = priors.named.get(item.target)
        if item.kind == "set" and parameter is not None:
            expected = (
                f"no row for the input {item.name!r}, which the column {item.column!r} of each row sets: remove it"
            )
            issues.add(PRIORS, expected, row=parameter.row, column="parameter", holds=repr(item.target))


def _converted(parameters: dict[str, Parameter], description: Description, issues: Issues) -> dict[str, Parameter]:
    """All parameters in the units of the model and of the assays."""
    expected: dict[str, str] = {}
    for entry in description.entries.values():
        expected = {**entry.parameter_units, **expected}
    signals = SignalUnits(description.entries, description.units, parameters)
    converted, reported = {}, []
    for name, parameter in parameters.items():
        fixed = description.fixed.get(name)
        if (fixed is None and not description.prior_units) or (fixed is not None and not fixed.unit):
            converted[name] = parameter
            continue
        try:
            converted[name] = in_model_units(parameter, description.units, expected, signals.of(name))
        except UnitError as error:
            file, column = (PRIORS, "unit") if fixed is None else (FILE, f"fixed.{name}")
            message = f"{error}" if str(error).startswith("a unit ") else f"the unit of {name}; {error}{_UNITS}"
            if (parameter.row, message) not in reported:  # once, not for the scale of each run
                issues.add(file, message, row=parameter.row, column=column, holds=repr(parameter.unit))
            reported.append((parameter.row, message))
            converted[name] = parameter
    return converted


def _notes(description: Description, rows: Rows, priors: PriorTable | None) -> list[str]:
    measured = {m.observable for m in rows.measurements}
    needed = _needed(description, rows)
    notes = [f"observable {name!r} has no measurements" for name in description.entries if name not in measured]
    if rows.unmeasured:
        notes.append(f"conditions without measurements: {', '.join(sorted(rows.unmeasured))}")
    notes += _unchecked(description, priors)
    notes += priors.notes if priors else ()
    for pattern, _ in priors.patterns if priors else ():
        if not any(covers(pattern, name) for name in needed):
            notes.append(f"the row {pattern!r} of {PRIORS} covers no parameter, as its observable has no measurements")
    return notes


def _unchecked(description: Description, priors: PriorTable | None) -> list[str]:
    """A note that names the constants with a unit in the priors and none in the model: the kind is not checked."""
    network = description.units.network
    if not description.prior_units:
        return []
    stated = [n for n, p in priors.named.items() if p.unit and n in network.parameters] if priors else []
    names = [n for n in stated if description.units.declared(n) is None]
    if not names:
        return []
    said = f"the model {network.name!r} says no unit of {listed(names, 6)}"
    unchecked = f"whether the units in {PRIORS} are of the right kind for them cannot be checked"
    return [f"{said}: {unchecked} until the model declares them, as `kdeg has per_min` does in Antimony"]
