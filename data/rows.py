"""`measurements.csv`, one row a measurement, read as its description says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..models.protocol import Protocol, Value
from .assays import SCALE
from .dataset import Measurement
from .description import Description
from .doses import Schedule, ScheduleError, make_protocol, parse_schedule, protocol_name
from .problems import Problems
from .readings import Reading
from .table import Row, Table, check_columns, number_in, quote, read_table
from .units import UnitError, conversion_factor


@dataclass(frozen=True)
class Rows:
    """What the table holds: measurements, their protocols, and the scales that fill placeholders."""

    measurements: tuple[Measurement, ...] = ()
    protocols: Mapping[str, Protocol] = field(default_factory=dict)
    scales: tuple[str, ...] = ()


def read_rows(path: Path, description: Description, problems: Problems) -> Rows:
    """All rows; what is wrong is added to `problems`, and the rows that it makes unusable are left out."""
    table = read_table(path, problems)
    if table is None or not _check_header(table, description, problems):
        return Rows()
    reader = _Reader(table, description, problems)
    measurements = tuple(m for m in (reader.read(row) for row in table.rows) if m is not None)
    return Rows(measurements, reader.protocols, tuple(reader.scales))


def _check_header(table: Table, description: Description, problems: Problems) -> bool:
    names, readings = description.columns, description.readings.values()
    required = {names[c] for c in ("observable", "time", "value", "unit")} | {i.column for i in description.inputs}
    required |= {names["experiment"]} if any(r.scale_group for r in readings) else set()
    required |= {_sd_column(r, description) for r in readings if r.sd_column}
    optional = {names[c] for c in ("experiment", "replicate", "sd")} | set(description.ignored_columns)
    return check_columns(table, problems, required=required, optional=optional)


def _sd_column(reading: Reading, description: Description) -> str:
    """`sd` is the standard column, which the table may name otherwise."""
    return description.columns["sd"] if reading.sd_column in (None, "sd") else reading.sd_column


class _Reader:
    """Reads one row after the other; knows the protocols, scales and rows that came before."""

    def __init__(self, table: Table, description: Description, problems: Problems) -> None:
        self.table, self.description, self.problems = table, description, problems
        self.protocols: dict[str, Protocol] = {}
        self.scales: dict[str, None] = {}
        self._seen: dict[tuple[object, ...], int] = {}

    def _complain(self, row: Row, column: str, expected: str, holds: str | None = None) -> None:
        shown = quote(row.cells.get(column, "")) if holds is None else holds
        self.problems.add(self.table.file, expected, row=row.number, column=column, holds=shown)

    def read(self, row: Row) -> Measurement | None:
        before = len(self.problems.found)
        names = self.description.columns
        time = self._time(row)
        schedules = self._schedules(row)
        experiment = row.cells.get(names["experiment"], "")
        observable = row.cells[names["observable"]]
        reading = self.description.readings.get(observable)
        if reading is None:
            number_in(row, names["value"], self.table.file, self.problems)
            self._complain(row, names["observable"], f"one of {', '.join(self.description.readings)}")
            return None
        value, factor = self._value(row, reading)
        arguments = self._arguments(row, reading, experiment, factor)
        if len(self.problems.found) > before or time is None or value is None or schedules is None:
            return None
        self._check_duplicate(row, (observable, schedules, time, experiment), value)
        protocol = self._protocol(schedules)
        measured = math.log10(value) if reading.logged else value
        return Measurement(
            observable,
            protocol,
            time * self.description.time_factor,
            measured,
            arguments,
            experiment,
            row.number,
        )

    def _time(self, row: Row) -> float | None:
        column = self.description.columns["time"]
        time = number_in(row, column, self.table.file, self.problems)
        if time is not None and time < 0:
            self._complain(row, column, f"a time of 0 or later, in {self.description.time_unit}")
        return time

    def _schedules(self, row: Row) -> tuple[Schedule, ...] | None:
        found: list[Schedule] = []
        for item in self.description.inputs:
            try:
                found.append(parse_schedule(row.cells[item.column]))
            except ScheduleError as error:
                self._complain(row, item.column, str(error))
        return tuple(found) if len(found) == len(self.description.inputs) else None

    def _value(self, row: Row, reading: Reading) -> tuple[float | None, float]:
        """The value in the reading's unit, and the factor that took it there."""
        names = self.description.columns
        value = number_in(row, names["value"], self.table.file, self.problems)
        factor = 1.0
        try:
            factor = conversion_factor(row.cells[names["unit"]], reading.unit)
        except UnitError as error:
            self._complain(row, names["unit"], f"{reading.unit!r} or a unit that can become it; {error}")
        if value is not None:
            name = reading.observable.name
            if value <= 0 and not reading.zero:
                self._complain(row, names["value"], f"a value above 0, since {name} is read on a log scale")
            elif value < 0 and not reading.signed:
                self._complain(row, names["value"], f"a value of 0 or more, since {name} is an amount")
        return (None if value is None else value * factor), factor

    def _arguments(self, row: Row, reading: Reading, experiment: str, factor: float) -> tuple[Value, ...]:
        """What fills the observable's placeholders, in their order."""
        arguments: list[Value] = []
        names = self.description.columns
        for placeholder in reading.observable.placeholders:
            if placeholder == SCALE:
                if not experiment:
                    self._complain(row, names["experiment"], "the gel or plate, since each has a scale of its own")
                arguments.append(reading.scale_of(experiment))
                if experiment:
                    self.scales[reading.scale_of(experiment)] = None
            else:
                arguments.append(self._sd(row, _sd_column(reading, self.description), reading, factor))
        if reading.sd_column is None and row.cells.get(names["sd"]):
            expected = f"an empty cell, since the noise of {reading.observable.name} is given by parameters"
            self._complain(row, names["sd"], expected)
        return tuple(arguments)

    def _sd(self, row: Row, column: str, reading: Reading, factor: float) -> float:
        sd = number_in(row, column, self.table.file, self.problems)
        if sd is not None and sd <= 0:
            self._complain(row, column, "a standard deviation above 0")
        return math.nan if sd is None else sd * (factor if reading.sd_in_unit else 1.0)

    def _check_duplicate(self, row: Row, condition: tuple[object, ...], value: float) -> None:
        """Equal conditions are a mistake, unless replicates are numbered or the description allows them."""
        column = self.description.columns["replicate"]
        key = (*condition, row.cells.get(column, ""))
        numbered = self.description.numbered_replicates
        first = self._seen.setdefault(key if numbered else (*key, value), row.number)
        if first == row.number:
            return
        if numbered:
            expected = f"each measurement once, or a {column!r} column that tells replicates apart"
            same = "observable, inputs, time, experiment and replicate"
        else:
            expected, same = "each measurement once", "everything, the value too"
        expected += f"; row {first} is the same in {same}"
        self._complain(row, self.description.columns["observable"], expected, "a duplicate")

    def _protocol(self, schedules: tuple[Schedule, ...]) -> str:
        d = self.description
        name = protocol_name(d.inputs, schedules, d.time_unit)
        if name not in self.protocols:
            self.protocols[name] = make_protocol(name, d.inputs, schedules, d.preequilibration, d.time_factor)
        return name
