"""From a model to two compiled handlers that XLA calls: source text, Warp's compiler, registration."""

import contextlib
import ctypes
import hashlib
import os
import platform
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import jax
import jaxlib
import numpy as np

from ...compiled.domain import CLUTTER, NOISE, TOLERATED
from ...compiled.model import Model
from .. import rodas5p_coefficients as tableau
from .. import scale, steady_criteria
from ..settings import LEAST_ATOL, LEAST_RTOL
from ..step_control import SHORTEST, TINY
from .codegen.lower import DoesNotCompile, Unsupported
from .codegen.model_source import Functions, write_functions

TARGETS = ("forward", "backward")

_lock = threading.RLock()

# Products and sums become one operation, also across statements: a statement of generated code is one operation.
OPTIONS = {"cpu_compiler_flags": "-march=native -ffp-contract=fast"}


@dataclass(frozen=True)
class Handlers:
    """Names of a model's targets in XLA's registry."""

    forward: str
    backward: str


def _table(values: np.ndarray) -> str:
    return ", ".join("{" + ", ".join(map(repr, row)) + "}" for row in values.tolist())


_FOLDER = files("hexamer.models.solvers.fused").joinpath("c")
# Read with this module, all at once: what is edited or installed while a process runs must not mix with what it has.
_SOURCES = {file.name: file.read_text() for file in _FOLDER.iterdir() if file.name.endswith(".h")}


def read(name: str) -> str:
    """A C source beside this file, as it was when this module was loaded."""
    return _SOURCES[name]


def engine_source(functions: Functions, lanes: int, *, single: bool = False, keep_stages: bool = False) -> str:
    """The engine of one model as the body of a C++ struct, for the CPU (without its handlers) and for CUDA.

    `single`: steps in float32, beside a struct `Exact` that has the model's functions in float64.
    """
    precision = "float32" if single else "float64"
    constants = {
        "LEAST_RTOL": repr(LEAST_RTOL[precision]),
        "LEAST_ATOL": repr(LEAST_ATOL[precision]),
        "A": _table(tableau.A),
        "C": _table(tableau.C),
        "H": _table(tableau.H),
        "M": ", ".join(map(repr, tableau.M.tolist())),
        "GAMMA": repr(tableau.GAMMA),
        "FLOOR": repr(scale.FLOOR[precision]),
        "LEAST_FLOOR": repr(max(scale.LEAST, LEAST_ATOL[precision])),
        "FAINT": repr(scale.FAINT),
        "FAINTEST": repr(scale.FAINTEST),
        "SHARE": repr(scale.SHARE),
        "SHORTEST": repr(SHORTEST),
        "TINY": repr(TINY),
        "SCOUTS": str(scale.SCOUTS),
        "MOMENTS": str(scale.MOMENTS),
        "SCOUT_RATIO": repr(scale.SCOUT_RATIO),
        "THRESHOLD": repr(steady_criteria.THRESHOLD),
        "HORIZON": repr(steady_criteria.HORIZON),
        "ON_THE_WAY_RTOL": repr(steady_criteria.ON_THE_WAY_RTOL),
        "STRICTEST": repr(steady_criteria.STRICTEST),
        "NEWTON": repr(steady_criteria.NEWTON_ITERATIONS),
        "SINGULAR": repr(steady_criteria.SINGULAR),
        "DRIFT": repr(steady_criteria.DRIFT),
        "TOLERATED": repr(TOLERATED),
        "NOISE": repr(NOISE),
        "CLUTTER": repr(CLUTTER),
    }
    sizes = f"enum {{ {', '.join(f'{k} = {v}' for k, v in functions.sizes.items())} }};"
    if functions.sizes["MARGINS"]:
        sizes = f"#define SOME_MARGINS\n{sizes}"
    own = "\n".join([read("lanes.h"), functions.text, read("steady_norm.h")])
    exact = f"#define SINGLE 0\nstruct Exact {{\n{own}\n}};\n#undef SINGLE\n" if single else ""
    around = "\n".join(map(read, ("precision.h", "queue.h", "refuse.h", "courses.h", "scale.h", "steady.h")))
    text = f"{sizes}\n{exact}#define SINGLE {int(single)}\n{own}\n{around}"
    return f"#define LANES {lanes}\n#define KEEP_STAGES {int(keep_stages)}\n" + _fill(text, constants)


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
        raise Unsupported(f"jaxlib {jaxlib.__version__} has an FFI that the fused engine does not know")
    error, schedule = map(fields.index, ("XLA_FFI_Error_Create", "XLA_FFI_ThreadPool_Schedule"))
    return {"API_MAJOR": major[1], "API_MINOR": minor[1], "SCHEDULE": str(schedule), "ERROR": str(error)}


