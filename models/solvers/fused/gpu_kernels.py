"""The kernels of a GPU, written for Warp around one model's source: each makes one call of those in gpu_kernels.h.

JAX knows a kernel by a name with a hash of the model's source, so that another process finds what it has compiled.
"""

# What Warp reads as annotations are values made here, and its thread number may have several dimensions.
# pyright: reportInvalidTypeForm=false, reportArgumentType=false
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .codegen.model_source import Functions
from .compilation import warp
from .source import engine_source


@dataclass(frozen=True)
class Kernels:
    """Warp's kernels; gpu_kernels.h says what each does."""

    steady: Any
    course: Any
    course_adjoint: Any
    steady_adjoint: Any
    slot: Any


_BATCH = (
    "Engine::batch_of(integers.data, integers.shape[0], floats.data, floats.shape[0], environment.data,\n"
    "environment.shape[0])"
)


class _Writer:
    """Makes Warp's functions and kernels around the source of one model, and holds the types of their arrays."""

    def __init__(self, source: str):
        self.source = source
        self.digest = hashlib.sha256(source.encode()).hexdigest()[:16]
        wp = self.wp = warp()
        self.i1, self.i2, self.i3 = (wp.array(dtype=wp.int32, ndim=n) for n in (1, 2, 3))
        self.f1, self.f2, self.f3, self.f4 = (wp.array(dtype=wp.float64, ndim=n) for n in (1, 2, 3, 4))
        self.l1, self.l2 = (wp.array(dtype=wp.int64, ndim=n) for n in (1, 2))

    def snippet(self, call: str) -> Callable:
        return self.wp.func_native(f"{self.source}{call}\n")

    def kernel(self, function: Callable) -> Any:
        function.__qualname__ = f"hexamer_{self.digest}_{function.__name__}"
        return self.wp.kernel(function, module="unique", enable_backward=False)


def write_kernels(functions: Functions, *, single: bool = False, keep_stages: bool = False) -> Kernels:
    """The kernels of one model, each a module of its own, so that only those are compiled that are called."""
    w = _Writer(engine_source(functions, 1, "gpu_kernels.h", single=single, keep_stages=keep_stages))
    return Kernels(_steady(w), _course(w), _course_adjoint(w), _steady_adjoint(w), _slot(w))


def _steady(w: _Writer) -> Any:
    wp = w.wp

    @w.snippet(f"Engine::gpu_steady({_BATCH}, steady.data, status.data, steps.data, item);")
    def solve_steady(
        integers: w.i1, floats: w.f1, environment: w.f2, steady: w.f4, status: w.i2, steps: w.i2, item: int
    ): ...

    @w.kernel
    def steady(integers: w.i1, floats: w.f1, environment: w.f2, steady: w.f4, status: w.i2, steps: w.i2):
        solve_steady(integers, floats, environment, steady, status, steps, wp.tid())

    return steady


def _course(w: _Writer) -> Any:
    @w.snippet(
        f"Engine::gpu_course({_BATCH}, steady.data, steady_status.data, steady_steps.data,\n"
        "(const Engine::int64*)where.data, (const Engine::int64*)room.data,\n"
        "(Engine::int64*)count.data, y.shape[0] ? y.data : 0, status.data,\n"
        "steps.data, rejected.data, accepted.data, rows.data);"
    )
    def solve_courses(
        integers: w.i1, floats: w.f1, environment: w.f2, steady: w.f4, steady_status: w.i2, steady_steps: w.i2,
        where: w.l2, room: w.l2, count: w.l1, y: w.f4, status: w.i2, steps: w.i2, rejected: w.i2, accepted: w.i3,
        rows: w.f2,
    ): ...  # fmt: skip

    @w.kernel
    def course(
        integers: w.i1, floats: w.f1, environment: w.f2, steady: w.f4, steady_status: w.i2, steady_steps: w.i2,
        where: w.l2, room: w.l2, count: w.l1, y: w.f4, status: w.i2, steps: w.i2, rejected: w.i2, accepted: w.i3,
        rows: w.f2,
    ):  # fmt: skip
        solve_courses(
            integers, floats, environment, steady, steady_status, steady_steps, where, room,
            count, y, status, steps, rejected, accepted, rows,
        )  # fmt: skip

    return course


def _course_adjoint(w: _Writer) -> Any:
    @w.snippet(
        f"Engine::gpu_course_adjoint({_BATCH}, status.data, accepted.data,\n"
        "(const Engine::int64*)where.data, rows.data, cotangent.data,\n"
        "(Engine::int64*)count.data, start.data, slots.data);"
    )
    def pull_courses(
        integers: w.i1, floats: w.f1, environment: w.f2, status: w.i2, accepted: w.i3, where: w.l2, rows: w.f2,
        cotangent: w.f4, count: w.l1, start: w.f3, slots: w.f3,
    ): ...  # fmt: skip

    @w.kernel
    def course_adjoint(
        integers: w.i1, floats: w.f1, environment: w.f2, status: w.i2, accepted: w.i3, where: w.l2, rows: w.f2,
        cotangent: w.f4, count: w.l1, start: w.f3, slots: w.f3,
    ):  # fmt: skip
        pull_courses(
            integers, floats, environment, status, accepted, where, rows, cotangent, count, start, slots
        )  # fmt: skip

    return course_adjoint


def _steady_adjoint(w: _Writer) -> Any:
    wp = w.wp

    @w.snippet(
        f"Engine::gpu_steady_adjoint({_BATCH}, steady.data, steady_status.data, start.data, steady_slots.data, item);"
    )
    def pull_steady(
        integers: w.i1,
        floats: w.f1,
        environment: w.f2,
        steady: w.f4,
        steady_status: w.i2,
        start: w.f3,
        steady_slots: w.f3,
        item: int,
    ): ...

    @w.kernel
    def steady_adjoint(
        integers: w.i1,
        floats: w.f1,
        environment: w.f2,
        steady: w.f4,
        steady_status: w.i2,
        start: w.f3,
        steady_slots: w.f3,
    ):
        pull_steady(integers, floats, environment, steady, steady_status, start, steady_slots, wp.tid())

    return steady_adjoint


def _slot(w: _Writer) -> Any:
    wp = w.wp

    @w.snippet(f"Engine::gpu_slot({_BATCH}, slots.data, steady_slots.data, out.data, item);")
    def sum_slot(
        integers: w.i1, floats: w.f1, environment: w.f2, slots: w.f3, steady_slots: w.f3, out: w.f2, item: int
    ): ...

    @w.kernel
    def slot(integers: w.i1, floats: w.f1, environment: w.f2, slots: w.f3, steady_slots: w.f3, out: w.f2):
        sum_slot(integers, floats, environment, slots, steady_slots, out, wp.tid())

    return slot
