"""Scales: linear, natural logarithm, decadic logarithm. What each does to numbers and to formulas."""

from __future__ import annotations

import math
from enum import StrEnum

import numpy as np
import sympy
from jaxtyping import Float

from ..models.listing import known_names


class Scale(StrEnum):
    """A scale by its name, which may stand for it: `Scale("log10")` is `Scale.LOG10`, and equals "log10"."""

    LIN = "lin"
    LOG = "log"
    LOG10 = "log10"

    @classmethod
    def _missing_(cls, value: object) -> Scale:
        raise ValueError(f"unknown scale {value!r}; {known_names(str(value), cls)}")

    @property
    def log_base(self) -> float:
        """ln of the base of a logarithmic scale, 0 for the linear one; dimensionless."""
        return {"lin": 0.0, "log": 1.0, "log10": math.log(10.0)}[self]

    @property
    def prefix(self) -> str:
        """The prefix of a quantity on this scale, as in `log10 θ`; empty for the linear one."""
        return {"lin": "", "log": "ln ", "log10": "log10 "}[self]

    def of(self, value: float) -> float:
        """A number on this scale; −inf for 0 and NaN for negative numbers on a logarithmic one.

        Parameters
        ----------
        value : float
            On the linear scale, in any unit.
        """
        if self == "lin":
            return value
        if value <= 0:
            return -math.inf if value == 0 else math.nan
        return math.log(value) if self == "log" else math.log10(value)

    def of_values(self, values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Numbers on this scale, as an array.

        Parameters
        ----------
        values : array
            Positive, on the linear scale, in any unit.
        """
        return values if self == "lin" else np.asarray(np.log(values) if self == "log" else np.log10(values))

    def natural(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Values from this scale to the linear one.

        Parameters
        ----------
        x : array
            In units of this scale.
        """
        return x if self == "lin" else np.asarray(np.exp(x * self.log_base))

    def formula(self, expression: sympy.Expr) -> sympy.Expr:
        """A formula on this scale: itself, its natural or its decadic logarithm.

        Parameters
        ----------
        expression : sympy.Expr
            The formula on the linear scale.
        """
        if self == "lin":
            return expression
        return sympy.log(expression) if self == "log" else sympy.log(expression) / sympy.log(10)  # pyright: ignore[reportReturnType]

    def convert(self, x: float, target: Scale) -> float:
        """A number on another scale; −inf if it is 0 or less there and `target` is logarithmic.

        Parameters
        ----------
        x : float
            In units of this scale.
        target : Scale
            The other scale.
        """
        if self == target:
            return x
        if self == "lin":
            return target.of(x) if x > 0 else -math.inf
        if target == "lin":
            exponent = x * self.log_base
            return math.exp(exponent) if exponent < 700.0 else math.inf
        return x * self.log_base / target.log_base


def to_scale(value: float, scale: Scale | str) -> float:
    """A number on a scale.

    Parameters
    ----------
    value : float
        On the linear scale, in any unit.
    scale : Scale or str
        `"lin"`, `"log"` or `"log10"`.

    Returns
    -------
    float
        In units of the scale; −inf for 0 and NaN for negative numbers on a logarithmic one.

    Examples
    --------
    >>> to_scale(0.01, "log10")
    -2.0
    """
    return Scale(scale).of(value)


__all__ = ["Scale", "to_scale"]
