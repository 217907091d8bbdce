"""`problem.toml`: what the columns of a table of measurements mean."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..models.protocol import Value
from .doses import Input
from .problems import Problems
from .published import Published
from .readings import Reading, make_reading
from .section import Section
from .units import UnitError, conversion_factor, is_concentration

FILE = "problem.toml"
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
    numbered_replicates: bool
    columns: Mapping[str, str]  # the table's name of each standard column
    ignored_columns: tuple[str, ...]
    inputs: tuple[Input, ...]
    readings: Mapping[str, Reading]
    fixed: Mapping[str, float]
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
    readings = {n: r for n, s in top.sections("observables").items() if (r := make_reading(s, n)) is not None}
    if "observables" not in content:
        top.complain("observables", "the table is missing; expected [observables.<name>] for each observable")
    columns = dict.fromkeys(STANDARD_COLUMNS, "")
    for standard, own in top.table("columns").items():
        if standard not in columns or not isinstance(own, str) or not own:
            top.complain(f"columns.{standard}", f"a column's name, under one of {', '.join(columns)}", own)
        else:
            columns[standard] = own
    published = top.section("published")
    result = Description(
        name=top.text("name", folder.resolve().name),
        model=_model(top.text("model", ""), folder, top),
        source=top.text("source", ""),
        time_unit=time_unit,
        time_factor=time_factor,
        preequilibration=_preequilibration(top, inputs),
        numbered_replicates=top.choice("replicates", ("numbered", "unnumbered")) == "numbered",
        columns={standard: own or standard for standard, own in columns.items()},
        ignored_columns=top.texts("ignore_columns"),
        inputs=inputs,
        readings=readings,
        fixed=_fixed(top),
        published=published and Published(published.required("folder"), published.required("reference")),
        notes=top.texts("notes"),
    )
    if published:
        published.done()
    top.done()
    return result


def _factor(section: Section, key: str, unit: str, target: str, molar_mass: str | float | None) -> float:
    try:
        return conversion_factor(unit, target, molar_mass)
    except UnitError as error:
        section.complain(key, f"a unit that can become {target!r}: {error}", unit)
        return 1.0


def _input(section: Section, name: str) -> Input:
    unit = section.required("unit")
    model_unit = section.text("model_unit", "nM" if is_concentration(unit) else unit)
    factor = _factor(section, "unit", unit, model_unit, section.text_or_number("molar_mass"))
    kind = section.choice("kind", ("add", "set"))
    made = Input(
        name,
        section.text("target", name),
        "add" if kind == "add" else "set",
        unit,
        factor,
        section.text("column", name),
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
