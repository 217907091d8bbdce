"""The fused engine on a CUDA GPU: is it right, how fast, and how much of the card's arithmetic does it use?

    python -m benchmarks.gpu --json FILE                  # needs a GPU that JAX and Warp can use
    python -m benchmarks.gpu --compile-only --json FILE   # registers and spills of the kernels, without a GPU

Cells that are given 0.01 to 100 ng/ml of IL-6, all species read at 12 times over 180 min, parameters lognormal around
nominal values (log-sd 0.3). `course` starts at the model's initial values, which every method can; `rest` comes to rest
before. A gradient is of a scalar of all outputs, by all parameters. The fused engine runs in float64 and, at a
tolerance that both can keep, in both precisions; beside each time stand errors, of the first sets' values and
gradients, against the CPU's at rtol 1e-10. diffrax and modax-solvers run beside it, up to the numbers of trajectories
that `--most` gives them; what fails (no memory, not installed) is a row that says why.

FILE holds what stands above its rows: device, versions, peaks, the check against the CPU, and how kernels compiled.
`share_of_peak` is of the card's multiply-adds in nothing but registers; a solve that is repeated counts once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
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

from hexamer import Model, Protocol, Settings
from hexamer.models import Status
from hexamer.models.fused import engine, gpu
from hexamer.models.fused.functions import write_functions
from hexamer.models.plan import Plan, compile_plan
from hexamer.models.solution import Solution

from .gpu_compile import compile_rows, tools
from .gpu_peak import measured_peak, operations
from .gpu_peers import diffrax_course, modax_course
from .measures import machine
from .throughput import NM_PER_NG_ML, TIMES

MODEL = "il6_stat3"
DOSES = 8
COUNTS = (10**2, 10**3, 10**4, 10**5, 10**6)
CHECKED = 64  # sets of parameters whose results are compared
TIGHT = Settings(engine="fused", rtol=1e-10, atol=1e-12, max_steps=100_000)
FUSED = (
    Settings(engine="fused"),
    Settings(engine="fused", rtol=1e-4, atol=1e-6),
    Settings(engine="fused", precision="float32", rtol=1e-4, atol=1e-6),
)
NO_GPU = "no CUDA GPU that JAX and Warp can both use was found: nothing was timed (--compile-only needs none)"

Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Trajectories of the flagship: sets of parameters × doses."""

    model: Model
    rest: bool

    def plan(self) -> Plan:
        doses = np.geomspace(0.01, 100, DOSES) * NM_PER_NG_ML
        start = Protocol.equilibrated if self.rest else Protocol
        protocols = [start(f"{d:g} nM").add("IL6", float(d)) for d in doses]
        return compile_plan(self.model, protocols, [list(TIMES)] * DOSES, self.model.parameters)

    def values(self, trajectories: int) -> np.ndarray:
        sets = -(-trajectories // DOSES)
        spread = np.random.default_rng(0).normal(size=(sets, len(self.model.parameters)))
        return self.model.defaults * np.exp(0.3 * spread)

    def starts(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Start states and parameters of each trajectory, for methods that know no protocols."""
        states = np.repeat(np.asarray(jax.vmap(self.model.initial)(jnp.asarray(values))), DOSES, axis=0)
        doses = np.geomspace(0.01, 100, DOSES) * NM_PER_NG_ML
        states[:, self.model.index("IL6")] += np.tile(doses, len(values))
        return states, np.repeat(values, DOSES, axis=0)

    def forward(self, settings: Settings) -> Callable[[Float[Array, "sets names"]], Solution]:
        return jax.vmap(partial(engine.solve, self.model, self.plan(), settings))

    def gradient(self, settings: Settings) -> Callable[[Float[Array, "sets names"]], tuple[Array, Solution]]:
        one = partial(engine.solve, self.model, self.plan(), settings)

        def loss(values: Array) -> tuple[Array, Solution]:
            solution = one(values)
            return scalar(solution.y), solution

        return jax.vmap(jax.grad(loss, has_aux=True))


def scalar(y: Array) -> Array:
    """What gradients are of: smooth, and of all species alike, whatever their size."""
    return jnp.mean(jnp.log1p(jnp.where(jnp.isfinite(y), y, 0.0).clip(-0.5)) ** 2)


def timed(function: Callable, *arguments: np.ndarray, repeats: int) -> tuple[Any, Row]:
    """The result, and seconds: to compile, and of `repeats` warm calls the median, least and most."""
    placed = jax.block_until_ready([jax.device_put(a) for a in arguments])
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
    def on(device: Any, case: Case, settings: Settings) -> Checked:
        values = case.values(CHECKED * DOSES)
        slope, solution = jax.jit(case.gradient(settings))(jax.device_put(values, device))
        return Checked(np.asarray(slope) * values, jax.device_get(solution))

    def value_error(self, y: Array | np.ndarray) -> float:
        """Largest difference of the first sets' outputs from `y`'s, each species by its largest."""
        return _off(np.asarray(y[: len(self.slope)]), np.asarray(self.solution.y), (1, 2))

    def gradient_error(self, slope: np.ndarray) -> float:
        """Largest difference of a derivative by a log parameter, each set by its largest."""
        return _off(slope[: len(self.slope)], self.slope, (1,))


def _off(a: np.ndarray, b: np.ndarray, axes: tuple[int, ...]) -> float:
    known = b[: len(a)]
    return float(np.nanmax(np.abs(a - known) / (np.abs(known).max(axes, keepdims=True) + 1e-9)))


def check(case: Case, exact: Checked, settings: Settings) -> Row:
    """GPU against CPU at the same tolerances, and against tight ones: largest errors of values and of gradients."""
    found, host = (Checked.on(d, case, settings) for d in (jax.devices()[0], jax.devices("cpu")[0]))
    row = {
        "rest": case.rest,
        "precision": settings.precision,
        "rtol": settings.rtol,
        "trajectories": CHECKED * DOSES,
        "same_status": bool(np.array_equal(found.solution.status, host.solution.status)),
        "same_steps": float(np.mean(found.solution.steps == host.solution.steps)),
        "value_off_cpu": host.value_error(found.solution.y),
        "gradient_off_cpu": host.gradient_error(found.slope),
        "value_error": exact.value_error(found.solution.y),
        "gradient_error": exact.gradient_error(found.slope),
    }
    # In float32 another rounding takes other steps, so that results are alike by their errors alone.
    near = 1e-6 if settings.precision == "float64" else 10 * settings.rtol
    return row | {"good": row["same_status"] and max(row["value_off_cpu"], row["gradient_off_cpu"]) < near}


def attempt(row: Row, run: Callable[[], Row]) -> Row:
    """`row` with what `run` found, or with why it failed. Memory that ran out is a result here."""
    try:
        row |= run()
    except Exception as error:
        row |= {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"}
    print(json.dumps(row), flush=True)
    return row


def fused_rows(
    model: Model, exact: Mapping[bool, Checked], counts: list[int], repeats: int, peaks: Mapping[str, float]
) -> Iterator[Row]:
    cost = operations(write_functions(model))
    for rest, count in product((False, True), counts):
        case = Case(model, rest)
        values = case.values(count)
        for settings, what in product(FUSED, ("forward", "gradient")):

            def run(
                case: Case = case, values: np.ndarray = values, settings: Settings = settings, what: str = what
            ) -> Row:
                function = (case.forward if what == "forward" else case.gradient)(settings)
                result, times = timed(function, values, repeats=repeats)
                solution: Solution = result if what == "forward" else result[1]
                steps, rejected = np.asarray(solution.steps), np.asarray(solution.rejected)
                found = times | {
                    "trajectories": steps.size,
                    "per_second": steps.size / times["seconds"],
                    "failed": int(np.sum(np.asarray(solution.status) != Status.OK)),
                    "steps_mean": float(steps.mean()),
                    "value_error": exact[case.rest].value_error(solution.y),
                }
                if what == "gradient":
                    slope = np.asarray(result[0][:CHECKED]) * values[:CHECKED]
                    found["gradient_error"] = exact[case.rest].gradient_error(slope)
                if case.rest:  # whose steps, counted in each of its courses, were taken once
                    return found
                done = cost["forward"] * float(steps.sum())
                if what == "gradient":
                    done += cost["back"] * float((steps - rejected).sum())
                rate = done / times["seconds"]
                share = rate / peaks[settings.precision]
                return found | {"operations_per_second": rate, "share_of_peak": share}

            row = {"method": "fused", "precision": settings.precision, "rtol": settings.rtol}
            yield attempt(row | {"start": "rest" if rest else "course", "what": what}, run)


def peer_rows(model: Model, counts: list[int], repeats: int, most: int) -> Iterator[Row]:
    case = Case(model, rest=False)
    reference = np.asarray(jax.jit(case.forward(Settings(engine="fused")))(case.values(CHECKED * DOSES)).y)
    reference = reference.reshape(-1, *reference.shape[2:])
    for name, make in (("diffrax-kvaerno5", diffrax_course), ("modax-rodas5p", modax_course)):
        for count in [n for n in counts if n <= most]:
            states, parameters = case.starts(case.values(count))
            for what in ("forward", "gradient"):

                def run(make: Any = make, y0: np.ndarray = states, p: np.ndarray = parameters, what: str = what) -> Row:
                    course = make(model, TIMES)
                    if what == "forward":
                        y, times = timed(course, y0, p, repeats=repeats)
                        known = min(len(y), len(reference))
                        scale = np.abs(reference[:known]).max(1, keepdims=True) + 1e-9
                        times["off_fused"] = float(np.nanmax(np.abs(y[:known] - reference[:known]) / scale))
                    else:
                        slope = jax.grad(lambda y0, p: jnp.sum(jax.vmap(scalar)(course(y0, p))), argnums=1)
                        _, times = timed(slope, y0, p, repeats=repeats)
                    return times | {"trajectories": len(y0), "per_second": len(y0) / times["seconds"]}

                yield attempt({"method": name, "precision": "float64", "start": "course", "what": what}, run)


def save(file: Path | None, report: Row) -> None:
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")


def compiled() -> Row:
    kernels = [row for name in (MODEL, "hepg2_core") for row in compile_rows(name)]
    return {"compilers": tools(), "versions": versions(), "kernels": kernels}


def versions() -> dict[str, str]:
    """Of what only this benchmark uses, as far as it is installed."""
    packages = {d.name: d.version for d in distributions()}
    wanted = ("warp-lang", "modax-solvers", "jax-cuda12-plugin", "jax-cuda13-plugin")
    return {name: packages[name] for name in wanted if name in packages}


def table(kernels: list[Row]) -> str:
    columns = (
        "model",
        "precision",
        "kernel",
        "arch",
        "ptx_s",
        "registers",
        "stack_bytes",
        "spill_store_bytes",
        "spill_load_bytes",
    )
    lines = ["  ".join(f"{c:>17}" for c in columns)]
    for row in kernels:
        cells = (f"{row.get(c, '-'):.2f}" if c == "ptx_s" else str(row.get(c, "-")) for c in columns)
        lines.append("  ".join(f"{c:>17}" for c in cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--compile-only", action="store_true", help="compile the kernels, run nothing")
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS), help="numbers of trajectories")
    parser.add_argument("--most", type=int, default=10**4, help="trajectories that the other methods get")
    parser.add_argument("--repeats", type=int, default=5, help="of each timing (default 5)")
    arguments = parser.parse_args()
    if arguments.compile_only:
        report = {"machine": machine(), **compiled()}
        print(table(report["kernels"]))
        save(arguments.json, report)
        return
    if not gpu.devices() or jax.default_backend() == "cpu":
        sys.exit(NO_GPU)
    model, device = Model.load(MODEL), gpu.devices()[0]
    peaks = {precision: measured_peak(device, precision) for precision in ("float64", "float32")}
    cases = {rest: Case(model, rest) for rest in (False, True)}
    exact = {rest: Checked.on(jax.devices("cpu")[0], case, TIGHT) for rest, case in cases.items()}
    report: Row = {
        "device": device.name,
        "compute_capability": device.arch,
        "machine": machine(),
        "peak_operations_per_second": peaks,
        "operations_per_step": operations(write_functions(model)),
        "checks": [check(cases[rest], exact[rest], settings) for rest in cases for settings in FUSED],
        **compiled(),
        "rows": [],
    }
    print(json.dumps({k: report[k] for k in ("device", "peak_operations_per_second", "checks")}), flush=True)
    for rows in (
        fused_rows(model, exact, arguments.counts, arguments.repeats, peaks),
        peer_rows(model, arguments.counts, arguments.repeats, arguments.most),
    ):
        for row in rows:
            report["rows"].append(row)
            save(arguments.json, report)
    print(table(report["kernels"]))
    if not all(c["good"] for c in report["checks"]):
        sys.exit("the GPU's results are not the CPU's: see checks")


if __name__ == "__main__":
    main()
