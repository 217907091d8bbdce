"""How a table value becomes a measurement: unchanged, log10, logit, or PCR cycles converted to log10 expression."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from ..assays import log10_expression, logit
from ..assays.registry import Reads
from ..dataset import Censored
from ..files.csv_table import parse_number
from ..files.toml_section import Section
from .standards import Standards

_LIMITS: dict[str, Censored] = {"<": "left", ">": "right"}
_OTHER_SIDE: dict[Censored, Censored] = {"": "", "left": "right", "right": "left"}


class Cell(NamedTuple):
    """A number, or a limit of one: `<2.5` is 2.5, censored on the left."""

    value: float
    censored: Censored = ""


def parse_limit(text: str) -> Cell | None:
    """`<2.5` or `>500`; None for anything else."""
    censored = _LIMITS.get(text[:1])
    value = parse_number(text[1:].strip())
    return None if censored is None or value is None else Cell(value, censored)


@dataclass(frozen=True)
class RowValues:
    """Values of one observable's rows: their `unit`, their range, and what is measured by them."""

    unit: str
    reads: Reads = "value"
    molar_mass: str | float | None = None  # joins mass and amount in the rows' units
    log10_values: bool = False  # they are log10 of the reading themselves
    signed: bool = True  # may be zero or negative
    zero: bool = True  # may be zero
    efficiencies: tuple[float, float] = (2.0, 2.0)  # of a PCR: the gene's and the reference gene's
    reference_column: str | None = None  # of cycles of the reference gene
    standards: Standards | None = None  # they are responses, to be read off a curve

    def outside(self, value: float, name: str) -> str:
        """What was expected instead of a value that `name` cannot have; empty where it can."""
        if self.log10_values:
            return ""
        if self.reads == "logit" and not 0 < value < 1:
            return (
                f"a share between 0 and 1, since {name} is read in logits; a limit, such as <0.01, where none is seen"
            )
        if self.reads == "cycles" and value <= 0:
            return f"cycles above 0, since {name} is read by them; a limit, such as >40, where it never came up"
        if value <= 0 and not self.zero:
            return f"a value above 0, since {name} is read on a log scale"
        if value < 0 and not self.signed:
            return f"a value of 0 or more, since {name} is an amount"
        return ""

    def measured(self, cell: Cell, reference: float = 0.0) -> Cell:
        """The measurement, from a cell in `unit` and the cycles of the reference gene."""
        if self.reads == "cycles":
            own, other = self.efficiencies
            value = float(log10_expression(cell.value, reference, efficiency=own, reference_efficiency=other))
            return Cell(value, _OTHER_SIDE[cell.censored])  # more cycles, less of it
        if self.reads == "logit":
            return cell._replace(value=float(logit(cell.value)))
        logged = self.reads == "log10" and not self.log10_values
        return cell._replace(value=math.log10(cell.value)) if logged else cell


def take_efficiency(section: Section, key: str) -> float:
    """A PCR's factor a cycle, 2 where none is stated."""
    value = section.take(key, 2.0)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 1 < value <= 2:
        return float(value)
    section.complain(key, "the factor a cycle, above 1 and at most 2", value)
    return 2.0
