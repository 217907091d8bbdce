"""Derivatives of a function by differences, at several steps.

They are central ones, also extrapolated from two steps; where the function is finite on one side alone, from that side.
Slopes from both sides show a kink, which central differences alone do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_SAME = 0.1
"""By what part slopes at several steps may differ if they are those of a kink; the solver's error varies more."""
_IN_A_ROW = 3


@dataclass(frozen=True)
class Differences:
    """For each parameter a difference (dimensionless) that agrees with a gradient, or the one that comes nearest.

    `step` is the largest one at which they agree, so that a small one tells of a function that bends sharply. `side`
    says what the difference is from: "both", "above", "below", or "none" if the function is finite on neither side.
    `kink` has the slopes below and above z (parameters × 2) if they differ, else NaN.
    """

    value: np.ndarray
    step: np.ndarray
    side: tuple[str, ...]
    kink: np.ndarray


def nearest_differences(
    function: Callable[[Float[Array, " parameters"]], Float[Array, ""]],
    z: np.ndarray,
    gradient: np.ndarray,
    steps: Sequence[float],
    batch: int,
    enough: float,
    notable: float = np.inf,
) -> Differences:
    """The differences of `function` at `z` that agree with `gradient` within `enough`, or are nearest to it.

    Slopes on the two sides of z are a kink if they differ by more than `notable`.
    """
    sizes = np.sort(np.asarray(steps, dtype=float))[::-1]
    if not (count := len(z)):
        return Differences(np.zeros(0), np.zeros(0), (), np.zeros((0, 2)))
    shift = np.tile(np.eye(count), (len(sizes), 1)) * np.repeat(sizes, count)[:, None]
    points = jnp.asarray(np.concatenate([z[None], z + shift, z - shift]))
    values = np.asarray(jax.jit(lambda p: jax.lax.map(function, p, batch_size=batch))(points))
    above, below = values[1:].reshape(2, len(sizes), count)
    with np.errstate(invalid="ignore"):
        central = _candidates((above - below) / (2 * sizes[:, None]), partial(_extrapolated, sizes=sizes))
        from_above = _candidates(_one_sided(above - values[0], sizes))
        from_below = _candidates(-_one_sided(below - values[0], sizes))
        change = np.stack([values[0] - below, above - values[0]])
    # One side alone is asked only if no step has both.
    finite = [np.isfinite(side).any(axis=0) for side in (central, from_above)]
    use = np.where(finite[0], 0, np.where(finite[1], 1, 2))
    candidates = np.choose(use, [central, from_above, from_below])
    distance = np.where(np.isfinite(candidates), np.abs(candidates - gradient), np.inf)
    good = distance <= enough
    best = np.where(good.any(axis=0), np.argmax(good, axis=0), np.argmin(distance, axis=0))
    value = candidates[best, np.arange(count)]
    side = [("both", "above", "below")[u] if np.isfinite(v) else "none" for u, v in zip(use, value, strict=True)]
    step = np.repeat(sizes, 2)[best]
    within = np.where(np.min(distance, axis=0) < notable / 2, step, np.inf)
    kink = [_kink(change[:, :, i], sizes, h, notable) for i, h in enumerate(within)]
    return Differences(value, step, tuple(side), np.array(kink))


def _kink(change: np.ndarray, sizes: np.ndarray, within: float, notable: float) -> np.ndarray:
    """The slopes below and above z if they differ by more than `notable` in the same way at steps in a row; else NaN.

    `change` is that of the function from -h to 0 and from 0 to h (2 × steps). Steps above `within` do not count, as the
    function bends there. What differs by curvature falls with the step, and the solver's error grows as it falls.
    """
    count = min(_IN_A_ROW, max(1, len(sizes) - 1))
    with np.errstate(invalid="ignore", over="ignore"):
        if len(sizes) == 1:
            slopes = change / sizes
        else:
            slopes = np.stack([_one_sided(side[:, None], sizes)[:-1, 0] for side in change])
        jumps = slopes[1] - slopes[0]
        for first in reversed(range(len(jumps) - count + 1)):
            jump = jumps[first : first + count]
            same = np.ptp(jump) <= _SAME * np.abs(jump).max()
            if sizes[first] <= within and same and np.abs(jump).min() > notable:
                return slopes[:, first + count // 2]
    return np.full(2, np.nan)


def _candidates(slopes: np.ndarray, improved: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
    """Two rows for each step, large steps first: its slope, and an improved one or NaN."""
    others = np.full_like(slopes, np.nan) if improved is None else improved(slopes)
    return np.stack([slopes, others], axis=1).reshape(2 * len(slopes), -1)


def _extrapolated(central: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """From each step and the next smaller one, by Richardson: without the error that falls with the step's square."""
    slopes = np.full(central.shape, np.nan)
    large, small = sizes[:-1, None] ** 2, sizes[1:, None] ** 2
    slopes[:-1] = (central[1:] * large - central[:-1] * small) / (large - small)
    return slopes


def _one_sided(change: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The slope from two steps, exact for a parabola; NaN for the last step, which has no smaller one beside it."""
    slopes = np.full(change.shape, np.nan)
    large, small = sizes[:-1, None], sizes[1:, None]
    slopes[:-1] = (change[:-1] * small**2 - change[1:] * large**2) / (large * small * (small - large))
    return slopes
