"""Which of JAX's devices solve: the CPU's where a call has few trajectories, a GPU where it has many.

A GPU takes about as long for one trajectory as for hundreds, and longer than a CPU's cores take for those.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, get_args

import jax

from .fused import cuda
from .fused.lower import Unsupported
from .fused.platforms import CPU_ALONE
from .settings import Device, Settings

log = logging.getLogger(__name__)

# A GPU takes some 11 ms for a gradient, whatever the number of trajectories; in that time one core of a CPU finds the
# gradients of 47 trajectories of il6_stat3. Both are counted in instructions; `benchmarks.gpu_first_run` measures them.
PER_CORE, LEAST = 47, 500
VARIABLE = "HEXAMER_DEVICE"

_preferred: Device = "auto"


def prefer(device: Device) -> None:
    """Chooses where hexamer's own functions solve in this process; `Settings.device` stands before it."""
    global _preferred
    _preferred = device


@cache
def break_even() -> int:
    """Trajectories of one call from which on a GPU is faster than this machine's cores, about; at least 500."""
    return max(LEAST, PER_CORE * (os.cpu_count() or 1))


def default_platform() -> str:
    """Where JAX computes what nobody has placed: `cpu`, `gpu`, …"""
    asked = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    if asked is None:
        return jax.default_backend()
    platform = asked if isinstance(asked, str) else asked.platform
    return "gpu" if platform in ("cuda", "rocm") else platform


def devices_for(trajectories: int, settings: Settings) -> list[Any]:
    """JAX's devices of this process that a call of so many trajectories is spread over.

    What decides, in this order: `settings.device`; `prefer`; the environment variable HEXAMER_DEVICE; the default
    device that the user has given JAX, as `jax.default_device(...)` does; the number of trajectories.

    Raises `Unsupported` (a `ValueError`) saying why where a GPU is asked for and there is none.
    """
    device = _asked(settings)
    if device == "cpu":
        return _on("cpu")
    if device == "gpu":
        _require_gpu(settings)
        return _on("gpu")
    given = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    if given is not None and not CPU_ALONE.get():
        return jax.local_devices(backend=given) if isinstance(given, str) else _kin(given)
    if jax.default_backend() != "gpu":
        if trajectories >= break_even() and (why := cuda.why_none()):
            _say_once(logging.WARNING, f"{why}. The CPU solves")
        return jax.local_devices()
    if _needs_warp(settings) and cuda.has_warp() and (why := cuda.why_none()):
        _say_once(logging.WARNING, f"the GPU is left out: {why}. The CPU solves")
        return _on("cpu")
    if trajectories >= break_even():
        return jax.local_devices()
    _say_once(
        logging.INFO,
        f"calls of fewer than {break_even()} trajectories are solved on the CPU, which is faster at them than a GPU "
        "(override: device='gpu' of Settings, or HEXAMER_DEVICE=gpu)",
    )
    return _on("cpu")


def placed(trajectories: int, settings: Settings) -> AbstractContextManager[list[Any]]:
    """Within, JAX computes where a call of so many trajectories belongs; gives those devices."""
    return _Placed(devices_for(trajectories, settings))


class _Placed(AbstractContextManager[list[Any]]):
    """A class, since the gradients of a fit enter it thousands of times."""

    def __init__(self, devices: list[Any]):
        self._devices, self._within = devices, on(devices[0])

    def __enter__(self) -> list[Any]:
        self._within.__enter__()
        return self._devices

    def __exit__(self, *raised: Any) -> None:
        self._within.__exit__(*raised)


def on(device: Any) -> AbstractContextManager[None]:
    """Within, JAX computes on devices of this one's kind. Each thread needs its own."""
    return contextlib.nullcontext() if device.platform == default_platform() else _moved(device)


@contextlib.contextmanager
def _moved(device: Any) -> Iterator[None]:
    first = jax.local_devices(backend=device.platform)[0]  # one for all: JAX traces for each default device anew
    token = CPU_ALONE.set(device.platform == "cpu")
    try:
        with jax.default_device(first):
            yield
    finally:
        CPU_ALONE.reset(token)


def _asked(settings: Settings) -> Device:
    if settings.device != "auto":
        return settings.device
    if _preferred != "auto":
        return _preferred
    asked = os.environ.get(VARIABLE) or "auto"
    if asked not in get_args(Device):
        raise ValueError(f"the environment variable {VARIABLE} is {asked!r}; known: {', '.join(get_args(Device))}")
    return asked  # pyright: ignore[reportReturnType]


def _on(platform: str) -> list[Any]:
    """This process's devices of a platform; JAX's default ones where it was told to leave that out."""
    try:
        return jax.local_devices(backend=platform)
    except RuntimeError:
        return jax.local_devices()


def _kin(device: Any) -> list[Any]:
    """A GPU that the user chose is meant alone; a CPU's devices are its cores."""
    return jax.local_devices(backend="cpu") if device.platform == "cpu" else [device]


def _needs_warp(settings: Settings) -> bool:
    return settings.engine != "diffrax" and settings.solver == "rodas5p" and settings.derivative == "reverse"


def _require_gpu(settings: Settings) -> None:
    if not cuda.gpus():
        told = cuda.platforms_asked()
        why = f"JAX was told to leave it out (JAX_PLATFORMS={told})" if told else cuda.why_none()
        install = f"JAX has none here: with an NVIDIA driver for CUDA 13, {cuda.INSTALL}"
        raise Unsupported(f"device='gpu' asks for a GPU: {why or install}")
    if _needs_warp(settings) and (why := cuda.why_none()):
        raise Unsupported(f"device='gpu' asks for a GPU that the fused engine can use: {why}")


@cache
def _say_once(level: int, said: str) -> None:
    log.log(level, "%s", said)
