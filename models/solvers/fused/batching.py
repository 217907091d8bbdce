"""What JAX cannot see in a foreign call: its batch axes, folded into one, and its axes of devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap


def folded(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, whose arrays all have a leading axis, with every batch axis of `jax.vmap` folded into that one."""

    @custom_vmap
    def function(*arrays):
        return call(*arrays)

    @function.def_vmap
    def rule(size: int, is_batched: list[bool], *arrays):
        whole = [
            a if batched else jnp.broadcast_to(a, (size, *a.shape))
            for a, batched in zip(arrays, is_batched, strict=True)
        ]
        result = folded(call)(*(a.reshape(a.shape[0] * a.shape[1], *a.shape[2:]) for a in whole))
        split = jax.tree.map(lambda r: r.reshape(size, whole[0].shape[1], *r.shape[1:]), result)
        return split, jax.tree.map(lambda _: True, split)

    return function


def varying_as(x: jax.Array, types: list[jax.ShapeDtypeStruct]) -> list[jax.ShapeDtypeStruct]:
    """`types`, over the axes of `jax.shard_map` over which x varies."""
    return jax.eval_shape(lambda x: jax.tree.map(lambda t: jnp.full(t.shape, jnp.sum(x), t.dtype), types), x)
