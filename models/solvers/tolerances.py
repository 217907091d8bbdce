"""Tolerances that a caller gives for each set of parameters: their shape, their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .settings import Settings, too_fine


def checked(
    name: str, tolerance: ArrayLike | Sequence | None, shape: tuple[int, ...], settings: Settings
) -> Float[Array, " *batch"] | None:
    """The tolerance `name` of each set of a batch of `shape`; that of `settings` if `tolerance` is None.

    None if that is None too: an absolute tolerance that follows the model's scale.

    Raises `ValueError` if it has another shape, and, unless it is traced, for numbers that make no sense.
    """
    value = getattr(settings, name) if tolerance is None else tolerance
    if value is None:
        return None
    if np.shape(value) not in ((), shape):
        raise ValueError(
            f"{name} must be a number or an array of the parameters' shape {shape}, not of shape {np.shape(value)}"
        )
    if not isinstance(value, Tracer):
        numbers = np.asarray(value, float)
        bad = numbers[~_sensible(name, numbers)]
        if bad.size:
            least = "positive and below 1" if name == "rtol" else "positive and finite"
            raise ValueError(f"{name} must be {least}, not {bad.flat[0]:g}")
        finest = {"rtol": settings.rtol, "atol": settings.atol} | {name: float(numbers.min(initial=np.inf))}
        if (why := too_fine(settings.precision, **finest)) is not None:
            raise ValueError(why)
    return jnp.broadcast_to(jnp.asarray(value, float), shape)


def _sensible(name: str, x: np.ndarray) -> np.ndarray | np.bool:
    return (x > 0) & (x < (1 if name == "rtol" else np.inf))
