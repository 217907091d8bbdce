"""Step size control, the same wherever a trajectory is solved."""

from __future__ import annotations

import diffrax
import jax.numpy as jnp
from jaxtyping import Array, Float


def error_norm(error: Float[Array, " species"]) -> Float[Array, ""]:
    """Root mean square; ∞ where it is not finite.

    A step into the undefined is then a rejection with the smallest factor. A NaN would become the next step's size.
    """
    size = jnp.sqrt(jnp.mean(error**2))
    return jnp.where(jnp.isfinite(size), size, jnp.inf)


def controller(
    rtol: float | Float[Array, ""],
    atol: float | Float[Array, ""],
    *,
    shortest: float | Float[Array, ""],
    longest: Float[Array, ""] | None = None,
) -> diffrax.PIDController:
    """Steps between `shortest` and `longest`; a solve that would need shorter ones ends there."""
    return diffrax.PIDController(
        rtol=rtol, atol=atol, dtmin=shortest, dtmax=longest, force_dtmin=False, norm=error_norm
    )
