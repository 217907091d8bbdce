"""The memory that CUDA reserves on a card for the stacks of all resident threads, and whether that much is free."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection
from typing import Any

from ....errors import HexamerError

# Bytes of a thread's stack by species² and by species: dense matrices and vectors in float64. Never less than ptxas
# says of bundled networks; `python -m benchmarks.gpu_compile` measures them.
STACK = {"steady": (24, 300), "steady_adjoint": (16, 255), "course": (0, 320), "course_adjoint": (0, 620)}
RESIDENT = 2048  # threads of a multiprocessor
FEWER = {75: 1024, 86: 1536, 87: 1536, 89: 1536, 120: 1536, 121: 1536}  # by architecture

_lock = threading.Lock()
# By device: the bytes that its largest kernel so far needs, and those that were free when that was noted.
_noted: dict[Any, tuple[int, int]] = {}


class NoRoomError(HexamerError, RuntimeError):
    """A card has no room for the stacks of a kernel's threads."""


def stack(kernel: str, species: int) -> int:
    """Bytes that one thread of a kernel keeps on its stack, at most about."""
    square, each = STACK.get(kernel, (0, 0))
    return square * species**2 + each * species


def reserve(name: str, species: int, kernels: Collection[str], devices: Collection[Any]) -> None:
    """Notes that kernels of a model will be launched on one of some CUDA devices; launches nothing.

    CUDA takes the memory at the first launch, beside what JAX has taken in advance, and keeps it. Raises `NoRoomError`
    with the way out where no device has room for it.
    """
    largest = max((stack(kernel, species), kernel) for kernel in kernels)
    with _lock:
        lacking = []
        for device in devices:
            needed = largest[0] * FEWER.get(device.arch, RESIDENT) * device.sm_count
            before, free_then = _noted.get(device.alias, (0, 0))
            taken = min(before, max(0, free_then - device.free_memory))  # of what was noted, by launches since
            if needed - taken > device.free_memory:
                lacking.append((device, needed))
            elif needed > before:
                _noted[device.alias] = (needed, device.free_memory + taken)
        if lacking and len(lacking) == len(devices):
            raise NoRoomError(_message(name, species, largest[1], *lacking[0]))


def _message(name: str, species: int, kernel: str, device: Any, needed: int) -> str:
    total, free = device.total_memory, device.free_memory
    what = "steady states" if kernel.startswith("steady") else "trajectories"
    fraction = 0.95 - needed / total
    now = os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.75")
    give = (
        f"let JAX take less in advance (start Python with XLA_PYTHON_CLIENT_MEM_FRACTION={fraction:.2f}; it is {now} "
        "now), or "
        if fraction >= 0.1
        else ""
    )
    return (
        f"no room on {device.name} for {what} of {name}: with {species} species its threads' stacks take "
        f"{needed / 2**30:.1f} GiB, and {free / 2**30:.1f} of {total / 2**30:.1f} GiB are free: {give}solve on the CPU "
        "(device='cpu' of Settings, or HEXAMER_DEVICE=cpu)"
    )
