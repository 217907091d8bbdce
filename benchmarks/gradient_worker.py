"""hexamer's side of `benchmarks.gradient`: one method in a process of its own.

    python -m benchmarks.gradient_worker CASE.json --method diffrax-rodas5p [--repeats N | --reference RTOL]

With the `reference` in the case, prints rows for rtol 1e-6 and for the loosest tolerance whose gradient is right
to 1e-5; with `--reference`, prints value and gradient at that tolerance. One JSON object goes to standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hexamer import Settings
from hexamer.infer.problem.failures import count_kinds
from hexamer.models.solvers.machine import usable_cores
from hexamer.models.solvers.solver_words import solver_by_words

from .gradient_case import ChiSquare, load
from .measures import ATOL_RATIO, LADDER, MAX_ERROR, NONE_EXACT, STANDARD, gradient_error, peak_memory_mb

BUDGET = 20.0  # s that the repeats of one timing may take, where they are not fewer than 5


@dataclass(frozen=True, eq=False)
class Probe:
    """A gradient at one tolerance."""

    settings: Settings
    function: Callable[[jax.Array], Any]  # compiled
    compile_s: float
    value: float
    gradient: list[float]
    failed: dict[str, int]  # trajectories by kind of failure
    steps: list[int]  # of each protocol, pre-equilibration included


def settings_of(method: str, rtol: float) -> Settings:
    """What a method's name tells: `fused`, or `diffrax-SOLVER`, for forward mode `diffrax-SOLVER-forward`."""
    engine, solver, *mode = method.split("-") if method != "fused" else ("fused", "rodas5p")
    return Settings(
        solver_by_words(engine=engine, solver=solver, derivative="forward" if mode == ["forward"] else "reverse"),
        rtol=rtol,
        atol=rtol * ATOL_RATIO,
        # hexamer's own limit, but where solvers of low order need more
        max_steps=Settings.max_steps if rtol > 1e-8 else 2**16,
    )


def compiled(function: Callable, p: jax.Array) -> tuple[Callable[[jax.Array], Any], float]:
    """The compiled function, and the seconds that tracing and compiling took."""
    began = time.perf_counter()
    result = jax.jit(function).lower(p).compile()
    return result, time.perf_counter() - began


class Method:
    """L, its gradient and what they cost, by one method."""

    def __init__(self, method: str, case: dict[str, Any]):
        self.method, self.case = method, case
        self.objective = ChiSquare.of_case(load(case["problem"]), case)
        self.p = jnp.array([case["values"][n] for n in case["parameters"]])
        self.probes: dict[float, Probe] = {}

    def _at(self, settings: Settings) -> ChiSquare:
        o = self.objective
        return ChiSquare(o.problem.with_settings(settings), o.vector, o.position, o.sd)

    def probe(self, rtol: float) -> Probe:
        """The gradient at a tolerance, compiled once."""
        if rtol not in self.probes:
            settings = settings_of(self.method, rtol)
            derivative = jax.jacrev if settings.derivative == "reverse" else jax.jacfwd
            function, seconds = compiled(derivative(self._at(settings), has_aux=True), self.p)
            gradient, evaluation = function(self.p)
            self.probes[rtol] = Probe(
                settings,
                function,
                seconds,
                float(evaluation.value),
                np.asarray(gradient).tolist(),
                count_kinds(np.asarray(evaluation.status)),
                np.asarray(evaluation.steps).tolist(),
            )
        return self.probes[rtol]

    def error(self, rtol: float) -> float:
        """Error of the gradient against the case's reference; infinite where a trajectory failed."""
        probe = self.probe(rtol)
        if probe.failed:
            return float("inf")
        return gradient_error(probe.gradient, self.case["reference"]["gradient"], self.p.tolist())

    def loosest(self) -> float | None:
        """The loosest tolerance of the ladder whose error is small enough, searched from the standard one on."""
        start = LADDER.index(STANDARD)
        if self.error(STANDARD) <= MAX_ERROR:
            last_exact = STANDARD
            for rtol in reversed(LADDER[:start]):
                if self.error(rtol) > MAX_ERROR:
                    break
                last_exact = rtol
            return last_exact
        return next((rtol for rtol in LADDER[start + 1 :] if self.error(rtol) <= MAX_ERROR), None)

    def row(self, rtol: float, repeats: int) -> dict[str, Any]:
        """Times at one tolerance."""
        probe = self.probe(rtol)
        error = self.error(rtol)
        forward, forward_compile_s = compiled(self._at(probe.settings), self.p)
        load = os.getloadavg()[0]
        forward_ms, forward_min, _, _ = timed(forward, self.p, repeats)
        gradient_ms, gradient_min, busy, count = timed(probe.function, self.p, repeats)
        return {
            "rtol": rtol,
            "atol": probe.settings.atol,
            "max_steps": probe.settings.max_steps,
            "forward_ms": forward_ms,
            "gradient_ms": gradient_ms,
            "max_rel_error": error if np.isfinite(error) else None,
            "compile_s": probe.compile_s,
            "forward_compile_s": forward_compile_s,
            "forward_ms_min": forward_min,
            "gradient_ms_min": gradient_min,
            "repeats": count,
            "steps": sum(probe.steps),
            "steps_longest": max(probe.steps),
            "failed": sum(probe.failed.values()),
            "failures": probe.failed,
            "cores_busy": busy,
            "load_average": load,
        }


