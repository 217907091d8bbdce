"""The engine's CUDA kernels without a GPU: registers, stack and spills of each, and the local memory that a step moves.

    python -m benchmarks.gpu_compile --json benchmarks/results/gpu_compile.json
    python -m benchmarks.gpu_compile --against benchmarks/results/gpu_compile.json   # fails where a step's is 5 % off

Two compilers take every kernel, for every architecture: Warp's own (NVRTC, in its wheel), whose PTX `ptxas` assembles,
and nvcc, of `gpu_driver.cu`. Where ptxas is older than Warp's compiler, the version in the PTX's head is lowered to its
own, which leaves the code as it is. Local bytes a step are counted in nvcc's machine code, which
`pip install nvidia-cuda-nvdisasm` takes apart: they, not the arithmetic, are what a card's memory limits.

`--models` names bundled networks and compositions; `--architectures`, `--precisions` and `--compilers` make it shorter.
Rows that were not asked for stay in the file, which is written after every row, and an error takes no measured row's
place. A file of other compilers is left alone, but for `--replace`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

from hexamer.models import bundled, load_model
from hexamer.models.solvers.fused.compilation import functions_of, quiet, warp
from hexamer.models.solvers.fused.gpu_kernels import Kernels, write_kernels

from .arguments import network_name, positive_count, report_file
from .gpu_driver import DRIVER, DriverFailed, nvcc, source_of

ARCHITECTURES = (80, 90, 100, 120)
PRECISIONS = ("float64", "float32")
COMPILERS = ("nvrtc", "nvcc")
COMPOSITIONS = (*bundled(), "il6_stat3+tocilizumab", "il6_stat3+siltuximab", "il6_full+tocilizumab+siltuximab")
NO_PTXAS = "no ptxas here: it comes with CUDA's toolkit"
COUNTED = {"sm": 90, "models": ("il6_stat3", "hepg2_core")}  # of which local bytes are counted
ALLOWED = 0.05  # of a change in them, before it must be explained

# Calls in a step of functions that are not inlined, forward and back; what is not named is called once a course.
ONCE = [
    "stages",
    "attempt",
    "attempt_within",
    "jacobian",
    "factorise",
    "linearise",
    "growth",
    "judged",
    "judging",
    "undefined",
    "fallen",
    "set_out",
    "solve_courses",
    "note_step",
    "adapt",
]
FORWARD = {"rates": 8, "solve": 8} | dict.fromkeys(ONCE, 1)
ONCE_BACK = [
    "stages",
    "jacobian",
    "factorise",
    "linearise",
    "step_adjoint",
    "pull_jacobian",
    "solve_adjoint",
    "take_outputs",
]
BACK = dict.fromkeys(("rates", "solve", "solve_transposed", "pull_rates", "add_outer"), 8) | dict.fromkeys(ONCE_BACK, 1)

Row = dict[str, Any]


# -------------------------------------------------------------------------------------------------------------- NVRTC


def nvrtc_rows(name: str, architectures: Sequence[int], precisions: Sequence[str]) -> Iterator[Row]:
    """A row for each kernel of a network, each precision and each architecture."""
    functions = functions_of(load_model(name))
    for precision, arch, stages in product(precisions, architectures, (False, True)):
        kernels = write_kernels(functions, single=precision == "float32", keep_stages=stages)
        for field in fields(Kernels):
            if stages and not field.name.startswith("course"):
                continue  # only these know of it
            row: Row = {"compiler": "nvrtc", "model": name, "precision": precision, "arch": f"sm_{arch}"}
            row |= {"kernel": field.name, "stages_kept": stages}
            yield row | _compiled(getattr(kernels, field.name), arch)


def _compiled(kernel: Any, arch: int) -> Row:
    wp = warp()
    with tempfile.TemporaryDirectory() as folder, quiet(wp):
        began = time.perf_counter()
        try:
            (file,) = wp.compile_aot_module(kernel.module, arch=arch, use_ptx=True, module_dir=folder)
        except Exception as error:  # of Warp's own, or of what it runs
            return {"error": str(error).strip()[-300:]}
        row = {"ptx_s": time.perf_counter() - began, "ptx_bytes": file.stat().st_size}
        return row | _assembled(file, arch)


def _assembled(file: Path, arch: int) -> Row:
    """Registers, stack and spills (of all its functions together) in bytes, or why they are not known."""
    if ptxas() is None:
        return {"not_measured": NO_PTXAS}
    text = file.read_text().rstrip("\0")
    began = time.perf_counter()
    said = _ptxas(file, text, arch)
    if older := re.search(r"Unsupported \.version [\d.]+; current version is '([\d.]+)'", said):
        text = re.sub(r"^\.version [\d.]+$", f".version {older[1]}", text, count=1, flags=re.M)
        said = _ptxas(file, text, arch)
    resources = _measured(said)
    return {"ptxas_s": time.perf_counter() - began} | resources if resources else {"error": said.strip()[-300:]}


def ptxas() -> str | None:
    """CUDA's assembler, on the path or beside nvcc."""
    beside = nvcc()
    return shutil.which("ptxas") or (shutil.which("ptxas", path=str(Path(beside).parent)) if beside else None)


