"""Groups of measurements in which a misfit may lie, and how well the quantiles of their rows are spread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from .misfit import coverage_p, location_p, runs_p

KINDS = ("", "protocol", "run")
LEVELS = (0.5, 0.9)  # of the intervals whose coverage is counted
COVERED, LOCATED = 8.0, 4.0  # independent rows that a test takes at least


@dataclass(frozen=True, eq=False)
class MeasurementGroup:
    """Rows of one observable: all, or those of a protocol or run (`kind`).

    `share` is that of independent rows; `covered` and `located` are the numbers of groups with enough rows for either.
    """

    observable: str
    kind: str
    place: str
    rows: pd.DataFrame
    share: float
    covered: int = 1
    located: int = 1

    @property
    def name(self) -> str:
        """The observable, and where: `pSTAT3 under dose_100`."""
        where = {"": "", "protocol": f" under {self.place}", "run": f" in {self.place}"}
        return f"{self.observable}{where[self.kind]}"

    @property
    def quantiles(self) -> Float[np.ndarray, " rows"]:
        return self.rows["quantile"].to_numpy()

    def inside(self, level: float) -> int:
        """How many rows lie inside their central intervals."""
        return int(np.sum(np.abs(self.quantiles - 0.5) <= level / 2))

    @property
    def is_covered(self) -> bool:
        """True if there are enough rows to count coverage."""
        return len(self.rows) * self.share >= COVERED

    @property
    def is_located(self) -> bool:
        """True if there are enough rows to say on which side they lie."""
        return len(self.rows) * self.share >= LOCATED

    @cached_property
    def courses(self) -> list[pd.DataFrame]:
        """Rows of one protocol and run, along time."""
        return [c.sort_values("time", kind="stable") for _, c in self.rows.groupby(["protocol", "run"])]

    @cached_property
    def signs(self) -> list[Bool[np.ndarray, " _"]]:
        """For each course, an array that is true for rows above their median prediction."""
        return [c["quantile"].to_numpy() > 0.5 for c in self.courses]

    @property
    def far(self) -> int:
        """How many rows lie farther out than any of so many would; outliers are not among the rows."""
        return int(np.sum(self.rows["far"].to_numpy()))

    def narrow_levels(self, error: float) -> list[float]:
        """The levels whose intervals hold too few rows."""
        return [p for p in LEVELS if self._covers_badly(p, error) and self.inside(p) < p * len(self.rows)]

    def too_wide(self, error: float) -> bool:
        """True if intervals hold too many rows."""
        return any(self._covers_badly(p, error) and self.inside(p) > p * len(self.rows) for p in LEVELS)

    def _covers_badly(self, level: float, error: float) -> bool:
        limit = error / (len(LEVELS) * self.covered)
        return self.is_covered and coverage_p(self.inside(level), len(self.rows), level, self.share) < limit

    def on_one_side(self, error: float) -> bool:
        """True if too many rows lie on one side of their predictions, or too far."""
        return self.is_located and location_p(self.quantiles, self.share) < error / self.located

    def in_runs(self, error: float) -> bool:
        """True if too few changes of side follow each other along time."""
        return self.is_located and runs_p(self.signs) < error / self.located

    def misfit(self, error: float) -> bool:
        """True unless the rows may come from the model."""
        return bool(self.far or self.narrow_levels(error)) or self.on_one_side(error) or self.in_runs(error)

    def coverage_words(self) -> str:
        """How many rows their intervals hold."""
        half, most = (self.inside(p) for p in LEVELS)
        n = len(self.rows)
        return f"the 90% intervals of rows that are left out hold {most} of {n} rows, the 50% intervals {half}"


def groups_of(rows: pd.DataFrame, share: float) -> list[MeasurementGroup]:
    """The groups with enough rows: observables, then the protocols and the runs that an observable is divided into."""
    groups = [g for g in _groups(rows, share) if g.is_located]
    covered = max(sum(g.is_covered for g in groups), 1)
    return [replace(g, covered=covered, located=len(groups)) for g in groups]


def _groups(rows: pd.DataFrame, share: float) -> Iterator[MeasurementGroup]:
    for observable, mine in rows.groupby("observable", sort=False):
        yield MeasurementGroup(str(observable), "", "", mine, share)
        for kind in KINDS[1:]:
            parts = list(mine.groupby(kind, sort=False))
            if len(parts) > 1:
                for place, part in parts:
                    if place != "":
                        yield MeasurementGroup(str(observable), kind, str(place), part, share)


__all__ = ["KINDS", "LOCATED", "MeasurementGroup", "groups_of"]
