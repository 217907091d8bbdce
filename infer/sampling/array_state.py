"""`save` and `restore` of a sampler whose state is a pytree of arrays, as blackjax's states are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .sampler import Block


class ArrayState[State]:
    """A base class for samplers whose state is a JAX pytree of arrays and numbers: it has `save` and `restore`.

    The arrays are saved by their paths in the pytree. `restore` calls `init` for the form of the state, so a sampler
    whose `init` takes long should have a `restore` of its own.

    Other Parameters
    ----------------
    devices : sequence of JAX's devices
        Those that `init` takes.
    state : pytree of arrays
        The sampler's state.
    saved : dict of arrays
        What `save` returned, in the sampler's own units.
    blocks : sequence of Block
        Not used.

    Raises
    ------
    KeyError
        By `restore`, if `init` gives a state of another form.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def init(self, devices: Sequence[Any]) -> State:
        """The state before the first step."""
        raise NotImplementedError(f"{type(self).__name__} needs a method init")

    def save(self, state: State) -> dict[str, np.ndarray]:
        """The leaves of the state by their paths."""
        leaves, _ = jax.tree_util.tree_flatten_with_path(state)
        return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}

    def restore(self, devices: Sequence[Any], saved: Mapping[str, np.ndarray], blocks: Sequence[Block]) -> State:
        """The state that was saved, in the form that `init` gives."""
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: jnp.asarray(saved[jax.tree_util.keystr(path)], jnp.result_type(leaf)), self.init(devices)
        )


__all__ = ["ArrayState"]
