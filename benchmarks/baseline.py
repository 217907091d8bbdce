"""Records what the package computes today, or compares it with an earlier record.

    python -m benchmarks.baseline --json benchmarks/results/baseline.json
    python -m benchmarks.baseline --against benchmarks/results/baseline.json

For every bundled problem whose data are there: the log likelihood and its gradient at the nominal (or true) values. For
every bundled network: the course under a dose, with the solver's steps. For il6_demo: draws of two short chains. Times
are the least of several calls; compare them only between records made in turns on one machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import hexamer
from hexamer.data import bundled as bundled_problems
from hexamer.data import read_values
from hexamer.infer import fit
from hexamer.models import Protocol, Settings, bundled, load_model, simulate
from hexamer.models.solvers.solver_words import solver_by_words

TIMES = [0.0, 1.0, 5.0, 15.0, 30.0, 60.0, 180.0]
DOSE = 0.476  # nM of IL-6, 10 ng/ml
REPEATS = 20


def _seconds(call, repeats: int = REPEATS) -> float:
    """The least time of one call."""
    jax.block_until_ready(call())
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        best = min(best, time.perf_counter() - start)
    return best


def problem_record(name: str) -> dict[str, Any]:
    """Log density, log likelihood and gradient at the nominal (or true) values, and the time of a gradient."""
    problem = hexamer.load_problem(name)
    truth = Path(__file__).parent.parent / "data" / "bundled_problems" / name / "truth.csv"
    values = {n: p.value for n, p in problem.parameters.items() if p.value is not None}
    if truth.is_file():
        values |= {n: v for n, v in read_values(truth).items() if n in problem.parameters}
    z = np.zeros(len(problem.space.names))
    known = {n: values[n] for n in problem.space.names if n in values}
    if len(known) == len(problem.space.names):
        z = np.asarray(problem.space.unconstrain(known))
    value, gradient = problem.potential(jnp.asarray(z))  # over the sampler's coordinates
    return {
        "at": "known values" if len(known) == len(problem.space.names) else "z = 0",
        "log_likelihood": float(problem.log_likelihood(problem.space.fold(jnp.asarray(z)))),
        "potential": float(value),
        "gradient": dict(zip(problem.space.names, map(float, gradient), strict=True)),
        "gradient_seconds": _seconds(lambda: problem.potential(jnp.asarray(z))),
    }


def network_record(name: str, engine: str) -> dict[str, Any]:
    """The course of one network after a dose of IL-6, where it has IL-6."""
    model = load_model(name)
    protocol = Protocol().add("IL6", DOSE) if "IL6" in model.species else Protocol()
    values = {n: 1.0 for n, v in zip(model.parameters, model.defaults, strict=True) if np.isnan(v)}
    settings = Settings(solver_by_words(engine=engine))
    out = simulate(model, values, protocol, TIMES, settings=settings)
    return {
        "status": int(out.status[0]),
        "steps": int(out.steps[0]),
        "y": {n: np.asarray(out.y[0, :, i]).tolist() for i, n in enumerate(model.species)},
    }


def draws_record() -> dict[str, Any]:
    """Two short chains of il6_demo."""
    problem = hexamer.load_problem("il6_demo")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        result = fit(problem, folder, chains=2, warmup=60, draws=40, starts=2, seed=1, progress=False)
        seconds = time.perf_counter() - start
    assert result is not None  # it may be stopped early, and is not here
    z = np.asarray(result.draws.z)
    return {"z_last": z[:, -1].tolist(), "z_mean": z.mean((0, 1)).tolist(), "seconds": seconds}


def record() -> dict[str, Any]:
    """Everything, as one JSON object."""
    problems: dict[str, Any] = {}
    for name in bundled_problems():
        try:
            problems[name] = problem_record(name)
        except FileNotFoundError as missing:
            problems[name] = {"absent": type(missing).__name__}
    networks = {n: {e: network_record(n, e) for e in ("fused", "diffrax")} for n in bundled()}
    return {"problems": problems, "networks": networks, "draws": draws_record()}


def _distance(a: Any, b: Any) -> float:
    """The largest difference of two records' numbers, relative to the largest number of the earlier one."""
    x, y = (np.asarray(list(v.values()) if isinstance(v, dict) else v) for v in (a, b))
    if x.shape != y.shape:
        return float("inf")
    return float(np.max(np.abs(x - y)) / max(np.max(np.abs(x)), 1e-300))


def compare(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A line for each problem, network and the draws."""
    lines = []
    for name, old in before["problems"].items():
        new = now["problems"].get(name, {"absent": "gone"})
        if "absent" in old or "absent" in new:
            lines.append(f"{name}: not compared ({old.get('absent', '')} {new.get('absent', '')})")
            continue
        ratio = new["gradient_seconds"] / old["gradient_seconds"]
        lines.append(
            f"{name}: log likelihood {old['log_likelihood']:.8g} -> {new['log_likelihood']:.8g}, gradient differs by "
            f"{_distance(old['gradient'], new['gradient']):.2g}, time x {ratio:.3f}"
        )
    for name, engines in before["networks"].items():
        for engine, old in engines.items():
            new = now["networks"][name][engine]
            lines.append(
                f"{name}, {engine}: differs by {_distance(old['y'], new['y']):.2g}, "
                f"steps {old['steps']} -> {new['steps']}"
            )
    lines.append(
        f"draws of il6_demo: means differ by {_distance(before['draws']['z_mean'], now['draws']['z_mean']):.2g}"
    )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--against", type=Path, help="an earlier record")
    options = parser.parse_args()
    now = record()
    if options.json:
        options.json.write_text(json.dumps(now, indent=1) + "\n")
    if options.against:
        print("\n".join(compare(json.loads(options.against.read_text()), now)))


if __name__ == "__main__":
    main()
