"""Simulation-based calibration of two reduced problems of IL-6: ranks, p values, and what a replicate costs.

python -m benchmarks.calibration --replicates 200 --out sbc --json benchmarks/results/sbc.json

`blots`: 8 parameters, from blots of one gel and from absolute readings. `plates`: 7 parameters, from two qPCR plates
whose scales are integrated out, and from counts of a protein, each below a limit of detection or above it. All other
parameters have their true values. Replicates are kept in `--out`: an interrupted run resumes.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .arguments import made_folder, positive_count, report_file
from .measures import Row, machine, plain

BLOTS = ("Kd1", "k_jak", "k_dea", "STAT3_0", "Ki_SOCS3", "sd_blot", "sd_rel_blot", "scale_pSTAT3[course-high-1]")
PLATES = ("k_jak", "Ki_SOCS3", "v_SOCS3", "v_SOCS3_basal", "K_SOCS3", "k_mdeg", "sd_qpcr")
COUNTED = "SOCS3_per_cell"  # the observable that has a limit of detection in `plates`


def reduced(kind: str) -> Any:
    """One of the two problems."""
    from hexamer import Problem, load_problem
    from hexamer.data import read_values

    whole = load_problem("il6_demo")
    sampled = set(BLOTS) if kind == "blots" else {*PLATES, *whole.nuisance.names}
    rows = [m for m in whole.dataset.measurements if _used(kind, m)]
    if kind == "plates":
        limit = float(np.median([m.value for m in rows if m.observable == COUNTED]))
        rows = [replace(m, value=limit, censored="left") if m.observable == COUNTED else m for m in rows]
    named = {a for m in rows for a in m.arguments if isinstance(a, str)}
    truth = read_values(Path(str(files("hexamer.data") / "bundled_problems" / "il6_demo" / "truth.csv")))
    parameters = {
        n: p if n in sampled or not p.estimated else replace(p, prior=None, value=truth[n])
        for n, p in whole.parameters.items()
        if not n.startswith("scale_") or n in named
    }
    used = "blot" if kind == "plates" else "qpcr"
    parameters = {n: p for n, p in parameters.items() if not n.startswith("sd_") or used not in n}
    dataset = replace(whole.dataset, name=f"il6_demo, {kind}", measurements=tuple(rows), parameters=parameters)
    return Problem(whole.model, dataset)


def _used(kind: str, m: Any) -> bool:
    if kind == "blots":
        return m.observable in ("STAT3_per_cell", "pSTAT3_fraction") or "scale_pSTAT3[course-high-1]" in m.arguments
    plates = ("scale_SOCS3_mRNA[plate-high]", "scale_SOCS3_mRNA[plate-low]")
    return m.observable == COUNTED or any(p in m.arguments for p in plates)


def run(kind: str, folder: Path, options: dict[str, Any]) -> Row:
    """The check of one problem, and its times."""
    from hexamer import sbc

    problem, began = reduced(kind), time.perf_counter()
    check = sbc(problem, out=folder / kind, **options)
    if check is None:
        raise SystemExit(f"{kind}: no replicate has ranks")
    print(f"{check}\n")
    usual = np.median(check.seconds, axis=0)
    return {
        "problem": kind,
        "rows": len(problem.dataset),
        "parameters": list(problem.space.names),
        "integrated": list(problem.nuisance.names),
        **options,
        "wall_s": time.perf_counter() - began,
        "stages_s": dict(zip(("truth", "search", "sampling", "ranks"), usual.tolist(), strict=True)),
        "cost": check.cost,
        "ranked": check.ranked,
        "ess_quantiles": np.quantile(check.ess, [0, 0.05, 0.5, 1]).tolist(),
        "r_hat_above_1.05": int(np.sum(check.rhat > 1.05)),
        "failed": dict(check.failed),
        "redrawn": dict(check.redrawn),
        "verdict": check.verdict,
        "p": check.table["p"].to_dict(),
        "corrected": check.table["corrected"].to_dict(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problem", choices=["blots", "plates"], nargs="+", default=["blots", "plates"])
    for name, default in {"replicates": 200, "chains": 2, "warmup": 300, "draws": 300, "starts": 4, "seed": 1}.items():
        parser.add_argument(f"--{name}", type=positive_count, default=default)
    parser.add_argument("--out", type=made_folder, required=True, help="folder of the replicates")
    parser.add_argument("--json", type=report_file)
    arguments = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", arguments.chains)
    options = {n: getattr(arguments, n) for n in ("replicates", "chains", "warmup", "draws", "starts", "seed")}
    content: dict[str, Any] = {"machine": machine(), "runs": []}
    for kind in arguments.problem:
        content["runs"].append(run(kind, arguments.out, options))
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(plain(content), indent=1) + "\n")


if __name__ == "__main__":
    main()
