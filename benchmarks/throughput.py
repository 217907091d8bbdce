"""Many trajectories of il6_stat3 at once: seconds, memory and error, on one thread and on all, beside diffrax.

    python -m benchmarks.throughput --trajectories 100000 --json FILE

float32 stands beside float64 at the same tolerance, one run after the other; of `--repeats` runs the fastest counts.
Parameters are lognormal around nominal values (log-sd 0.3); cells in steady state get 0.01 to 100 ng/ml of IL-6;
all species are read at 12 times over 180 min. diffrax solves fewer trajectories, and its time is given for as many.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hexamer import Diffrax, Fused, Model, Protocol, Settings
from hexamer.models import Status, load_model
from hexamer.models.compiled.plan import compile_plan
from hexamer.models.solvers.dispatch import solve
from hexamer.models.solvers.machine import usable_cores

TIMES = (0.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0)
NM_PER_NG_ML = 1 / 21  # IL-6, 21 kDa
DIFFRAX = 64  # sets of parameters that diffrax solves
COARSE = 1e-4  # rtol at which precisions are compared


def memory_mb() -> float:
    """Most memory that the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(model: Model, plan: Any, settings: Settings, values: jax.Array, repeats: int = 1) -> tuple[Any, float, float]:
    """Solution, least seconds, and seconds to compile."""
    function = jax.jit(jax.vmap(partial(solve, model, plan, settings)))
    began = time.perf_counter()
    compiled = function.lower(values).compile()
    compile_s = time.perf_counter() - began

    def timed() -> tuple[Any, float]:
        began = time.perf_counter()
        solution = jax.block_until_ready(compiled(values))
        return solution, time.perf_counter() - began

    solution, seconds = timed()
    for _ in range(repeats - 1):
        seconds = min(seconds, timed()[1])
    return solution, seconds, compile_s


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trajectories", type=int, default=100_000)
    parser.add_argument("--doses", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precisions", nargs="+", choices=("float64", "float32"), default=["float64", "float32"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    model = load_model("il6_stat3")
    doses = np.geomspace(0.01, 100, arguments.doses) * NM_PER_NG_ML
    protocols = [Protocol.equilibrated(f"{d:g} nM").add("IL6", float(d)) for d in doses]
    plan = compile_plan(model, protocols, [list(TIMES)] * len(protocols), model.parameters)
    sets = -(-arguments.trajectories // len(protocols))
    spread = np.exp(0.3 * np.random.default_rng(0).normal(size=(sets, len(model.parameters))))
    values = jnp.asarray(model.defaults * spread)
    tight = run(model, plan, Settings(rtol=1e-10, atol=1e-12, max_steps=100_000), values[:DIFFRAX])[0].y
    scale = jnp.max(jnp.abs(tight), axis=(1, 2), keepdims=True)
    rows = []
    cores = usable_cores()
    fused = [
        Settings(Fused(precision=precision, threads=threads), rtol=rtol, atol=rtol / 100)
        for precision in arguments.precisions
        for rtol in ((1e-6, COARSE) if precision == "float64" else (COARSE,))
        for threads in (1, 0)
    ]
    for name, settings, batch in [
        *(("fused", settings, values) for settings in fused),
        ("diffrax-rodas5p", Settings(Diffrax()), values[:DIFFRAX]),
    ]:
        solution, seconds, compile_s = run(model, plan, settings, batch, arguments.repeats if name == "fused" else 1)
        ok = np.asarray(solution.status) == Status.OK
        off = jnp.abs(solution.y[:DIFFRAX] - tight) / (scale + 1e-9)
        count = batch.shape[0] * len(protocols)
        row = {
            "method": name,
            "precision": settings.precision,
            "rtol": settings.rtol,
            "threads": (settings.fused.threads or cores) if name == "fused" else cores,
            "trajectories": count,
            "seconds": seconds,
            "seconds_per_100000": seconds * 1e5 / count,
            "compile_s": compile_s,
            "failed": int((~ok).sum()),
            "steps_mean": float(np.mean(np.asarray(solution.steps))),
            "max_rel_error": float(jnp.nanmax(off)),
            "peak_memory_mb": memory_mb(),
            "load": os.getloadavg()[0],
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
