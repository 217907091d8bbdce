"""Values of all parameters: those that are given, and nominal ones for the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from ...data.parameter import Parameter
from ...errors import HexamerError
from ...models.listing import did_you_mean, listed

_NAMED = 12  # parameters without a value that a message lists


class MissingValueError(HexamerError, ValueError):
    """Parameters that need a value and have none."""


def completed(
    values: Mapping[str, float], parameters: Mapping[str, Parameter], deviations: Mapping[str, str]
) -> dict[str, float]:
    """Values of all parameters by name, nominal ones where not given; `deviations` are what must not be negative.

    Raises `MissingValueError` naming the parameters that have no value, `ValueError` for unknown names.
    """
    if unknown := unknown_names(values, parameters):
        raise ValueError(
            f"this problem has no parameter {', '.join(unknown)}: leave out what it does not use, and "
            "give a prior or a fixed value to what it holds at the model's own"
            f"{did_you_mean(unknown, parameters)}"
        )
    by_name = {n: p.value for n, p in parameters.items()} | dict(values)
    numbers = {n: float(v) for n, v in by_name.items() if v is not None}
    if missing := [n for n in parameters if n not in numbers]:
        raise MissingValueError(f"no value for {listed(missing, _NAMED)}: give one to each")
    for name, observable in deviations.items():
        if numbers.get(name, 0.0) < 0:
            raise ValueError(
                f"{name} is {numbers[name]:g}, and it is a standard deviation of {observable}: give a number above 0"
            )
    return numbers


def unknown_names(values: Collection[str], parameters: Collection[str]) -> tuple[str, ...]:
    """Names that are no parameters."""
    return tuple(n for n in values if n not in parameters)


def read_only(array: np.ndarray) -> np.ndarray:
    """The array, which nobody can change."""
    array.setflags(write=False)
    return array


__all__ = ["MissingValueError", "completed", "read_only", "unknown_names"]
