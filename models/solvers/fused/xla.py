"""The part of the installed XLA's interface that the handlers use."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import jax
import jaxlib

from . import contract
from .codegen.lower import Unsupported


@cache
def xla_api() -> str:
    """The header `xla_api.h`. Raises `Unsupported` if the interface is another than that of xla.h."""
    header = (Path(jax.ffi.include_dir()) / "xla/ffi/api/c_api.h").read_text()
    fields = re.findall(r"_XLA_FFI_API_STRUCT_FIELD\((\w+)\)", header.split("struct XLA_FFI_Api {")[1])
    major = re.search(r"#define XLA_FFI_API_MAJOR (\d+)", header)
    minor = re.search(r"#define XLA_FFI_API_MINOR (\d+)", header)
    if major is None or minor is None or major[1] != "0" or "XLA_FFI_ThreadPool_Schedule" not in fields:
        raise Unsupported(f"jaxlib {jaxlib.__version__} has an FFI that the fused engine does not know")
    error, schedule = map(fields.index, ("XLA_FFI_Error_Create", "XLA_FFI_ThreadPool_Schedule"))
    return (
        f"#pragma once\nenum {{ API_MAJOR = {major[1]}, API_MINOR = {minor[1]} }};\n"
        f"// Places in the table of XLA's functions.\nenum {{ CREATE_ERROR = {error}, SCHEDULE = {schedule} }};\n"
    )


def handler_headers() -> dict[str, str]:
    """The headers that xla.h needs."""
    return {"limits.h": contract.limits(), "xla_api.h": xla_api()}
