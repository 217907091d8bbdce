"""Which number of a course is the response: its value at a time, its peak, the area under it, the time of its peak."""

from __future__ import annotations

from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

CourseSummary = Literal["peak", "area", "time_of_peak"]
SUMMARIES: tuple[str, ...] = get_args(CourseSummary)
COURSE = np.concatenate([np.arange(0.0, 60.0, 2.0), np.arange(60.0, 185.0, 5.0)])  # min


def summarise_courses(
    summary: CourseSummary | None, times: Float[np.ndarray, " times"], x: Float[Array, "*batch times"]
) -> Float[Array, "*batch _"]:
    """The summary of courses `x` at `times`, with a last axis of length 1; None: the courses as they are.

    - `peak`, `time_of_peak`: of the parabola through the highest reading and its neighbours, so that a grid coarser
      than the peak does not move it; of the highest reading itself where that is the first or the last;
    - `area`: by the trapezoidal rule, in the observable's unit times that of time.
    """
    if summary is None:
        return x
    if summary == "area":
        return jnp.sum(
            0.5 * (x[..., 1:] + x[..., :-1]) * np.broadcast_to(np.diff(times), x[..., 1:].shape), axis=-1, keepdims=True
        )
    height, time = _vertex(times, x)
    return (height if summary == "peak" else time)[..., None]


def _vertex(times: np.ndarray, x: Float[Array, "*batch times"]) -> tuple[Array, Array]:
    """Height and time of the peak.

    Newton's form of the parabola: x(t) = x₀ + (t − t₀) a + (t − t₀)(t − t₁) b, whose vertex is at (t₀ + t₁ − a/b)/2.
    """
    t = jnp.asarray(times)
    highest = jnp.argmax(x, axis=-1)
    if len(times) < 3:
        return jnp.max(x, axis=-1), jnp.where(jnp.isnan(x).any(-1), jnp.nan, t[highest])
    middle = jnp.clip(highest, 1, len(times) - 2)
    t0, t1, t2 = (t[middle + k] for k in (-1, 0, 1))
    x0, x1, x2 = (jnp.take_along_axis(x, (middle + k)[..., None], axis=-1)[..., 0] for k in (-1, 0, 1))
    a = (x1 - x0) / (t1 - t0)
    b = ((x2 - x1) / (t2 - t1) - a) / (t2 - t0)
    inside = (highest == middle) & (b < 0)
    time = 0.5 * (t0 + t1 - a / jnp.where(inside, b, -1.0))
    height = x0 + (time - t0) * (a + (time - t1) * b)
    edge = jnp.where(jnp.isnan(x).any(-1), jnp.nan, t[highest])
    return jnp.where(inside, height, jnp.max(x, axis=-1)), jnp.where(inside, time, edge)
