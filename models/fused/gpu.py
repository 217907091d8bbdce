"""The fused engine on a GPU: a thread has one trajectory. JAX calls the kernels through Warp.

On the CPU the same kernels run one item after the other: slow, and how they are tested without a GPU.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..model import Model
from ..status import Status
from .build import quiet, warp
from .functions import write_functions
from .kernels import Kernels, write_kernels
from .task import Solved, Task

BLOCK = 64  # threads; each takes as many registers as a thread can have

_lock = threading.Lock()
_written: dict[tuple[int, bool], tuple[Model, Kernels]] = {}  # by the model itself, which is kept so that its id is


@cache
def devices() -> tuple[Any, ...]:
    """The CUDA devices that JAX has here, as Warp knows them; none where Warp cannot use them."""
    try:
        found = jax.local_devices(backend="cuda")
    except RuntimeError:
        return ()
    wp = warp()
    return tuple(map(wp.device_from_jax, found)) if wp.is_cuda_available() else ()


def kernels_of(model: Model, *, single: bool) -> Kernels:
    """The kernels of a model, not yet compiled. Raises `Unsupported` saying why a model cannot be run."""
    with _lock:
        key = (id(model), single)
        if key not in _written:
            _written[key] = (model, write_kernels(write_functions(model), single=single))
        return _written[key][1]


def _launch(kernel: Any, threads: int, *arrays: Any, **results: tuple[int, ...] | Array) -> Sequence[Array]:
    """One launch over `threads` items. Results are arrays by their shapes, or arrays that are changed in place."""
    wp = warp()
    changed = [name for name, x in results.items() if not isinstance(x, tuple)]
    with _lock, quiet(wp):
        for device in devices() or ("cpu",):  # now, since what runs may be captured as a graph
            wp.load_module(kernel.module, device, block_dim=BLOCK)
        call = wp.jax_kernel(
            kernel,
            num_outputs=len(results),
            in_out_argnames=changed,
            module_preload_mode=wp.JaxModulePreloadMode.NONE,
            block_dim=BLOCK,
        )
        shapes = {name: x for name, x in results.items() if isinstance(x, tuple)}
        return call(*arrays, *(results[n] for n in changed), launch_dims=threads, output_dims=shapes)


def _plan(task: Task) -> tuple[np.ndarray, np.ndarray]:
    return np.frombuffer(task.integers, np.int32), np.frombuffer(task.floats)


def forward(task: Task, record: int, environment: Float[Array, "sets slots"]) -> Solved:
    """Solves a batch, with up to `record` steps of each trajectory kept."""
    sets, protocols = environment.shape[0], task.shape[0]
    results = task.results(sets, record)
    if not sets:
        return Solved(**{name: jnp.zeros(x.shape, x.dtype) for name, x in results.items()})
    kernels, plan = kernels_of(task.model, single=task.single), _plan(task)
    shapes = {name: x.shape for name, x in results.items()}
    kept, rest, each = (shapes.pop(name) for name in ("record", "rest", "rest_status"))
    rests = [jnp.zeros(rest), jnp.zeros(each, np.int32), jnp.zeros(each, np.int32)]
    if task.shape[3]:
        rests = _launch(kernels.rest, sets * task.shape[3], *plan, environment, rest=rest, status=each, steps=each)
    where, room = _stride(task, sets, record), jnp.full((sets, protocols), record, np.int64)
    shapes["rows"] = (sets * protocols * record, task.row)
    solved = _launch(kernels.course, sets * protocols, *plan, environment, *rests, where, room, **shapes)
    y, status, steps, rejected, accepted, rows = solved
    return Solved(y, status, steps, rejected, accepted, rows.reshape(kept), rests[0], rests[1])


def _stride(task: Task, sets: int, record: int) -> Array:
    """Where in the record each trajectory's steps begin."""
    protocols = task.shape[0]
    return record * task.row * jnp.arange(sets * protocols).reshape(sets, protocols)


def backward(task: Task, environment, status, accepted, record, rest, rest_status, cotangent):
    """The environment's cotangent, from what `forward` gave and the cotangent of y.

    Trajectories whose steps were kept go back at once. The others are solved again, as many at a time as their steps
    fit into memory, which their number tells exactly.
    """
    sets, capacity = environment.shape[0], record.shape[2]
    protocols, segments, _, equilibrations = task.shape
    if not sets:
        return jnp.zeros(environment.shape)
    kernels, plan = kernels_of(task.model, single=task.single), _plan(task)
    items = sets * protocols
    needed = accepted.sum(-1, dtype=np.int64)
    waiting = status == Status.OK
    zero = jnp.where(waiting, 0.0, 0.0)[..., None]  # one that varies over a mesh as the arguments do
    start, slots = (jnp.broadcast_to(zero, (sets, protocols, n)) for n in (len(task.model.species), task.slots))

    def go_back(where, rows, start, slots):
        arrays = (*plan, environment, status, accepted, where, rows, cotangent)
        return _launch(kernels.course_back, items, *arrays, start=start, slots=slots)

    if capacity:
        kept = waiting & (needed <= capacity) & (record[:, :, 0, 1] > 0)  # zeros stand for what was not recorded
        where = jnp.where(kept, _stride(task, sets, capacity), -1)
        start, slots = go_back(where, record.reshape(-1, task.row), start, slots)
        waiting &= ~kept

    most = task.max_steps * segments * (1 + task.model.switches)  # steps that one trajectory may have
    size = max(most, min(items * (capacity or most), task.memory // (task.row * 8)))
    nothing = dict(y=(0,) * 4, status=(0, 0), steps=(0, 0), rejected=(0, 0), accepted=(0,) * 3)

    def some(state):
        waiting, start, slots = state
        ends = jnp.cumsum(jnp.where(waiting, needed, 0).reshape(-1)).reshape(sets, protocols)
        now = waiting & (ends <= size)
        where = jnp.where(now, (ends - needed) * task.row, -1)
        arrays = (*plan, environment, rest, rest_status, rest_status, where, needed)
        *_, rows = _launch(kernels.course, items, *arrays, **nothing, rows=(size, task.row))
        return waiting & ~now, *go_back(where, rows, start, slots)

    _, start, slots = jax.lax.while_loop(lambda state: jnp.any(state[0]), some, (waiting, start, slots))
    rest_slots = jnp.zeros((sets, equilibrations, task.slots))
    if equilibrations:
        (rest_slots,) = _launch(
            kernels.rest_back,
            sets * equilibrations,
            *(*plan, environment, rest, rest_status, start),
            rest_slots=rest_slots.shape,
        )
    (out,) = _launch(kernels.slot, environment.size, *plan, environment, slots, rest_slots, out=environment.shape)
    return out
