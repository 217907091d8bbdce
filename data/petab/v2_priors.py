"""Bounds and priors of PEtab v2's parameter table, and the scale that a search moves a parameter on, which v2 lacks.

Source: https://petab.readthedocs.io/en/latest/v2/documentation_data_format.html#prior-distributions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from ...models.listing import one_of
from ..files.csv_table import hint_of, parse_number
from ..prior import Prior
from ..scale import Scale
from .checks import bound_on, split
from .table_cells import TableCells, number_or_nan

_DECADES = 100.0  # a ratio: what spans so much is searched on a logarithmic scale


class _Family(NamedTuple):
    """A distribution of PEtab: names of its numbers, the scale of ours, and how ours is made of the numbers."""

    numbers: tuple[str, ...]
    scale: Scale
    make: Callable[..., dict[str, float]]
    positive: tuple[str, ...] = ()  # numbers that are above 0
    family: str = ""  # of ours, if it has another name


def _uniform(low: float, high: float) -> dict[str, float]:
    return {"lower": low, "upper": high}


def _log_uniform(low: float, high: float) -> dict[str, float]:
    return {"lower": math.log(low), "upper": math.log(high)}


def _centred(location: float, spread: float) -> dict[str, float]:
    return {"location": location, "spread": spread}


_LOCATION, _MEAN, _BOUNDS = ("location", "scale"), ("mean", "standard deviation"), ("lower bound", "upper bound")
FAMILIES: Mapping[str, _Family] = {
    "cauchy": _Family(_LOCATION, Scale.LIN, _centred, ("scale",)),
    "chisquare": _Family(
        ("degrees of freedom",),
        Scale.LIN,
        lambda n: {"shape": n / 2, "spread": 2.0},
        ("degrees of freedom",),
        "gamma",
    ),
    "exponential": _Family(("scale",), Scale.LIN, lambda s: {"spread": s}, ("scale",)),
    "gamma": _Family(("shape", "scale"), Scale.LIN, lambda n, s: {"shape": n, "spread": s}, ("shape", "scale")),
    "laplace": _Family(_LOCATION, Scale.LIN, _centred, ("scale",)),
    "log-laplace": _Family(_LOCATION, Scale.LOG, _centred, ("scale",), "laplace"),
    "log-normal": _Family(_MEAN, Scale.LOG, _centred, ("standard deviation",), "normal"),
    "log-uniform": _Family(_BOUNDS, Scale.LOG, _log_uniform, _BOUNDS, "uniform"),
    "normal": _Family(_MEAN, Scale.LIN, _centred, ("standard deviation",)),
    "rayleigh": _Family(("scale",), Scale.LIN, lambda s: {"spread": s}, ("scale",)),
    "uniform": _Family(_BOUNDS, Scale.LIN, _uniform),
}
"""PEtab v2's priors."""


def check_prior(cells: TableCells, index: int) -> None:
    """The bounds and the prior of an estimated parameter; what is wrong becomes an issue of its cell."""
    low, high = _bounds(cells, index)
    lower = cells.text("parameter", index, "lowerBound")
    if not low < high:
        expected = f"a number above the lower bound, {lower}; set estimate to false to hold a parameter"
        return cells.complain("parameter", index, "upperBound", expected)
    name = cells.text("parameter", index, "priorDistribution")
    numbers = split(cells.text("parameter", index, "priorParameters"))
    if not name:
        return _check_without(cells, index, numbers)
    if name not in FAMILIES:
        return cells.complain("parameter", index, "priorDistribution", one_of(name, FAMILIES))
    family = FAMILIES[name]
    wanted = "; ".join(family.numbers)
    values = [parse_number(n) for n in numbers]
    if len(values) != len(family.numbers) or None in values:
        count = "1 number" if len(family.numbers) == 1 else f"{len(family.numbers)} numbers separated by ';'"
        hint = next((hint_of(n) for n in numbers if hint_of(n)), "")
        return cells.complain("parameter", index, "priorParameters", f"{count}, {wanted} of {name!r}{hint}")
    small = [n for n, v in zip(family.numbers, values, strict=True) if n in family.positive and not (v and v > 0)]
    if small:
        return cells.complain("parameter", index, "priorParameters", f"{wanted} of {name!r}, {small[0]} above 0")
    if family.numbers == _BOUNDS and not float(numbers[0]) < float(numbers[1]):
        return cells.complain(
            "parameter", index, "priorParameters", f"an interval 'low;high', low below high, of {name!r}"
        )
    try:
        prior = prior_of(cells, index)
        _ = prior.log_mass
    except ValueError as error:
        cells.complain("parameter", index, "priorParameters", f"a prior that its bounds leave something of: {error}")
    return None


def _check_without(cells: TableCells, index: int, numbers: list[str]) -> None:
    """A parameter without a prior, which is uniform within its bounds."""
    if numbers:
        return cells.complain(
            "parameter", index, "priorDistribution", f"the prior of these numbers: {', '.join(FAMILIES)}"
        )
    for column, bound in zip(("lowerBound", "upperBound"), _bounds(cells, index), strict=True):
        if math.isinf(bound):
            cells.complain("parameter", index, column, "a finite number, as the row has no prior but its bounds")
    return None


def prior_of(cells: TableCells, index: int) -> Prior:
    """The prior of a row that has been checked, truncated by its bounds; uniform within them if the table has none."""
    low, high = _bounds(cells, index)
    name = cells.text("parameter", index, "priorDistribution") or "uniform"
    numbers = split(cells.text("parameter", index, "priorParameters"))
    family = FAMILIES[name]
    bounds = {"lower": bound_on(low, family.scale), "upper": bound_on(high, family.scale)}
    made = family.make(*map(float, numbers)) if numbers else {}
    if "lower" in made:
        bounds = {"lower": max(bounds["lower"], made["lower"]), "upper": min(bounds["upper"], made["upper"])}
    return Prior(family.family or name, family.scale, **{**made, **bounds})


def search_scale(prior: Prior) -> Scale:
    """The scale of a logarithmic prior; else decades if the prior, or its bounds, are above 0 and span two or more."""
    low, high = prior.bounds
    if prior.scale != "lin" or prior.search_scale != "lin":
        return prior.search_scale
    if low < 0:
        return Scale.LIN
    with np.errstate(all="ignore"):
        least, most = prior.quantile(np.array([0.025, 0.975]))
    wide = (low > 0 and high >= _DECADES * low) or (least > 0 and most >= _DECADES * least)
    return Scale.LOG10 if wide else Scale.LIN


def _bounds(cells: TableCells, index: int) -> tuple[float, float]:
    low, high = (number_or_nan(cells.text("parameter", index, c)) for c in ("lowerBound", "upperBound"))
    return low, high


__all__ = ["FAMILIES", "check_prior", "prior_of", "search_scale"]
