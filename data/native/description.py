"""`problem.toml`: what the columns of a table of measurements mean."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from ...models.listing import did_you_mean, one_of
from ...models.load import load_network
from ...models.networks.network import Network
from ...models.protocols.protocol import Value
from ..files.csv_table import hint_of
from ..files.issues import Issues
from ..files.text_file import read_text
from ..files.toml_section import Section
from ..files.toml_words import why_unread
from ..joint_prior import JointPrior
from ..published import Published
from ..quantities.model_units import SAME, ModelUnits
from ..quantities.units import UnitError, conversion_factor, quantity_of, split_quantity
from ..schedules import Input
from .conditions import ConditionTable
from .inputs import take_inputs
from .joint_priors import take_joint_priors
from .observables import ObservableEntry, make_entry

FILE, MEASUREMENTS, PRIORS = "problem.toml", "measurements.csv", "priors.csv"
STANDARD_COLUMNS = ("observable", "time", "value", "unit", "experiment", "replicate", "sd")
_MODEL_FILES = ("model.ant", "model.xml")


class Fixed(NamedTuple):
    """A value in `[fixed]`; without a unit it is in the model's own."""

    value: float
    unit: str = ""


@dataclass(frozen=True)
class Description:
    """All that `problem.toml` says, checked; factors turn the table's units into the model's."""

    name: str
    model: str  # a bundled network, or the path of a file
    source: str
    time_unit: str
    time_factor: float
    units: ModelUnits  # of the model
    preequilibration: Mapping[str, Value] | None
    replicates: str  # `numbered` in a column, `unnumbered` (told apart by their values) or `unchecked`
    unit_column: bool  # else every value is in the unit of its observable
    conditions: ConditionTable | None  # where the inputs' columns are, if not in the measurements
    columns: Mapping[str, str]  # the table's name of each standard column
    ignored_columns: tuple[str, ...]
    inputs: tuple[Input, ...]
    entries: Mapping[str, ObservableEntry]
    fixed: Mapping[str, Fixed]
    joint_priors: Mapping[str, JointPrior]  # by the names of their tables
    prior_units: bool  # priors are converted from the units in their table; else they are in the model's
    literature: bool  # constants of the network have the literature's priors where no others are given
    published: Published | None
    notes: tuple[str, ...]


def read_description(folder: Path) -> Description:
    """`problem.toml` in `folder`. Raises `TableError` with all its problems."""
    issues = Issues(f"the description {folder / FILE}")
    text = read_text(folder / FILE, issues)
    content: dict[str, Any] = {}
    try:
        content = {} if text is None else tomllib.loads(text)
    except ValueError as error:  # tomllib's own, or Python's of a number with thousands of digits
        issues.add(FILE, f"cannot be read as TOML: {why_unread(str(error), text or '')}")
    except RecursionError:
        issues.add(FILE, "cannot be read as TOML: its values are nested too deeply")
    issues.raise_any()
    description = _parse(content, folder, issues)
    issues.raise_any()
    return description


def _parse(content: dict[str, Any], folder: Path, issues: Issues) -> Description:
    top = Section(content, "", FILE, issues)
    model = _model(top.text("model", ""), folder, top)
    load = partial(_network, model)
    units = _units(load(), top)
    time_unit, time_factor = _time(top, units)
    inputs = take_inputs(top, units)
    unit_column = top.choice("units", ("column", "observables")) == "column"
    made = {n: make_entry(s, n, load, unit_column=unit_column) for n, s in top.sections("observables").items()}
    entries = {n: r for n, r in made.items() if r is not None}
    if "observables" not in content:
        top.complain("observables", "the table is missing; expected [observables.<name>] for each observable")
    columns = dict.fromkeys(STANDARD_COLUMNS, "")
    for standard, column in top.table("columns").items():
        if standard not in columns:
            top.complain(f"columns.{standard}", f"a column's name, under {one_of(standard, columns)}", column)
        elif not isinstance(column, str) or not column:
            top.complain(f"columns.{standard}", f"a column's name, under one of {', '.join(columns)}", column)
        else:
            columns[standard] = column
    conditions = _conditions(top)
    _check_columns(top, inputs, {column or standard: standard for standard, column in columns.items()}, conditions)
    result = Description(
        name=top.text("name", folder.resolve().name),
        model=model,
        source=top.text("source", ""),
        time_unit=time_unit,
        time_factor=time_factor,
        units=units,
        preequilibration=_preequilibration(top, inputs),
        replicates=top.choice("replicates", ("numbered", "unnumbered", "unchecked")),
        unit_column=unit_column,
        conditions=conditions,
        columns={standard: column or standard for standard, column in columns.items()},
        ignored_columns=top.texts("ignore_columns"),
        inputs=inputs,
        entries=entries,
        fixed=_fixed(top),
        joint_priors=take_joint_priors(top),
        prior_units=top.choice("prior_units", ("column", "model")) == "column",
        literature=top.flag("literature"),
        published=_published(top, folder, conditions),
        notes=(*top.texts("notes"), *units.notes()),
    )
    top.done()
    return result


def _check_columns(
    top: Section, inputs: tuple[Input, ...], standard: Mapping[str, str], conditions: ConditionTable | None
) -> None:
    """An input's column is its own."""
    for item in inputs if conditions is None else ():
        if item.column in standard:
            key = "" if item.column == item.name else ".column"
            expected = f"a column of doses; {item.column!r} is that of each row's {standard[item.column]}"
            top.complain(f"inputs.{item.name}{key}", expected, item.column)


