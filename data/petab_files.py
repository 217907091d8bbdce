"""The files of a PEtab v1 problem as plain tables, once petab's own checks have passed them.

What this project does not support is refused here by name. The library `petab` is imported when a problem is
read, not with this module: it takes more than a second to load.

Source: PEtab v1 data format, https://petab.readthedocs.io/en/latest/v1/documentation_data_format.html.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pandas as pd
import sympy

from ..models.infix import PETAB, parse_infix
from ..models.operations import FormulaError

if TYPE_CHECKING:
    import petab.v1

Row = Mapping[str, Any]
"""One line of a table, by column."""


class Tables(NamedTuple):
    """A problem's tables, line by line, and the path of its SBML model."""

    observables: list[Row]
    conditions: list[Row]
    parameters: list[Row]
    measurements: list[Row]
    model: Path
    notes: tuple[str, ...]


def load_tables(path: Path) -> Tables:
    """The problem whose YAML file lies at `path`, an absolute path.

    Raises ValueError and FileNotFoundError as `read_petab` does.
    """
    config = _configuration(path)
    part = config["problems"][0]
    plots = part.pop("visualization_files", None)  # their reader loads a plotting library
    problem = _load(path, config)
    if problems := _formula_problems(problem):
        raise unreadable(path, problems)
    try:
        _resolve_noise(problem)
        problems = [*_row_problems(problem), *_lint(problem)]
    except RecursionError:  # petab's reader calls itself for each term of a sum
        problems = ["a formula of the observable table is too long for petab's checks, which take some 300 terms"]
    if problems:
        raise unreadable(path, problems)
    return Tables(
        observables=_rows(problem.observable_df),
        conditions=_rows(problem.condition_df),
        parameters=_rows(problem.parameter_df),
        measurements=_rows(problem.measurement_df),
        model=(path.parent / part["sbml_files"][0]).resolve(),
        notes=("visualization tables are not read",) if plots else (),
    )


def unreadable(path: Path, problems: list[str]) -> ValueError:
    return ValueError(f"the PEtab problem {path} cannot be read:\n  " + "\n  ".join(problems))


def _said(error: Exception) -> str:
    return str(error.args[0]) if error.args else repr(error)


def _configuration(path: Path) -> dict[str, Any]:
    """The content of the YAML file, after refusing by name what this reader does not support."""
    import petab.v1

    if not path.is_file():
        raise FileNotFoundError(f"there is no PEtab problem at {path}: give the path of its YAML file")
    try:
        config = petab.v1.load_yaml(path)
    except RecursionError:
        raise unreadable(path, ["the YAML file is nested too deeply"]) from None
    if not isinstance(config, dict):
        raise unreadable(path, ["it is no PEtab YAML file: its top level must hold keys and values"])
    if problems := _unsupported(config) or _malformed(config):
        raise unreadable(path, problems)
    tables = config["parameter_file"]
    files = [*tables] if isinstance(tables, list) else [tables]
    part = config["problems"][0]
    files += [file for key, named in part.items() if key != "visualization_files" for file in named]
    if missing := [str(file) for file in files if not (path.parent / file).is_file()]:
        raise FileNotFoundError(f"the PEtab problem {path} names missing files: {', '.join(missing)}")
    return config


def _unsupported(config: Mapping[str, Any]) -> list[str]:
    """What a PEtab YAML file may ask for and this reader does not support."""
    version = str(config.get("format_version", "missing"))
    if version.split(".")[0] != "1":
        return [f"format_version is {version}: only PEtab v1 is supported"]
    found: list[str] = []
    if config.get("extensions"):
        found.append(f"PEtab extensions are not supported: {', '.join(config['extensions'])}")
    parts = config.get("problems") or []
    if len(parts) > 1:
        found.append(f"it holds {len(parts)} problems: give each a YAML file of its own")
    for part in parts:
        if part.get("mapping_files"):
            found.append(f"mapping tables are not supported: {', '.join(part['mapping_files'])}")
        for name, model in (part.get("model_files") or {}).items():
            found.append(f"model {name!r} in language {model.get('language')!r}: only SBML is supported")
        models = part.get("sbml_files") or []
        if len(models) > 1:
            found.append(f"it names {len(models)} models, {', '.join(models)}: only one is supported")
    return found


def _malformed(config: Mapping[str, Any]) -> list[str]:
    """Where the YAML file departs from PEtab's schema."""
    import jsonschema
    from petab.v1.yaml import validate_yaml_syntax

    try:
        validate_yaml_syntax(dict(config))
    except jsonschema.ValidationError as error:
        where = "/".join(str(key) for key in error.absolute_path) or "top level"
        return [f"YAML file, {where}: {error.message}"]
    if not config["problems"]:
        return ["YAML file: it holds no problem"]
    files = config["problems"][0].items()
    return [f"YAML file: {key} names no file" for key, named in files if key != "visualization_files" and not named]


