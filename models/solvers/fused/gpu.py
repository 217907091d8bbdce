"""The fused engine on a GPU: a thread has one trajectory at a time. JAX calls the kernels through Warp.

Tracing needs their names alone. They are compiled when JAX lowers for CUDA, all that a call needs at once, so that work
that is lowered for the CPU does not wait for them.

On the CPU the same kernels run one item after the other: slow, and how they are tested without a GPU.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jaxtyping import Array, Float

from ...compiled.model import Model
from ..machine import usable_cores
from ..status import Status
from . import contract, cuda
from .call import Solved, Task
from .codegen.lower import Unsupported
from .compilation import functions_of, quiet, warp
from .gpu_kernels import Kernels, write_kernels
from .stacks import reserve

BLOCK = 32  # threads, which step together
AT_ONCE = 4  # kernels that are compiled side by side, at most
WARPS = (2, 8)  # of a multiprocessor: with fewer it waits for its memory, and more have no registers
CACHE = {
    75: 76,
    80: 172,
    86: 108,
    87: 172,
    89: 108,
    120: 108,
    121: 108,
}  # KiB nearest to a multiprocessor; all others: 236
AGAIN = 2**28  # bytes for steps that are found again, where a batch's own are kept

_lock = threading.RLock()
# By the model itself, which is kept so that its id is.
_written: dict[tuple[int, bool, bool], tuple[Model, Kernels]] = {}


def kernels_of(model: Model, *, single: bool = False, keep_stages: bool = False) -> Kernels:
    """The kernels of a model, not yet compiled. Raises `Unsupported` saying why a model cannot be run."""
    with _lock:
        key = (id(model), single, keep_stages)
        if key not in _written:
            _written[key] = (model, write_kernels(functions_of(model), single=single, keep_stages=keep_stages))
        return _written[key][1]


def load_kernels(model: Model, names: Sequence[str], *, single: bool, keep_stages: bool, on: Sequence[Any]) -> None:
    """Compiles kernels by name and loads them on Warp's devices, several at a time; what is loaded costs nothing.

    Raises `NoRoomError` if no device has room for what they need beside their arrays, `Unsupported` if they do
    not compile or load.
    """
    wp, kernels = warp(), kernels_of(model, single=single, keep_stages=keep_stages)
    wanted = [getattr(kernels, name) for name in names]
    with _lock, quiet(wp):
        cards = [d for d in on if d.is_cuda]
        if cards:
            reserve(model.name, len(model.species), names, cards)
        try:
            side_by_side = min(usable_cores(), AT_ONCE) if cards else 0  # NVRTC does not hold Python's lock
            wp.force_load([*on], [kernel.module for kernel in wanted], block_dim=BLOCK, max_workers=side_by_side)
            for device in on:
                for kernel in wanted:  # the function too, or CUDA loads it at its first launch, in a graph's capture
                    kernel.module.load(device, block_dim=BLOCK if device.is_cuda else 1).get_kernel_hooks(kernel)
        except Exception as error:  # of Warp, of NVRTC, or of the driver
            where = ", ".join(d.name for d in on)
            raise Unsupported(
                f"the kernels of model {model.name!r} do not compile or load on {where} ({error}): solve on the CPU "
                "(device='cpu' of Settings, or HEXAMER_DEVICE=cpu)"
            ) from error


_loaded = Primitive("fused_engine_loaded")  # x itself; whoever lowers or evaluates it loads a model's kernels
_loaded.def_abstract_eval(lambda x, **_: x)


@_loaded.def_impl
def _(x, **what):
    load_kernels(**what, on=[warp().device_from_jax(d) for d in x.devices()])
    return x


def _lower(on, _, x, **what):
    load_kernels(**what, on=on())
    return [x]


mlir.register_lowering(_loaded, partial(_lower, lambda: cuda.devices()), platform="cuda")
mlir.register_lowering(_loaded, partial(_lower, lambda: [warp().get_device("cpu")]), platform="cpu")


def _call(kernel: Any, threads: int, *arrays: Any, **results: tuple[int, ...] | Array) -> Sequence[Array]:
    """One launch over `threads` items. Results are arrays by their shapes, or arrays that are changed in place."""
    wp = warp()
    changed = [name for name, x in results.items() if not isinstance(x, tuple)]
    with _lock, quiet(wp):
        call = wp.jax_kernel(
            kernel,
            num_outputs=len(results),
            in_out_argnames=changed,
            module_preload_mode=wp.JaxModulePreloadMode.NONE,
            block_dim=BLOCK,
        )
        # By this number Warp finds the launch's size again. Its own counts calls: JAX would compile anew what it knows.
        call.launch_id = threads  # pyright: ignore[reportFunctionMemberAccess]
        shapes = {name: x for name, x in results.items() if isinstance(x, tuple)}
        return call(*arrays, *(results[n] for n in changed), launch_dims=threads, output_dims=shapes)


def _shared(task: Task, items: int, *, back: bool) -> tuple[int, Array]:
    """The number of threads that share courses, and their queue, which is `Count` of queue.h."""
    return workers(task, items, back=back), jnp.asarray(np.array([0, items, 1]))


def workers(task: Task, items: int, *, back: bool) -> int:
    """Threads that share courses: so many that what they work on stays in the cache, and no more than courses."""
    devices = cuda.devices()
    if not devices or not devices[0].is_cuda:
        return min(items, 2)  # of which the first does all
    device = devices[0]
    warps = CACHE.get(device.arch, 236) * 2**10 // (BLOCK * live_bytes(task, back=back))
    each = BLOCK * max(WARPS[0], min(WARPS[1], warps))
    return min(-(-items // BLOCK) * BLOCK, device.sm_count * each)


def live_bytes(task: Task, *, back: bool) -> int:
    """Bytes that a thread works on within a step, about: states, stages, factors and coefficients."""
    sizes = functions_of(task.model).sizes
    numbers = (36 if back else 16) * sizes["SPECIES"] + sizes["FACTORS"] + sizes["COEFFICIENTS"] * (1 + back)
    return numbers * (4 if task.single else 8)


def _kernels(task: Task, names: Sequence[str], x: Array) -> tuple[Kernels, Array]:
    """The kernels of a task, and `x`, with which lowering them comes to be loaded."""
    kind = {"single": task.single, "keep_stages": task.keep_stages}
    used = tuple(n for n in names if task.shape[3] or n not in ("steady", "steady_adjoint"))
    return kernels_of(task.model, **kind), _loaded.bind(x, model=task.model, names=used, **kind)


def memory(task: Task) -> int:
    """Bytes that the steps which a batch keeps may take."""
    return cuda.memory() if task.memory is None else task.memory


def forward(task: Task, record: int, environment: Float[Array, "sets slots"]) -> Solved:
    """Solves a batch, and records up to `record` steps of each trajectory."""
    sets, protocols = environment.shape[0], task.shape[0]
    results = task.results(sets, record)
    if not sets:
        return Solved(**{name: jnp.zeros(x.shape, x.dtype) for name, x in results.items()})
    back = ("course_adjoint", "steady_adjoint", "slot") if record else ()  # for which steps are recorded
    kernels, environment = _kernels(task, ("steady", "course", *back), environment)
    plan = task.plan
    shapes = {name: x.shape for name, x in results.items()}
    record_shape, states, each = (shapes.pop(name) for name in ("record", "steady", "steady_status"))
    steady = [jnp.zeros(states), jnp.zeros(each, np.int32), jnp.zeros(each, np.int32)]
    if task.shape[3]:
        steady = _call(kernels.steady, sets * task.shape[3], *plan, environment, steady=states, status=each, steps=each)
    where, room = _stride(task, sets, record).T, jnp.full((protocols, sets), record, np.int64)
    shapes["rows"] = (sets * protocols * record, task.row)
    threads, count = _shared(task, sets * protocols, back=False)
    solved = _call(kernels.course, threads, *plan, environment, *steady, where, room, count=count, **shapes)
    _, y, status, steps, rejected, accepted, rows = solved
    return Solved(y, status, steps, rejected, accepted, rows.reshape(record_shape), steady[0], steady[1])


# Kernels count courses by protocols, then sets; arrays have sets first.


def _stride(task: Task, sets: int, record: int) -> Array:
    """Index of the first recorded number of each trajectory, sets × protocols."""
    protocols = task.shape[0]
    return record * task.row * jnp.arange(sets * protocols).reshape(sets, protocols)


def backward(task: Task, environment, status, accepted, record, steady, steady_status, cotangent):
    """The environment's cotangent, from the results of `forward` and the cotangent of y.

    The adjoint pass of trajectories whose steps were recorded runs at once. The others are solved again, as many at a
    time as their steps fit into memory; the number of steps says how many do.
    """
    sets, capacity = environment.shape[0], record.shape[2]
    protocols, segments, _, equilibrations = task.shape
    if not sets:
        return jnp.zeros(environment.shape)
    kernels, environment = _kernels(task, ("course", "course_adjoint", "steady_adjoint", "slot"), environment)
    plan = task.plan
    items = sets * protocols
    needed = accepted.sum(-1, dtype=np.int64)
    waiting = status == Status.OK
    zero = jnp.where(waiting, 0.0, 0.0)[..., None]  # one that varies over a mesh as the arguments do
    start, slots = (jnp.broadcast_to(zero, (sets, protocols, n)) for n in (len(task.model.species), task.slots))

    def run_adjoint(where, rows, start, slots):
        arrays = (*plan, environment, status, accepted, where.T, rows, cotangent)
        threads, count = _shared(task, items, back=True)
        return _call(kernels.course_adjoint, threads, *arrays, count=count, start=start, slots=slots)[1:]

    if capacity:
        recorded = (
            waiting & (needed <= capacity) & (record[:, :, 0, contract.RECORD.index("STEP")] > 0)
        )  # zeros stand for what was not recorded
        where = jnp.where(recorded, _stride(task, sets, capacity), -1)
        start, slots = run_adjoint(where, record.reshape(-1, task.row), start, slots)
        waiting &= ~recorded

    most = task.max_steps * segments * (1 + task.model.switches)  # steps that one trajectory may have
    if task.model.events is not None:
        most += segments * (2 + task.model.switches)  # rows of events
    room = min(memory(task), AGAIN) if capacity else memory(task)  # XLA takes it even where nothing is found again
    size = max(most, min(items * (capacity or most), room // (task.row * 8)))
    nothing = dict(y=(0,) * 4, status=(0, 0), steps=(0, 0), rejected=(0, 0), accepted=(0,) * 3)

    def some(state):
        waiting, start, slots = state
        ends = jnp.cumsum(jnp.where(waiting, needed, 0).reshape(-1)).reshape(sets, protocols)
        now = waiting & (ends <= size)
        where = jnp.where(now, (ends - needed) * task.row, -1)
        arrays = (*plan, environment, steady, steady_status, steady_status, where.T, needed.T)
        threads, count = _shared(task, items, back=False)
        *_, rows = _call(kernels.course, threads, *arrays, count=count, **nothing, rows=(size, task.row))
        return waiting & ~now, *run_adjoint(where, rows, start, slots)

    _, start, slots = jax.lax.while_loop(lambda state: jnp.any(state[0]), some, (waiting, start, slots))
    steady_slots = jnp.zeros((sets, equilibrations, task.slots))
    if equilibrations:
        (steady_slots,) = _call(
            kernels.steady_adjoint,
            sets * equilibrations,
            *(*plan, environment, steady, steady_status, start),
            steady_slots=steady_slots.shape,
        )
    (out,) = _call(kernels.slot, environment.size, *plan, environment, slots, steady_slots, out=environment.shape)
    return out
