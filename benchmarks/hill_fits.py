"""Hill fits of many curves: hexamer's Levenberg–Marquardt and optimistix's, from the same starts, in turns.

    python -m benchmarks.hill_fits --curves 4000 --rounds 7 --json FILE

optimistix has no bounds: ln EC50 and ln h are clipped within its residual. `misses_more` counts the curves whose
root mean square is larger than the other's by more than 1e-6 of it and 1e-9 of the responses' range; `worst` is by how
much at most, as a share of that range. `first_seconds` has what the first call compiles.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optimistix

from hexamer.infer.doses import hill
from hexamer.infer.doses.hill import HillCurve, occupancy

from .arguments import positive_count

DOSES = np.append(0.0, np.geomspace(0.01, 100, 13))
TOLERANCE = 1e-8


def curves(count: int) -> dict[str, np.ndarray]:
    """Responses, curves × doses: exact, noisy, of an EC50 that may lie far beyond the doses, and bell-shaped."""
    rng = np.random.default_rng(2)
    ec50, slope = np.exp(rng.normal(size=(count, 1))), np.exp(0.3 * rng.normal(size=(count, 1)))
    bottom, span = rng.normal(size=(count, 1)), 5 * rng.normal(size=(count, 1))
    exact = bottom + span * occupancy(DOSES, ec50, slope)
    far, steep = np.exp(4 * rng.normal(size=(count, 1))), np.exp(rng.normal(size=(count, 1)))
    return {
        "exact": exact,
        "noisy": exact + 0.05 * np.abs(span) * rng.normal(size=exact.shape),
        "far": bottom + span * occupancy(DOSES, far, steep),
        "bell": span * DOSES / (ec50 + DOSES) / (1 + DOSES / (10 * ec50)),
    }


@partial(jax.jit, static_argnames="steps")
def minimised(x, y, log_dose, positive, low, high, steps: int):
    """optimistix's optimum of each curve from x, and whether it converged."""
    solver = optimistix.LevenbergMarquardt(rtol=TOLERANCE, atol=TOLERANCE)

    def bounded(q):
        return jnp.concatenate([jnp.clip(q[:2], low, high), q[2:]])

    def residual(q, y):
        log_ec50, log_slope, bottom, span = bounded(q)
        z = jnp.where(positive, jnp.exp(log_slope) * (log_dose - log_ec50), -jnp.inf)
        return y - bottom - span * jax.nn.sigmoid(z)

    def one(x, y):
        options = {"jac": "fwd"}
        solution = optimistix.least_squares(residual, solver, x, y, options=options, max_steps=steps, throw=False)
        return bounded(solution.value), residual(solution.value, y), solution.result == optimistix.RESULTS.successful

    return jax.vmap(one)(x, y)


def of_optimistix(d: np.ndarray, e: np.ndarray, steps: int) -> tuple[HillCurve, int]:
    """The results of `hill._least_squares`, and the number of curves that did not converge."""
    low, high = hill._bounds(d)
    offset = np.min(e, axis=1, keepdims=True)
    scale = np.maximum(np.ptp(e, axis=1, keepdims=True), 1e-300)
    y = (e - offset) / scale
    start = hill._best_of_grid(d, y, low, high, True)
    fitted = minimised(start, y, np.log(np.where(d > 0, d, 1.0)), d > 0, low, high, steps)
    x, r, converged = map(np.asarray, fitted)
    bottom, span = offset[:, 0] + scale[:, 0] * x[:, 2], scale[:, 0] * x[:, 3]
    curve = HillCurve(np.exp(x[:, 0]), np.exp(x[:, 1]), bottom, span, np.sqrt(np.mean(r**2, axis=1)))
    return curve, int(np.sum(~converged))


def compared(name: str, e: np.ndarray, steps: int, rounds: int) -> dict[str, Any]:
    """Times of both in turns, and whose curves miss more."""
    began = time.perf_counter()
    theirs, open_ended = of_optimistix(DOSES, e, steps)
    first = time.perf_counter() - began
    ours = hill._least_squares(DOSES, e, None)
    seconds: list[tuple[float, float]] = []
    for _ in range(rounds):
        marks = [time.perf_counter()]
        hill._least_squares(DOSES, e, None)
        marks.append(time.perf_counter())
        of_optimistix(DOSES, e, steps)
        marks.append(time.perf_counter())
        seconds.append((marks[1] - marks[0], marks[2] - marks[1]))
    beyond = {"hexamer": ours.misfit - theirs.misfit, "optimistix": theirs.misfit - ours.misfit}
    limit = 1e-6 * np.minimum(ours.misfit, theirs.misfit) + 1e-9
    return {
        "curves": name,
        "steps": steps,
        "hexamer_seconds": float(np.median([s[0] for s in seconds])),
        "optimistix_seconds": float(np.median([s[1] for s in seconds])),
        "times_hexamer": float(np.median([b / a for a, b in seconds])),
        "first_seconds": first,
        "optimistix_not_converged": open_ended,
        "misses_more": {n: int(np.sum(x > limit)) for n, x in beyond.items()},
        "worst": {n: max(0.0, float(np.max(x))) for n, x in beyond.items()},
        "other_status": int(np.sum(hill._kinds(DOSES, e, ours) != hill._kinds(DOSES, e, theirs))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--curves", type=positive_count, default=4000)
    parser.add_argument("--rounds", type=positive_count, default=7)
    parser.add_argument("--steps", type=positive_count, nargs="+", default=[hill._ITERATIONS, 200])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cases = curves(arguments.curves)
    rows = [compared(n, e, steps, arguments.rounds) for steps in arguments.steps for n, e in cases.items()]
    for row in rows:
        print(json.dumps(row))
    if arguments.json:
        record = {"curves": arguments.curves, "doses": len(DOSES), "rounds": arguments.rounds, "rows": rows}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
