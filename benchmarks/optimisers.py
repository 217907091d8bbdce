"""Optimisers of other libraries under `find_map`: wall time, optima and failures from the same starts, in turns.

    python -m benchmarks.optimisers hepg2 --starts 50 --rounds 3 --json FILE

Each round runs all optimisers one after the other, compilation included; the ratio is the median over rounds of the
time over that of hexamer's L-BFGS in the same round. What ended within 0.1 of the best of all counts as best.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import optax
import optimistix

from hexamer import load_problem
from hexamer.infer import Fits, find_map

from .arguments import positive_count

OURS = "hexamer"
OPTIMISERS = {
    OURS: None,
    "optax.lbfgs": optax.lbfgs(),
    "optax.adam": optax.adam(1e-2),
    "optimistix.BFGS": optimistix.BFGS(rtol=1e-8, atol=1e-8),
    "optimistix.LBFGS": optimistix.LBFGS(rtol=1e-8, atol=1e-8),
}


def row(name: str, fits: list[Fits], ours: list[Fits], best: float) -> dict[str, Any]:
    """The results of one optimiser: optima and counts of the first round, times of all rounds."""
    first = fits[0]
    return {
        "optimiser": name,
        "seconds": [f.seconds for f in fits],
        "times_hexamer": float(np.median([f.seconds / o.seconds for f, o in zip(fits, ours, strict=True)])),
        "best": float(first.objective[0]),
        "within_0.1_of_best": int(np.sum(first.objective <= best + 0.1)),
        "median": float(np.median(first.objective)),
        "optima": len(first.optima),
        "endings": dict(Counter(first.reason)),
        "evaluations": int(first.evaluations.sum()),
        "failed": first.failed,
        "redrawn": first.redrawn,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("problem")
    parser.add_argument("--starts", type=positive_count, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=positive_count, default=3)
    parser.add_argument("--optimisers", nargs="+", choices=OPTIMISERS, default=list(OPTIMISERS))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    problem = load_problem(arguments.problem)
    names = [OURS, *(n for n in arguments.optimisers if n != OURS)]
    fits: dict[str, list[Fits]] = {n: [] for n in names}
    options = {"starts": arguments.starts, "seed": arguments.seed, "progress": False}
    load = os.getloadavg()
    for _ in range(arguments.rounds):
        for name in names:
            fits[name].append(find_map(problem, optimiser=OPTIMISERS[name], **options))
    best = min(f.objective[0] for runs in fits.values() for f in runs)
    rows = [row(n, fits[n], fits[OURS], best) for n in names]
    for line in rows:
        print(json.dumps(line))
    if arguments.json:
        record = {"problem": problem.name, **options, "load_average": [load, os.getloadavg()], "rows": rows}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
