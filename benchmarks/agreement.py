"""How far a solver's readings are from Kvaerno5's at a tenth of the tolerance: at the best fit and at prior draws.

    python -m benchmarks.agreement --problem il6_demo --draws 100 --json FILE

A deviation is of one row, relative to the larger of its prediction and its standard deviation.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from hexamer import Diffrax, Problem, load_problem
from hexamer.infer import find_map
from hexamer.infer.problem.failures import count_kinds
from hexamer.models import Status
from hexamer.models.solvers.solver_words import solver_by_words

SOLVERS = (("fused", "Rodas5P"), ("diffrax", "Rodas5P"), ("diffrax", "Tsit5"))


def read(problem: Problem, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Means, standard deviations and statuses at each point, and the seconds that took, compiling left out."""
    function = jax.jit(lambda zs: jax.lax.map(lambda z: problem.read(problem.values(z)), zs))
    compiled = function.lower(jnp.asarray(points)).compile()
    began = time.perf_counter()
    readout = jax.block_until_ready(compiled(jnp.asarray(points)))
    seconds = time.perf_counter() - began
    return np.asarray(readout.mean), np.asarray(readout.sd), np.asarray(readout.status), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problem", default="il6_demo")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw, to share them out")
    parser.add_argument("--rtol", type=float, default=1e-6)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    problem = load_problem(arguments.problem).with_settings(rtol=arguments.rtol, atol=arguments.rtol / 100)
    best = find_map(problem, starts=4, seed=1, progress=False).z[:1]
    draws = [
        np.asarray(problem.space.sample(jax.random.key(i)))
        for i in range(arguments.first, arguments.first + arguments.draws)
    ]
    points = np.concatenate([best, draws])
    tight = {"rtol": arguments.rtol / 10, "atol": arguments.rtol / 1e3, "max_steps": 100_000}
    expected, sd, status, seconds = read(problem.with_settings(solver=Diffrax(diffrax.Kvaerno5()), **tight), points)
    usable = np.all(status == Status.OK, axis=1)
    rows = [{"engine": "diffrax", "solver": "kvaerno5", **tight, "seconds": seconds, "failed": count_kinds(status)}]
    for engine, solver in SOLVERS:
        candidate = problem.with_settings(solver=solver_by_words(engine=engine, solver=solver), max_steps=20_000)
        mean, _, status, seconds = read(candidate, points)
        right = usable & np.all(status == Status.OK, axis=1)
        off = np.max(np.abs(mean - expected) / np.maximum(np.abs(expected), sd), axis=1)
        rows.append(
            {
                "engine": engine,
                "solver": solver,
                "rtol": arguments.rtol,
                "at_best_fit": float(off[0]) if right[0] else None,
                "largest_at_draws": float(np.max(off[1:][right[1:]])),
                "median_at_draws": float(np.median(off[1:][right[1:]])),
                "draws_beyond_1e-5": int(np.sum(off[1:][right[1:]] > 1e-5)),
                "draws_compared": int(right[1:].sum()),
                "failed": count_kinds(status),
                "seconds": seconds,
            }
        )
    for row in rows:
        print(json.dumps(row))
    if arguments.json:
        record = {"problem": arguments.problem, "first": arguments.first, "draws": arguments.draws, "points": rows}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
