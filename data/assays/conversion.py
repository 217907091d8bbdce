"""How a table value becomes a measurement: unchanged, or as its log10. Assays may bring conversions of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ..dataset import Censored


class NumberOrLimit(NamedTuple):
    """A number, or a limit of one: `<2.5` is 2.5, censored on the left."""

    value: float
    censored: Censored = ""


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


UNCHANGED = Conversion()


@dataclass(frozen=True)
class Log10(Conversion):
    """The measurement is the log10 of a table value."""

    positive = True
    sd_in_unit = False

    def measured(self, cell: NumberOrLimit, reference: float) -> NumberOrLimit:
        del reference
        return cell._replace(value=math.log10(cell.value))


__all__ = ["UNCHANGED", "Conversion", "Log10", "NumberOrLimit"]
