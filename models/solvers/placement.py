"""Which of JAX's devices solve: the CPU's where a call has few trajectories, a GPU where it has many.

A GPU takes about as long for one trajectory as for hundreds, and longer than a CPU's cores take for those. For many it
is as fast as some number of cores, and a machine that has more keeps to them.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, get_args

import jax

from ..listing import known_names
from .fused import cuda
from .fused.codegen.lower import Unsupported
from .fused.platforms import CPU_ALONE
from .machine import usable_cores
from .settings import Device, Settings
from .solver import Diffrax

log = logging.getLogger(__name__)

# An H200 took 49 ms for the gradients of 768 trajectories of il6_stat3, which keep only a part of it busy; in that time
# one core of a CPU finds 220. For many, it was as fast as 5 cores (forward; 11 for gradients), in float32 as 8 (21):
# `benchmarks/results/gpu_first_run.json`. Threads that had gone different ways stayed apart in those kernels, and do so
# no longer; no card has run them since.
PER_CORE, LEAST = 220, 500
CORES_OF_A_GPU = {"float64": 5, "float32": 8}
SLOW_IN_FLOAT64 = (75, 86, 87, 89, 120, 121)  # architectures: 1/32 or 1/64 of float32, no faster than a CPU's cores
VARIABLE = "HEXAMER_DEVICE"

_preferred: Device | None = None


def prefer(device: Device | None) -> None:
    """Chooses where hexamer's own functions solve in this process, before HEXAMER_DEVICE; None: as that says.

    A `Settings.device` that is not `auto` stands before both. Raises `ValueError` for an unknown device.
    """
    global _preferred
    if device is not None and device not in get_args(Device):
        raise ValueError(f"unknown device {device!r}; {known_names(str(device), get_args(Device))}")
    _preferred = device


@cache
def break_even(precision: str = "float64") -> float:
    """Trajectories of one call from which on a GPU is faster than this machine's cores, about; infinite if never."""
    cores = usable_cores()
    left = 1 - cores / CORES_OF_A_GPU[precision]
    return max(LEAST, round(PER_CORE * cores / left)) if left > 0 else math.inf


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

    Raises `Unsupported` (a `ValueError`) saying why where a device is asked for that is not there.
    """
    device, request = requested_device(settings)
    if device == "cpu":
        return require_cpu(f"{request} asks for it")
    if device == "gpu":
        _require_gpu(settings, request)
        return jax.local_devices(backend="gpu")
    default = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    if default is not None and not CPU_ALONE.get():
        return jax.local_devices(backend=default) if isinstance(default, str) else _devices_like(default)
    if jax.default_backend() != "gpu":
        if trajectories >= LEAST and (why := cuda.why_none()):
            _say_once(logging.WARNING, f"{why}. The CPU solves")
        return jax.local_devices()
    fused = _needs_warp(settings) and cuda.has_warp()
    if fused and (why := cuda.why_none()):
        _say_once(logging.WARNING, f"the GPU is left out: {why}. The CPU solves")
        return require_cpu("this machine's GPU is of no use")
    enough = break_even(settings.precision) if fused else LEAST  # of diffrax it was not measured
    if trajectories >= enough and not (fused and _is_slow(settings)):
        if fused:
            _say_once(
                logging.WARNING,
                f"calls of {enough} trajectories or more are solved on the GPU. hexamer's code for it is tested on "
                "CPUs; one GPU, an H200, ran an earlier state of it. HEXAMER_DEVICE=cpu keeps to the CPU",
            )
        return jax.local_devices()
    return _cpus_beside_a_gpu(trajectories, enough)


def _cpus_beside_a_gpu(trajectories: int, enough: float) -> list[Any]:
    """The CPU's devices, which are logged once; the GPU's if JAX was configured without the CPU."""
    try:
        cpus = jax.local_devices(backend="cpu")
    except RuntimeError:
        _say_once(
            logging.WARNING,
            f"{_calls_below(enough)} are slow on a GPU, and JAX was told to leave the CPU out "
            f"(JAX_PLATFORMS={cuda.jax_platforms()}): unset it, or name the CPU too (JAX_PLATFORMS=cuda,cpu)",
        )
        return jax.local_devices()
    _say_once(
        logging.INFO,
        f"{_calls_below(enough) if trajectories < enough else 'calls'} are solved on the CPU, which should be faster "
        "at them than this GPU (override: device='gpu' of Settings, or HEXAMER_DEVICE=gpu)",
    )
    return cpus


def _calls_below(enough: float) -> str:
    return "calls" if enough == math.inf else f"calls of fewer than {enough} trajectories"


def _is_slow(settings: Settings) -> bool:
    """True if the solve is in float64, and every GPU here does that at a small part of its speed in float32."""
    return settings.precision == "float64" and all(d.arch in SLOW_IN_FLOAT64 for d in cuda.devices())


def require_asked() -> None:
    """Raises `Unsupported` if JAX has no device at all, or not the one that `prefer` or HEXAMER_DEVICE ask for."""
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:  # with an empty message, at times
        raise Unsupported(
            f"JAX finds no device to compute on (JAX_PLATFORMS={cuda.jax_platforms()}; it says: "
            f"{str(error) or 'nothing'}). Unset JAX_PLATFORMS to use the CPU; for an NVIDIA GPU: "
            f"{cuda.why_none() or cuda.INSTALL}"
        ) from None
    device, request = requested_device(Settings())
    if device == "gpu":
        _require_gpu(Settings(Diffrax()), request)  # whether Warp is needed, the settings of a solve say
    elif device == "cpu":
        require_cpu(f"{request} asks for it")


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


def requested_device(settings: Settings) -> tuple[Device, str]:
    """The requested device, and what requests it, as messages name that."""
    device = settings.device if settings.device != "auto" else _preferred
    if device is not None:
        return device, f"device={device!r}"
    known, variable = get_args(Device), os.environ.get(VARIABLE, "")
    device = variable.strip().lower() or "auto"
    if device not in known:
        raise ValueError(f"the environment variable {VARIABLE} is {variable!r}; {known_names(device, known)}")
    return device, f"{VARIABLE}={variable}"  # pyright: ignore[reportReturnType]


def note_ignored(settings: Settings, why: str, platforms: Collection[str] = ()) -> None:
    """Logs once that another device was asked for than these `platforms`, where others decide."""
    device, request = requested_device(settings)
    if device != "auto" and set(platforms) != {device}:
        _say_once(logging.WARNING, f"{request} has no effect here: {why}")


def require_cpu(why: str) -> list[Any]:
    """The CPU's devices. Raises `Unsupported` with `why` they are needed if JAX was told to leave the CPU out."""
    try:
        return jax.local_devices(backend="cpu")
    except RuntimeError:
        raise Unsupported(
            f"JAX was told to leave the CPU out (JAX_PLATFORMS={cuda.jax_platforms()}), and {why}: "
            "unset JAX_PLATFORMS, or name the CPU too (JAX_PLATFORMS=cuda,cpu)"
        ) from None


