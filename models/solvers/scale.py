"""The absolute tolerance of each species, where it follows the species' own scale.

    atol_i = FLOOR · rtol · scale_i

A species' scale is the smallest nonzero number that it starts from, or that its protocol adds to it or sets it to: a
species that grows from 1e-20 is followed from there. If a species starts at 0, its scale is the largest value that it
has on a few implicit Euler steps over the time ahead; if that is 0 too, its rate at some moments times that time. The
scale then lies between `FAINT` and `SHARE` of the largest known scale. The upper limit is needed since such steps
may be wrong far from the start, and too large a scale lets every error pass; the lower one since a far smaller value
may be rounding. If all species start at 0, the scale is the value after the first step that is not 0, but no less than
`FAINTEST` of the values to come: exp(-1000) is negligible. All scales are in the model's own units, so a model in other
units takes the same steps.

A state that lies below its own absolute tolerance at the end of a pre-equilibration counts as 0.
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
FAINT = 1e-5  # the scale of a species of which nothing is known, over the largest scale; finer would be rounding
FAINTEST = 1e-16  # the least scale, over the largest value on implicit Euler steps, if no species' scale is known
LEAST = 1e-300  # the least absolute tolerance, above the smallest normal number
SHARE = 1e-2  # the largest scale that implicit Euler steps may give, over the largest known scale
SCOUTS, SCOUT_RATIO = 8, 8.0  # the number of implicit Euler steps, and the ratio of the lengths of successive ones
MOMENTS = 16  # the number of moments at which rates that depend on time are evaluated

Scales = Float[Array, " species"]  # 0: not known


def floors(rtol: Float[Array, ""], scale: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Absolute tolerances that go with `rtol`."""
    return jnp.maximum(FLOOR["float64"] * rtol * scale, LEAST)


def smallest(*sizes: Float[Array, "... species"]) -> Scales:
    """The smallest nonzero size of each species; 0 if all its sizes are 0."""
    both = jnp.abs(jnp.concatenate([x.reshape(-1, x.shape[-1]) for x in sizes]))
    least = jnp.min(jnp.where((both > 0) & (both < jnp.inf), both, jnp.inf), axis=0)
    return jnp.where(least < jnp.inf, least, 0.0)


def estimated_scales(model: Model, scale: Scales, y, p, span) -> tuple[Scales, Scales]:
    """Scales for a stretch of `span` from y, and the known ones among them (else 0), for the stretches after it."""
    counts = jnp.arange(scale.size) != (-1 if model.time_index is None else model.time_index)
    first, most, ahead = _scout(model, y, p, span)
    largest = jnp.max(jnp.where(counts, scale, 0.0))
    ahead = jnp.maximum(most, ahead)
    if_none_known = jnp.where(first > 0, jnp.maximum(first, FAINTEST * ahead), FAINT * ahead)
    if_some_known = jnp.clip(jnp.where(most > 0, most, ahead), FAINT * largest, SHARE * largest)
    estimate = jnp.where(ahead > 0, jnp.where(largest > 0, if_some_known, if_none_known), 0.0)
    known = jnp.where(scale > 0, scale, estimate)
    of_unknown = FAINT * jnp.max(jnp.where(counts, known, 0.0))
    return jnp.where(known > 0, known, of_unknown), known


def _scout(model: Model, y0, p, span) -> tuple[Scales, Scales, Scales]:
    """The first nonzero size and the largest size of each species on implicit Euler steps over `span`.

    The third result is the largest rate times `span`: of the rates after the last step and, if rates depend on time, of
    those at moments within `span`.
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
