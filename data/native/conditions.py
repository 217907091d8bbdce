"""What was done to the cells of a row: schedules of all inputs, in the row itself or in a table of conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files.csv_table import Row, check_columns, quote, read_table
from ..files.issues import Issues
from ..schedules import Input, Schedule, ScheduleError, from_start, parse_schedule, start_of

Schedules = tuple[Schedule, ...]
"""One of each input, in the description's order."""


@dataclass(frozen=True)
class ConditionTable:
    """Where the columns of the inputs are, if not in the table of measurements."""

    file: str = "conditions.csv"
    column: str = "condition"  # that names the condition, in both tables
    ignored_columns: tuple[str, ...] = ()


def schedules_in(row: Row, inputs: Sequence[Input], file: str, issues: Issues) -> Schedules | None:
    """The schedules in a row's cells; problems and None if one is wrong."""

    def sound(read: Callable[[int], Schedule]) -> list[Schedule] | None:
        schedules: list[Schedule] = []
        for i, item in enumerate(inputs):
            try:
                schedules.append(read(i))
            except ScheduleError as error:
                holds = quote(row.cells[item.column])
                issues.add(file, str(error), row=row.number, column=item.column, holds=holds)
        return schedules if len(schedules) == len(inputs) else None

    parsed = sound(lambda i: parse_schedule(row.cells[inputs[i].column]))
    if parsed is None:
        return None
    start = start_of(parsed)
    placed = sound(lambda i: from_start(parsed[i], start))
    return None if placed is None else tuple(placed)


def read_conditions(
    path: Path, conditions: ConditionTable, inputs: Sequence[Input], issues: Issues
) -> Mapping[str, Schedules | None] | None:
    """Schedules by condition, None for one with problems; None in place of all if the table cannot be read."""
    table = read_table(path, issues)
    required = {conditions.column} | {i.column for i in inputs}
    if table is None or not check_columns(table, issues, required=required, optional=set(conditions.ignored_columns)):
        return None
    schedules_by_condition: dict[str, Schedules | None] = {}
    for row in table.rows:
        name = row.cells[conditions.column]
        if not name or name in schedules_by_condition:
            expected = "each condition once" if name else "a name"
            issues.add(table.file, expected, row=row.number, column=conditions.column, holds=quote(name))
        schedules = schedules_in(row, inputs, table.file, issues)
        schedules_by_condition.setdefault(name, schedules)
    return schedules_by_condition
