"""`hexamer fit` watched: seconds of each phase, leapfrogs, what a gradient costs, effective draws, convergence.

python -m benchmarks.nuts hepg2 --seeds 1 2 3 --json benchmarks/results/hepg2_nuts.json

Each seed is a fresh process, imports and compilation included; `phases_s` is read off the times of the files that it
leaves. The gradient is timed after, alone, on one device, at draws of the posterior.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hexamer import load_problem
from hexamer.models.solvers.dispatch import solve
from hexamer.models.solvers.machine import usable_cores

from .fit_record import record
from .measures import ROOT, Row, machine

GRADIENTS = 200
RTOL = 1e-6


def run(problem: str, seed: int, folder: Path, options: list[str]) -> Row:
    """One fit in a process of its own: its record, its wall time and phases."""
    load, began = os.getloadavg(), time.time()
    command = [sys.executable, "-c", "from hexamer.cli import main; main()", "fit", problem, "--quiet"]
    subprocess.run([*command, "--seed", str(seed), "--out", str(folder), *options], check=True, cwd=ROOT)
    ended = time.time()
    measured = record(folder)
    chunks = sorted((folder / "chains").glob("chunk-*.npz"))
    warm = [c for c in chunks if bool(np.load(c)["is_warmup"])]
    marks = {
        "imports, problem, best fits": folder / "map.json",
        "mode and curvature": folder / "start.npz",
        "warmup, compilation included": warm[-1],
        "draws": chunks[-1],
        "replicated data, posterior.nc": folder / "posterior.nc",
    }
    times = [began, *(f.stat().st_mtime for f in marks.values()), ended]
    phases = dict(zip([*marks, "summary and figures"], np.diff(times).tolist(), strict=True))
    leapfrogs = np.concatenate([np.load(c)["n_steps"] for c in chunks[len(warm) :]], axis=1)
    parameters = measured.pop("parameters")
    return {
        "seed": seed,
        "wall_s": ended - began,
        "load_average_before": load,
        "load_average_after": os.getloadavg(),
        "phases_s": phases,
        **{k: v for k, v in measured.items() if k not in ("problem", "settings", "versions", "truth")},
        "draw_leapfrogs": int(leapfrogs.sum()),
        "leapfrogs_of_chains": leapfrogs.sum(1).tolist(),
        "waiting": _waiting(leapfrogs),
        "parameters": parameters,
    }


def _waiting(leapfrogs: np.ndarray, chunk: int = 50) -> float:
    """The share of the cores' time in which one waits for the other, by leapfrogs: chains take turns on the devices."""
    devices = min(len(leapfrogs), usable_cores())
    work = leapfrogs[:, : leapfrogs.shape[1] // chunk * chunk].reshape(len(leapfrogs), -1, chunk).sum(2)
    each = np.array([work[d::devices].sum(0) for d in range(devices)])
    return float(1 - each.sum() / (devices * each.max(0).sum()))


def gradient(name: str, folder: Path) -> Row:
    """Milliseconds of the density with its gradient, and of the solve in it with its own, at draws of a run."""
    problem = load_problem(name).with_settings(rtol=RTOL, atol=RTOL / 100)
    u = np.load(sorted((folder / "chains").glob("chunk-*.npz"))[-1])["u"].reshape(-1, len(problem.space))
    points = jnp.asarray(np.resize(u, (GRADIENTS, u.shape[1])))

    def solved(u):
        solution = solve(problem.model, problem.assays.plan, problem.settings, problem.values(problem.space.fold(u)))
        return jnp.sum(solution.y)

    def milliseconds(function) -> float:
        compiled = jax.jit(lambda x: jax.lax.map(jax.value_and_grad(function), x))
        jax.block_until_ready(compiled(points))
        times = []
        for _ in range(5):
            began = time.perf_counter()
            jax.block_until_ready(compiled(points))
            times.append(time.perf_counter() - began)
        return 1e3 * min(times) / GRADIENTS

    return {
        "density_ms": milliseconds(lambda u: -problem.log_density_unfolded(u)),
        "solve_ms": milliseconds(solved),
        "dynamic": [n for n in problem.space.names if n in problem.model.parameters],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("problem")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--load", default="nothing else", help="what else the machine did")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("options", nargs="*", help="further options of `hexamer fit`, after --")
    arguments = parser.parse_args()
    content: dict[str, Any] = {"problem": arguments.problem, "load": arguments.load, "options": arguments.options}
    content |= {"machine": machine(), "runs": []}
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            fit = run(arguments.problem, seed, Path(folder), arguments.options)
            cost = gradient(arguments.problem, Path(folder))
        dynamic = [fit["parameters"][n] for n in cost.pop("dynamic")]
        cores = min(fit["chains"], usable_cores())
        fit["gradient"] = cost | {
            "share_of_draws": fit["draw_leapfrogs"] * cost["density_ms"] / 1e3 / (cores * fit["draws_s"])
        }
        fit["dynamic"] = {
            "count": len(dynamic),
            "r_hat_max": max(p["r_hat"] for p in dynamic),
            "ess_bulk_min": min(p["ess_bulk"] for p in dynamic),
            "ess_tail_min": min(p["ess_tail"] for p in dynamic),
        }
        content["runs"].append(fit)
        arguments.json.write_text(json.dumps(content, indent=1, default=str) + "\n")
        print(json.dumps({k: v for k, v in fit.items() if k != "parameters"}, indent=1, default=str), flush=True)


if __name__ == "__main__":
    main()
