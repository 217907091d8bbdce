"""A parameter with what is known of it: prior, bounds, unit, source."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from .prior import FAMILIES, Prior
from .scale import Scale, to_scale

FIXED = "fixed by problem.toml"  # the source of a parameter that the description of a folder holds


@dataclass(frozen=True, init=False)
class Parameter:
    """A parameter of a problem: estimated under its `prior`, or fixed at `value`.

    Raises `ValueError` if it has neither a prior nor a finite value, and for an unknown scale.

    Parameters
    ----------
    name : str
        Of the parameter.
    prior : Prior, optional
        None: it is fixed.
    value : float, optional
        In `unit`. For an estimated parameter a nominal value, never a fixed one.
    unit : str
        Empty: not stated.
    source : str
        Where the number comes from.
    scale : Scale or str, optional
        The one that an optimiser moves it on; None: that of its prior. The two differ if, say, the prior is normal on
        the linear scale and the search logarithmic.
    row : int, optional
        Of the table of priors that it came from.
    """

    name: str
    prior: Prior | None
    value: float | None
    unit: str
    source: str
    scale: Scale | None
    row: int | None = field(compare=False)

    def __init__(
        self,
        name: str,
        prior: Prior | None = None,
        value: float | None = None,
        unit: str = "",
        source: str = "",
        scale: Scale | str | None = None,
        row: int | None = None,
    ) -> None:
        try:
            on = None if scale is None else Scale(scale)
        except ValueError as error:
            raise ValueError(f"parameter {name!r}: {error}") from None
        values = {"name": name, "prior": prior, "value": value, "unit": unit, "source": source, "scale": on, "row": row}
        for key, content in values.items():
            object.__setattr__(self, key, content)
        if prior is None and (value is None or not math.isfinite(value)):
            raise ValueError(f"parameter {name!r} has neither a prior nor a finite value to be fixed at")

    @property
    def estimated(self) -> bool:
        """True if it has a prior."""
        return self.prior is not None

    @property
    def search_scale(self) -> Scale:
        """The scale that an optimiser moves it on; that of a fixed one is linear."""
        if self.scale is not None:
            return self.scale
        return Scale.LIN if self.prior is None else self.prior.search_scale

    @property
    def may_be_negative(self) -> bool:
        """True if the prior allows negative values that a search can reach."""
        prior = self.prior
        if prior is None or prior.scale != "lin":
            return False
        return prior.bounds[0] < 0 and self.search_scale == "lin"  # on another scale it is searched above 0 alone


def effective_prior(parameter: Parameter) -> Prior:
    """The prior with the bounds in force: a logarithmic search keeps one on the linear scale above zero.

    Raises `ValueError` if that leaves nothing of it.
    """
    prior = parameter.prior
    assert prior is not None
    logarithmic = parameter.search_scale != "lin"
    if prior.scale != "lin" or not logarithmic or prior.bounds[0] >= 0:
        return prior
    if prior.upper <= 0:
        raise ValueError(
            f"{parameter.name} is searched on a logarithmic scale, which its prior gives no mass: {prior.text}"
        )
    return replace(prior, lower=0.0)


def draw_prior(parameter: Parameter, n: int, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """Draws from a parameter's prior, in its own unit, by inversion."""
    prior = effective_prior(parameter)
    return prior.scale.natural(prior.quantile(rng.uniform(size=n)))


__all__ = ["FAMILIES", "FIXED", "Parameter", "Prior", "Scale", "draw_prior", "effective_prior", "to_scale"]
