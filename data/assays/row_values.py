"""Values of an observable's rows: their unit, their range, and how they become measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..dataset import Censored
from ..files.csv_table import parse_number
from .conversion import UNCHANGED, Conversion, NumberOrLimit
from .standards import Standards

_WAY_OUT = (
    "; state a reading at or below the background as a limit, such as <2.5, or read it on a linear scale, as `direct` "
    "without `transformation` does"
)
_LIMITS: dict[str, Censored] = {"<": "left", ">": "right"}


def parse_limit(text: str) -> NumberOrLimit | None:
    """`<2.5`, `>500` or the interval `2.5..5`, whose limits are in order; None for anything else."""
    low, dots, high = text.partition("..")
    if dots:
        lower, upper = parse_number(low.strip()), parse_number(high.strip())
        if lower is None or upper is None or lower >= upper:
            return None
        return NumberOrLimit(lower, "interval", upper)
    censored = _LIMITS.get(text[:1])
    value = parse_number(text[1:].strip())
    return None if censored is None or value is None else NumberOrLimit(value, censored)


@dataclass(frozen=True)
class RowValues:
    """Values of one observable's rows."""

    unit: str
    conversion: Conversion = UNCHANGED
    log_scale: bool = False  # the observable is on a logarithmic scale
    molar_mass: str | float | None = None  # joins mass and amount in the rows' units
    reference_column: str | None = None  # of cycles of a reference gene
    levels: Mapping[str, NumberOrLimit] | None = None  # values are names of these, each with what it says of a reading
    standards: Standards | None = None  # values are responses, to be read off a curve

    def outside_of(self, cell: NumberOrLimit, factor: float, name: str) -> str:
        """As `outside`, of a number or limits that become the unit of the values by `factor`."""
        return next(filter(None, (self.outside(x * factor, name) for x in cell.ends)), "")

    def outside(self, value: float, name: str) -> str:
        """The words for what a message expects in place of a value that `name` cannot have; empty if it can."""
        expected = self.conversion.outside(value, name)
        if expected is not None:
            return expected
        if value <= 0 and (self.log_scale or self.conversion.positive):
            return f"a value above 0, since {name} is read on a log scale{_WAY_OUT}"
        return ""


__all__ = ["RowValues", "parse_limit"]
