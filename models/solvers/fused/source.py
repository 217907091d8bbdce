"""The C++ of the fused engine as one text: the headers of `c`, each once, and those that are written for a model."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from importlib.resources import files

from . import contract
from .codegen.model_source import Functions

_FOLDER = files("hexamer.models.solvers.fused").joinpath("c")
# Read with this module, all at once: what is edited or installed while a process runs must not mix with what it has.
_SOURCES = {file.name: file.read_text() for file in _FOLDER.iterdir() if file.name.endswith(".h")}

_INCLUDE = re.compile(r'#include "(\w+\.h)"')
# What stands once, outside of the struct of functions in float64 that a float32 engine has too.
_SHARED = ("constants.h", "sizes.h", "target.h", "contract.h")


def header_text(name: str) -> str:
    """A header of the folder `c`, as it was when this module was loaded."""
    return _SOURCES[name]


def names() -> list[str]:
    """The names of all headers of the folder `c`."""
    return list(_SOURCES)


def join(name: str, written: Mapping[str, str], without: Collection[str] = ()) -> str:
    """A header behind all those that it includes, each once, as a compiler would join them at `#pragma once`.

    `written` are headers by name that are not in the folder `c`; those in `without` are left out. So are headers of the
    system: the text becomes part of a struct, and each compiler has them already.
    """
    done = {*without}

    def text(name: str) -> str:
        if name in done:
            return ""
        done.add(name)
        lines = []
        for line in (written[name] if name in written else header_text(name)).splitlines():
            if include := _INCLUDE.fullmatch(line):
                lines.append(text(include[1]))
            elif line != "#pragma once" and not line.startswith("#include"):
                lines.append(line)
        return "\n".join(lines)

    return text(name)


def defined(lanes: int, *, single: bool = False, keep_stages: bool = False) -> str:
    """The macros that differ between builds of the same headers."""
    return f"#define LANES {lanes}\n#define SINGLE {int(single)}\n#define KEEP_STAGES {int(keep_stages)}\n"


def model_headers(functions: Functions) -> dict[str, str]:
    """The headers that are written for a model: sizes, functions, and all that the contract declares."""
    return {
        "constants.h": contract.constants(),
        "contract.h": contract.engine(),
        "rodas5p_tables.h": contract.tables_of_rodas5p(),
        "sizes.h": contract.sizes(functions.sizes),
        "model.h": f'#pragma once\n#include "lanes.h"\n#include "sizes.h"\n\n{functions.text}\n',
    }


def engine_source(
    functions: Functions,
    lanes: int,
    header: str = "engine.h",
    *,
    single: bool = False,
    keep_stages: bool = False,
    more: Mapping[str, str] | None = None,
) -> str:
    """The engine of one model as a struct `Engine`: `header` and all that it includes.

    `single`: steps in float32, beside a struct `Exact` that has the model's functions in float64. `more`: headers that
    are written for the handlers.
    """
    written = {**model_headers(functions), **(more or {})}
    exact = join("steady_norm.h", written, _SHARED)
    parts = [
        join("contract.h", written, ("constants.h",)),
        f"#undef SINGLE\n#define SINGLE 0\nstruct Exact {{\n{exact}\n}};\n#undef SINGLE\n#define SINGLE 1"
        if single
        else "",
        join(header, written, _SHARED),
    ]
    head = defined(lanes, single=single, keep_stages=keep_stages) + join("constants.h", written)
    return f"{head}\nstruct Engine {{\n{'\n'.join(parts)}\n}};\n"
