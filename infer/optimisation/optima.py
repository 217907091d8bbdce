"""Where the starts of an optimiser ended: distinct optima, and flat valleys along which one optimum spreads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..problem.parameter_space import ParameterSpace
from .paths import Evaluate, bent_rise, straight_rise

COMPARABLE = 5.0
"""Nats: of optima worse by more, each holds less than 1/150 of the best one's mass if it is as wide."""
BARRIER = 2.0
"""Nats: two points are of one optimum if the objective rises by less between them. A 95% interval of one parameter
reaches 1.92 nats; a sampler crosses that without pains."""
SPREAD = 0.3  # prior standard deviations; starts of equal objective further apart lie in a valley
EQUAL = 0.1  # nats
_CLOSE = 1e-3  # prior standard deviations; the place is the same
_GROUPED = 20.0  # nats; what is worse is left out
_NEIGHBOURS, _BENT = 4, 24  # groups that a place is compared with; bent paths looked for, all together


@dataclass(frozen=True, eq=False)
class Optimum:
    """Starts that ended in one place, or in one valley.

    - `members`: ranks of the fits, best first; `objective` that of the best
    - `rise`: how far the objective rises on the way to the nearest better optimum, above the worse of the two; NaN
      for the best optimum
    - `low`, `high`: the range of its fits of equal objective, in prior standard deviations on the search scale
    """

    members: tuple[int, ...]
    objective: float
    rise: float
    low: Float[np.ndarray, " parameters"]
    high: Float[np.ndarray, " parameters"]

    @property
    def rank(self) -> int:
        """Rank of its best fit."""
        return self.members[0]

    @property
    def valley(self) -> bool:
        """Whether fits of equal objective lie far apart: some parameters are not determined."""
        return bool(np.any(self.high - self.low > SPREAD))

    def spread(self) -> list[int]:
        """Positions of the parameters that are not determined, the widest first."""
        width = self.high - self.low
        return [int(i) for i in np.argsort(-width, kind="stable") if width[i] > SPREAD]


class Endings(NamedTuple):
    """Where starts ended: their points, best first, and the groups that they make."""

    space: ParameterSpace
    z: Float[np.ndarray, "fits parameters"]
    optima: tuple[Optimum, ...]


def comparable(optima: Sequence[Optimum]) -> list[Optimum]:
    """Those whose objectives are too close to the best one's for the data to decide."""
    return [o for o in optima if o.objective <= optima[0].objective + COMPARABLE]


@dataclass
class _Group:
    places: list[int]
    members: list[int] = field(default_factory=list)
    rise: float = np.nan


def find_optima(
    evaluate: Evaluate,
    points: Float[np.ndarray, "fits parameters"],
    values: Float[np.ndarray, " fits"],
    standard: Float[np.ndarray, "fits parameters"],
) -> tuple[Optimum, ...]:
    """Groups fits, which come best first, by where they ended.

    `standard` are the points in prior standard deviations. Fits are of one group if a path joins them on which the
    objective rises by less than `BARRIER` above the worse of the two; directly, or from one to the next of the group.
    Fits worse than the best by more than 20 nats are left out.
    """
    comparable = [i for i in range(len(values)) if np.isfinite(values[i]) and values[i] <= values[0] + _GROUPED]
    places = _places(comparable, values, standard)
    search = _Search(evaluate, points, values, standard)
    groups: list[_Group] = []
    for place in places:
        joined, rise = search.neighbours(place, groups)
        if joined:
            # A place may join groups that were apart until now.
            first = min(joined, key=lambda g: min(g.places))
            for other in joined:
                if other is not first:
                    first.places += other.places
                    groups.remove(other)
            first.places.append(place)
        else:
            groups.append(_Group([place], rise=rise))
    for group in groups:
        group.members = sorted(i for p in group.places for i in places[p])
    groups.sort(key=lambda g: g.members[0])
    return tuple(_optimum(g, values, standard) for g in groups)


def _places(fits: Sequence[int], values: np.ndarray, standard: np.ndarray) -> dict[int, list[int]]:
    """Fits that ended at the same point, by the rank of the best of them."""
    places: dict[int, list[int]] = {}
    for i in fits:
        for first in places:
            if np.max(np.abs(standard[i] - standard[first])) < _CLOSE and values[i] - values[first] < EQUAL:
                places[first].append(i)
                break
        else:
            places[i] = [i]
    return places


class _Search:
    """Joins places to groups; counts the bent paths, which are dear."""

    def __init__(self, evaluate: Evaluate, points: np.ndarray, values: np.ndarray, standard: np.ndarray):
        self.evaluate, self.points, self.values, self.standard = evaluate, points, values, standard
        self.bent = 0

    def neighbours(self, place: int, groups: Sequence[_Group]) -> tuple[list[_Group], float]:
        """The groups that a place is joined to; where there are none, how far the objective rises on the way."""
        near = [(self._nearest(place, g), g) for g in groups]
        near.sort(key=lambda entry: self._distance(place, entry[0]))
        near = near[:_NEIGHBOURS]
        rises = [self._rise(straight_rise, place, other) for other, _ in near]
        joined = [g for (_, g), rise in zip(near, rises, strict=True) if rise < BARRIER]
        if joined or not near:
            return joined, np.nan
        for k, (other, group) in enumerate(near):
            if self.bent >= _BENT:
                break
            self.bent += 1
            rises[k] = min(rises[k], self._rise(bent_rise, place, other))
            if rises[k] < BARRIER:
                joined.append(group)
        return joined, np.nan if joined else float(min(rises))

    def _distance(self, a: int, b: int) -> float:
        return float(np.linalg.norm(self.standard[a] - self.standard[b]))

    def _nearest(self, place: int, group: _Group) -> int:
        return min(group.places, key=lambda other: self._distance(place, other))

    def _rise(self, way, a: int, b: int) -> float:
        above = max(self.values[a], self.values[b])
        return max(0.0, way(self.evaluate, self.points[a], self.points[b]) - above)


def _optimum(group: _Group, values: np.ndarray, standard: np.ndarray) -> Optimum:
    best = float(values[group.members[0]])
    equal = standard[[i for i in group.members if values[i] <= best + EQUAL]]
    return Optimum(tuple(group.members), best, group.rise, equal.min(0), equal.max(0))


def differing(a: np.ndarray, b: np.ndarray, names: Sequence[str], most: int = 4) -> list[str]:
    """The parameters in which two points, in prior standard deviations, differ most."""
    distance = np.abs(a - b)
    order = [int(i) for i in np.argsort(-distance, kind="stable")]
    return [names[i] for i in order[:most] if distance[i] > 0.1 * distance[order[0]]]
