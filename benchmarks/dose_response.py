"""Dose response of il6_stat3: 1,000 draws × 64 doses × 4 conditions × 20 times, with its error, beside diffrax.

    python -m benchmarks.dose_response --json benchmarks/results/dose_response.json

Draws are lognormal around nominal values (log-sd 0.3). Each row is a process of its own, so that its memory is its own,
and its seconds are those of a whole call of `hexamer.infer.dose_response` on a model that is compiled for the engine:
plan, lowering, all chunks, readings. diffrax (the same method, plan and tolerances, under `jax.vmap`) solves fewer
draws; its seconds are of the solve alone, compilation apart, and are extrapolated to as many trajectories.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from hexamer import Diffrax, Fused

from .measures import answer_of, machine, module, peak_memory_mb

DOSES = "0.01:100:64 ng/ml"
TIMES = 20
CONDITIONS = {
    "classic": {},
    "no IL6R": {"IL6R_0": 0.0},
    "classic with sIL6R": {"sIL6R": "100 ng/ml"},
    "no IL6R with sIL6R": {"IL6R_0": 0.0, "sIL6R": "100 ng/ml"},
}
CHECKED = 16  # draws whose error is known
CASES = {  # threads, devices, bytes a chunk
    "fused, 1 thread": (1, 1, 2**28),
    "fused, all threads": (0, 1, 2**28),
    "fused, all threads, small chunks": (0, 1, 2**25),
    "fused, 2 devices": (0, 2, 2**28),
}
PEER = "diffrax"


def worker(case: str, draws: int) -> dict[str, Any]:
    """Times one case; numbers of the first draws are compared with a solve at far tighter tolerances."""
    threads, devices, memory = CASES[case]
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    import time

    import numpy as np

    from hexamer import Settings, load_model
    from hexamer.infer import dose_response

    model = load_model("il6_stat3")
    spread = np.exp(0.3 * np.random.default_rng(0).normal(size=(draws, len(model.parameters))))
    table = dict(zip(model.parameters, (model.defaults * spread).T, strict=True))
    times = np.linspace(0, 180, TIMES)

    def run(count: int, settings: Settings, **options):
        values = {n: v[:count] for n, v in table.items()}
        return dose_response(
            model,
            "IL6",
            DOSES,
            times=times,
            conditions=CONDITIONS,
            parameters=values,
            draws=None,
            settings=settings,
            **options,
        )

    settings = Settings(Fused(threads=threads))
    began = time.perf_counter()
    run(1, settings, progress=False)  # compiles the model's code, which a cache on disk keeps
    first_s = time.perf_counter() - began
    before = os.getloadavg()[0]
    began, cpu = time.perf_counter(), time.process_time()
    result = run(draws, settings, memory=memory)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    memory_mb = peak_memory_mb()
    checked = min(CHECKED, draws)
    tight = run(checked, Settings(rtol=1e-10, atol=1e-12, max_steps=100_000), progress=False).response.values
    scale = np.max(np.abs(tight), axis=(-2, -1), keepdims=True)  # of a draw and condition
    response = result.response.values
    return {
        "case": case,
        "threads": threads or os.cpu_count(),
        "devices": devices,
        "draws": draws,
        "trajectories": int(result.data["status"].size),
        "outputs": int(response.size),
        "seconds": seconds,
        "seconds_per_256000": seconds * 256_000 / result.data["status"].size,
        "cpu_seconds": cpu,
        "first_call_s": first_s,
        "failed": result.failed,
        "max_error_of_scale": float(np.nanmax(np.abs(response[:checked] - tight) / scale)),
        "peak_memory_mb": memory_mb,
        "load_before": before,
        "digest": [float(np.nansum(response[:checked])), float(np.nansum(response))],
    }


def diffrax_worker(draws: int) -> dict[str, Any]:
    """Times diffrax on the same plan, its compilation apart."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from hexamer import Settings, load_model
    from hexamer.infer.doses import Condition, doses_of
    from hexamer.infer.doses.conditions import design
    from hexamer.models.compiled.observe import grid_reader
    from hexamer.models.compiled.plan import compile_plan

    from .throughput import run

    model = load_model("il6_stat3")
    spread = np.exp(0.3 * np.random.default_rng(0).normal(size=(1000, len(model.parameters))))[:draws]
    conditions = {n: Condition(c) for n, c in CONDITIONS.items()}
    made = design(model, doses_of(model, "IL6", DOSES), [], conditions, draws=draws, pretreat=0.0, molar_mass={})
    extra = np.tile([float(v) for v in made.values.values()], (draws, 1))
    names = (*model.parameters, *made.values)
    plan = compile_plan(model, made.protocols, [np.linspace(0, 180, TIMES).tolist()] * len(made.protocols), names)
    values = jnp.asarray(np.concatenate([model.defaults * spread, extra], axis=1))
    formula = grid_reader(model, plan, ["pSTAT3_total"])
    read = jax.vmap(lambda v, y: formula(v, y, 1e-6, 1e-9)[0])
    before = os.getloadavg()[0]
    solution, seconds, compile_s = run(model, plan, Settings(Diffrax()), values)
    memory_mb = peak_memory_mb()
    tight = run(model, plan, Settings(rtol=1e-10, atol=1e-12, max_steps=100_000), values)[0]
    response, exact = (np.asarray(read(values, s.y)) for s in (solution, tight))
    by_condition = exact.reshape(draws, len(CONDITIONS), -1)
    scale = np.repeat(np.max(np.abs(by_condition), axis=-1), len(made.protocols) // len(CONDITIONS), axis=1)
    count = draws * len(made.protocols)
    return {
        "case": "diffrax",
        "threads": os.cpu_count(),
        "devices": 1,
        "draws": draws,
        "trajectories": count,
        "outputs": count * TIMES,
        "seconds": seconds,
        "seconds_per_256000": seconds * 256_000 / count,
        "compile_s": compile_s,
        "failed": int(np.sum(np.asarray(solution.status) != 0)),
        "max_error_of_scale": float(np.nanmax(np.abs(response - exact) / scale[:, :, None])),
        "peak_memory_mb": memory_mb,
        "load_before": before,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--diffrax-draws", type=int, default=8)
    parser.add_argument("--cases", nargs="+", choices=[*CASES, PEER], default=[*CASES, PEER])
    parser.add_argument("--case", choices=[*CASES, PEER], help="measure this one, and print one JSON object")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.case:
        peer = arguments.case == PEER
        print(json.dumps(diffrax_worker(arguments.draws) if peer else worker(arguments.case, arguments.draws)))
        return
    rows = []
    for case in arguments.cases:
        draws = arguments.diffrax_draws if case == PEER else arguments.draws
        row = answer_of(module("dose_response", "--case", case, "--draws", draws))
        row["extrapolated"] = case == PEER
        print(json.dumps(row), file=sys.stdout, flush=True)
        rows.append(row)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
