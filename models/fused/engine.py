"""The fused engine as a JAX function: one call into compiled code for a whole batch, one more for its gradient."""

from __future__ import annotations

import os
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from ..model import Model
from ..plan import Plan
from ..settings import Settings
from ..solution import Solution
from .build import build

NARROW, WIDE = 4, 8  # trajectories side by side
FEW = 16  # trajectories for which narrow is as fast, and two threads have something to do


def solve(model: Model, plan: Plan, settings: Settings, values: Float[Array, " names"]) -> Solution:
    """As `hexamer.models.diffrax_engine.solve`, reverse-differentiable; any nesting of `jax.vmap` is one call.

    Raises `Unsupported` (a `ValueError`) saying why where the model cannot be run.
    """
    environment = jnp.concatenate([values, jnp.asarray(plan.constants, values.dtype)])
    y, status, steps, rejected = _solve(_described(model, plan, settings), environment[None])
    return Solution(y[0], status[0], steps[0], rejected[0])


class _Task(NamedTuple):
    """All that a call needs to know but the environment; static."""

    model: Model
    shape: tuple[int, int, int, int]  # protocols, segments, times, equilibrations
    threads: int
    record: int
    integers: bytes
    floats: bytes

    def lanes(self, sets: int) -> int:
        return NARROW if sets * self.shape[0] <= FEW else WIDE

    def attributes(self, record: int) -> dict[str, np.ndarray]:
        """The plan as handler.h reads it."""
        head = np.array([self.threads, record], np.int32)
        return {
            "floats": np.frombuffer(self.floats),
            "integers": np.concatenate([head, np.frombuffer(self.integers, np.int32)]),
        }


def _described(model: Model, plan: Plan, settings: Settings) -> _Task:
    protocols, segments, _ = plan.parameters.shape
    shape = (protocols, segments, plan.times.shape[1], len(plan.equilibration_parameters))
    head = [*shape, len(plan.names) + len(plan.constants), settings.max_steps]
    tables = [
        plan.equilibration_parameters,
        plan.equilibration_set,
        plan.equilibration_of,
        plan.parameters,
        plan.assign,
        plan.add,
        plan.segment,
    ]
    scalars = [settings.rtol, settings.atol, settings.longest_step]
    return _Task(
        model=model,
        shape=shape,
        threads=settings.threads or max(1, (os.cpu_count() or 1) // jax.local_device_count()),
        record=settings.record,
        integers=np.concatenate([np.ravel(t) for t in [head, *tables]]).astype(np.int32).tobytes(),
        floats=np.concatenate([np.ravel(t) for t in (scalars, plan.start, plan.stop, plan.times)]).tobytes(),
    )


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _solve(task: _Task, environment: Float[Array, "sets slots"]):
    y, status, steps, rejected, *_ = _batched(partial(_forward, task, 0))(environment)
    return y, status, steps, rejected


def _solve_forward(task: _Task, environment):
    y, status, steps, rejected, *kept = _batched(partial(_forward, task, task.record))(environment)
    return (y, status, steps, rejected), (environment, status, *kept)


def _solve_backward(task: _Task, kept, cotangents):
    return (_batched(partial(_backward, task))(*kept, cotangents[0]),)


_solve.defvjp(_solve_forward, _solve_backward)


def _forward(task: _Task, record: int, environment: Float[Array, "sets slots"]):
    sets = environment.shape[0]
    handlers = build(task.model, task.lanes(sets))
    protocols, segments, times, equilibrations = task.shape
    species = len(task.model.species)
    results = [
        ((protocols, times, species), float),  # y
        ((protocols,), np.int32),  # status
        ((protocols,), np.int32),  # steps
        ((protocols,), np.int32),  # rejected
        ((protocols, segments), np.int32),  # accepted
        ((protocols, record, handlers.row), float),
        ((equilibrations, 2, species), float),  # steady states, and the starts they came from
        ((equilibrations,), np.int32),  # their status
    ]
    types = [jax.ShapeDtypeStruct((sets, *shape), dtype) for shape, dtype in results]
    return jax.ffi.ffi_call(handlers.forward, types)(environment, **task.attributes(record))


def _backward(task: _Task, environment, status, accepted, record, rest, rest_status, cotangent):
    handlers = build(task.model, task.lanes(environment.shape[0]))
    call = jax.ffi.ffi_call(handlers.backward, jax.ShapeDtypeStruct(environment.shape, float))
    attributes = task.attributes(record.shape[2])
    return call(environment, status, accepted, record, rest, rest_status, cotangent, **attributes)


def _batched(call):
    """`call`, whose arrays all have a leading axis of sets, with every further batch axis folded into that one."""

    @custom_vmap
    def folded(*arrays):
        return call(*arrays)

    @folded.def_vmap
    def rule(size: int, is_batched: list[bool], *arrays):
        whole = [
            a if batched else jnp.broadcast_to(a, (size, *a.shape))
            for a, batched in zip(arrays, is_batched, strict=True)
        ]
        result = _batched(call)(*(a.reshape(a.shape[0] * a.shape[1], *a.shape[2:]) for a in whole))
        split = jax.tree.map(lambda r: r.reshape(size, whole[0].shape[1], *r.shape[1:]), result)
        return split, jax.tree.map(lambda _: True, split)

    return folded
