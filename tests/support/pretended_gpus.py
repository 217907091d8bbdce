"""Machines that pretend to have a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from hexamer import Settings
from hexamer.models.solvers import placement
from hexamer.models.solvers.fused import cuda, stacks
from hexamer.models.solvers.placement import devices_for

CUDA = SimpleNamespace(platform_version="cuda 13000", platform="gpu")
ROCM = SimpleNamespace(platform_version="rocm 60000", platform="gpu")


def gpu_of(client: Any = CUDA) -> Any:
    return SimpleNamespace(
        platform="gpu", client=client, id=0, device_kind="H200", memory_stats=lambda: {"bytes_limit": 2**37}
    )


def warp_with(
    *,
    toolkit: tuple[int, int] | None = (13, 4),
    driver: tuple[int, int] | None = (13, 0),
    devices: int = 1,
    arch: int = 90,
) -> Any:
    """What of Warp says which GPUs it can use."""
    card = SimpleNamespace(
        name="NVIDIA H200", alias="cuda:0", arch=arch, sm_count=132, free_memory=2**35, total_memory=2**37, is_cuda=True
    )
    return SimpleNamespace(
        config=SimpleNamespace(version="1.19.0"),
        get_cuda_toolkit_version=lambda: toolkit,
        get_cuda_driver_version=lambda: driver,
        is_cuda_available=lambda: devices > 0,
        get_cuda_devices=lambda: [card] * devices,
        device_from_jax=lambda _: card,
    )


Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A function that makes JAX and Warp say what they would on another machine."""
    real = jax.local_devices

    def pretend(*, gpus: int = 1, client: Any = CUDA, warp: Any = None, cores: int = 2) -> None:
        cards = [gpu_of(client) for _ in range(gpus)]

        def local_devices(*, backend: str | None = None, **_: Any) -> list[Any]:
            if backend == "cpu" or (backend is None and not cards):
                return real(backend="cpu")
            if not cards:
                raise RuntimeError(f"Unknown backend {backend}")
            return cards

        def found() -> Any:
            if isinstance(warp, Exception):
                raise warp
            return warp_with() if warp is None else warp

        monkeypatch.setattr(placement, "usable_cores", lambda: cores)
        monkeypatch.setattr(jax, "local_devices", local_devices)
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu" if cards else "cpu")
        monkeypatch.setattr(cuda, "warp", found)
        forget()

    yield pretend
    monkeypatch.undo()
    forget()


def forget() -> None:
    for known in (cuda.devices, cuda.has_warp, cuda.why_none, placement._say_once, placement.break_even):
        known.cache_clear()
    placement.prefer(None)
    stacks._noted.clear()


def platforms(trajectories: float, settings: Settings | None = None) -> set[str]:
    return {d.platform for d in devices_for(int(trajectories), settings or Settings())}
