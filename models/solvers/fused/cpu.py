"""The fused engine on the CPU: SIMD lanes and threads, in handlers that XLA calls.

Tracing needs their names alone. They are compiled when JAX lowers, so that a width that a trace passes on its way to
another, or a platform that is not lowered for, costs nothing.
"""

from __future__ import annotations

import jax
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jaxtyping import Array, Float

from . import contract, cuda
from .batching import varying_as
from .call import Solved, Task
from .codegen.lower import Unsupported
from .compilation import Handlers, build, handlers_of

NARROW, WIDE = 4, 8  # trajectories side by side
SINGLE = 8  # of them in float32: 16 are no faster, since what they work on no longer fits the nearest cache
MEMORY = 2**32  # bytes that the steps which a batch keeps may take
SMALL_BATCH = 16  # trajectories for which narrow is as fast, and two threads have something to do


def _lanes(task: Task, sets: int) -> int:
    if task.single:
        return SINGLE
    return NARROW if sets * task.shape[0] <= SMALL_BATCH else WIDE


def _handlers(task: Task, environment: jax.Array) -> tuple[Handlers, jax.Array]:
    """The handlers for a batch, and its environment, with which lowering them comes to be built."""
    lanes = _lanes(task, environment.shape[0])
    what = {"model": task.model, "lanes": lanes, "single": task.single, "keep_stages": task.keep_stages}
    return handlers_of(**what), _built.bind(environment, **what)


_built = Primitive("fused_engine_built")  # x itself; whoever lowers or evaluates it builds a model's handlers
_built.def_abstract_eval(lambda x, **_: x)


@_built.def_impl
def _(x, **what):
    build(**what)
    return x


def _lower(_, x, **what):
    build(**what)
    return [x]


def _refuse(*_, **__):
    reason = cuda.why_none() or "it was traced where JAX's default device is a CPU, and compiled for another"
    raise Unsupported(
        f"the fused engine has no code for this device: {reason}; solve on the CPU: "
        "with jax.default_device(jax.devices('cpu')[0])"
    )


mlir.register_lowering(_built, _lower, platform="cpu")
mlir.register_lowering(_built, _refuse)


def _attributes(task: Task, record: int) -> dict[str, np.ndarray]:
    """The plan and the limits, which cpu_handlers.h reads."""
    limits = contract.LIMITS.pack({"threads": task.threads, "capacity": record}, {})
    plan = task.plan
    return {"floats": plan.floats, "integers": plan.integers, "limits": limits.integers}


def memory(task: Task) -> int:
    """Bytes that the steps which a batch keeps may take."""
    return MEMORY if task.memory is None else task.memory


def forward(task: Task, record: int, environment: Float[Array, "sets slots"]) -> Solved:
    """Solves a batch, with up to `record` steps of each trajectory kept."""
    sets = environment.shape[0]
    handlers, environment = _handlers(task, environment)
    types = varying_as(environment, [*task.results(sets, record).values()])
    call = jax.ffi.ffi_call(handlers.forward, types)
    return Solved(*call(environment, **_attributes(task, record)))


def backward(task: Task, environment, status, accepted, record, steady, steady_status, cotangent):
    """The environment's cotangent, from what `forward` gave and the cotangent of y."""
    handlers, environment = _handlers(task, environment)
    call = jax.ffi.ffi_call(handlers.backward, jax.eval_shape(lambda e: e, environment))
    attributes = _attributes(task, record.shape[2])
    return call(environment, status, accepted, record, steady, steady_status, cotangent, **attributes)
