"""Derivatives of a function by differences, at several steps.

They are central ones, also extrapolated from two steps; where the function is finite on one side alone, from that side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@dataclass(frozen=True)
class Differences:
    """For each parameter a difference (dimensionless) that agrees with a gradient, or the one that comes nearest.

    `step` is the largest one at which they agree, so that a small one tells of a function that bends sharply. `side`
    says what the difference is from: "both", "above", "below", or "none" if the function is finite on neither side.
    """

    value: np.ndarray
    step: np.ndarray
    side: tuple[str, ...]


def nearest_differences(
    function: Callable[[Float[Array, " parameters"]], Float[Array, ""]],
    z: np.ndarray,
    gradient: np.ndarray,
    steps: Sequence[float],
    batch: int,
    enough: float,
) -> Differences:
    """The differences of `function` at `z` that agree with `gradient` within `enough`, or are nearest to it."""
    sizes = np.sort(np.asarray(steps, dtype=float))[::-1]
    if not (count := len(z)):
        return Differences(np.zeros(0), np.zeros(0), ())
    shift = np.tile(np.eye(count), (len(sizes), 1)) * np.repeat(sizes, count)[:, None]
    points = jnp.asarray(np.concatenate([z[None], z + shift, z - shift]))
    values = np.asarray(jax.jit(lambda p: jax.lax.map(function, p, batch_size=batch))(points))
    above, below = values[1:].reshape(2, len(sizes), count)
    with np.errstate(invalid="ignore"):
        central = _candidates((above - below) / (2 * sizes[:, None]), partial(_extrapolated, sizes=sizes))
        from_above = _candidates(_one_sided(above - values[0], sizes))
        from_below = _candidates(-_one_sided(below - values[0], sizes))
    # One side alone is asked only if no step has both.
    finite = [np.isfinite(side).any(axis=0) for side in (central, from_above)]
    use = np.where(finite[0], 0, np.where(finite[1], 1, 2))
    candidates = np.choose(use, [central, from_above, from_below])
    distance = np.where(np.isfinite(candidates), np.abs(candidates - gradient), np.inf)
    good = distance <= enough
    best = np.where(good.any(axis=0), np.argmax(good, axis=0), np.argmin(distance, axis=0))
    value = candidates[best, np.arange(count)]
    side = [("both", "above", "below")[u] if np.isfinite(v) else "none" for u, v in zip(use, value, strict=True)]
    return Differences(value, np.repeat(sizes, 2)[best], tuple(side))


def _candidates(slopes: np.ndarray, improved: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
    """Two rows for each step, large steps first: its slope, and an improved one or NaN."""
    others = np.full_like(slopes, np.nan) if improved is None else improved(slopes)
    return np.stack([slopes, others], axis=1).reshape(2 * len(slopes), -1)


def _extrapolated(central: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """From each step and the next smaller one, by Richardson: without the error that falls with the step's square."""
    found = np.full(central.shape, np.nan)
    large, small = sizes[:-1, None] ** 2, sizes[1:, None] ** 2
    found[:-1] = (central[1:] * large - central[:-1] * small) / (large - small)
    return found


def _one_sided(change: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The slope from two steps, exact for a parabola; NaN for the last step, which has no smaller one beside it."""
    slopes = np.full(change.shape, np.nan)
    large, small = sizes[:-1, None], sizes[1:, None]
    slopes[:-1] = (change[:-1] * small**2 - change[1:] * large**2) / (large * small * (small - large))
    return slopes
