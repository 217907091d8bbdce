"""The first run of the fused engine on a card: the kernels alone, then through JAX, and one table at the end.

    python -m benchmarks.gpu_first_run --json FILE             # nvcc for part 1, JAX with CUDA and Warp for part 2
    python -m benchmarks.gpu_first_run --dry-run --json FILE   # all of it on the CPU, for a few trajectories

Part 1 compiles `gpu_driver.cu` with nvcc, compares values, gradients, statuses and steps with the CPU's, and times each
kernel for each number of warps that share a multiprocessor. Part 2 does the same through JAX and Warp: records of any
size, other orders, arrays on the CPU and the GPU in one process, `simulate` again and again; then from how many
trajectories on a GPU is faster than this machine's CPU, which `hexamer.models.solvers.placement.break_even` should say.

Every line is printed and written at once. A line that fails says why, and the others go on; after `--minutes` of a part
its other lines are left out. A dry run tells whether all of it runs and is right, and no times.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hexamer import Fused, Model, Protocol, Settings, simulate
from hexamer.models import load_model
from hexamer.models.solvers.fused import cuda
from hexamer.models.solvers.fused.call import Backend
from hexamer.models.solvers.fused.compilation import warp
from hexamer.models.solvers.machine import usable_cores
from hexamer.models.solvers.placement import break_even

from .arguments import choose_devices, made_folder, network_name, positive_count, positive_number, report_file
from .gpu import Case, Checked, attempt, check, save, timed
from .gpu_driver import DOSES, DriverCase, DriverFailed, build, dose_case, nvcc, run, source_of
from .gpu_first_run_table import DRY, LEGEND, table, tally
from .measures import machine

F64 = Settings(Fused())
LOOSE = Settings(Fused(), rtol=1e-4, atol=1e-6)
F32 = Settings(Fused(precision="float32"), rtol=1e-4, atol=1e-6)
NAMED = {"float64, 1e-6": F64, "float64, 1e-4": LOOSE, "float32, 1e-4": F32}
WARPS = (4, 2, 8)  # the likeliest first
ROOM = 192  # steps a course that are kept
LABELS = {"1": "alone", "2": "by JAX"}
NO_CARD_NEEDED = "--dry-run needs none"
CROSSING = (8, 32, 128, 256, 512, 1024, 2048, 4096)

Row = dict[str, Any]
Lines = Iterator[tuple[str, Callable[[], Row]]]
Compiled = Future[tuple[Path, float]]  # and the seconds that it took


# ---------------------------------------------------------------------------------------------------- the kernels alone


def alone(options: argparse.Namespace, folder: Path) -> Lines:
    """Checks, then times, of the driver, whose programs are compiled side by side."""
    sets = 2 if options.dry_run else 96
    with ThreadPoolExecutor(usable_cores()) as pool:
        programs = {
            (name, single): pool.submit(_compile, load_model(name), single, options, folder)
            for name in options.models
            for single in (False, True)
        }
        for (name, single), program in programs.items():
            precision = "float32" if single else "float64"
            yield f"{name}, {precision}: compile", lambda p=program: {"compile_s": p.result()[1]}
            for label, settings in NAMED.items():
                if (settings.precision == "float32") is single:
                    tag = f"{name}, {label}"
                    yield from _driven(tag, load_model(name), settings, sets, program, options, folder)


def _compile(model: Model, single: bool, options: argparse.Namespace, folder: Path) -> tuple[Path, float]:
    """The program, and the seconds that it took."""
    began = time.perf_counter()
    flags = ("-O1",) if options.dry_run else ("-arch=native",)
    source = source_of(model, single=single)
    file = f"{model.name}_{'f32' if single else 'f64'}"
    program = build(folder, file, source, cuda=not options.dry_run, flags=flags)
    return program, time.perf_counter() - began


def _program(compiled: Compiled) -> Path:
    if compiled.exception() is not None:
        raise DriverFailed("it did not compile")
    return compiled.result()[0]


def _driven(
    tag: str,
    model: Model,
    settings: Settings,
    sets: int,
    program: Compiled,
    options: argparse.Namespace,
    folder: Path,
) -> Lines:
    files: dict[bool, Path] = {}
    single = settings.precision == "float32"
    for equilibrated in (False, True):
        where = "rest" if equilibrated else "course"
        case = partial(dose_case, model, settings, equilibrated=equilibrated, sets=sets)
        yield f"{tag}: {where}, right?", partial(_checked, files, equilibrated, case, program, single, sets, folder)
    for warps in WARPS[:1] if options.dry_run else WARPS:
        for what, room in (("gradient", ROOM), ("forward", 0)):
            count = options.counts[0] if what == "gradient" else options.counts[-1]
            launch = {"sets": -(-count // DOSES), "capacity": room, "repeats": options.repeats, "warps": warps}
            yield f"{tag}: {what} of {count}, {warps} warps", partial(_timed, files, program, launch)


def _checked(
    files: dict[bool, Path],
    equilibrated: bool,
    make: Callable[[], DriverCase],
    program: Compiled,
    single: bool,
    sets: int,
    folder: Path,
) -> Row:
    driver, case = _program(program), make()
    file = folder / f"{case.model.name}_{case.settings.precision}_{case.settings.rtol:g}_{equilibrated}.bin"
    off_cpu = case.write(file, tight=single)
    files[equilibrated] = file
    row = run(driver, file, sets=sets, capacity=256)
    value, gradient = (1e-3 + off_cpu.value, 1e-3 + off_cpu.gradient) if single else (1e-6, 1e-6)
    known = None not in (row["value_off"], row.get("gradient_off"))
    right = known and not row["other_status"] and not row["other_rows"]
    return row | {"good": right and row["value_off"] < value and row["gradient_off"] < gradient}


def _timed(files: dict[bool, Path], program: Compiled, launch: dict[str, int]) -> Row:
    driver = _program(program)
    if False not in files:
        raise DriverFailed("there is no case")
    row = run(driver, files[False], **launch)
    return {"seconds": (row["course_ms"] + (row["back_ms"] if launch["capacity"] else 0)) / 1e3} | row


# -------------------------------------------------------------------------------------------------------- through JAX


def through_jax(options: argparse.Namespace, backend: Backend) -> Lines:
    """Checks, then times, of what a user calls."""
    sets, cpu = (2 if options.dry_run else 64), jax.devices("cpu")[0]
    exact = Settings(Fused(), rtol=1e-10, atol=1e-12, max_steps=100_000)
    for name in options.models:
        model = load_model(name)
        for equilibrated in (False, True):
            known = cache(partial(Checked.on, cpu, Case(model, equilibrated), exact, sets))
            for label, settings in NAMED.items():
                tag = f"{name}, {label}: {'rest' if equilibrated else 'course'}, right?"
                yield tag, partial(_judged, Case(model, equilibrated, backend), known, settings)
    name = options.models[0]
    case = Case(load_model(name), True, backend)
    for label, changes in (
        ("no step kept", {"record": 0}),
        ("9 steps kept", {"record": 9}),
        ("memory for few", {"memory": 2**21}),
    ):
        yield f"{name}: {label}, the same gradient?", partial(_same, case, sets, replace(F64, **changes))
    yield f"{name}: sets in another order, the same gradient?", partial(_reversed, case, sets)
    yield f"{name}: lax.map and outside of jit, the same gradient?", partial(_nested, case)
    yield f"{name}: on this process's CPU too?", partial(_on_cpu, case, cpu)
    yield f"{name}: simulate() again, compiled once?", partial(_thrice, case.model, backend)
    case = Case(case.model, False, backend)
    for count in options.counts:
        for label, settings in NAMED.items():
            for what in ("forward", "gradient"):
                yield f"{name}, {label}: {what} of {count}", partial(_time_of, case, settings, what, count, options)
    yield f"{name}: gradients, GPU against CPU", partial(_crossing, case, options, cpu)


def _judged(case: Case, known: Callable[[], Checked], settings: Settings) -> Row:
    return check(case, known(), settings)


def _slopes(case: Case, sets: int, settings: Settings = F64) -> np.ndarray:
    return np.asarray(jax.jit(case.gradient(settings))(jnp.asarray(case.values(sets * DOSES)))[0])


def _equal(a: np.ndarray, b: np.ndarray) -> Row:
    return {"good": bool(np.array_equal(a, b)), "largest_difference": float(np.max(np.abs(a - b)))}


def _same(case: Case, sets: int, settings: Settings) -> Row:
    return _equal(_slopes(case, sets), _slopes(case, sets, settings))


def _reversed(case: Case, sets: int) -> Row:
    values = jnp.asarray(case.values(sets * DOSES))
    return _equal(_slopes(case, sets), np.asarray(jax.jit(case.gradient(F64))(values[::-1])[0][::-1]))


def _nested(case: Case) -> Row:
    values, gradient = jnp.asarray(case.values(2 * DOSES)), case.gradient(F64)
    mapped = jax.jit(lambda v: jax.lax.map(lambda x: gradient(x[None])[0][0], v))(values)
    eager = gradient(values)[0]
    known = _slopes(case, 2)
    off = max(float(np.max(np.abs(np.asarray(x) - known))) for x in (mapped, eager))
    return {"good": off <= 1e-9 * float(np.max(np.abs(known))), "largest_difference": off}


def _on_cpu(case: Case, cpu: Any) -> Row:
    values = case.values(2 * DOSES)
    slope = jax.jit(Case(case.model, case.equilibrated).gradient(F64))(jax.device_put(values, cpu))[0]
    off = float(np.max(np.abs(np.asarray(slope) - _slopes(case, 2)) / np.abs(_slopes(case, 2)).max()))
    return {"good": off < 1e-6 and {d.platform for d in slope.devices()} == {"cpu"}, "largest_difference": off}


def _thrice(model: Model, backend: Backend) -> Row:
    settings = Settings(device="gpu" if backend == "platform" else "auto")
    seconds, protocol = [], Protocol("dose").add("IL6", 0.5) if "IL6" in model.species else Protocol().set(IL6=5.0)
    for _ in range(3):
        began = time.perf_counter()
        jax.block_until_ready(simulate(model, {}, protocol, [1.0, 5.0], settings=settings).y)
        seconds.append(time.perf_counter() - began)
    return {"good": seconds[2] < seconds[0], "seconds": seconds[2], "first_s": seconds[0]}


def _time_of(case: Case, settings: Settings, what: str, count: int, options: argparse.Namespace) -> Row:
    function = case.forward(settings) if what == "forward" else case.gradient(settings)
    return timed(function, case.values(count), repeats=options.repeats)[1]


def _crossing(case: Case, options: argparse.Namespace, cpu: Any) -> Row:
    """Seconds of a gradient on both, and the least number of trajectories at which the GPU is faster."""
    seconds: dict[int, tuple[float, float]] = {}
    for count in CROSSING[:2] if options.dry_run else CROSSING:
        values, timing = case.values(count), {"repeats": 3 * options.repeats}
        on_gpu = timed(case.gradient(F64), values, **timing)[1]["seconds"]
        on_cpu = timed(Case(case.model, case.equilibrated).gradient(F64), values, **timing, on=cpu)[1]["seconds"]
        seconds[count] = (on_gpu, on_cpu)
    slower = [n for n, (g, c) in seconds.items() if g >= c]
    return {
        "break_even": min((n for n in seconds if n > max(slower, default=0)), default=None),
        "timed_up_to": max(seconds),
        "taken_for_it": None if (taken := break_even()) == math.inf else taken,
        "cores": usable_cores(),
        "seconds_gpu_cpu": {str(n): pair for n, pair in seconds.items()},
    }


# -------------------------------------------------------------------------------------------------------------- script


def about() -> Row:
    """The card, its driver, and versions of all that meets here."""
    wp = warp()
    row: Row = {
        "jax": jax.__version__,
        "devices": [str(d) for d in jax.devices()],
        "warp": wp.config.version,
        "toolkit_of_warp": wp.get_cuda_toolkit_version(),
        "cuda_of_driver": wp.get_cuda_driver_version(),
        "nvcc": nvcc(),
        "missing": cuda.why_none() or ("" if cuda.devices() else "a CUDA GPU that JAX has"),
    }
    asked = [
        "nvidia-smi",
        "--query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.mem",
        "--format=csv,noheader",
    ]
    try:
        row["card"] = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        row["card"] = f"unknown: {error}"
    return row


def no_card(options: argparse.Namespace, part: str) -> str:
    """Why a part cannot run here; empty if it can."""
    if options.dry_run:
        return ""
    if part == "1":
        try:
            done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=30)
        except (OSError, subprocess.SubprocessError) as error:
            return f"nvidia-smi, which lists the cards, does not run ({error}); {NO_CARD_NEEDED}"
        said = (done.stdout or done.stderr).strip()
        return "" if done.returncode == 0 else f"nvidia-smi finds no card ({said}); {NO_CARD_NEEDED}"
    return "" if cuda.devices() else f"no GPU: {cuda.why_none() or 'JAX finds none'}; {NO_CARD_NEEDED}"


def run_part(part: str, lines: Lines, options: argparse.Namespace, report: Row) -> None:
    until = time.monotonic() + 60 * options.minutes
    if why := no_card(options, part):
        lines = iter([(f"all of part {part}", partial(_refused, why))])
    for name, do in lines:
        line: Row = {"line": f"{LABELS[part]}: {name}"}
        if time.monotonic() > until:
            line |= {"left_out": options.minutes}
        else:
            attempt(line, do)
        report["lines"].append(line)
        print(table([line], dry=options.dry_run), flush=True)
        save(options.json, report)


def _refused(why: str) -> Row:
    raise DriverFailed(why)


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.gpu_first_run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=report_file, help="write all lines here")
    parser.add_argument(
        "--models",
        nargs="+",
        type=network_name,
        default=["il6_stat3", "hepg2_core"],
        help="bundled networks (default il6_stat3 hepg2_core)",
    )
    parser.add_argument(
        "--counts", type=positive_count, nargs="+", help="trajectories that are timed (default 100000 1000000)"
    )
    parser.add_argument("--repeats", type=positive_count, help="of each timing (default 3; 1 in a dry run)")
    parser.add_argument(
        "--part", choices=["1", "2", "both"], default="both", help="1: the kernels alone, 2: through JAX (default both)"
    )
    parser.add_argument(
        "--minutes",
        type=positive_number,
        default=4.5,
        help="of each part, after which no new line begins (default 4.5)",
    )
    parser.add_argument("--keep", type=made_folder, help="keep part 1's programs and cases here, for a profiler")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, to see that all of it runs")
    options = parser.parse_args()
    options.counts = options.counts or ([16] if options.dry_run else [10**5, 10**6])
    options.repeats = options.repeats or (1 if options.dry_run else 3)
    choose_devices(parser, dry_run=options.dry_run)
    backend: Backend = "platform" if cuda.devices() and not options.dry_run else "gpu"
    report: Row = {
        "dry_run": options.dry_run,
        "about": attempt({}, about),
        "machine": attempt({}, machine),
        "lines": [],
    }
    if options.dry_run:
        print(DRY)
    print(json.dumps(report["about"]), flush=True)
    stopped = False
    with nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory() as folder:
        parts = {"1": partial(alone, options, Path(folder)), "2": partial(through_jax, options, backend)}
        try:
            for part in parts if options.part == "both" else [options.part]:
                run_part(part, parts[part](), options, report)
        except KeyboardInterrupt:
            stopped = True
    save(options.json, report)
    lines = report["lines"]
    print(f"\n{DRY}" if options.dry_run else "", LEGEND, "", table(lines, dry=options.dry_run), tally(lines), sep="\n")
    wrong = any("error" in line or "not_installed" in line or line.get("good") is False for line in lines)
    if stopped or wrong or not any(line.get("good") for line in lines):
        sys.exit(130 if stopped else 1)


if __name__ == "__main__":
    main()
