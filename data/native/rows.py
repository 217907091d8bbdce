"""`measurements.csv`, one row a measurement, read as its description says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...models.listing import did_you_mean, one_of
from ...models.protocols.protocol import Protocol, Value
from ..assays import OFFSET, SCALE
from ..assays.conversion import NumberOrLimit, measurement
from ..assays.row_values import RowValues, parse_limit
from ..assays.standard_curve import ReadBack, StandardCurve
from ..assays.standards import read_standards
from ..dataset import Measurement
from ..files.csv_table import Row, Table, check_columns, hint_of, number_in, parse_number, quote, read_table
from ..files.issues import Issues
from ..quantities.units import UnitError, conversion_factor, known_quantity
from ..schedules import make_protocol, protocol_name
from .conditions import Schedules, read_conditions, schedules_in
from .description import Description
from .observables import ObservableEntry


@dataclass(frozen=True)
class Rows:
    """What the table holds: measurements, their protocols, and the scales and offsets that fill placeholders."""

    measurements: tuple[Measurement, ...] = ()
    protocols: Mapping[str, Protocol] = field(default_factory=dict)
    scales: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()  # conditions without a measurement


def read_rows(path: Path, description: Description, issues: Issues) -> Rows:
    """All rows; what is wrong is added to `problems`, and the rows that it makes unusable are left out."""
    table, conditions = read_table(path, issues), None
    if description.conditions is not None:
        place = path.parent / description.conditions.file
        conditions = read_conditions(place, description.conditions, description.inputs, issues)
    if table is None or not _check_header(table, description, issues):
        return Rows()
    if description.conditions is not None and conditions is None:
        return Rows()
    reader = _Reader(table, description, conditions, issues)
    reader.curves = _curves(path.parent, description, issues)
    measurements = tuple(m for m in (reader.read(row) for row in table.rows) if m is not None)
    reader.check_folds()
    return Rows(measurements, reader.protocols, tuple(reader.scales), tuple(set(conditions or ()) - reader.used))


def _check_header(table: Table, description: Description, issues: Issues) -> bool:
    names, entries = description.columns, description.entries.values()
    required = {names[c] for c in ("observable", "time", "value")}
    required |= {names["unit"]} if description.unit_column else set()
    conditions = description.conditions
    required |= {i.column for i in description.inputs} if conditions is None else {conditions.column}
    of_plates = [r for r in entries if r.scale_group or r.offset_group or r.values.standards]
    required |= {names["experiment"]} if of_plates else set()
    required |= {r.values.reference_column for r in entries if r.values.reference_column}
    required |= {_sd_column(r, description) for r in entries if r.sd_column}
    optional = {names[c] for c in ("experiment", "replicate", "sd")} | set(description.ignored_columns)
    return check_columns(table, issues, required=required, optional=optional)


def _curves(
    folder: Path, description: Description, issues: Issues
) -> dict[str, Mapping[str, StandardCurve | None] | None]:
    """Curves by plate, of the observables that are read off them; None where a table cannot be read."""
    experiment = description.columns["experiment"]
    return {
        name: read_standards(folder / entry.values.standards.file, entry.values.standards, experiment, issues)
        for name, entry in description.entries.items()
        if entry.values.standards is not None
    }


def _sd_column(entry: ObservableEntry, description: Description) -> str:
    """`sd` is the standard column, which the table may name otherwise."""
    return description.columns["sd"] if entry.sd_column in (None, "sd") else entry.sd_column


def _way_out(text: str) -> str:
    """What to do with a cell that holds no measurement, to follow what was expected."""
    if text.lower().lstrip("+-") in ("inf", "infinity"):
        return "; write a value beyond the range of the instrument as a limit, such as >500"
    missing = text.lower() in ("", "nan", "na", "n/a", "nd", "n.d.", "none", "null", "-")
    return "; delete the row if nothing was measured" if missing else ""


class _Reader:
    """Reads one row after the other; knows the protocols, scales and rows that came before."""

    def __init__(
        self,
        table: Table,
        description: Description,
        conditions: Mapping[str, Schedules | None] | None,
        issues: Issues,
    ) -> None:
        self.table, self.description, self.issues = table, description, issues
        self.conditions = conditions
        self.used: set[str] = set()
        self.protocols: dict[str, Protocol] = {}
        self.scales: dict[str, None] = {}
        self.curves: dict[str, Mapping[str, StandardCurve | None] | None] = {}
        self._folds: dict[tuple[str, str], list[tuple[Row, bool]]] = {}
        self._seen: dict[tuple[object, ...], int] = {}

    def _complain(self, row: Row, column: str, expected: str, holds: str | None = None) -> None:
        shown = quote(row.cells.get(column, "")) if holds is None else holds
        self.issues.add(self.table.file, expected, row=row.number, column=column, holds=shown)

    def read(self, row: Row) -> Measurement | None:
        before = len(self.issues.entries)
        names = self.description.columns
        time = self._time(row)
        schedules = self._schedules(row)
        experiment = row.cells.get(names["experiment"], "")
        observable = row.cells[names["observable"]]
        entry = self.description.entries.get(observable)
        if entry is None:
            number_in(row, names["value"], self.table.file, self.issues)
            self._complain(row, names["observable"], one_of(observable, self.description.entries))
            return None
        cell, factor = self._value(row, entry.values, observable)
        read_off = self._read_off(row, entry, cell, experiment)
        arguments = self._arguments(row, entry, experiment, factor, read_off)
        reference = self._reference(row, entry.values)
        if entry.fold and schedules is not None:
            self._folds.setdefault((observable, experiment), []).append((row, not any(schedules)))
        if len(self.issues.entries) > before or time is None or cell is None or schedules is None:
            return None
        self._check_duplicate(row, (observable, schedules, time, experiment), cell)
        protocol = self._protocol(schedules)
        if read_off is not None:
            cell = NumberOrLimit(float(read_off.value[0]), read_off.censored[0])
        measured = measurement(entry.values.conversion, cell, reference)
        return Measurement(
            observable,
            protocol,
            time * self.description.time_factor,
            measured.value,
            arguments,
            experiment,
            row.number,
            measured.censored,
            measured.upper,
        )

    def _time(self, row: Row) -> float | None:
        column = self.description.columns["time"]
        time = number_in(row, column, self.table.file, self.issues)
        if time is not None and time < 0:
            self._complain(row, column, f"a time of 0 or later, in {self.description.time_unit}")
        return time

    def _schedules(self, row: Row) -> Schedules | None:
        conditions = self.description.conditions
        if conditions is None or self.conditions is None:
            return schedules_in(row, self.description.inputs, self.table.file, self.issues)
        name = row.cells[conditions.column]
        if name not in self.conditions:
            self._complain(
                row, conditions.column, f"a condition of {conditions.file}{did_you_mean(name, self.conditions)}"
            )
            return None
        self.used.add(name)
        return self.conditions[name]

    def _value(self, row: Row, values: RowValues, name: str) -> tuple[NumberOrLimit | None, float]:
        """The value or its limit, in the unit of the observable's values, and the factor that took it there."""
        names, factor = self.description.columns, 1.0
        levels = values.levels
        cell = self._cell(row, names["value"]) if levels is None else self._level(row, names["value"], levels)
        unit = values.unit if values.standards is None else values.standards.response_unit
        if self.description.unit_column:
            try:
                factor = conversion_factor(row.cells[names["unit"]], unit, values.molar_mass)
            except UnitError as error:
                if known_quantity(unit) is None:
                    self._complain(row, names["unit"], f"{unit!r}, the unit of {name}'s values")
                else:
                    self._complain(row, names["unit"], f"{unit!r} or a unit that can become it; {error}")
        if cell is None or levels is not None:
            return cell, factor
        if values.standards is not None and cell.censored:
            self._complain(row, names["value"], "a response; whether it is beyond the standards, their curve says")
        elif values.standards is None and (expected := values.outside_of(cell, factor, name)):
            self._complain(row, names["value"], expected)
        return cell.with_ends([values.conversion.in_unit(x, factor) for x in cell.ends]), factor

    def _level(self, row: Row, column: str, levels: Mapping[str, NumberOrLimit]) -> NumberOrLimit | None:
        """The limits of a level by its name."""
        text = row.cells.get(column, "")
        if text not in levels:
            self._complain(row, column, f"a level, {one_of(text, levels)}")
        return levels.get(text)

    def _cell(self, row: Row, column: str) -> NumberOrLimit | None:
        """A number, a limit such as `<2.5`, or an interval such as `2.5..5`."""
        text = row.cells.get(column, "")
        if text[:1] not in ("<", ">") and ".." not in text:
            value = parse_number(text)
            if value is None:
                self._complain(row, column, "a finite number" + (hint_of(text) or _way_out(text)))
            return None if value is None else NumberOrLimit(value)
        cell = parse_limit(text)
        if cell is None:
            expected = "a finite number, or a limit of one, such as <2.5 or >500"
            if ".." in text:
                expected = "an interval of two finite numbers, the lower one first, such as 2.5..5"
            self._complain(row, column, expected + hint_of(text[1:].strip()))
        return cell

    def _read_off(
        self, row: Row, entry: ObservableEntry, cell: NumberOrLimit | None, experiment: str
    ) -> ReadBack | None:
        """The concentration in the observable's unit, where the value is a response."""
        standards, curves = entry.values.standards, self.curves.get(entry.observable.name)
        if standards is None or curves is None:
            return None
        if experiment not in curves:
            known = ", ".join(curves) or "none"
            expected = f"the plate, by whose standards it is read; {standards.file} has {known}"
            self._complain(row, self.description.columns["experiment"], expected)
        curve = curves.get(experiment)
        if curve is None or cell is None:
            return None
        factor = conversion_factor(standards.unit, entry.values.unit, entry.values.molar_mass)
        read = curve.read_back(cell.value, wells=standards.wells, dilution=standards.dilution)
        return replace(read, value=read.value * factor)

    def _reference(self, row: Row, values: RowValues) -> float:
        """Cycles of the reference gene; 0 where there is none."""
        if values.reference_column is None:
            return 0.0
        cycles = number_in(row, values.reference_column, self.table.file, self.issues)
        if cycles is not None and cycles <= 0:
            self._complain(row, values.reference_column, "cycles above 0")
        return 0.0 if cycles is None else cycles

    def check_folds(self) -> None:
        """Each plate of fold inductions has untreated rows, which alone say what it is relative to."""
        for (name, _), rows in self._folds.items():
            if not any(untreated for _, untreated in rows):
                expected = f"untreated rows of {name} on the same plate, since its values are relative to them"
                self._complain(rows[0][0], self.description.columns["experiment"], expected)

    def _arguments(
        self, row: Row, entry: ObservableEntry, experiment: str, factor: float, read_off: ReadBack | None
    ) -> tuple[Value, ...]:
        """What fills the observable's placeholders, in their order."""
        arguments: list[Value] = []
        names = self.description.columns
        for placeholder in entry.observable.placeholders:
            if placeholder in (SCALE, OFFSET):
                parameter = (entry.scale_of if placeholder == SCALE else entry.offset_of)(experiment)
                if not experiment:
                    expected = f"the gel or plate, since each has {'a scale' if placeholder == SCALE else 'an offset'}"
                    self._complain(row, names["experiment"], f"{expected} of its own")
                else:
                    self.scales[parameter] = None
                arguments.append(parameter)
            elif entry.values.standards is not None:
                arguments.append(math.nan if read_off is None else float(read_off.sd[0]))
            else:
                arguments.append(self._sd(row, _sd_column(entry, self.description), entry, factor))
        if entry.sd_column is None and row.cells.get(names["sd"]):
            expected = f"an empty cell, since the noise of {entry.observable.name} is given by parameters"
            self._complain(row, names["sd"], expected)
        return tuple(arguments)

    def _sd(self, row: Row, column: str, entry: ObservableEntry, factor: float) -> float:
        sd = number_in(row, column, self.table.file, self.issues)
        if sd is not None and sd <= 0:
            self._complain(row, column, "a standard deviation above 0")
        return math.nan if sd is None else sd * (factor if entry.sd_in_unit else 1.0)

    def _check_duplicate(self, row: Row, condition: tuple[object, ...], value: NumberOrLimit) -> None:
        """Equal conditions are a mistake, unless replicates are numbered or the description allows them."""
        if self.description.replicates == "unchecked":
            return
        column = self.description.columns["replicate"]
        key = (*condition, row.cells.get(column, ""))
        numbered = self.description.replicates == "numbered"
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

    def _protocol(self, schedules: Schedules) -> str:
        d = self.description
        name = protocol_name(d.inputs, schedules, d.time_unit)
        if name not in self.protocols:
            self.protocols[name] = make_protocol(name, d.inputs, schedules, d.preequilibration, d.time_factor)
        return name