def struct(parts: Sequence[str]) -> str:
    """Sources as one struct, whose functions are called `Engine::name`."""
    return "\n".join(["struct Engine {", *parts, "};\n"])


def _x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")


@cache
def warp():
    """The warp module, initialised in silence. Raises `Unsupported` where it is not installed."""
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
    kept = os.dup(2)
    os.dup2(to, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


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
_built: dict[tuple[int, int, bool, bool], tuple[Model, Handlers]] = {}


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
    _xla()
    functions_of(model)


def build(model: Model, lanes: int, *, single: bool = False, keep_stages: bool = False) -> Handlers:
    """Compiles a model for the CPU, or takes it from Warp's cache on disk, and registers its handlers with XLA.

    Raises `Unsupported` saying why a model cannot be run.
    """
    with _lock:
        key = (id(model), lanes, single, keep_stages)
        if key not in _built:
            _built[key] = (model, _build(model, lanes, single, keep_stages))
        return _built[key][1]


def handlers_of(model: Model, lanes: int, *, single: bool = False, keep_stages: bool = False) -> Handlers:
    """What `build` registers, by name; compiles nothing. Raises `Unsupported` saying why a model cannot be run."""
    return Handlers(*names_of(_handler_source(model, lanes, single, keep_stages), TARGETS))


def _build(model: Model, lanes: int, single: bool, keep_stages: bool) -> Handlers:
    try:
        return Handlers(*register(_handler_source(model, lanes, single, keep_stages), TARGETS))
    except Exception as error:  # of clang, of Warp, or of the machine they run on
        why = f"the fused engine's code for model {model.name!r} does not compile here ({error}); diffrax needs none"
        _broken[id(model)] = (model, why)
        raise DoesNotCompile(why) from error


def _handler_source(model: Model, lanes: int, single: bool, keep_stages: bool) -> str:
    engine = engine_source(functions_of(model), lanes, single=single, keep_stages=keep_stages)
    return struct([engine, read("plan.h"), xla_source(), read("cpu_handlers.h")])


def xla_source() -> str:
    """What handlers need to be called by XLA."""
    pause = "__builtin_ia32_pause()" if _x86() else "((void)0)"
    return f"#define PAUSE {pause}\n" + _fill(read("xla.h"), _xla())


def names_of(source: str, handlers: Sequence[str]) -> list[str]:
    """What XLA calls the handlers in a struct's source, once it is registered."""
    prefix = "hexamer_" + hashlib.sha256(source.encode()).hexdigest()[:16]
    return [f"{prefix}_{handler}" for handler in handlers]


_registered: set[str] = set()


def register(source: str, handlers: Sequence[str]) -> list[str]:
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


_kept: list = []  # loaded modules: their code must stay


def _compile(wp, source: str, count: int) -> list[int]:
    """The addresses that C writes into `out`."""
    addresses_type = wp.array(dtype=wp.uint64)

    @wp.func_native(source)
    def addresses(out: addresses_type): ...  # pyright: ignore[reportInvalidTypeForm]

    @wp.kernel(module="unique", enable_backward=False, module_options=OPTIONS)
    def hand_out(out: addresses_type):  # pyright: ignore[reportInvalidTypeForm]
        addresses(out)

    with tempfile.TemporaryFile() as said:
        try:
            with diverted(said.fileno()), quiet(wp):
                out = wp.zeros(count, dtype=wp.uint64, device="cpu")
                wp.launch(hand_out, dim=1, inputs=[out], device="cpu")
        except Exception as error:  # of Warp's own, or of what it runs
            said.seek(0)
            raise DoesNotCompile(_first_error(said.read().decode(errors="replace")) or str(error)) from error
    _kept.append(hand_out)
    return [int(a) for a in out.numpy()]


def _first_error(said: str) -> str:
    """The first error that the compiler reports, without the place in a file that nobody knows."""
    found = re.search(r"error: (.*)", said)
    return found[1].strip() if found else ""
