"""From a model to two compiled handlers that XLA calls: Warp's compiler, and registration."""

import contextlib
import ctypes
import hashlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import jax

from ...compiled.model import Model
from .codegen.lower import DoesNotCompile, Unsupported
from .codegen.model_source import Functions, write_functions
from .source import engine_source
from .xla import handler_headers, xla_api

TARGETS = ("forward", "backward")

_lock = threading.RLock()

# Products and sums become one operation, also across statements: a statement of generated code is one operation.
OPTIONS: dict[str, str | int] = {"cpu_compiler_flags": "-march=native -ffp-contract=fast"}


@dataclass(frozen=True)
class Handlers:
    """Names of a model's targets in XLA's registry."""

    forward: str
    backward: str


@cache
def warp():
    """The warp module, initialised in silence. Raises `Unsupported` if it is not installed."""
    try:
        import warp
    except ImportError:
        raise Unsupported("warp-lang, whose compiler the fused engine needs, is not installed") from None
    # Without a CUDA driver Warp's C code says so on stderr, which is no news to a user of CPUs.
    with tempfile.TemporaryFile() as said, diverted(said.fileno()), quiet(warp):
        warp.init()
    return warp


@contextlib.contextmanager
def diverted(to: int) -> Iterator[None]:
    """What C code writes to stderr within goes to another file."""
    sys.stderr.flush()
    stderr = os.dup(2)
    os.dup2(to, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)


@contextlib.contextmanager
def quiet(wp) -> Iterator[None]:
    """Warp says nothing of devices and modules within."""
    level, wp.config.log_level = wp.config.log_level, wp.LOG_ERROR
    try:
        yield
    finally:
        wp.config.log_level = level


# By the model itself, which is kept so that its id is.
_written: dict[int, tuple[Model, Functions]] = {}
_broken: dict[int, tuple[Model, str]] = {}  # models whose code did not compile, and what was said of it
_built: dict[tuple[int, int, bool, bool, str], tuple[Model, Handlers]] = {}


def functions_of(model: Model) -> Functions:
    """A model's C, written once. Raises `Unsupported` saying why a model cannot be run."""
    if id(model) not in _written:
        _written[id(model)] = (model, write_functions(model))
    return _written[id(model)][1]


def require(model: Model) -> None:
    """Raises `Unsupported` saying why a model cannot be run here; compiles nothing."""
    if id(model) in _broken:
        raise Unsupported(_broken[id(model)][1])
    warp()
    xla_api()
    functions_of(model)


def build(model: Model, lanes: int, *, single: bool = False, keep_stages: bool = False) -> Handlers:
    """Compiles a model for the CPU, or takes it from Warp's cache on disk, and registers its handlers with XLA.

    Raises `Unsupported` saying why a model cannot be run.
    """
    with _lock:
        key = (id(model), lanes, single, keep_stages, str(OPTIONS))
        if key not in _built:
            _built[key] = (model, _build(model, lanes, single, keep_stages))
        return _built[key][1]


def handlers_of(model: Model, lanes: int, *, single: bool = False, keep_stages: bool = False) -> Handlers:
    """What `build` registers, by name; compiles nothing. Raises `Unsupported` saying why a model cannot be run."""
    return Handlers(*names_of(_handler_source(model, lanes, single, keep_stages), TARGETS))


def _build(model: Model, lanes: int, single: bool, keep_stages: bool) -> Handlers:
    try:
        return Handlers(*register_handlers(_handler_source(model, lanes, single, keep_stages), TARGETS))
    except Exception as error:  # of clang, of Warp, or of the machine they run on
        why = f"the fused engine's code for model {model.name!r} does not compile here ({error}); diffrax needs none"
        _broken[id(model)] = (model, why)
        raise DoesNotCompile(why) from error


def _handler_source(model: Model, lanes: int, single: bool, keep_stages: bool) -> str:
    return engine_source(
        functions_of(model),
        lanes,
        "cpu_handlers.h",
        single=single,
        keep_stages=keep_stages,
        more=handler_headers(),
    )


def names_of(source: str, handlers: Sequence[str]) -> list[str]:
    """The names that XLA has for the handlers in a struct's source, compiled with `OPTIONS`."""
    prefix = "hexamer_" + hashlib.sha256(f"{OPTIONS}{source}".encode()).hexdigest()[:16]
    return [f"{prefix}_{handler}" for handler in handlers]


_registered: set[str] = set()


def register_handlers(source: str, handlers: Sequence[str]) -> list[str]:
    """Compiles a struct's source, or takes it from disk, and registers its handlers; returns their names."""
    names = names_of(source, handlers)
    with _lock:
        if not _registered.issuperset(names):
            addresses = (f"out.data[{i}] = (unsigned long long)&Engine::{h};\n" for i, h in enumerate(handlers))
            prototype = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
            for name, address in zip(names, _compile(warp(), source + "".join(addresses), len(names)), strict=True):
                jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(prototype(address)), platform="cpu")
            _registered.update(names)
    return names


_loaded_modules: list = []  # loaded modules: their code must stay


def _compile(wp, source: str, count: int) -> list[int]:
    """The addresses that C writes into `out`."""
    addresses_type = wp.array(dtype=wp.uint64)

    @wp.func_native(source)
    def addresses(out: addresses_type): ...  # pyright: ignore[reportInvalidTypeForm]

    @wp.kernel(module="unique", enable_backward=False, module_options=OPTIONS)
    def hand_out(out: addresses_type):  # pyright: ignore[reportInvalidTypeForm]
        addresses(out)

    with tempfile.TemporaryFile() as output:
        try:
            with diverted(output.fileno()), quiet(wp):
                out = wp.zeros(count, dtype=wp.uint64, device="cpu")
                wp.launch(hand_out, dim=1, inputs=[out], device="cpu")
        except Exception as error:  # of Warp's own, or of what it runs
            output.seek(0)
            raise DoesNotCompile(_first_error(output.read().decode(errors="replace")) or str(error)) from error
    _loaded_modules.append(hand_out)
    return [int(a) for a in out.numpy()]


def _first_error(said: str) -> str:
    """The first error that the compiler reports, without the place in a file that nobody knows."""
    match = re.search(r"error: (.*)", said)
    return match[1].strip() if match else ""
