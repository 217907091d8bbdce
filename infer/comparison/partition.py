"""The parts of the data that are left out one at a time: single rows, runs, or protocols."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from ...models.listing import check_word
from ..posterior.row_layout import row_coordinates
from ..problem.problem import Problem

PARTS = ("row", "run", "protocol")


@dataclass(frozen=True, eq=False)
class Partition:
    """`part` is the number of each row's part; `coordinates` are those of the parts, along the dimension `by`."""

    by: str
    part: Int[np.ndarray, " rows"]
    coordinates: dict[str, tuple[str, np.ndarray]]

    def __len__(self) -> int:
        return int(self.part.max()) + 1

    def name(self, i: int) -> str:
        """The i-th part in words."""
        return f"{self.by} {self.coordinates[self.by][1][i]}"


def divide(problem: Problem, by: str) -> Partition:
    """The parts of a problem's rows. A row that names no run is a part of its own, called "row 12".

    Raises `ValueError` for an unknown `by`, and if all rows are one part.
    """
    check_word("by", by, PARTS)
    rows = problem.dataset.measurements
    if len(rows) < 2:
        raise ValueError("the problem has one row: without it nothing is left to fit")
    if by == "row":
        return Partition(by, np.arange(len(rows)), row_coordinates(problem))
    # A row without a run is known by its number, so that a run which is called "row 3" is another part.
    keys = [(m.experiment or i) if by == "run" else m.protocol for i, m in enumerate(rows)]
    known = list(dict.fromkeys(keys))
    if len(known) < 2:
        raise ValueError(f"all rows are of one {by}, {known[0]!r}: without it nothing is left to fit")
    position = {key: i for i, key in enumerate(known)}
    names = [key if isinstance(key, str) else f"row {key}" for key in known]
    return Partition(by, np.array([position[key] for key in keys]), {by: (by, np.array(names))})


__all__ = ["Partition", "divide"]