def _ptxas(file: Path, text: str, arch: int) -> str:
    file.write_text(text)
    command = [str(ptxas()), f"-arch=sm_{arch}", "-v", str(file), "-o", str(file.with_suffix(".cubin"))]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def _measured(said: str) -> Row:
    """Registers, stack and spills from the messages of ptxas on one kernel; empty if it did not compile."""
    registers, stack = (re.search(p, said) for p in (r"Used (\d+) registers", r"(\d+) bytes cumulative stack size"))
    if registers is None:
        return {}
    return {
        "registers": int(registers[1]),
        "stack_bytes": int(stack[1]) if stack else 0,
        "spill_store_bytes": sum(map(int, re.findall(r"(\d+) bytes spill stores", said))),
        "spill_load_bytes": sum(map(int, re.findall(r"(\d+) bytes spill loads", said))),
    }


# --------------------------------------------------------------------------------------------------------------- nvcc

# Names of kernels in gpu_driver.cu, and what `Kernels` calls them.
KERNELS = {
    "steady_state": "steady",
    "course": "course",
    "course_adjoint": "course_adjoint",
    "steady_adjoint": "steady_adjoint",
    "slot": "slot",
}


def kernel_in(symbol: str) -> str:
    """The kernel that a symbol of the driver's machine code names; empty if it names none."""
    match = re.search(r"\d+(steady_state|course_adjoint|course|steady_adjoint|slot)P", symbol)
    return KERNELS[match[1]] if match else ""