def _load(path: Path, config: dict[str, Any]) -> petab.v1.Problem:
    """The tables and the model, as petab reads them."""
    import petab.v1

    try:
        with _errors_of("petab.v1"):
            return petab.v1.Problem.from_yaml(config, base_path=str(path.parent))
    except (AssertionError, KeyError, ValueError) as error:
        raise unreadable(path, [_said(error)]) from error


def _formula_problems(problem: petab.v1.Problem) -> list[str]:
    """Formulas that cannot be read whole, each with its row; petab's own reader meets none of these."""
    found: list[str] = []
    for line, row in enumerate(_rows(problem.observable_df), start=1):
        for column in ("observableFormula", "noiseFormula"):
            if not isinstance(row.get(column), str):
                continue
            where = f"observable table, row {line} ({row['observableId']}), {column!r}"
            try:
                names = parse_infix(row[column], dialect=PETAB).free_symbols
            except FormulaError as error:
                found.append(f"{where}: {error}")
                continue
            if sympy.Symbol("time") in names and problem.model is not None and problem.model.has_entity_with_id("time"):
                found.append(f"{where}: 'time' is PEtab's time, and the model calls something else so: rename that")
    return found


def _row_problems(problem: petab.v1.Problem) -> list[str]:
    """Measurements that cannot be used, each with its row, which petab's checks do not give."""
    scales = {row["observableId"]: row.get("observableTransformation") for row in _rows(problem.observable_df)}
    found: list[str] = []
    for line, row in enumerate(_rows(problem.measurement_df), start=1):
        time, value = number(row.get("time")), number(row.get("measurement"))
        if time == math.inf:
            found.append(f"row {line}: measurements at steady state (time = inf) are not supported")
        elif isinstance(time, str) or not time >= 0:
            found.append(f"row {line}: time is {time}, expected a number from 0 up")
        observable = row.get("observableId")
        if scales.get(observable) in ("log", "log10") and not isinstance(value, str) and value <= 0:
            found.append(f"row {line}: {observable} is on a logarithmic scale, but measured as {value}")
    return found


@contextmanager
def _errors_of(name: str) -> Iterator[list[str]]:
    """Collects what the library's logger reports as errors, and keeps it from the console meanwhile."""
    found: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                found.append(record.getMessage())

    logger, handler = logging.getLogger(name), Collect()
    propagate = logger.propagate
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _lint(problem: petab.v1.Problem) -> list[str]:
    """What petab's own checks find, each of which stops at the first problem of its table."""
    from petab.v1.lint import lint_problem

    with _errors_of("petab.v1") as found:
        try:
            failed = lint_problem(problem)
        except (
            AssertionError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:  # a check that trips over the table
            failed = True
            found.append(_said(error))
    said = [message for message in found if message != "Not OK"]
    return said or ["petab refuses it without a reason; run `petablint` on it"] if failed else []


def _resolve_noise(problem: petab.v1.Problem) -> None:
    """Writes an observable's formula where a noise formula names it, which petab's checks do not know."""
    from petab.v1.math import petab_math_str, sympify_petab

    table = problem.observable_df
    if table is None or not {"noiseFormula", "observableFormula"} <= set(table.columns):
        return  # petab's checks say so
    formulas = dict(zip(table.index, table["observableFormula"], strict=True))
    for row, text in enumerate(table["noiseFormula"]):
        if not isinstance(text, str):
            continue
        try:
            noise = sympify_petab(text)
            read = {s: sympify_petab(formulas[str(s)]) for s in noise.free_symbols if str(s) in formulas}
        except ValueError:
            continue  # likewise
        if read:
            table.iloc[row, list(table.columns).index("noiseFormula")] = petab_math_str(noise.xreplace(read))


def _rows(table: pd.DataFrame | None) -> list[Row]:
    """The lines of a table with the id, which petab keeps as index, among the columns."""
    if table is None:
        return []
    named = table.reset_index() if table.index.name else table
    return cast(list[Row], named.to_dict("records"))


def cell(row: Row, column: str, default: Any) -> Any:
    """The cell of an optional column; `default` where column or value is missing."""
    value = row.get(column)
    return default if value is None or value == "" or pd.isna(value) else value


def number(value: Any) -> float | str:
    """A number where the value can be read as one, else its text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value).strip()
