"""A parameter with what is known of it: prior, bounds, unit, source."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

Scale = Literal["lin", "log", "log10"]
Family = Literal["normal", "laplace", "uniform", "half_normal"]
FIXED = "fixed by problem.toml"  # the source of a parameter that the description of a folder holds
SCALES: tuple[str, ...] = get_args(Scale)
FAMILIES: tuple[str, ...] = get_args(Family)


def to_scale(value: float, scale: Scale) -> float:
    """`value` on `scale`; -inf for 0 on a logarithmic one."""
    if scale == "lin":
        return value
    if value <= 0:
        return -math.inf if value == 0 else math.nan
    return math.log(value) if scale == "log" else math.log10(value)


@dataclass(frozen=True)
class Prior:
    """A distribution of one parameter on a scale: `family` of scale(θ).

    `normal` and `laplace` have `location` and `spread` (standard deviation; scale parameter b) in units of the
    scale, `half_normal` only the spread (linear scale; its support holds zero), `uniform` only bounds.
    `lower` and `upper` truncate, in units of the scale.

    >>> Prior("normal", "log10", location=-2.0, spread=1.0)     # median 0.01, a decade wide
    Prior(family='normal', scale='log10', location=-2.0, spread=1.0, lower=-inf, upper=inf)
    """

    family: Family
    scale: Scale = "lin"
    location: float = 0.0
    spread: float = 1.0
    lower: float = -math.inf
    upper: float = math.inf

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"unknown prior family {self.family!r}; known: {', '.join(FAMILIES)}")
        if self.scale not in SCALES:
            raise ValueError(f"unknown scale {self.scale!r}; known: {', '.join(SCALES)}")
        if not math.isfinite(self.location):
            raise ValueError(f"a prior's location must be finite, not {self.location}")
        if not (math.isfinite(self.spread) and self.spread > 0):
            raise ValueError(f"a prior's scale must be positive and finite, not {self.spread}")
        if not self.lower < self.upper:
            raise ValueError(f"lower bound {self.lower} is not below upper bound {self.upper}")
        if self.family == "uniform" and not (math.isfinite(self.lower) and math.isfinite(self.upper)):
            raise ValueError(f"a uniform prior needs two finite bounds on its scale, not [{self.lower}, {self.upper}]")
        if self.family == "half_normal" and (self.scale != "lin" or self.lower > 0 or self.upper < math.inf):
            raise ValueError("a half-normal prior is on the linear scale, from zero up")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a problem: estimated under its `prior`, or fixed at `value`.

    For an estimated parameter `value` is a nominal value (optional), never a fixed one. `scale` is the one
    that an optimiser moves it on; None means that of its prior. The two differ where, say, the prior is normal
    on the linear scale and the search logarithmic.
    """

    name: str
    prior: Prior | None = None
    value: float | None = None
    unit: str = ""
    source: str = ""
    scale: Scale | None = None
    row: int | None = field(default=None, compare=False)  # of the table of priors that it came from

    def __post_init__(self) -> None:
        if self.scale is not None and self.scale not in SCALES:
            known = ", ".join(SCALES)
            raise ValueError(f"parameter {self.name!r}: unknown scale {self.scale!r}; known: {known}")
        if self.prior is None and (self.value is None or not math.isfinite(self.value)):
            raise ValueError(f"parameter {self.name!r} has neither a prior nor a finite value to be fixed at")

    @property
    def estimated(self) -> bool:
        return self.prior is not None

    @property
    def may_be_negative(self) -> bool:
        """True if the prior allows negative values that a search can reach."""
        prior = self.prior
        if prior is None or prior.scale != "lin" or prior.family == "half_normal":
            return False
        return prior.lower < 0 and (self.scale or "lin") == "lin"  # on another scale it is searched above 0 alone