def timed(function: Callable, p: jax.Array, repeats: int) -> tuple[float, float, float, int]:
    """Median and least wall time in ms, cores kept busy on average, and number of repeats, once warm."""

    def once() -> float:
        began = time.perf_counter()
        jax.block_until_ready(function(p))
        return time.perf_counter() - began

    once()
    count = max(5, min(repeats, int(BUDGET / once())))
    began, cpu = time.perf_counter(), time.process_time()
    seconds = [once() for _ in range(count)]
    busy = (time.process_time() - cpu) / (time.perf_counter() - began)
    return 1e3 * statistics.median(seconds), 1e3 * min(seconds), busy, count


def rows(method: Method, repeats: int) -> list[dict[str, Any]]:
    """One row at the standard tolerance, one at the loosest that is exact enough."""
    standard = method.row(STANDARD, repeats)
    loosest = method.loosest()
    if loosest is None:
        exact: dict[str, Any] = {"rtol": None, "error": NONE_EXACT}
    else:
        exact = dict(standard) if loosest == STANDARD else method.row(loosest, repeats)
    exact["ladder"] = [
        {
            "rtol": rtol,
            "max_rel_error": e if np.isfinite(e := method.error(rtol)) else None,
            "failed": sum(probe.failed.values()),
            "steps": sum(probe.steps),
            "compile_s": probe.compile_s,
        }
        for rtol, probe in sorted(method.probes.items(), reverse=True)
    ]
    return [standard | {"setting": "standard"}, exact | {"setting": "matched"}]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("case", type=Path)
    parser.add_argument("--method", required=True)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--reference", type=float)
    arguments = parser.parse_args()
    method = Method(arguments.method, json.loads(arguments.case.read_text()))
    if arguments.reference:
        probe = method.probe(arguments.reference)
        if probe.failed:
            raise RuntimeError(f"the reference run failed: {probe.failed}")
        answer = {"method": arguments.method, "rtol": arguments.reference, "value": probe.value}
        answer |= {"gradient": probe.gradient, "steps": sum(probe.steps)}
    else:
        common = {
            "threads": usable_cores(),
            "device": jax.default_backend(),
        }
        rows_here = [row | common for row in rows(method, arguments.repeats)]
        answer = {"rows": [row | {"peak_memory_mb": peak_memory_mb()} for row in rows_here]}
    print(json.dumps(answer, allow_nan=False))


if __name__ == "__main__":
    main()
