"""The devices that JAX starts with."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .options import DeviceChoice


def use_device(device: DeviceChoice | None, cpus: int | None = None) -> None:
    """Starts JAX with this many CPU devices, at most one per core (None: as JAX does), and checks the device asked for.

    Called before a folder is made and a model compiled, so that a device that is not there is told at once.
    """
    from ..models.solvers.machine import usable_cores
    from ..models.solvers.placement import prefer, require_asked

    prefer(None if device is None else device.value)
    if cpus is not None:
        _use_cpus(max(1, min(cpus, usable_cores())))
    require_asked()


def _use_cpus(wanted: int) -> None:
    import jax

    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        # JAX may have started, where `main` is called from a program: the sampler then says what it has.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", wanted)


__all__ = ["use_device"]
