"""One function for each platform that JAX may compile for, chosen by where the arrays are."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextvars import ContextVar
from functools import partial
from typing import Any, Literal

import jax

from . import cuda

Platform = Literal["cpu", "cuda"]

# True while `hexamer.models.solvers.placement` keeps JAX on the CPU: then no code for another platform is needed.
CPU_ALONE: ContextVar[bool] = ContextVar("CPU_ALONE", default=False)


def on_its_platform(function: Callable[..., Any], what: Hashable, *arrays: jax.Array) -> Any:
    """`function(platform, what, *arrays)`, traced for both platforms unless only the CPU can be meant."""
    if CPU_ALONE.get() or not cuda.devices():
        return function("cpu", what, *arrays)
    return _on_either_platform(function, what, *arrays)


# It has its own `jax.jit`: outside of one the platform would be that of JAX's default device, not that of the arrays.
@partial(jax.jit, static_argnums=(0, 1))
def _on_either_platform(function: Callable[..., Any], what: Hashable, *arrays: jax.Array) -> Any:
    platforms: tuple[Platform, ...] = ("cpu", "cuda")
    return jax.lax.platform_dependent(*arrays, **{p: partial(function, p, what) for p in platforms})
