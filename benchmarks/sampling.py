"""Samplers of posteriors on the same problems: the least effective sample size per second and per gradient.

    python -m benchmarks.sampling boehm hepg2 --minutes 3 --json benchmarks/results/sampling.json

hexamer's NUTS and SMC, NumPyro's NUTS on diffrax, and pyPESTO's adaptive Metropolis and parallel tempering on AMICI
(`make peers`), each in a process of its own, one after the other. All begin at the same best fits, have the same
priors, and stop after the same minutes of sampling. AMICI gets the problem as PEtab, in which integrated scales are
parameters. How far both log posteriors differ, between the points where the chains begin, stands beside the times.

The effective sample size is the bulk ESS of the worst parameter that all tools share. A time per core counts: seconds
of CPU, so that a busy machine does not favour the tool that ran alone. Of pyPESTO's chains the first half is warmup.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np

from hexamer import Problem, load_problem
from hexamer.infer import export_petab, find_map

from .amici_runs import find_python
from .measures import ROOT, Row, WorkerFailed, answer_of, machine, plain

RTOL = 1e-6
STARTS, SEED = 16, 1
OURS, PYPESTO = ("hexamer-nuts", "hexamer-smc", "numpyro"), ("adaptive_metropolis", "parallel_tempering")
PETAB = {
    "boehm": "Boehm_JProteomeRes2014",
    "bachmann": "Bachmann_MSB2011",
    "raia": "Raia_CancerResearch2011",
}


@dataclass(frozen=True)
class Case:
    """A problem, in which scales are parameters as in PEtab, and two of its best fits."""

    name: str
    source: str
    problem: Problem
    points: list[dict[str, float]]

    @classmethod
    def load(cls, name: str) -> Case:
        """Looks for the best fits. Raises `SystemExit` if the data lie nowhere."""
        source = name
        if name in PETAB:
            if not (data := os.environ.get("HEXAMER_DATA")):
                raise SystemExit(f"{name}: HEXAMER_DATA must name the folder of the published problems")
            (source_path,) = Path(data, "petab", PETAB[name]).glob("*.yaml")
            source = str(source_path)
        whole = load_problem(source, marginalise=()).with_settings(rtol=RTOL, atol=RTOL / 100)
        fits = find_map(whole, starts=STARTS, seed=SEED, progress=False)
        rng = np.random.default_rng(SEED)
        points = [
            {n: float(v) for n, v in zip(whole.space.names, whole.space.constrain(jnp.asarray(z)), strict=True)}
            for z in (fits.z[0], fits.z[0] + 0.01 * rng.normal(size=fits.z.shape[1]))
        ]
        return cls(name, source, whole, points)

    @property
    def logarithmic(self) -> list[bool]:
        """Which parameters a sampler without coordinates of its own takes as log10."""
        return [s.log_base > 0 for s in self.problem.space.scales]

    def log_posteriors(self) -> np.ndarray:
        """log likelihood and priors over log10 or linear parameters, up to a constant."""
        space = self.problem.space

        @jax.jit
        def value(z):
            return self.problem.log_likelihood(z) + space.log_prior_mode(z)

        return np.array([float(value(jnp.asarray(space.unconstrain(p)))) for p in self.points])


def of_ours(case: Case, method: str, seconds: float, folder: Path) -> Row:
    """A row of the table for a sampler that runs in hexamer's environment."""
    draws, file = folder / f"{method}.npy", folder / f"{method}.json"
    content = {"problem": case.source, "method": method, "seconds": seconds, "seed": SEED, "rtol": RTOL}
    file.write_text(json.dumps(content | {"draws": str(draws), "values": case.points[0]}))
    answer = _answer([sys.executable, "-m", "benchmarks.sampling_worker", str(file)], 3 * seconds + 600)
    names = load_problem(case.source).space.names if draws.exists() else ()
    return answer | _quality(draws, names, case)


