"""The CUDA GPUs that JAX and Warp can both use here; if there are none, what is missing and how to install it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax

from .codegen.lower import Unsupported
from .compilation import warp

PLUGINS = ("jax-cuda13-plugin", "jax-cuda12-plugin")
INSTALL = "pip install 'jax[cuda13]'"
SHARE = 4  # one part in so many of a card's memory may be taken by the steps that one batch keeps
UNKNOWN = 2**34  # bytes that JAX has of a card that does not say


def gpus() -> tuple[Any, ...]:
    """The GPUs that JAX has in this process, of any maker."""
    try:
        return tuple(jax.local_devices(backend="gpu"))
    except (RuntimeError, AssertionError):  # the latter where JAX has no device at all
        return ()


def jax_platforms() -> str:
    """The platforms in JAX_PLATFORMS or in JAX's option `jax_platforms`; empty if neither is set."""
    return jax.config.jax_platforms or ""  # pyright: ignore[reportAttributeAccessIssue]


def requested_platforms() -> str:
    """The platforms that JAX_PLATFORMS names, if no GPU is among them; else empty."""
    asked = jax_platforms()
    return "" if not asked or "cuda" in asked or "gpu" in asked else asked


@cache
def has_warp() -> bool:
    """True if warp-lang is installed. The fused engine needs its compiler."""
    try:
        warp()
    except Unsupported:
        return False
    return True


@cache
def devices() -> tuple[Any, ...]:
    """The CUDA GPUs that JAX has here, as Warp knows them; none if Warp cannot use them."""
    cuda_devices = [d for d in gpus() if _is_cuda(d)]
    if not cuda_devices or not has_warp() or not warp().is_cuda_available():
        return ()
    return tuple(map(warp().device_from_jax, cuda_devices))


def _is_cuda(device: Any) -> bool:
    return "rocm" not in device.client.platform_version.lower()


@cache
def why_none() -> str:
    """Why the fused engine has no GPU here, as a sentence without its full stop; empty if it has one.

    Also empty on a machine without a GPU, and if JAX was told to leave it alone: nothing is missing there.
    """
    if devices():
        return ""
    return _jax_has_none() if not gpus() else _warp_has_none()


def _warp_has_none() -> str:
    """JAX has a GPU."""
    if not any(map(_is_cuda, gpus())):
        return "the GPU that JAX has here is not a CUDA device, and the fused engine's kernels are for CUDA alone"
    try:
        wp = warp()
    except Unsupported as reason:
        return str(reason)
    if wp.get_cuda_toolkit_version() is None:
        return f"warp-lang {wp.config.version} as it is installed here has no CUDA: install its wheel from PyPI"
    if wp.get_cuda_driver_version() is None:
        return f"warp-lang {wp.config.version} finds no CUDA driver, though JAX has a GPU: see whether nvidia-smi runs"
    return _old_driver(wp) or (
        f"warp-lang {wp.config.version} finds no CUDA device, though JAX has one: see whether CUDA_VISIBLE_DEVICES was "
        f"changed after Python started"
    )


def _old_driver(wp: Any) -> str:
    toolkit, driver = wp.get_cuda_toolkit_version(), wp.get_cuda_driver_version()
    if toolkit is None or driver is None or driver >= (toolkit[0], 0):
        return ""
    return (
        f"the NVIDIA driver is too old: it is made for CUDA {driver[0]}.{driver[1]}, and warp-lang {wp.config.version} "
        f"needs one for CUDA {toolkit[0]}.0 or newer: update the driver"
    )


def _jax_has_none() -> str:
    """Nothing is missing where nobody has a GPU."""
    if requested_platforms() or not has_warp():
        return ""
    wp = warp()
    installed = {p: v for p in PLUGINS if (v := _version(p))}
    if not wp.is_cuda_available():
        if wp.get_cuda_driver_version() is None and installed:
            return (
                f"JAX is installed with CUDA ({next(iter(installed))}), and no NVIDIA driver was found: check that "
                "nvidia-smi runs, and that a container was started with the GPU"
            )
        return _old_driver(wp)
    name = wp.get_cuda_devices()[0].name
    if not installed:
        return f"there is a CUDA GPU here ({name}), and JAX is installed without CUDA: {INSTALL}"
    plugin, version = next(iter(installed.items()))
    if version != _version("jaxlib"):
        return (
            f"there is a CUDA GPU here ({name}), and JAX cannot use it: {plugin} {version} belongs to another version "
            f"than jaxlib {_version('jaxlib')}: {INSTALL}"
        )
    return (
        f"there is a CUDA GPU here ({name}), and JAX's {plugin} {version} did not start on it: run "
        f"python -c 'import jax; jax.devices(\"cuda\")', which says why"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def memory() -> int:
    """Bytes that the steps which one batch keeps may take on this process's smallest card."""
    limits = [(d.memory_stats() or {}).get("bytes_limit", UNKNOWN) for d in gpus()]
    return min(limits, default=UNKNOWN) // SHARE
