"""Gathers with fixed indices, whose adjoint is a gather too where that is short.

XLA's scatter on a CPU goes one element at a time; and an index known ahead of time has an inverse known as well.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

LONGEST = 8  # uses of one element that are summed by gathers; beyond, a scatter is as good

Gather = Callable[[Float[Array, " size"]], Float[Array, " count"]]


def make_gather(index: np.ndarray, size: int) -> Gather:
    """`x[index]` for x of length `size`, reverse-differentiable only."""
    index = np.asarray(index, dtype=np.int32)
    uses = np.bincount(index, minlength=size)
    if not index.size or uses.max() > LONGEST:
        return lambda x: x[index]
    # Row k of the inverse: where element k is used, padded with a zero's place behind the last.
    inverse = np.full((int(uses.max()), size), index.size, dtype=np.int32)
    order = np.argsort(index, kind="stable")
    rank = np.arange(index.size) - np.repeat(np.cumsum(uses) - uses, uses)
    inverse[rank, index[order]] = order

    @jax.custom_vjp
    def take(x):
        return x[index]

    def backward(_, bar):
        padded = jnp.concatenate([bar, jnp.zeros(1, bar.dtype)])
        return (jnp.sum(padded[inverse], axis=0),)

    take.defvjp(lambda x: (take(x), None), backward)
    return take
