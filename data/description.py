"""`problem.toml`: what the columns of a table of measurements mean."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from ..models.network import Network
from ..models.protocol import Value
from .conditions import Conditions
from .doses import Input
from .problems import Problems
from .published import Published
from .readings import Reading, make_reading
from .section import Section
from .units import UnitError, conversion_factor, is_concentration

FILE, MEASUREMENTS, PRIORS = "problem.toml", "measurements.csv", "priors.csv"
STANDARD_COLUMNS = ("observable", "time", "value", "unit", "experiment", "replicate", "sd")
_MODEL_FILES = ("model.ant", "model.xml")


@dataclass(frozen=True)
class Description:
    """All that `problem.toml` says, checked; factors turn the table's units into the model's."""

    name: str
    model: str  # a bundled network, or the path of a file
    source: str
    time_unit: str
    time_factor: float
    preequilibration: Mapping[str, Value] | None
    replicates: str  # `numbered` in a column, `unnumbered` (told apart by their values) or `unchecked`
    unit_column: bool  # else every value is in the unit of its observable
    conditions: Conditions | None  # where the inputs' columns are, if not in the measurements
    columns: Mapping[str, str]  # the table's name of each standard column
    ignored_columns: tuple[str, ...]
    inputs: tuple[Input, ...]
    readings: Mapping[str, Reading]
    fixed: Mapping[str, float]
    literature: bool  # constants of the network have the literature's priors where no others are given
    published: Published | None
    notes: tuple[str, ...]


def read_description(folder: Path) -> Description:
    """`problem.toml` in `folder`. Raises `TableError` with all its problems."""
    problems = Problems(f"the description {folder / FILE}")
    try:
        content = tomllib.loads((folder / FILE).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        problems.add(FILE, f"there is no such file in {folder}")
        content = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.add(FILE, f"cannot be read as TOML: {error}")
        content = {}
    problems.raise_any()
    description = _parse(content, folder, problems)
    problems.raise_any()
    return description


def _parse(content: dict[str, Any], folder: Path, problems: Problems) -> Description:
    top = Section(content, "", FILE, problems)
    time_unit, model_time_unit = top.text("time_unit", "min"), top.text("model_time_unit", "min")
    time_factor = _factor(top, "time_unit", time_unit, model_time_unit, None)
    inputs = tuple(filter(None, (_input(s, n) for n, s in top.sections("inputs").items())))
    _check_inputs(inputs, top)
    model = _model(top.text("model", ""), folder, top)
    load = partial(_network, model)
    readings = {n: r for n, s in top.sections("observables").items() if (r := make_reading(s, n, load)) is not None}
    if "observables" not in content:
        top.complain("observables", "the table is missing; expected [observables.<name>] for each observable")
    columns = dict.fromkeys(STANDARD_COLUMNS, "")
    for standard, own in top.table("columns").items():
        if standard not in columns or not isinstance(own, str) or not own:
            top.complain(f"columns.{standard}", f"a column's name, under one of {', '.join(columns)}", own)
        else:
            columns[standard] = own
    conditions = _conditions(top)
    result = Description(
        name=top.text("name", folder.resolve().name),
        model=model,
        source=top.text("source", ""),
        time_unit=time_unit,
        time_factor=time_factor,
        preequilibration=_preequilibration(top, inputs),
        replicates=top.choice("replicates", ("numbered", "unnumbered", "unchecked")),
        unit_column=top.choice("units", ("column", "observables")) == "column",
        conditions=conditions,
        columns={standard: own or standard for standard, own in columns.items()},
        ignored_columns=top.texts("ignore_columns"),
        inputs=inputs,
        readings=readings,
        fixed=_fixed(top),
        literature=_flag(top, "literature"),
        published=_published(top, folder, conditions),
        notes=top.texts("notes"),
    )
    top.done()
    return result


def _conditions(top: Section) -> Conditions | None:
    section = top.section("schedules")
    if section is None:
        return None
    made = Conditions(
        section.text("file", Conditions.file),
        section.text("column", Conditions.column),
        section.texts("ignore_columns"),
    )
    section.done()
    return made


def _published(top: Section, folder: Path, conditions: Conditions | None) -> Published | None:
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


def _factor(section: Section, key: str, unit: str, target: str, molar_mass: str | float | None) -> float:
    try:
        return conversion_factor(unit, target, molar_mass)
    except UnitError as error:
        section.complain(key, f"a unit that can become {target!r}: {error}", unit)
        return 1.0


def _input(section: Section, name: str) -> Input:
    unit = section.required("unit")
    model_unit = section.text("model_unit", "nM" if is_concentration(unit) else unit)
    molar_mass = section.text_or_number("molar_mass")
    factor = _factor(section, "unit", unit, model_unit, molar_mass)
    kind = section.choice("kind", ("add", "set"))
    made = Input(
        name,
        section.text("target", name),
        "add" if kind == "add" else "set",
        unit,
        factor,
        section.text("column", name),
        model_unit,
        molar_mass,
    )
    section.done()
    return made


def _check_inputs(inputs: tuple[Input, ...], top: Section) -> None:
    for what in ("target", "column"):
        taken: dict[str, str] = {}
        for item in inputs:
            value = getattr(item, what)
            if value in taken:
                top.complain(f"inputs.{item.name}.{what}", f"another {what} than that of {taken[value]!r}", value)
            taken.setdefault(value, item.name)


def _preequilibration(top: Section, inputs: tuple[Input, ...]) -> dict[str, Value] | None:
    """None: from the model's initial values. Else inputs are 0 unless a value is stated."""
    given = top.take("preequilibrate", False)
    if isinstance(given, bool):
        return {i.target: 0.0 for i in inputs} if given else None
    if not isinstance(given, dict):
        top.complain("preequilibrate", "true, false, or a table of values in the model's units", given)
        return None
    values: dict[str, Value] = {i.target: 0.0 for i in inputs}
    for name, value in given.items():
        if isinstance(value, str) or _finite(value):
            values[name] = value if isinstance(value, str) else float(value)
        else:
            top.complain(f"preequilibrate.{name}", "a finite number or a parameter's name", value)
    return values


def _fixed(top: Section) -> dict[str, float]:
    fixed = {}
    for name, value in top.table("fixed").items():
        if _finite(value):
            fixed[name] = float(value)
        else:
            top.complain(f"fixed.{name}", "a finite number", value)
    return fixed


def _flag(top: Section, key: str) -> bool:
    value = top.take(key, False)
    if not isinstance(value, bool):
        top.complain(key, "true or false", value)
    return value is True


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _model(name: str, folder: Path, top: Section) -> str:
    """A file beside the description by its path; any other name is that of a bundled network."""
    if not name:
        found = [folder / f for f in _MODEL_FILES if (folder / f).is_file()]
        if len(found) != 1:
            top.complain(
                "model",
                f"the key is missing; name a bundled network or a file, or give one of {_MODEL_FILES}",
            )
        return str(found[0]) if found else ""
    if (folder / name).is_file():
        return str(folder / name)
    if Path(name).suffix:
        top.complain("model", f"a bundled network, or a file in {folder}", name)
    return name


def _network(model: str) -> Network | None:
    """The network, None where it cannot be read, which compiling it will say."""
    path = Path(model)
    return _read(model, path.stat().st_mtime_ns if path.is_file() else 0) if model else None


@cache
def _read(model: str, _: int) -> Network | None:
    try:
        return Network.load(model)
    except (ValueError, OSError):
        return None
