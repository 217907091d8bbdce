"""The fused engine as a JAX function: one call into compiled code for a whole batch, one more for its gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...compiled.model import Model
from ...compiled.plan import Plan
from ...compiled.resize import with_ratios
from ..derivatives import differentiated
from ..machine import usable_cores
from ..settings import Settings, Tolerances
from ..solution import Solution
from . import contract, gpu
from . import cpu as native
from .batching import folded
from .call import Backend, Solved, Task
from .cpu import SMALL_BATCH
from .platforms import Platform, on_its_platform


def solve(
    model: Model,
    plan: Plan,
    settings: Settings,
    values: Float[Array, " names"],
    *,
    tolerances: Tolerances | None = None,
    small_batch: bool = False,
    backend: Backend = "platform",
) -> Solution:
    """As `reference.engine.solve`, reverse-differentiable; any nesting of `jax.vmap` is one call.

    The CPU's handlers or a GPU's kernels solve, by the platform that JAX compiles for; `backend="gpu"` takes the
    kernels on a CPU too, where they solve one trajectory after the other.

    `small_batch` says that the batch has few trajectories, so that more steps of each may be recorded. Raises
    `Unsupported` (a `ValueError`) if the model cannot be run, saying why.
    """
    environment = _environment(model, plan, settings, values, tolerances)
    follows = (settings.atol if tolerances is None else tolerances.atol) is None
    y, status, steps, rejected = _solve(
        _described(model, plan, settings, small_batch, backend, follows=follows), environment[None]
    )
    return Solution(y[0], status[0], steps[0], rejected[0])


def _environment(
    model: Model, plan: Plan, settings: Settings, values: Float[Array, " names"], tolerances: Tolerances | None
) -> Float[Array, " slots"]:
    """All numbers of one set: its values, the plan's constants, ratios of volumes, and last its tolerances."""
    rtol, atol = tolerances or (settings.rtol, settings.atol)
    tolerances_of_set = {"RTOL": rtol, "ATOL": 1.0 if atol is None else atol}  # 1: nothing reads it
    last = [jnp.asarray(tolerances_of_set[name], values.dtype) for name in contract.TOLERANCES]
    numbers = jnp.concatenate([values, jnp.asarray(plan.constants, values.dtype)])
    return jnp.concatenate([with_ratios(model, plan.resizes, numbers), jnp.stack(last)])


# Arrays of a plan that the contract declares by the same names.
_AS_THEY_ARE = (
    *("equilibration_set", "equilibration_of", "equilibration_moment"),
    *("assign", "add", "scale", "segment", "start", "stop"),
)


def _described(
    model: Model, plan: Plan, settings: Settings, small_batch: bool, backend: Backend, *, follows: bool = False
) -> Task:
    protocols, segments, _ = plan.parameters.shape
    shape = (protocols, segments, plan.times.shape[1], len(plan.equilibration_parameters))
    slots = len(plan.names) + len(plan.constants) + len(plan.resizes) + len(contract.TOLERANCES)
    numbers = dict(zip(("protocols", "segments", "times", "equilibrations"), shape, strict=True))
    numbers |= {"slots": slots, "max_steps": settings.max_steps, "follows": int(follows)}
    arrays = {name: getattr(plan, name) for name in _AS_THEY_ARE}
    arrays |= {name: _at_least_one(getattr(plan, name)) for name in ("parameters", "equilibration_parameters")}
    values = {**numbers, **arrays, "at": plan.times, "longest_step": settings.longest_step}
    packed = contract.PLAN.pack(values, contract.sizes_of(model))
    return Task(
        model=model,
        shape=shape,
        slots=slots,
        threads=threads(settings),
        record=settings.fused.record,
        memory=settings.fused.memory,
        max_steps=settings.max_steps,
        single=settings.precision == "float32",
        keep_stages=small_batch and protocols <= SMALL_BATCH,
        integers=packed.integers.tobytes(),
        floats=packed.floats.tobytes(),
        backend=backend,
    )


def _at_least_one(index: np.ndarray) -> np.ndarray:
    """`index` with a column that nothing reads where there is none: arrays in C are not empty."""
    return index if index.shape[-1] else np.zeros((*index.shape[:-1], 1), index.dtype)


def threads(settings: Settings) -> int:
    """How many threads a batch may take: all cores, shared between JAX's devices."""
    if settings.fused.threads:
        return settings.fused.threads
    try:
        devices = jax.local_device_count(backend="cpu")
    except RuntimeError:  # JAX was told to leave the CPU out
        devices = 1
    return max(1, usable_cores() // devices)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _solve(task: Task, environment: Float[Array, "sets slots"]):
    solved = folded(partial(_placed, _forward, task))(environment)
    return solved.y, solved.status, solved.steps, solved.rejected


def _solve_forward(task: Task, environment):
    s = folded(partial(_placed, _recorded, task))(environment)
    residuals = (environment, s.status, s.accepted, s.record, s.steady, s.steady_status)
    return (s.y, s.status, s.steps, s.rejected), residuals


def _solve_backward(task: Task, residuals, cotangents):
    return (folded(partial(_placed, _backward, task))(*residuals, differentiated(cotangents[0])),)


_solve.defvjp(_solve_forward, _solve_backward)


def _placed(function: Callable[..., Any], task: Task, *arrays: Array) -> Any:
    return function("cuda", task, *arrays) if task.backend == "gpu" else on_its_platform(function, task, *arrays)


_ENGINES = {"cpu": native, "cuda": gpu}


def _forward(platform: Platform, task: Task, environment: Float[Array, "sets slots"]) -> Solved:
    return _ENGINES[platform].forward(task, 0, environment)


def _recorded(platform: Platform, task: Task, environment: Float[Array, "sets slots"]) -> Solved:
    """Solves and records. Too large a batch has zeros for a record, which `_backward` does not use and XLA not make."""
    engine, sets = _ENGINES[platform], environment.shape[0]
    if task.records(sets, engine.memory(task)):
        return engine.forward(task, task.record, environment)
    record = task.results(sets, task.record)["record"]  # its shape is the same in every batch, or jit would not batch
    return engine.forward(task, 0, environment)._replace(record=jnp.zeros(record.shape, record.dtype))


def _backward(platform: Platform, task: Task, environment, status, accepted, record, *others):
    engine = _ENGINES[platform]
    if not task.records(environment.shape[0], engine.memory(task)):
        record = record[:, :, :0]
    return engine.backward(task, environment, status, accepted, record, *others)
