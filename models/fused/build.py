"""From a model to two compiled handlers that XLA calls: source text, Warp's compiler, registration."""

import contextlib
import ctypes
import hashlib
import os
import platform
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import jax
import numpy as np

from .. import steady_criteria, tableau
from ..model import Model
from .functions import Functions, write_functions
from .lower import Unsupported

_lock = threading.Lock()

# Exponents of the squared error in the step controller: PI with 0.7/5 and 0.4/5 (Hairer and Wanner II, IV.2).
INTEGRAL, PROPORTIONAL = -0.1, 0.0


@dataclass(frozen=True)
class Handlers:
    """Names of a model's targets in XLA's registry, and the width of a row of the record."""

    forward: str
    backward: str
    row: int


def _table(values: np.ndarray) -> str:
    return ", ".join("{" + ", ".join(map(repr, row)) + "}" for row in values.tolist())


def _read(name: str) -> str:
    return files("hexamer.models").joinpath("fused", name).read_text()


def engine_source(functions: Functions, lanes: int) -> str:
    """The engine of one model as the body of a C++ struct, for the CPU (without its handlers) and for CUDA."""
    constants = {
        "A": _table(tableau.A),
        "C": _table(tableau.C),
        "H": _table(tableau.H),
        "M": ", ".join(map(repr, tableau.M.tolist())),
        "GAMMA": repr(tableau.GAMMA),
        "INTEGRAL": repr(INTEGRAL),
        "PROPORTIONAL": repr(PROPORTIONAL),
        "THRESHOLD": repr(steady_criteria.THRESHOLD),
        "HORIZON": repr(steady_criteria.HORIZON),
        "STRICTEST": repr(steady_criteria.STRICTEST),
        "NEWTON": repr(steady_criteria.NEWTON_ITERATIONS),
    }
    sizes = f"enum {{ LANES_ = {lanes}, {', '.join(f'{k} = {v}' for k, v in functions.sizes.items())} }};"
    text = "\n".join([_read("types.h"), sizes, functions.text, _read("queue.h"), _read("kernel.h")])
    return f"#define LANES {lanes}\n" + _fill(text, constants)


def _fill(text: str, constants: dict[str, str]) -> str:
    return re.sub(r"@([A-Z_]+)@", lambda m: constants[m[1]], text)


@cache
def _xla() -> dict[str, str]:
    """What the handlers need to know of the installed XLA's interface."""
    header = (Path(jax.ffi.include_dir()) / "xla/ffi/api/c_api.h").read_text()
    fields = re.findall(r"_XLA_FFI_API_STRUCT_FIELD\((\w+)\)", header.split("struct XLA_FFI_Api {")[1])
    major = re.search(r"#define XLA_FFI_API_MAJOR (\d+)", header)
    minor = re.search(r"#define XLA_FFI_API_MINOR (\d+)", header)
    if major is None or minor is None or major[1] != "0" or "XLA_FFI_ThreadPool_Schedule" not in fields:
        raise Unsupported(f"jaxlib {jax.lib.__version__} has an FFI that the fused engine does not know")
    schedule = fields.index("XLA_FFI_ThreadPool_Schedule")
    return {"API_MAJOR": major[1], "API_MINOR": minor[1], "SCHEDULE": str(schedule)}


def handler_source(functions: Functions, lanes: int) -> str:
    """The body of a function of `out`: defines the engine with its handlers, and hands out their addresses."""
    handlers = _fill(_read("handler.h"), _xla())
    pause = "__builtin_ia32_pause()" if _x86() else "((void)0)"
    return (
        f"#define PAUSE {pause}\nstruct Engine {{\n{engine_source(functions, lanes)}\n{handlers}\n}};\n"
        "out.data[0] = (unsigned long long)&Engine::forward;\n"
        "out.data[1] = (unsigned long long)&Engine::backward;\n"
    )


def _x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")


@cache
def warp():
    """The warp module, initialised in silence. Raises `Unsupported` where it is not installed."""
    try:
        import warp
    except ImportError:
        raise Unsupported("warp-lang is not installed") from None
    # Without a CUDA driver Warp's C code says so on stderr, which is no news to a user of CPUs.
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with quiet(warp):
            warp.init()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
    return warp


@contextlib.contextmanager
def quiet(wp) -> Iterator[None]:
    """Warp says nothing of devices and modules within."""
    level, wp.config.log_level = wp.config.log_level, wp.LOG_ERROR
    try:
        yield
    finally:
        wp.config.log_level = level


_built: dict[tuple[int, int], tuple[Model, Handlers]] = {}  # by the model itself, which is kept so that its id is
_registered: dict[str, Handlers] = {}  # by what the source hashes to


def build(model: Model, lanes: int) -> Handlers:
    """Compiles a model for the CPU, or takes it from Warp's cache on disk, and registers its handlers with XLA.

    Raises `Unsupported` saying why a model cannot be run.
    """
    with _lock:
        key = (id(model), lanes)
        if key not in _built:
            _built[key] = (model, _build(model, lanes))
        return _built[key][1]


def _build(model: Model, lanes: int) -> Handlers:
    wp = warp()
    functions = write_functions(model)
    source = handler_source(functions, lanes)
    name = "hexamer_" + hashlib.sha256(source.encode()).hexdigest()[:16]
    if name not in _registered:
        prototype = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
        for suffix, address in zip(("forward", "backward"), _compile(wp, source), strict=True):
            capsule = jax.ffi.pycapsule(prototype(address))
            jax.ffi.register_ffi_target(f"{name}_{suffix}", capsule, platform="cpu")
        _registered[name] = Handlers(f"{name}_forward", f"{name}_backward", functions.sizes["SPECIES"] + 2)
    return _registered[name]


_kept: list = []  # loaded modules: their code must stay


def _compile(wp, source: str) -> list[int]:
    addresses_type = wp.array(dtype=wp.uint64)

    @wp.func_native(source)
    def addresses(out: addresses_type): ...  # pyright: ignore[reportInvalidTypeForm]

    @wp.kernel(module="unique", enable_backward=False)
    def hand_out(out: addresses_type):  # pyright: ignore[reportInvalidTypeForm]
        addresses(out)

    with quiet(wp):
        out = wp.zeros(2, dtype=wp.uint64, device="cpu")
        wp.launch(hand_out, dim=1, inputs=[out], device="cpu")
    _kept.append(hand_out)
    return [int(a) for a in out.numpy()]
