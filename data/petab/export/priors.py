"""Writes hexamer's priors for PEtab's parameter tables: distribution, numbers and bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ...parameter import Parameter, effective_prior
from ...prior import Prior
from ...scale import Scale


class PriorRow(NamedTuple):
    """`distribution` by its name in PEtab, its `numbers`, and bounds on the linear scale.

    If `distribution` is empty, the prior is uniform within the bounds, in v1 on the scale of the parameter.
    """

    distribution: str
    numbers: tuple[float, ...]
    lower: float
    upper: float


def _of_location(name: str) -> Callable[[Prior, float], tuple[str, tuple[float, ...]]]:
    def made(prior: Prior, base: float) -> tuple[str, tuple[float, ...]]:
        return name, (prior.location * base, prior.spread * base)

    return made


_LINEAR: Mapping[str, Callable[[Prior, float], tuple[str, tuple[float, ...]]]] = {
    "normal": _of_location("normal"),
    "laplace": _of_location("laplace"),
    "cauchy": _of_location("cauchy"),
    "half_normal": lambda p, _: ("normal", (0.0, p.spread)),  # the lower bound of 0 makes it half
    "half_cauchy": lambda p, _: ("cauchy", (0.0, p.spread)),
    "exponential": lambda p, _: ("exponential", (p.spread,)),
    "gamma": lambda p, _: ("gamma", (p.shape or 1.0, p.spread)),
    "rayleigh": lambda p, _: ("rayleigh", (p.spread,)),
    "uniform": lambda p, _: ("uniform", bounds_of(p)),
}
_LOGARITHMIC = {
    "normal": _of_location("log-normal"),
    "laplace": _of_location("log-laplace"),
    "uniform": lambda p, _: ("log-uniform", bounds_of(p)),
}


def bounds_of(prior: Prior) -> tuple[float, float]:
    """The smallest interval outside of which a prior is 0, on the linear scale."""
    low, high = (prior.scale.convert(b, Scale.LIN) for b in prior.bounds)
    return low, high


def v2_row(parameter: Parameter) -> PriorRow | None:
    """The prior of an estimated parameter in PEtab v2; None if PEtab v2 does not have this family."""
    prior = effective_prior(parameter)
    low, high = bounds_of(prior)
    make = (_LINEAR if prior.scale == "lin" else _LOGARITHMIC).get(prior.family)
    if make is None:
        return None
    name, numbers = make(prior, prior.scale.log_base or 1.0)
    return PriorRow(name, numbers, low, high)


_ON_SCALE = {"normal": "parameterScaleNormal", "laplace": "parameterScaleLaplace"}
_V1 = {
    ("normal", Scale.LIN): "normal",
    ("laplace", Scale.LIN): "laplace",
    ("uniform", Scale.LIN): "uniform",
    ("half_normal", Scale.LIN): "normal",
    ("normal", Scale.LOG): "logNormal",
    ("laplace", Scale.LOG): "logLaplace",
}


def v1_row(parameter: Parameter) -> PriorRow | None:
    """As `v2_row`, for PEtab v1, whose priors may be on the scale on which optimisers search."""
    prior = effective_prior(parameter)
    low, high = bounds_of(prior)
    scale = parameter.search_scale
    if prior.family == "uniform" and prior.scale != "lin" and scale != "lin":
        # The bounds alone describe this prior, and petab's linter refuses a uniform one of negative logarithms.
        return PriorRow("", (), low, high)
    if prior.scale == scale and scale != "lin" and prior.family in _ON_SCALE:
        return PriorRow(_ON_SCALE[prior.family], (prior.location, prior.spread), low, high)
    natural = Scale.LIN if prior.scale == "lin" else Scale.LOG
    name = _V1.get((prior.family, natural))
    if name is None:
        return None
    if prior.family == "uniform":
        return PriorRow(name, (prior.lower, prior.upper), low, high)
    base = prior.scale.log_base or 1.0
    return PriorRow(name, (prior.location * base, prior.spread * base), low, high)


__all__ = ["PriorRow", "v1_row", "v2_row"]
