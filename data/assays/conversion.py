"""How a table value becomes a measurement: unchanged, or as its log10. Assays may bring conversions of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ..dataset import Censored


class NumberOrLimit(NamedTuple):
    """A number, or limits of one: `<2.5` is 2.5, censored on the left, and `2.5..5` an interval from 2.5 to 5."""

    value: float
    censored: Censored = ""
    upper: float | None = None  # of an interval

    @property
    def ends(self) -> tuple[float, ...]:
        """The number, or both limits of an interval."""
        return (self.value,) if self.upper is None else (self.value, self.upper)

    def with_ends(self, ends: Sequence[float]) -> NumberOrLimit:
        """The same with other numbers; those of an interval in any order."""
        low, high = min(ends), max(ends)
        return self._replace(value=low, upper=None if self.upper is None else high)


@dataclass(frozen=True)
class Conversion:
    """A table value is the measurement."""

    positive: ClassVar[bool] = False  # values of 0 and below cannot be converted
    sd_in_unit: ClassVar[bool] = True  # a row's standard deviation is in the row's unit, not in that of the measurement

    def in_unit(self, value: float, factor: float) -> float:
        """A value in another unit, which is `factor` times as small."""
        return value * factor

    def outside(self, value: float, name: str) -> str | None:
        """The words for what a message expects in place of this value of the observable `name`.

        Empty if the value is possible; None if that follows from the observable: whether it is an amount, or on a
        logarithmic scale.
        """
        del value, name
        return None

    def measured(self, cell: NumberOrLimit, reference: float) -> NumberOrLimit:
        """The measurement of a cell. `reference`: cycles of a reference gene, 0 without one."""
        del reference
        return cell


def measurement(conversion: Conversion, cell: NumberOrLimit, reference: float) -> NumberOrLimit:
    """The measurement of a cell, also of an interval; all conversions are monotone."""
    if cell.upper is None:
        return conversion.measured(cell, reference)
    return cell.with_ends([conversion.measured(NumberOrLimit(x), reference).value for x in cell.ends])


UNCHANGED = Conversion()


@dataclass(frozen=True)
class Log10(Conversion):
    """The measurement is the log10 of a table value."""

    positive = True
    sd_in_unit = False

    def measured(self, cell: NumberOrLimit, reference: float) -> NumberOrLimit:
        del reference
        return cell._replace(value=math.log10(cell.value))


__all__ = ["UNCHANGED", "Conversion", "Log10", "NumberOrLimit", "measurement"]
