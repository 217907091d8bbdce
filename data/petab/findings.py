"""The findings of petab's own checks, with file, row and column where a message names the cell's content."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from ..files.csv_table import parse_number
from ..native.coverage import near
from .table_cells import TableCells, TableKind, is_missing

if TYPE_CHECKING:
    import petab.v1

_QUOTED = re.compile(r"'([^']+)'")


@contextmanager
def logged_errors(name: str) -> Iterator[list[str]]:
    """Collects the errors that the library's logger reports, and keeps them from the console meanwhile."""
    messages: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                messages.append(record.getMessage())

    logger, handler = logging.getLogger(name), Collect()
    propagate = logger.propagate
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def lint(problem: petab.v1.Problem, cells: TableCells) -> list[str]:
    """Runs petab's checks, each of which stops at the first problem of its table.

    Messages that belong to a cell are added to `cells.problems`; the others are returned in petab's words.
    """
    from petab.v1.lint import lint_problem

    _check_conditions(problem, cells)
    with logged_errors("petab.v1") as messages:
        try:
            failed = lint_problem(problem)
        except RecursionError:
            raise
        except Exception as error:  # a check that trips over the table
            failed = True
            messages.append(" ".join(str(error).split()) or type(error).__name__)
    if not failed:
        return []
    messages = [" ".join(message.split()) for message in dict.fromkeys(messages) if message != "Not OK"]
    if not messages and not cells.issues.entries:
        return ["petab refuses it without a reason; run `petablint` on it"]
    return [f"petab's checks say: {m}{_where(m, cells)}" for m in messages if not _placed(m, problem, cells)]


def _placed(message: str, problem: petab.v1.Problem, cells: TableCells) -> bool:
    """Reports a message of petab at its cells; False if the message is of no known kind."""
    for pattern, say in _SAY:
        match = re.search(pattern, message)
        if match is not None:
            names = _QUOTED.findall(match.group(1)) or [match.group(1)]
            for name in sorted(names):
                say(name, problem, cells)
            return True
    return False


def _check_conditions(problem: petab.v1.Problem, cells: TableCells) -> None:
    """A condition may set what it names to a parameter of the parameter table; petab lets more pass."""
    known = {row.cells["parameterId"] for row in cells.rows["parameter"]}
    for index, row in enumerate(cells.rows["condition"]):
        for column, text in row.cells.items():
            if column in ("conditionId", "conditionName") or is_missing(text) or parse_number(text) is not None:
                continue
            if text not in known:
                cells.complain(
                    "condition", index, column, f"a number, or a parameter of the parameter table{near(text, known)}"
                )


def _unused(name: str, problem: petab.v1.Problem, cells: TableCells) -> None:
    index = _index(cells, "parameter", name)
    files = [f for f, r in zip(cells.files["condition"], cells.rows["condition"], strict=True) if name in r.cells]
    if files:
        return _complain(
            cells, "parameter", index, f"a parameter that no condition sets; {files[0]} has a column of this name"
        )
    model = cast(Any, problem.model)
    if model is not None and model.has_entity_with_id(name):
        expected = "a parameter whose value is free; in the model this one is a species or follows from a rule"
    else:
        known = {row.cells["parameterId"] for row in cells.rows["parameter"]}
        free = set(model.get_parameter_ids()) - known if model is not None else set()
        expected = "a parameter that the model, a formula or a measurement uses: correct its name, or delete the row"
        expected += near(name, free)
    _complain(cells, "parameter", index, expected)


def _missing(name: str, _: petab.v1.Problem, cells: TableCells) -> None:
    """At the first cell that uses the name."""
    known = [row.cells["parameterId"] for row in cells.rows["parameter"]]
    expected = f"{{}} that the parameter table has; it has no {name!r}{near(name, known)}"
    places: tuple[tuple[TableKind, tuple[str, ...] | None, str], ...] = (
        ("measurement", ("observableParameters", "noiseParameters"), "parameters"),
        ("observable", ("observableFormula", "noiseFormula"), "names of parameters"),
        ("condition", None, "a parameter"),
    )
    for kind, columns, what in places:
        for index, row in enumerate(cells.rows[kind]):
            for column in columns or row.cells:
                if re.search(rf"\b{re.escape(name)}\b", row.cells.get(column, "")):
                    return _complain(cells, kind, index, expected.format(what), column)
    cells.issues.add(cells.files["parameter"][0], f"a row for {name!r}, which the model needs and gives no value")


def _unknown_column(name: str, problem: petab.v1.Problem, cells: TableCells) -> None:
    model = cast(Any, problem.model)
    known = [] if model is None else model.get_valid_ids_for_condition_table()
    for file, row in zip(cells.files["condition"], cells.rows["condition"], strict=True):
        if name in row.cells:
            expected = "the name of a parameter, species or compartment of the model that a condition can set"
            return cells.issues.add(file, f"a column must have {expected}{near(name, known)}", column=name)


def _in_both(name: str, problem: petab.v1.Problem, cells: TableCells) -> None:
    _unused(name, problem, cells)


def _shadowing(name: str, _: petab.v1.Problem, cells: TableCells) -> None:
    index = _index(cells, "observable", name)
    _complain(cells, "observable", index, "a name that the model does not have: rename the observable")


def _no_condition(name: str, _: petab.v1.Problem, cells: TableCells) -> None:
    known = [row.cells["conditionId"] for row in cells.rows["condition"]]
    for column in ("simulationConditionId", "preequilibrationConditionId"):
        for index, row in enumerate(cells.rows["measurement"]):
            if row.cells.get(column) == name:
                expected = f"a condition that the condition table has: {', '.join(known[:10])}"
                return _complain(cells, "measurement", index, expected, column)


_SAY: tuple[tuple[str, Callable[[str, petab.v1.Problem, TableCells], None]], ...] = (
    (r"Extraneous parameter\(s\) in parameter table: (.+)", _unused),
    (r"(.+) (?:is|are) not allowed to occur in the parameters table", _unused),
    (r"(.+) (?:is|are) present in both the condition table and the parameter table", _in_both),
    (r"Missing parameter\(s\) in the model or the parameters table: (.+)", _missing),
    (r"Condition table contains column for unknown entity '(.+)'", _unknown_column),
    (r"(.+) (?:is|are) not allowed to occur in condition table columns", _unknown_column),
    (r"Observable ID (\S+) shadows model entity", _shadowing),
    (r"conditions that are not specified in the condition table: (.+)", _no_condition),
)


def _index(cells: TableCells, kind: TableKind, name: str) -> int | None:
    return next((i for i, r in enumerate(cells.rows[kind]) if r.cells[f"{kind}Id"] == name), None)


def _complain(cells: TableCells, kind: TableKind, index: int | None, expected: str, column: str = "") -> None:
    """As `cells.complain`, unless something has been said of the cell."""
    column = column or f"{kind}Id"
    if index is None:
        return
    file, number = cells.files[kind][index], cells.rows[kind][index].number
    if not any((p.file, p.row, p.column) == (file, number, column) for p in cells.issues.entries):
        cells.complain(kind, index, column, expected)


def _where(message: str, cells: TableCells) -> str:
    """The row of what a message names, to follow it."""
    words: Collection[str] = set(re.findall(r"\w+", message))
    for kind in ("parameter", "observable", "condition"):
        for file, row in zip(cells.files[kind], cells.rows[kind], strict=True):
            if row.cells[f"{kind}Id"] in words:
                return f" ({file}, row {row.number})"
    return ""


__all__ = ["lint", "logged_errors"]
