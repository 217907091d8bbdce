"""`Reading`: an observable of each trajectory at a time, as a summary of its course, or at several times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ...data.files.csv_table import parse_number
from ...data.quantities.model_units import ModelUnit
from ...data.quantities.units import conversion_factor
from ...errors import HexamerError
from ...models.compiled.model import Model
from ...models.listing import known_names
from ...models.protocols.protocol import Protocol
from .amounts import time_unit
from .course_summary import COURSE, SUMMARIES, CourseSummary


class Reading(NamedTuple):
    """`observe` read at `times` (in `clock`, the model's unit of time), or as a `summary` of its course there.

    `at` is the time if there is a single one.
    """

    observe: str
    times: np.ndarray
    clock: ModelUnit
    at: float | None = None
    summary: CourseSummary | None = None

    @property
    def text(self) -> str:
        """Such as `X at 20 min`."""
        how = f" at {self.at:g} {self.clock}" if self.at is not None else ""
        return self.observe + (f", {self.summary.replace('_', ' ')}" if self.summary else how)

    @property
    def is_course(self) -> bool:
        """True if responses have a value for each time."""
        return self.at is None and self.summary is None


class NoReadoutError(HexamerError, ValueError):
    """`observe=` is missing, and the network states no readout."""


def reading_of(
    model: Model, observe: str | None, at: float | str | None, summary: CourseSummary | None, times: ArrayLike | None
) -> Reading:
    """The reading that these arguments of `dose_response` ask for. Raises `ValueError` for what is no reading."""
    clock = time_unit(model)
    at = time_of(at, clock, "at") if isinstance(at, str) else at
    grid = _grid(at, summary, times, clock)
    return Reading(_readout(model) if observe is None else observe, grid, clock, at, summary)


def _readout(model: Model) -> str:
    """The readout that the network states."""
    if model.network is None or not model.network.facts.readout:
        raise NoReadoutError(
            f"say what is read of {model.name}: observe= a rule, a species or a formula over its names"
        )
    return model.network.facts.readout


def time_of(text: str, clock: ModelUnit, argument: str) -> float:
    """A time such as `20 min` as a number in the model's unit."""
    number, _, unit = text.strip().partition(" ")
    value = parse_number(number)
    if value is None or not unit.strip():
        raise ValueError(f"{argument}= takes a number, or text such as '20 min', not {text!r}")
    return value * conversion_factor(unit.strip(), clock.name) / clock.number


def _grid(at: float | None, summary: str | None, times: ArrayLike | None, clock: ModelUnit) -> np.ndarray:
    if at is not None and (summary is not None or times is not None):
        raise ValueError("at= is a single time: leave out summary= and times=, or at=")
    if summary is not None and summary not in SUMMARIES:
        raise ValueError(f"unknown summary {summary!r}; {known_names(str(summary), SUMMARIES)}")
    if at is None and summary is None and times is None:
        raise ValueError(
            f"say what is read: at= a time in {clock}, summary= 'peak', 'area' or 'time_of_peak', or times="
        )
    course = COURSE * (conversion_factor("min", clock.name) / clock.number)
    grid = np.atleast_1d(np.asarray(at if at is not None else course if times is None else times, dtype=float))
    if grid.ndim != 1 or not grid.size or not np.all(np.isfinite(grid)) or np.any(np.diff(grid) <= 0):
        raise ValueError("times must be finite and increase, each given once")
    if summary is not None and len(grid) < 2:
        raise ValueError(f"the {summary} of a course needs at least 2 times")
    return grid


def check_start(reading: Reading, protocols: Sequence[Protocol]) -> None:
    """Raises `ValueError` if a response is read before its experiment starts."""
    first = max(p.start for p in protocols)
    if reading.times[0] < first:
        raise ValueError(
            f"the response is read at {reading.times[0]:g} {reading.clock}, before the experiment starts at {first:g}: "
            "read it later, or let it start earlier (pretreat, or a protocol with an earlier start)"
        )


__all__ = ["Reading", "check_start", "reading_of", "time_of"]