def _conditions(top: Section) -> ConditionTable | None:
    section = top.section("schedules")
    if section is None:
        return None
    made = ConditionTable(
        section.file_beside("file", ConditionTable.file),
        section.text("column", ConditionTable.column),
        section.texts("ignore_columns"),
    )
    section.done()
    return made


def _published(top: Section, folder: Path, conditions: ConditionTable | None) -> Published | None:
    section = top.section("published")
    if section is None:
        return None
    # Priors beside the description are ours, and then not among what was published.
    files = [
        MEASUREMENTS,
        *([conditions.file] if conditions else []),
        *([] if (folder / PRIORS).is_file() else [PRIORS]),
    ]
    made = Published(section.required("folder"), section.required("reference"), tuple(files))
    section.done()
    return made


def _units(network: Network | None, top: Section) -> ModelUnits:
    """Units of the model; `model_time_unit` says that of time where the model does not declare it."""
    empty = Network("", {}, {}, {})
    stated = top.take("model_time_unit")
    try:
        if stated is not None and not (isinstance(stated, str) and quantity_of(stated).check("[time]")):
            raise UnitError("not a time")
    except UnitError:
        top.complain("model_time_unit", "a unit of time, such as 'min'", stated)
        stated = None
    try:
        units = ModelUnits(network or empty, stated)
    except UnitError as error:
        top.complain("model", f"a model whose units are known and agree; {error}", top.take("model"))
        return ModelUnits(empty, stated)
    if stated is not None and units.declared_time is not None and not _one(stated, str(units.time)):
        top.complain("model_time_unit", f"{str(units.time)!r}, as the model declares; or leave the key out", stated)
    return units


def _one(unit: str, other: str) -> bool:
    try:
        return abs(conversion_factor(unit, other) - 1) < SAME
    except UnitError:
        return False


def _time(top: Section, units: ModelUnits) -> tuple[str, float]:
    """The unit of the table's times, and what turns them into the model's."""
    stated = top.take("time_unit")
    if stated is None and str(units.time) != "min":
        missing = f"the key is missing; the model's times are in {units.time}: state the unit of the table's, such as"
        top.complain("time_unit", f"{missing} 'min'")
    if stated is not None and not isinstance(stated, str):
        top.complain("time_unit", "text in quotes", stated)
    unit = stated if isinstance(stated, str) else "min"
    try:
        return unit, conversion_factor(unit, units.time.name) / units.time.number
    except UnitError as error:
        top.complain("time_unit", f"a unit that can become {str(units.time)!r}: {error}", unit)
        return unit, 1.0


def _preequilibration(top: Section, inputs: tuple[Input, ...]) -> dict[str, Value] | None:
    """None: from the model's initial values. Else inputs are 0 unless a value is stated."""
    entry = top.take("preequilibrate", False)
    if isinstance(entry, bool):
        return {i.target: 0.0 for i in inputs} if entry else None
    if not isinstance(entry, dict):
        top.complain("preequilibrate", "true, false, or a table of values in the model's units", entry)
        return None
    values: dict[str, Value] = {i.target: 0.0 for i in inputs}
    for name, value in entry.items():
        if name in values and _finite(value) and value < 0:
            top.complain(f"preequilibrate.{name}", "a dose of 0 or more", value)
        elif isinstance(value, str) or _finite(value):
            values[name] = value if isinstance(value, str) else float(value)
        else:
            top.complain(f"preequilibrate.{name}", "a finite number or a parameter's name", value)
    return values


def _fixed(top: Section) -> dict[str, Fixed]:
    """Values as numbers, or as texts of a number and its unit, such as '0.05 1/min'."""
    fixed = {}
    for name, value in top.table("fixed").items():
        read = split_quantity(value) if isinstance(value, str) else None
        if _finite(value):
            fixed[name] = Fixed(float(value))
        elif read is not None and read[1]:
            fixed[name] = Fixed(*read)
        else:
            hint = hint_of(value.split()[0]) if isinstance(value, str) and value.split() else ""
            top.complain(f"fixed.{name}", f"a finite number, or text of a number and its unit{hint}", value)
    return fixed


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _model(name: str, folder: Path, top: Section) -> str:
    """A file beside the description by its path; any other name is that of a bundled network."""
    if not name:
        files = [folder / f for f in _MODEL_FILES if (folder / f).is_file()]
        if len(files) != 1:
            top.complain(
                "model",
                f"the key is missing; name a bundled network or a file, or give one of {_MODEL_FILES}",
            )
        return str(files[0]) if files else ""
    if (folder / name).is_file():
        return str(folder / name)
    if Path(name).suffix:
        top.complain("model", f"a bundled network, or a file in {folder}{did_you_mean(name, _files(folder))}", name)
    return name


def _files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_file())


def _network(model: str) -> Network | None:
    """The network, None if it cannot be read, which compiling it will say."""
    path = Path(model)
    return _read(model, path.stat().st_mtime_ns if path.is_file() else 0) if model else None


@cache
def _read(model: str, _: int) -> Network | None:
    try:
        return load_network(model)
    except (ValueError, OSError):
        return None
