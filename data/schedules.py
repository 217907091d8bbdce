"""What a table's input columns say was done to the cells: doses, schedules, protocols."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import HexamerError
from ..models.protocols.protocol import Protocol, Step, Value
from .files.csv_table import hint_of, parse_number

Schedule = tuple[tuple[float, float], ...]
"""(time, value) in the table's units, in order of time; without the zeros before the first dose."""

PRE = "pre"


@dataclass(frozen=True)
class Input:
    """A column of doses: what it changes in the model, and how its numbers become the model's.

    `add`: each value is added to the species `target` at its time, and 0 washes it out.
    `set`: the parameter or species `target` has each value from its time on, and 0 before the first.
    """

    name: str
    target: str
    kind: Literal["add", "set"]
    unit: str  # of the table
    factor: float  # to the model's unit
    column: str
    model_unit: str = ""
    molar_mass: str | float | None = None  # which joins a mass concentration and the model's unit


class ScheduleError(HexamerError, ValueError):
    """A cell that is neither a dose nor a schedule."""


def parse_schedule(text: str) -> Schedule:
    """A dose from time 0 on, such as `10`, or steps `time:value`, such as `0:10;15:0`.

    Times may be negative (a drug given before the stimulus at 0). The first may be `pre`, from the protocol's start
    on (-inf here, until `from_start` knows when that is): `pre:40;20:0` is a pulse from the start to 20.
    Raises `ScheduleError`: what was expected.

    >>> parse_schedule("10"), parse_schedule("0:10;15:0")
    (((0.0, 10.0),), ((0.0, 10.0), (15.0, 0.0)))
    """
    parts = text.split(";") if ":" in text else [f"0:{text}"]
    entries: list[tuple[float, float]] = []
    for i, part in enumerate(parts):
        time, _, value = part.partition(":")
        t, v = _time(time.strip(), first=i == 0), parse_number(value.strip())
        if t is None or v is None:
            hint = hint_of(time.strip()) or hint_of(value.strip())
            raise ScheduleError("a dose, 0 for none, or steps 'time:value;time:value'" + hint)
        if v < 0:
            raise ScheduleError("a dose of 0 or more")
        if entries and t <= entries[-1][0]:
            raise ScheduleError("steps in order of time, one at a time")
        if v > 0 or (entries and entries[-1][1] > 0):
            entries.append((t, v))
    return tuple(entries)


def _time(text: str, *, first: bool) -> float | None:
    return -math.inf if first and text == PRE else parse_number(text)


def start_of(schedules: Sequence[Schedule]) -> float:
    """When a protocol starts: at 0, or with the first step before that."""
    return min([0.0, *(t for schedule in schedules for t, _ in schedule if t > -math.inf)])


def from_start(schedule: Schedule, start: float) -> Schedule:
    """The schedule with `pre` replaced by the time that its protocol starts at.

    Raises `ScheduleError` if the next step comes at that very time, so that the cells would never see the value.

    >>> from_start(parse_schedule("pre:40;20:0"), 0.0)
    ((0.0, 40.0), (20.0, 0.0))
    """
    if len(schedule) > 1 and schedule[0][0] == -math.inf and schedule[1][0] == start:
        raise ScheduleError(
            f"a value for '{PRE}' that lasts beyond the start at {_number(start)}; a value that holds only "
            "during pre-equilibration belongs into `preequilibrate` of the description"
        )
    return tuple((max(t, start), v) for t, v in schedule)


def _number(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _label(source: Input, schedule: Schedule, time_unit: str) -> str:
    unit = "" if source.unit in ("", "1") else f" {source.unit}"
    first_time, first_value = schedule[0]
    dose = f"{source.name} {_number(first_value)}{unit}"
    if len(schedule) == 1:
        return dose if first_time == 0 else f"{dose} from {_number(first_time)} {time_unit}"
    if len(schedule) == 2 and schedule[1][1] == 0:
        return f"{dose} from {_number(first_time)} to {_number(schedule[1][0])} {time_unit}"
    steps = ";".join(f"{_number(t)}:{_number(v)}" for t, v in schedule)
    return f"{source.name} {steps} {time_unit}:{source.unit or '1'}"


def protocol_name(inputs: Sequence[Input], schedules: Sequence[Schedule], time_unit: str) -> str:
    """Such as `IL6 10 ng/ml, CHX 1` or `IL6 10 ng/ml from 0 to 15 min`; `untreated` if nothing is given."""
    labels = [_label(i, s, time_unit) for i, s in zip(inputs, schedules, strict=True) if s]
    return ", ".join(labels) or "untreated"


def make_protocol(
    name: str,
    inputs: Sequence[Input],
    schedules: Sequence[Schedule],
    preequilibration: Mapping[str, Value] | None,
    time_factor: float = 1.0,
) -> Protocol:
    """The protocol of one combination of schedules; it starts at 0, or with the first step before that.

    `time_factor` turns the table's times into the model's.
    """
    start = start_of(schedules)
    assign: dict[float, dict[str, Value]] = {}
    add: dict[float, dict[str, Value]] = {}
    for source, schedule in zip(inputs, schedules, strict=True):
        if source.kind == "set" and (not schedule or schedule[0][0] > start):
            assign.setdefault(start, {})[source.target] = 0.0
        for time, value in schedule:
            changes = add if source.kind == "add" and value > 0 else assign
            changes.setdefault(time, {})[source.target] = value * source.factor
    steps = tuple(Step(t * time_factor, assign.get(t, {}), add.get(t, {})) for t in sorted(set(assign) | set(add)))
    return Protocol(name, preequilibration, steps, start * time_factor)
