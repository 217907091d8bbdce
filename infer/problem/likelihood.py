"""A log likelihood in pieces, and a density that is 0 where a simulation fails."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ...models.solvers.status import Status
from .measured import Measured
from .parameter_space import Z


class LikelihoodTerms(NamedTuple):
    """The pieces of a log likelihood."""

    rows: Float[Array, " rows"]  # log density of each row; 0 if its scale is integrated out
    scales: Float[Array, " scales"]  # log density of the rows of each scale that is
    status: Int[Array, " protocols"]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def reject_failures(
    function: Callable[[Measured, Z], tuple[Float[Array, ""], Int[Array, ""]]], measured: Measured, z: Z
) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """`function(measured, z) -> (value, status)`, with value −inf and zero gradient where the status is a failure.

    It has no derivative by what was measured.
    """
    value, status = function(measured, z)
    return jnp.where(status == Status.OK, value, -jnp.inf), status


def _forward(function, measured, z):
    (value, status), gradient = jax.value_and_grad(function, argnums=1, has_aux=True)(measured, z)
    # A finite density whose gradient is not is no use to a sampler either.
    status = jnp.where((status == Status.OK) & ~jnp.all(jnp.isfinite(gradient)), Status.NOT_FINITE, status)
    failed: Bool[Array, ""] = status != Status.OK
    return (jnp.where(failed, -jnp.inf, value), status), jnp.where(failed, 0.0, gradient)


def _backward(function, gradient, cotangents):
    return None, cotangents[0] * gradient


reject_failures.defvjp(_forward, _backward)


__all__ = ["LikelihoodTerms", "reject_failures"]