def of_pypesto(case: Case, method: str, seconds: float, folder: Path, cache: Path) -> Row:
    """A row of the table for a sampler of pyPESTO."""
    if (python := find_python()) is None:
        return {"error": "AMICI has no environment: call `make peers`"}
    draws, file = folder / f"{method}.npy", folder / f"{method}.json"
    exported = export_petab(case.problem, folder / case.name, values=case.points[0], overwrite=True)
    space, logarithmic = case.problem.space, case.logarithmic
    points = [
        [float(np.log10(p[n])) if log else p[n] for n, log in zip(space.names, logarithmic, strict=True)]
        for p in case.points
    ]
    content = {
        "problem": str(exported.path), "names": [exported.ids[n] for n in space.names], "logarithmic": logarithmic,
        "points": points, "method": method, "seconds": seconds, "rtol": RTOL, "atol": RTOL / 100, "seed": SEED,
    }  # fmt: skip
    file.write_text(json.dumps(content | {"draws": str(draws)}))
    worker = ROOT / "benchmarks" / "peers" / "pypesto_worker.py"
    answer = _answer([python, str(worker), str(file), "--cache", str(cache)], 4 * seconds + 900)
    if "error" in answer:
        return answer
    ours, theirs = case.log_posteriors(), np.array(answer["log_posterior"])
    answer["log_posterior_differs"] = float(np.abs(np.diff(ours) - np.diff(theirs)).max())
    chains = np.load(draws)
    np.save(draws, chains[:, chains.shape[1] // 2 :])
    half = answer["evaluations"] // 2
    return answer | {
        "warmup_s": answer["sampling_s"] / 2,
        "draws_s": answer["sampling_s"] / 2,
        "warmup_gradients": half,
        "draws_gradients": half,
        "unit": "evaluations without gradient",
    } | _quality(draws, space.names, case)  # fmt: skip


def _answer(command: list[str], limit: float) -> Row:
    try:
        return answer_of(["timeout", str(int(limit)), *command])
    except (WorkerFailed, subprocess.SubprocessError) as failed:
        return {"error": str(failed)}


def _quality(file: Path, names: tuple[str, ...], case: Case) -> Row:
    """Convergence of the draws in a file, over parameters that have one name everywhere."""
    if not file.exists():
        return {}
    draws = np.load(file)
    shared = [i for i, n in enumerate(names) if n in case.problem.space.names and not n.startswith("scale_")]
    rhat = [_of(arviz_stats.rhat, draws[..., i]) for i in shared]
    ess = [_of(arviz_stats.ess, draws[..., i], method="bulk") for i in shared]
    return {
        "chains": draws.shape[0],
        "draws": draws.shape[1],
        "parameters": len(names),
        "r_hat": float(np.nanmax(rhat)),
        "ess": float(np.nanmin(ess)),
    }


def _of(function: Any, draws: np.ndarray, **options: str) -> float:
    return float(function(draws, **options)) if np.ptp(draws) > 0 else float("nan")


def rates(row: Mapping[str, Any]) -> Row:
    """ESS per second, with and without the warmup, per CPU second of the process, and per thousand gradients."""
    if "ess" not in row or "draws_s" not in row:
        return {}
    in_all = row["warmup_s"] + row["draws_s"]
    gradients = (row["warmup_gradients"] or 0) + (row["draws_gradients"] or 0)
    return {
        "ess_per_s": row["ess"] / in_all,
        "ess_per_s_of_draws": row["ess"] / row["draws_s"] if row["draws_s"] else None,
        "ess_per_cpu_s": row["ess"] / row["cpu_s"],
        "ess_per_1000_gradients": 1e3 * row["ess"] / gradients if gradients else None,
    }


HEAD = (
    f"{'problem':<10}{'sampler':<22}{'chains × draws':>16}{'R-hat':>8}{'ESS':>8}{'warmup s':>10}{'draws s':>9}"
    f"{'ESS/s':>9}{'ESS/CPU s':>11}{'per 1000 gradients':>20}"
)


def line(name: str, method: str, row: Mapping[str, Any]) -> str:
    """One row of the printed table."""
    if "error" in row:
        return f"{name:<10}{method:<22}{row['error'][:90]}"
    size = f"{row['chains']} × {row['draws']}"
    numbers = [row["ess_per_s"], row["ess_per_cpu_s"], row["ess_per_1000_gradients"]]
    shown = ["–" if n is None else f"{n:.3g}" for n in numbers]
    return (
        f"{name:<10}{method:<22}{size:>16}{row['r_hat']:>8.3f}{row['ess']:>8.0f}{row['warmup_s']:>10.0f}"
        f"{row['draws_s']:>9.0f}{shown[0]:>9}{shown[1]:>11}{shown[2]:>20}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("problems", nargs="+", help=f"bundled problems, or {', '.join(PETAB)}")
    parser.add_argument("--methods", nargs="+", choices=(*OURS, *PYPESTO), default=[*OURS, *PYPESTO])
    parser.add_argument("--minutes", type=float, default=3.0, help="of sampling, for each")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "hexamer-amici")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    content: Row = {"minutes": arguments.minutes, "rtol": RTOL, "machine": machine(), "rows": []}
    if arguments.json and arguments.json.exists():  # other problems, or methods, of an earlier call stay
        content["rows"] = json.loads(arguments.json.read_text())["rows"]
    print(HEAD)
    for name in arguments.problems:
        case = Case.load(name)
        for method in arguments.methods:
            load = os.getloadavg()[0]
            with tempfile.TemporaryDirectory() as folder:
                run = of_ours if method in OURS else of_pypesto
                options = {} if method in OURS else {"cache": arguments.cache}
                row = run(case, method, 60 * arguments.minutes, Path(folder), **options)
            row = {"problem": name, "method": method, "load_average": load, **row, **rates(row)}
            print(line(name, method, row), flush=True)
            others = [r for r in content["rows"] if (r["problem"], r["method"]) != (name, method)]
            content["rows"] = [*others, row]
            if arguments.json:
                arguments.json.write_text(json.dumps(plain(content), indent=1) + "\n")


if __name__ == "__main__":
    main()
