"""From a unit normal to a unit half-normal and back: what turns the two modes of a folded scale of noise into one."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfinv, ndtr, ndtri
from jaxtyping import Array, Float

LEAST = -8.0
"""u that stands for y = 0, which no u reaches; there y = 8e-16."""


@jax.custom_jvp
def half_normal(u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """y > 0 with 2Φ(y) − 1 = Φ(u): increasing and smooth, half-normal where u is normal."""
    # Through whichever tail is small, so that neither end rounds.
    below = math.sqrt(2.0) * erfinv(ndtr(jnp.minimum(u, 0.0)))
    above = -ndtri(ndtr(-jnp.maximum(u, 0.0)) / 2)
    return jnp.where(u < 0, below, above)


@half_normal.defjvp
def _(primals, tangents):
    y = half_normal(*primals)
    return y, jnp.exp(log_slope(primals[0], y)) * tangents[0]


def log_slope(u: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """ln dy/du of y = half_normal(u): 2 φ(y) dy/du = φ(u)."""
    return (y**2 - u**2) / 2 - math.log(2.0)


def normal(y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """u of y = half_normal(u), no less than `LEAST`."""
    from scipy import special  # a quarter of a second to import

    below = special.ndtri(special.erf(np.minimum(y, 1.0) / math.sqrt(2.0)))
    above = -special.ndtri(2 * special.ndtr(-np.maximum(y, 1.0)))
    return np.maximum(np.where(y < 1.0, below, above), LEAST)