def cubin(name: str, precision: str, arch: int, folder: Path) -> tuple[Path, str]:
    """The driver of a network as machine code, and what ptxas says of it. Raises `DriverFailed`."""
    if (compiler := nvcc()) is None:
        raise DriverFailed("no nvcc here: it comes with CUDA's toolkit")
    header, file = folder / "source.h", folder / "driver.cubin"
    header.write_text(source_of(load_model(name), single=precision == "float32"))
    command = [compiler, "-O3", "-std=c++17", "-cubin", "-Xptxas", "-v", "-diag-suppress", "177", f"-arch=sm_{arch}"]
    done = subprocess.run(
        [*command, f'-DSOURCE="{header}"', str(DRIVER), "-o", str(file)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DriverFailed((done.stderr or done.stdout).strip()[-300:])
    return file, done.stderr


def nvcc_rows(name: str, architectures: Sequence[int], precisions: Sequence[str]) -> Iterator[Row]:
    """As `nvrtc_rows`; seconds are those of all kernels together."""
    for precision, arch in product(precisions, architectures):
        row: Row = {"compiler": "nvcc", "model": name, "precision": precision, "arch": f"sm_{arch}"}
        began = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory() as folder:
                output = cubin(name, precision, arch, Path(folder))[1]
        except DriverFailed as failed:
            yield row | {"error": str(failed)}
            continue
        seconds = time.perf_counter() - began
        by_kernel = {}
        for entry in output.split("Compiling entry function")[1:]:
            if kernel := kernel_in(entry.split("'")[1]):
                by_kernel[kernel] = _measured(entry)
        for kernel in KERNELS.values():
            yield (
                row | {"kernel": kernel, "all_s": seconds} | by_kernel.get(kernel, {"error": "ptxas does not name it"})
            )


# ------------------------------------------------------------------------------------------------------- local memory


def nvdisasm() -> str | None:
    """The disassembler, on the path or in its wheel."""
    folders = [str(p.parent) for p in Path(sysconfig.get_path("purelib")).glob("nvidia/*/bin/nvdisasm")]
    return shutil.which("nvdisasm") or next((f for p in folders if (f := shutil.which("nvdisasm", path=p))), None)


def local_bytes(name: str, precision: str, arch: int) -> Row:
    """Bytes of local memory that a thread loads and stores in a step, forward and back."""
    row: Row = {"model": name, "precision": precision, "arch": f"sm_{arch}"}
    if (tool := nvdisasm()) is None:
        return row | {"not_measured": "no nvdisasm here: pip install nvidia-cuda-nvdisasm"}
    try:
        with tempfile.TemporaryDirectory() as folder:
            file, _ = cubin(name, precision, arch, Path(folder))
            text = subprocess.run([tool, "-c", str(file)], capture_output=True, text=True, check=True).stdout
    except (DriverFailed, subprocess.CalledProcessError) as error:
        return row | {"error": str(error)}
    bytes_by_kernel = traffic(text)
    return row | {
        "forward": sum(n * bytes_by_kernel["course"].get(f, 0) for f, n in FORWARD.items()),
        "back": sum(n * bytes_by_kernel["course_adjoint"].get(f, 0) for f, n in BACK.items()),
    }


def traffic(text: str) -> dict[str, dict[str, int]]:
    """Bytes of local memory that a call of each function of each kernel loads and stores, all branches counted."""
    bytes_by_kernel: dict[str, dict[str, int]] = {}
    kernel = function = ""
    for line in text.splitlines():
        if section := re.match(r"\s*\.section\s+\.text\.(\S+?),", line):
            kernel, function = kernel_in(section[1]), ""
            continue
        if label := re.match(r"^\s*(\$\S+):\s*$", line):
            # $kernel$_ZN6Engine5ratesE...: the name behind its length
            inner = re.findall(r"_ZN6Engine(?:5Exact)?(\d+)(\w+)", label[1])
            function = inner[-1][1][: int(inner[-1][0])] if inner else label[1]
            continue
        moved = re.match(r"\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\d+\s+)?(LDL|STL)([.\w]*)", line)
        if kernel and moved:
            width = 16 if ".128" in moved[2] else 8 if ".64" in moved[2] else 4
            functions = bytes_by_kernel.setdefault(kernel, {})
            functions[function] = functions.get(function, 0) + width
    return bytes_by_kernel


def _unknown(row: Mapping[str, Any]) -> str:
    """Why a row has no numbers; empty if it has them."""
    return row.get("error") or row.get("not_measured") or ""


def changed(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences on rows that differ from an earlier record by more than `ALLOWED`, or cannot be compared with it."""
    known = {(r["model"], r["precision"], r["arch"]): r for r in before}
    sentences = []
    for row in now:
        name = f"{row['model']}, {row['precision']}, {row['arch']}"
        old = known.get((row["model"], row["precision"], row["arch"]), {"error": "it was not counted then"})
        if why := _unknown(row) or _unknown(old):
            sentences.append(f"{name}: not compared: {why}")
            continue
        for way in ("forward", "back"):
            if abs(row[way] / old[way] - 1) > ALLOWED:
                sentences.append(
                    f"{name}: a step {way} moves {row[way]:,} bytes of local memory, {row[way] / old[way] - 1:+.0%} of "
                    f"the {old[way]:,} on record: explain it, or mend it; then record anew"
                )
    return sentences


# -------------------------------------------------------------------------------------------------------------- script


def tools() -> Row:
    """Versions of what compiles."""
    wp = warp()
    row = {"warp": wp.config.version, "nvrtc": ".".join(map(str, wp.get_cuda_toolkit_version() or ()))}
    if (assembler := ptxas()) is None:
        return row | {"ptxas": NO_PTXAS}
    said = subprocess.run([assembler, "--version"], capture_output=True, text=True, check=False).stdout
    return row | {"ptxas": said.strip().splitlines()[-1]}


def table(rows: Sequence[Row]) -> str:
    columns = {"compiler": 8, "model": 32, "precision": 9, "kernel": 11, "stages_kept": 11, "arch": 6}
    columns |= {"registers": 9, "stack_bytes": 11}
    columns |= {"spill_store_bytes": 17, "spill_load_bytes": 16}
    lines = ["  ".join(f"{c:>{w}}" for c, w in columns.items())]
    lines += ["  ".join(f"{row.get(c, '')!s:>{w}}" for c, w in columns.items()) + f"  {_unknown(row)}" for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def by_network(rows: Sequence[Row]) -> str:
    """A Markdown table: what compiled, and the largest stacks over architectures, precisions and compilers."""
    kernels = [name for name in KERNELS.values() if name != "slot"]
    head = ["network", "kernels compiled", *(f"`{k}`: stack, bytes" for k in kernels), "most registers"]
    lines = [head, ["---"] * len(head)]
    for model in dict.fromkeys(row["model"] for row in rows):
        rows_of_model = [row for row in rows if row["model"] == model]
        good = [row for row in rows_of_model if not _unknown(row)]
        stacks = [max((row["stack_bytes"] for row in good if row["kernel"] == k), default=0) for k in kernels]
        registers = max((row["registers"] for row in good), default=0)
        lines.append([model, f"{len(good)} of {len(rows_of_model)}", *(f"{s:,}" for s in stacks), str(registers)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def merged(before: Sequence[Row], now: Sequence[Row]) -> list[Row]:
    """Earlier rows and new ones, which stand for those of the same kernel, compiler and card, if they measured."""

    def what(row: Row) -> tuple:
        return tuple(row.get(k) for k in ("compiler", "model", "precision", "arch", "kernel", "stages_kept"))

    measured = {what(row) for row in before if not _unknown(row)}
    now = [row for row in now if not (_unknown(row) and what(row) in measured)]
    new = {what(row) for row in now}
    return [*(row for row in before if what(row) not in new), *now]


def earlier(parser: argparse.ArgumentParser, file: Path | None) -> Row:
    """An earlier report, or an empty one where there is none."""
    empty: Row = {"compilers": tools(), "local_bytes_a_step": [], "kernels": []}
    if file is None or not file.exists():
        return empty
    try:
        report = json.loads(file.read_text())
        return {key: report[key] for key in empty}
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f"{file} is not a report of this benchmark ({error!r})")


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.gpu_compile", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=report_file, help="write the report here; rows of an earlier one stay")
    parser.add_argument("--replace", action="store_true", help="of the file's rows, none stay")
    parser.add_argument("--against", type=Path, help="an earlier report: compares local bytes a step, and does no more")
    parser.add_argument("--models", nargs="+", type=network_name, default=list(COMPOSITIONS))
    parser.add_argument("--architectures", nargs="+", type=positive_count, default=list(ARCHITECTURES))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--compilers", nargs="+", choices=COMPILERS, default=list(COMPILERS))
    options = parser.parse_args()
    if options.against and not options.against.exists():
        parser.error(f"there is no {options.against}")
    known = earlier(parser, options.against or (None if options.replace else options.json))
    report: Row = known | {"compilers": tools()}
    if not options.against and known["compilers"] != report["compilers"]:
        parser.error(f"{options.json} was made by {known['compilers']}, not {report['compilers']}: "
                     "name another file, or --replace it")  # fmt: skip
    counted = [local_bytes(m, p, COUNTED["sm"]) for m in COUNTED["models"] for p in options.precisions]
    for row in counted:
        print(json.dumps(row), flush=True)
    if options.against:
        if report_text := changed(known["local_bytes_a_step"], counted):
            sys.exit("\n".join(report_text))
        print(f"local bytes a step are those of {options.against}, within {ALLOWED:.0%}")
        return
    report["local_bytes_a_step"] = merged(known["local_bytes_a_step"], counted)
    ways, compiled = {"nvrtc": nvrtc_rows, "nvcc": nvcc_rows}, []
    for name, compiler in product(options.models, options.compilers):
        for row in ways[compiler](name, options.architectures, options.precisions):
            print(table([row]) if not compiled else table([row]).splitlines()[1], flush=True)
            compiled.append(row)
            report["kernels"] = merged(report["kernels"], [row])
            if options.json:
                options.json.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    failed = sum("error" in row for row in [*counted, *compiled])
    unmeasured = sorted({row["not_measured"] for row in [*counted, *compiled] if "not_measured" in row})
    report_text = f"{len(compiled) - sum('error' in r for r in compiled)} of {len(compiled)} kernels compiled"
    print("; not measured: ".join([report_text, *unmeasured]))
    print(by_network(report["kernels"]))
    if failed:
        sys.exit(f"{failed} rows above are errors")


if __name__ == "__main__":
    main()
