"""The fused engine on a CUDA GPU: is it right, how fast, and how much of the card's arithmetic does it use?

    python -m benchmarks.gpu --json FILE             # needs a GPU that JAX and Warp can use; about 5 minutes
    python -m benchmarks.gpu --dry-run --json FILE   # the same for a few trajectories, the GPU's kernels on the CPU

Cells get 0.01 to 100 ng/ml of IL-6, all species are read at 12 times over 180 min, and parameters are lognormal around
nominal values (log-sd 0.3). `course` starts at the model's initial values, which every method can; `rest` in the
steady state before the dose. A gradient is of a scalar of all outputs, by all parameters. The fused engine runs in
float64 and, at a tolerance that both can keep, in both precisions; beside each time stand errors, of the first sets'
values and gradients, against the CPU's at rtol 1e-10. Up to `--most` trajectories the CPU runs beside it, and so do
diffrax and modax-solvers; what fails (no memory, not installed) is a row that says why.

It needs JAX, diffrax, NumPyro, sympy, warp-lang, antimony and python-libsbml, and runs from the source as it is. FILE
is written after every row; above the rows stand the device, versions, peaks and the check against the CPU. After
`--minutes` no new row begins (one that has begun ends), and those left out are named. `share_of_peak` is of the card's
multiply-adds in nothing but registers; a solve that is repeated counts once. `python -m benchmarks.gpu_compile` says
how kernels compile.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distributions
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hexamer import Fused, Model, Settings
from hexamer.models import Status, load_model
from hexamer.models.solvers.fused import cuda, engine
from hexamer.models.solvers.fused.call import Backend
from hexamer.models.solvers.fused.compilation import functions_of
from hexamer.models.solvers.solution import Solution

from .arguments import choose_devices, network_name, positive_count, positive_number, report_file
from .gpu_driver import DOSES, dose_case, doses_of
from .gpu_peak import measured_peak, operations
from .gpu_peers import diffrax_course, modax_course
from .gpu_table import HEAD, line
from .measures import machine, plain
from .throughput import TIMES

COUNTS = (10**5, 10**6, 10**4, 10**3, 10**2)  # the most telling first
DRY = (16,)
CHECKED = 64  # sets of parameters whose results are compared
TIGHT = Settings(Fused(), rtol=1e-10, atol=1e-12, max_steps=100_000)
FUSED = (
    Settings(Fused()),
    Settings(Fused(), rtol=1e-4, atol=1e-6),
    Settings(Fused(precision="float32"), rtol=1e-4, atol=1e-6),
)
NO_GPU = "no CUDA GPU that JAX and Warp can both use{}. Nothing was timed (--dry-run needs none)"

Row = dict[str, Any]
Planned = tuple[Row, Callable[[], Row]]


@dataclass(frozen=True)
class Case:
    """Trajectories of a model: sets of parameters × doses. `backend`: `gpu` runs a GPU's kernels on a CPU."""

    model: Model
    equilibrated: bool
    backend: Backend = "platform"

    def values(self, trajectories: int) -> np.ndarray:
        return dose_case(self.model, FUSED[0], equilibrated=self.equilibrated, sets=-(-trajectories // DOSES)).values

    def starts(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Start states and parameters of each trajectory, for methods that know no protocols."""
        states = np.repeat(np.asarray(jax.vmap(self.model.initial)(jnp.asarray(values))), DOSES, axis=0)
        parameters, doses = np.repeat(values, DOSES, axis=0), np.tile(doses_of(self.model), len(values))
        if "IL6" in self.model.species:
            states[:, self.model.index("IL6")] += doses
        else:
            parameters[:, self.model.parameters.index("IL6")] = doses
        return states, parameters

    def forward(self, settings: Settings) -> Callable[[Float[Array, "sets names"]], Solution]:
        return jax.vmap(self._one(settings))

    def gradient(self, settings: Settings) -> Callable[[Float[Array, "sets names"]], tuple[Array, Solution]]:
        one = self._one(settings)

        def loss(values: Array) -> tuple[Array, Solution]:
            solution = one(values)
            return scalar(solution.y), solution

        return jax.vmap(jax.grad(loss, has_aux=True))

    def _one(self, settings: Settings) -> Callable[[Array], Solution]:
        plan = dose_case(self.model, settings, equilibrated=self.equilibrated, sets=0).plan
        return partial(engine.solve, self.model, plan, settings, backend=self.backend)


def scalar(y: Array) -> Array:
    """What gradients are of: smooth, and of all species alike, whatever their size."""
    return jnp.mean(jnp.log1p(jnp.where(jnp.isfinite(y), y, 0.0).clip(-0.5)) ** 2)


def timed(function: Callable, *arguments: np.ndarray, repeats: int, on: Any = None) -> tuple[Any, Row]:
    """The result, and seconds: to compile, and of `repeats` warm calls the median, least and most."""
    placed = jax.block_until_ready([jax.device_put(a, on) for a in arguments])
    began = time.perf_counter()
    compiled = jax.jit(function).lower(*placed).compile()
    compile_s = time.perf_counter() - began
    result = jax.block_until_ready(compiled(*placed))
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = jax.block_until_ready(compiled(*placed))
        seconds.append(time.perf_counter() - began)
    times = {"seconds": statistics.median(seconds), "least_s": min(seconds), "most_s": max(seconds)}
    return result, times | {"compile_s": compile_s}


@dataclass(frozen=True)
class Checked:
    """What the first sets of a case come to: gradients by log parameters, and solutions."""

    slope: np.ndarray
    solution: Solution

    @staticmethod
    def on(device: Any, case: Case, settings: Settings, sets: int) -> Checked:
        values = case.values(sets * DOSES)
        slope, solution = jax.jit(case.gradient(settings))(jax.device_put(values, device))
        return Checked(np.asarray(slope) * values, jax.device_get(solution))

    def value_error(self, y: Array | np.ndarray) -> float:
        """Largest difference of the first sets' outputs from `y`'s, each species by its largest."""
        return _off(np.asarray(y[: len(self.slope)]), np.asarray(self.solution.y), (1, 2))

    def gradient_error(self, slope: np.ndarray) -> float:
        """Largest difference of a derivative by a log parameter, each set by its largest."""
        return _off(slope[: len(self.slope)], self.slope, (1,))


def _off(a: np.ndarray, b: np.ndarray, axes: tuple[int, ...]) -> float:
    """NaN if only one of two values is a number."""
    known = b[: len(a)]
    with np.errstate(invalid="ignore"):
        off = np.abs(a - known) / (np.nanmax(np.abs(known), axes, keepdims=True) + 1e-9)
    return float(np.max(np.where(np.isnan(a) & np.isnan(known), 0.0, off)))


def check(case: Case, exact: Checked, settings: Settings) -> Row:
    """GPU against CPU at the same tolerances, and against tight ones: largest errors of values and of gradients."""
    sets, host = len(exact.slope), jax.devices("cpu")[0]
    result = Checked.on(jax.devices()[0], case, settings, sets)
    on_cpu = Checked.on(host, Case(case.model, case.equilibrated), settings, sets)
    row = {
        "same_status": bool(np.array_equal(result.solution.status, on_cpu.solution.status)),
        "same_steps": float(np.mean(result.solution.steps == on_cpu.solution.steps)),
        "value_off_cpu": on_cpu.value_error(result.solution.y),
        "gradient_off_cpu": on_cpu.gradient_error(result.slope),
        "value_error": exact.value_error(result.solution.y),
        "gradient_error": exact.gradient_error(result.slope),
    }
    # In float32 another rounding takes other steps, so that results are alike by their errors alone.
    near = 1e-6 if settings.precision == "float64" else 10 * settings.rtol
    close = row["value_off_cpu"] < near and row["gradient_off_cpu"] < near  # false of no number
    return row | {"good": row["same_status"] and close}


def checks(model: Model, exact: Mapping[bool, Checked], backend: Backend) -> Iterator[Planned]:
    for equilibrated, settings in product(exact, FUSED):
        row = {"precision": settings.precision, "rtol": settings.rtol, "start": "rest" if equilibrated else "course"}
        row |= {"trajectories": len(exact[equilibrated].slope) * DOSES}
        yield row, partial(check, Case(model, equilibrated, backend), exact[equilibrated], settings)


def fused_row(
    case: Case,
    count: int,
    settings: Settings,
    what: str,
    exact: Checked,
    repeats: int,
    peaks: Mapping[str, float],
    on: Any,
) -> Row:
    values = case.values(count)
    function = (case.forward if what == "forward" else case.gradient)(settings)
    result, times = timed(function, values, repeats=repeats, on=on)
    solution: Solution = result if what == "forward" else result[1]
    steps, rejected = np.asarray(solution.steps), np.asarray(solution.rejected)
    row = times | {
        "trajectories": steps.size,
        "per_second": steps.size / times["seconds"],
        "failed": int(np.sum(np.asarray(solution.status) != Status.OK)),
        "steps_mean": float(steps.mean()),
        "value_error": exact.value_error(solution.y),
    }
    if what == "gradient":
        known = len(exact.slope)
        row["gradient_error"] = exact.gradient_error(np.asarray(result[0][:known]) * values[:known])
    # Steps to a steady state were taken once, and are counted in each of its courses.
    if case.equilibrated or settings.precision not in peaks:
        return row
    cost = operations(functions_of(case.model))
    done = cost["forward"] * float(steps.sum())
    if what == "gradient":
        done += cost["back"] * float((steps - rejected).sum())
    rate = done / times["seconds"]
    return row | {"operations_per_second": rate, "share_of_peak": rate / peaks[settings.precision]}


def fused_rows(
    model: Model,
    exact: Mapping[bool, Checked],
    backend: Backend,
    options: argparse.Namespace,
    peaks: Mapping[str, float],
) -> Iterator[Planned]:
    """On the GPU, and up to `most` trajectories beside it on the CPU."""
    cpu = jax.devices("cpu")[0]
    kinds = [(settings, what) for settings in FUSED for what in ("forward", "gradient")]
    for (equilibrated, count), (settings, what) in product(product(exact, options.counts), kinds):
        row = {"precision": settings.precision, "rtol": settings.rtol, "start": "rest" if equilibrated else "course"}
        row |= {"what": what, "trajectories": count}
        arguments = (count, settings, what, exact[equilibrated], options.repeats)
        yield (
            {"method": "fused", **row},
            partial(fused_row, Case(model, equilibrated, backend), *arguments, peaks, None),
        )
        if count <= options.most:
            yield (
                {"method": "fused on the CPU", **row},
                partial(fused_row, Case(model, equilibrated), *arguments, {}, cpu),
            )


def peer_row(make: Any, case: Case, count: int, what: str, reference: np.ndarray, repeats: int) -> Row:
    states, parameters = case.starts(case.values(count))
    course = make(case.model, TIMES)
    if what == "gradient":
        slope = jax.grad(lambda y0, p: jnp.sum(jax.vmap(scalar)(course(y0, p))), argnums=1)
        _, times = timed(slope, states, parameters, repeats=repeats)
    else:
        y, times = timed(course, states, parameters, repeats=repeats)
        times["off_fused"] = _off(np.asarray(y[: len(reference)]), reference, (1,))
    return times | {"trajectories": len(states), "per_second": len(states) / times["seconds"]}


def peer_rows(model: Model, exact: Checked, options: argparse.Namespace) -> Iterator[Planned]:
    case, y = Case(model, equilibrated=False), np.asarray(exact.solution.y)
    peers = {"diffrax-kvaerno5": diffrax_course, "modax-rodas5p": modax_course}
    for name, count, what in product(peers, options.counts, ("forward", "gradient")):
        if count <= options.most:
            row = {"method": name, "precision": "float64", "start": "course", "what": what, "trajectories": count}
            arguments = (case, count, what, y.reshape(-1, *y.shape[2:]), options.repeats)
            yield row, partial(peer_row, peers[name], *arguments)


def attempt(row: Row, run: Callable[[], Row]) -> Row:
    """`row` with what `run` found, or with why it failed. Memory that ran out is a result here."""
    try:
        row |= run()
    except ModuleNotFoundError as missing:
        row |= {"not_installed": str(missing.name)}
    except Exception as error:
        row |= {"error": f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0][:200]}"}
    return row


def save(file: Path | None, report: Row) -> None:
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(plain(report), indent=1, allow_nan=False) + "\n")


def versions() -> dict[str, str]:
    """Of what only this benchmark uses, as far as it is installed."""
    packages = {d.name: d.version for d in distributions()}
    wanted = ("warp-lang", "modax-solvers", "jax-cuda12-plugin", "jax-cuda13-plugin")
    return {name: packages[name] for name in wanted if name in packages}


def run_all(planned: Sequence[tuple[str, Iterator[Planned]]], report: Row, file: Path | None, until: float) -> None:
    """Each planned row into the report's list of that name, which is written after it; what is left out too."""
    longest = 0.0
    for name, rows in planned:
        for row, run in rows:
            began = time.monotonic()
            if began + longest / 2 > until:  # one that takes as long as another did would end far beyond it
                report["left_out"].append(row)
                continue
            done = attempt(row, run)
            longest = max(longest, time.monotonic() - began)
            report[name].append(done)
            print(line(done, dry=report.get("compute_capability") is None), flush=True)
            save(file, report)
    save(file, report)


def shortcoming(report: Row, *, checked: int) -> str:
    """Why the report does not show that the GPU is right, with so many checks in a whole one; empty if it does."""
    if len(report["checks"]) < checked:
        return "not all was compared with the CPU: give more --minutes"
    fused = [row for row in report["rows"] if row["method"].startswith("fused")]
    if failed := sum("error" in row or "not_installed" in row for row in fused):
        return f"{failed} rows of the fused engine failed"
    return "" if all(c.get("good") for c in report["checks"]) else "the GPU's results are not the CPU's: see checks"


def arguments() -> argparse.Namespace:
    """Those of the command. Ends the script if one of them, or a device, is not what it needs."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=report_file, help="write the report here")
    parser.add_argument(
        "--model", type=network_name, default="il6_stat3", help="a bundled network that knows IL6 (default il6_stat3)"
    )
    parser.add_argument(
        "--counts", type=positive_count, nargs="+", help="numbers of trajectories (default 100 to 1000000)"
    )
    parser.add_argument(
        "--most", type=positive_count, default=10**4, help="trajectories that the other methods get (default 10000)"
    )
    parser.add_argument("--repeats", type=positive_count, help="of each timing (default 5; 1 in a dry run)")
    parser.add_argument(
        "--minutes", type=positive_number, default=5.0, help="after which no new row begins (default 5)"
    )
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, to see that all of it runs")
    options = parser.parse_args()
    choose_devices(parser, dry_run=options.dry_run)
    options.counts = options.counts or list(DRY if options.dry_run else COUNTS)
    options.repeats = options.repeats or (1 if options.dry_run else 5)
    if not options.dry_run and not cuda.devices():
        platforms = cuda.requested_platforms()
        why = f"JAX_PLATFORMS={platforms} leaves it out; unset that" if platforms else cuda.why_none()
        sys.exit(NO_GPU.format(f": {why}" if why else ""))
    return options


def main() -> None:
    options = arguments()
    until = time.monotonic() + 60 * options.minutes
    backend: Backend = "gpu" if options.dry_run else "platform"
    model, device = load_model(options.model), None if options.dry_run else cuda.devices()[0]
    report: Row = {
        "device": "dry run on the CPU" if device is None else device.name,
        "compute_capability": None if device is None else device.arch,
        "machine": attempt({}, machine),
        "versions": versions(),
        "model": model.name,
        "operations_per_step": dict(operations(functions_of(model))),
        "checks": [],
        "rows": [],
        "left_out": [],
    }
    save(options.json, report)
    peaks: dict[str, float] = {}
    for precision in () if device is None else ("float64", "float32"):
        peak = attempt({}, lambda p=precision: {"peak": measured_peak(device, p)})
        peaks |= {precision: peak["peak"]} if "peak" in peak else {}
        report.setdefault("peak_operations_per_second", {})[precision] = peak
    sets, cpu = (2 if options.dry_run else CHECKED), jax.devices("cpu")[0]
    exact = {equilibrated: Checked.on(cpu, Case(model, equilibrated), TIGHT, sets) for equilibrated in (False, True)}
    planned = [
        ("checks", checks(model, exact, backend)),
        ("rows", fused_rows(model, exact, backend, options, peaks)),
        ("rows", peer_rows(model, exact[False], options)),
    ]
    print(HEAD)
    try:
        run_all(planned, report, options.json, until)
    except KeyboardInterrupt:
        sys.exit("interrupted; the rows above are all that there are")
    if report["left_out"]:
        print(f"{len(report['left_out'])} rows were left out after {options.minutes:g} minutes", flush=True)
    if wrong := shortcoming(report, checked=len(FUSED) * len(exact)):
        sys.exit(wrong)


if __name__ == "__main__":
    main()
