"""The kernels of a GPU, written for Warp around one model's source: each makes one call of those in gpu_kernels.h.

JAX knows a kernel by a name with a hash of the model's source, so that another process finds what it has compiled.
"""

# What Warp reads as annotations are values made here, and its thread number may have several dimensions.
# pyright: reportInvalidTypeForm=false, reportArgumentType=false
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .build import warp
from .codegen.model_source import Functions
from .source import engine_source


@dataclass(frozen=True)
class Kernels:
    """Warp's kernels; gpu_kernels.h says what each does."""

    steady: Any
    course: Any
    course_adjoint: Any
    steady_adjoint: Any
    slot: Any


def write_kernels(functions: Functions, *, single: bool = False, keep_stages: bool = False) -> Kernels:
    """The kernels of one model, each a module of its own, so that only those are compiled that are called."""
    wp = warp()
    source = engine_source(functions, 1, "gpu_kernels.h", single=single, keep_stages=keep_stages)
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    i1, i2, i3 = (wp.array(dtype=wp.int32, ndim=n) for n in (1, 2, 3))
    f1, f2, f3, f4 = (wp.array(dtype=wp.float64, ndim=n) for n in (1, 2, 3, 4))
    l1, l2 = (wp.array(dtype=wp.int64, ndim=n) for n in (1, 2))
    batch = (
        "Engine::batch_of(integers.data, integers.shape[0], floats.data, floats.shape[0], environment.data,\n"
        "environment.shape[0])"
    )

    def snippet(call: str) -> Callable:
        return wp.func_native(f"{source}{call}\n")

    def kernel(function: Callable) -> Any:
        function.__qualname__ = f"hexamer_{digest}_{function.__name__}"
        return wp.kernel(function, module="unique", enable_backward=False)

    @snippet(f"Engine::gpu_steady({batch}, steady.data, status.data, steps.data, item);")
    def solve_steady(integers: i1, floats: f1, environment: f2, steady: f4, status: i2, steps: i2, item: int): ...

    @kernel
    def steady(integers: i1, floats: f1, environment: f2, steady: f4, status: i2, steps: i2):
        solve_steady(integers, floats, environment, steady, status, steps, wp.tid())

    @snippet(
        f"Engine::gpu_course({batch}, steady.data, steady_status.data, steady_steps.data,\n"
        "(const Engine::int64*)where.data, (const Engine::int64*)room.data,\n"
        "(Engine::int64*)count.data, y.shape[0] ? y.data : 0, status.data,\n"
        "steps.data, rejected.data, accepted.data, rows.data);"
    )
    def solve_courses(
        integers: i1, floats: f1, environment: f2, steady: f4, steady_status: i2, steady_steps: i2, where: l2, room: l2,
        count: l1, y: f4, status: i2, steps: i2, rejected: i2, accepted: i3, rows: f2,
    ): ...  # fmt: skip

    @kernel
    def course(
        integers: i1, floats: f1, environment: f2, steady: f4, steady_status: i2, steady_steps: i2, where: l2, room: l2,
        count: l1, y: f4, status: i2, steps: i2, rejected: i2, accepted: i3, rows: f2,
    ):  # fmt: skip
        solve_courses(
            integers, floats, environment, steady, steady_status, steady_steps, where, room,
            count, y, status, steps, rejected, accepted, rows,
        )  # fmt: skip

    @snippet(
        f"Engine::gpu_course_adjoint({batch}, status.data, accepted.data,\n"
        "(const Engine::int64*)where.data, rows.data, cotangent.data,\n"
        "(Engine::int64*)count.data, start.data, slots.data);"
    )
    def pull_courses(
        integers: i1, floats: f1, environment: f2, status: i2, accepted: i3, where: l2, rows: f2, cotangent: f4,
        count: l1, start: f3, slots: f3,
    ): ...  # fmt: skip

    @kernel
    def course_adjoint(
        integers: i1, floats: f1, environment: f2, status: i2, accepted: i3, where: l2, rows: f2, cotangent: f4,
        count: l1, start: f3, slots: f3,
    ):  # fmt: skip
        pull_courses(
            integers, floats, environment, status, accepted, where, rows, cotangent, count, start, slots
        )  # fmt: skip

    @snippet(
        f"Engine::gpu_steady_adjoint({batch}, steady.data, steady_status.data, start.data, steady_slots.data, item);"
    )
    def pull_steady(
        integers: i1, floats: f1, environment: f2, steady: f4, steady_status: i2, start: f3, steady_slots: f3, item: int
    ): ...

    @kernel
    def steady_adjoint(
        integers: i1, floats: f1, environment: f2, steady: f4, steady_status: i2, start: f3, steady_slots: f3
    ):
        pull_steady(integers, floats, environment, steady, steady_status, start, steady_slots, wp.tid())

    @snippet(f"Engine::gpu_slot({batch}, slots.data, steady_slots.data, out.data, item);")
    def sum_slot(integers: i1, floats: f1, environment: f2, slots: f3, steady_slots: f3, out: f2, item: int): ...

    @kernel
    def slot(integers: i1, floats: f1, environment: f2, slots: f3, steady_slots: f3, out: f2):
        sum_slot(integers, floats, environment, slots, steady_slots, out, wp.tid())

    return Kernels(steady, course, course_adjoint, steady_adjoint, slot)
