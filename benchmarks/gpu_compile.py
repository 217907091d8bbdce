"""The engine's CUDA kernels without a GPU: seconds to PTX, registers, stack and spills of each.

Warp's own compiler (NVRTC, in its wheel) writes PTX. What `ptxas` says of that needs CUDA's command-line tools; where
those are older than Warp's, the version in the PTX's head is lowered to theirs, which leaves the code as it is.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

from hexamer import Model
from hexamer.models.fused.build import quiet, warp
from hexamer.models.fused.functions import write_functions
from hexamer.models.fused.kernels import Kernels, write_kernels

ARCHITECTURES = (80, 90)
PRECISIONS = ("float64", "float32")
NO_PTXAS = "no ptxas on the path (it comes with CUDA's toolkit)"

Row = dict[str, Any]


def compile_rows(name: str) -> list[Row]:
    """A row for each kernel of a bundled network, each precision and each architecture."""
    functions = write_functions(Model.load(name))
    rows = []
    for precision, arch in product(PRECISIONS, ARCHITECTURES):
        kernels = write_kernels(functions, single=precision == "float32")
        for field in fields(Kernels):
            row: Row = {"model": name, "precision": precision, "kernel": field.name, "arch": f"sm_{arch}"}
            rows.append(row | _compiled(getattr(kernels, field.name), arch))
    return rows


def _compiled(kernel: Any, arch: int) -> Row:
    wp = warp()
    with tempfile.TemporaryDirectory() as folder, quiet(wp):
        began = time.perf_counter()
        (file,) = wp.compile_aot_module(kernel.module, arch=arch, use_ptx=True, module_dir=folder)
        row = {"ptx_s": time.perf_counter() - began, "ptx_bytes": file.stat().st_size}
        return row | _assembled(file, arch)


def _assembled(file: Path, arch: int) -> Row:
    """Registers, stack and spills (of all its functions together) in bytes, or why they are not known."""
    if shutil.which("ptxas") is None:
        return {"ptxas": NO_PTXAS}
    text = file.read_text().rstrip("\0")
    began = time.perf_counter()
    said = _ptxas(file, text, arch)
    if older := re.search(r"Unsupported \.version [\d.]+; current version is '([\d.]+)'", said):
        text = re.sub(r"^\.version [\d.]+$", f".version {older[1]}", text, count=1, flags=re.M)
        said = _ptxas(file, text, arch)
    registers, stack = (re.search(p, said) for p in (r"Used (\d+) registers", r"(\d+) bytes cumulative stack size"))
    if registers is None:
        return {"ptxas": said.strip()[-300:]}
    return {
        "ptxas_s": time.perf_counter() - began,
        "registers": int(registers[1]),
        "stack_bytes": int(stack[1]) if stack else 0,
        "spill_store_bytes": sum(map(int, re.findall(r"(\d+) bytes spill stores", said))),
        "spill_load_bytes": sum(map(int, re.findall(r"(\d+) bytes spill loads", said))),
    }


def _ptxas(file: Path, text: str, arch: int) -> str:
    file.write_text(text)
    command = ["ptxas", f"-arch=sm_{arch}", "-v", str(file), "-o", str(file.with_suffix(".cubin"))]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def tools() -> Row:
    """Versions of what compiles."""
    wp = warp()
    if shutil.which("ptxas") is None:
        return {"warp": wp.config.version, "ptxas": NO_PTXAS}
    said = subprocess.run(["ptxas", "--version"], capture_output=True, text=True, check=False).stdout
    return {"warp": wp.config.version, "ptxas": said.strip().splitlines()[-1]}
