"""The absolute tolerance of each species, where it follows the species' own scale.

    atol_i = FLOOR · rtol · scale_i

A species' scale is the smallest number, beside 0, that it starts from or that its protocol adds to it or sets it to:
what grows from 1e-20 is followed from there. One that starts at 0 has the scale of what a few implicit Euler steps over
the time ahead come to, or else of its rates at some moments of it, within shares of the largest that is known: far from
the start such steps may be wrong, and too large a scale lets every error pass; and what is far smaller may be rounding.
Where all start at 0, the scale is that of the first step that comes to something, unless that is nothing beside what
comes: exp(-1000) is. So all of it is in the model's own units, and a model in other units takes the same steps.

What a pre-equilibration comes to that lies below its own absolute tolerance counts as 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..compiled.model import Model
from .solver import Precision

# Relative to rtol. In floats an error is no smaller than the rounding of what a species is made from.
FLOOR: Mapping[Precision, float] = {"float64": 1e-3, "float32": 1e-2}
FAINT = 1e-5  # of the largest scale: that of a species of which nothing is known; finer would be rounding
FAINTEST = 1e-16  # of what implicit Euler steps come to: the least scale where that of no species is known
LEAST = 1e-300  # of an absolute tolerance: there are no smaller numbers
SHARE = 1e-2  # of the largest known scale: the most that implicit Euler steps are believed
SCOUTS, SCOUT_RATIO = 8, 8.0  # implicit Euler steps, each so many times as long as the one before
MOMENTS = 16  # at which rates that depend on time are looked at

Scales = Float[Array, " species"]  # 0: not known


def floors(rtol: Float[Array, ""], scale: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Absolute tolerances that go with `rtol`."""
    return jnp.maximum(FLOOR["float64"] * rtol * scale, LEAST)


def smallest(*sizes: Float[Array, "... species"]) -> Scales:
    """The smallest size of each species that is not 0; 0 where none is."""
    both = jnp.abs(jnp.concatenate([x.reshape(-1, x.shape[-1]) for x in sizes]))
    least = jnp.min(jnp.where((both > 0) & (both < jnp.inf), both, jnp.inf), axis=0)
    return jnp.where(least < jnp.inf, least, 0.0)


def filled(model: Model, scale: Scales, y, p, span) -> tuple[Scales, Scales]:
    """Scales for a stretch of `span` from y, and those of them that are known, for the stretches after it."""
    counts = jnp.arange(scale.size) != (-1 if model.time_index is None else model.time_index)
    first, most, ahead = _scout(model, y, p, span)
    largest = jnp.max(jnp.where(counts, scale, 0.0))
    ahead = jnp.maximum(most, ahead)
    alone = jnp.where(first > 0, jnp.maximum(first, FAINTEST * ahead), FAINT * ahead)
    beside = jnp.clip(jnp.where(most > 0, most, ahead), FAINT * largest, SHARE * largest)
    estimate = jnp.where(ahead > 0, jnp.where(largest > 0, beside, alone), 0.0)
    known = jnp.where(scale > 0, scale, estimate)
    faint = FAINT * jnp.max(jnp.where(counts, known, 0.0))
    return jnp.where(known > 0, known, faint), known


def _scout(model: Model, y0, p, span) -> tuple[Scales, Scales, Scales]:
    """The first size beside 0, and the largest, of each species on implicit Euler steps over `span`.

    And what rates come to over `span`: those after the last step, and where they depend on time at moments within it.
    """
    eye = jnp.eye(y0.size, dtype=y0.dtype)

    def step(carry, h):
        y, first, most = carry
        next = y + jnp.linalg.solve(eye / h - model.jacobian(y, p), model.rhs(y, p))
        good: Bool[Array, ""] = jnp.all(jnp.isfinite(next))
        first = jnp.where(good & (first == 0), jnp.abs(next), first)
        most = jnp.where(good, jnp.maximum(most, jnp.abs(next)), most)
        return (jnp.where(good, jnp.where((y0 < 0) | (next > 0), next, 0.0), y), first, most), None

    sizes = span * SCOUT_RATIO ** -jnp.arange(SCOUTS - 1.0, -1.0, -1.0)
    (last, first, most), _ = jax.lax.scan(step, (y0, jnp.zeros_like(y0), jnp.zeros_like(y0)), sizes)
    rates = model.rhs(last, p)[None]
    if model.rhs_depends_on_time:
        moments = y0[model.time_index] + span * (jnp.arange(MOMENTS) + 0.5) / MOMENTS
        timed = jax.vmap(lambda t: model.rhs(y0.at[model.time_index].set(t), p))(moments)
        rates = jnp.concatenate([rates, timed])
    ahead = jnp.max(jnp.where(jnp.isfinite(rates), jnp.abs(rates), 0.0), axis=0) * span
    return jax.lax.stop_gradient(first), jax.lax.stop_gradient(most), jax.lax.stop_gradient(ahead)