def _devices_like(device: Any) -> list[Any]:
    """A GPU that the user chose is meant alone; a CPU's devices are its cores."""
    return jax.local_devices(backend="cpu") if device.platform == "cpu" else [device]


def _needs_warp(settings: Settings) -> bool:
    return not isinstance(settings.solver, Diffrax)


def _require_gpu(settings: Settings, request: str) -> None:
    if not cuda.gpus():
        if platforms := cuda.requested_platforms():
            way_out = (
                f"JAX was told to leave it out (JAX_PLATFORMS={platforms}; unset it, or jax_platforms in jax.config)"
            )
        elif why := cuda.why_none():
            way_out = f"{why}. To solve on the CPU, do not ask for the GPU"
        else:
            way_out = (
                "JAX finds none. To solve on the CPU, do not ask for the GPU; with an NVIDIA GPU and a driver for CUDA "
                f"13 (R580 or newer), on Linux or WSL2: {cuda.INSTALL}"
            )
        raise Unsupported(f"there is no GPU here, and {request} asks for it: {way_out}")
    if _needs_warp(settings) and (why := cuda.why_none()):
        raise Unsupported(f"the fused engine cannot use the GPU here, and {request} asks for it: {why}")


@cache
def _say_once(level: int, said: str) -> None:
    log.log(level, "%s", said)
