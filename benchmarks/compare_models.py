"""Which network predicts the same measurements better: likelihood at the best fit, and PSIS-LOO of the posteriors.

    python -m benchmarks.compare_models RESULT [RESULT …] --json benchmarks/results/models_on_hepg2.json

Each RESULT is a folder of `hexamer fit`, all of the same measurements. What is left out at a time is a row or, where an
observable's scales are integrated out in any of the results, all rows of a gel or plate.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import xarray as xr

from hexamer.infer import read_datatree


def units(tree: xr.DataTree, grouped: set[str]) -> dict[str, np.ndarray]:
    """Log likelihood of what is left out at a time, chains × draws each, by a name that all results share."""
    shared = tree["log_likelihood_by_scale"].dataset["shared_scale"]
    by_label = {str(s).removeprefix("scale_"): shared.sel(scale=s).values for s in shared["scale"].values}
    rows = tree["log_likelihood"].dataset["measurement"]
    known = [rows[name].values for name in ("observable", "run", "line", "scale")]
    for i, (observable, run, line, scale) in enumerate(zip(*known, strict=True)):
        if not scale:
            label = f"{observable}[{run}]" if observable in grouped else f"{observable} row {line}"
            by_label[label] = by_label.get(label, 0.0) + rows.values[..., i]
    return by_label


def integrated(tree: xr.DataTree) -> set[str]:
    """Observables with scales that are integrated out."""
    names = tree["log_likelihood_by_scale"].dataset["scale"].values
    return {str(n).removeprefix("scale_").partition("[")[0] for n in names}


def as_tree(terms: dict[str, np.ndarray], order: list[str]) -> xr.DataTree:
    stacked = np.stack([terms[label] for label in order], axis=-1)
    data = xr.Dataset({"y": (("chain", "draw", "unit"), stacked)}, coords={"unit": order})
    return xr.DataTree.from_dict({"log_likelihood": data, "posterior": xr.Dataset({"a": data["y"].isel(unit=0)})})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    trees = {folder.name: read_datatree(folder / "posterior.nc") for folder in arguments.results}
    grouped = set.union(*(integrated(t) for t in trees.values()))
    terms = {name: units(tree, grouped) for name, tree in trees.items()}
    order = list(next(iter(terms.values())))
    for name, one in terms.items():
        if set(one) != set(order):
            raise SystemExit(f"{name} is of other measurements: {sorted(set(one) ^ set(order))[:5]}")
    loos: dict[str, Any] = {
        name: az.loo(as_tree(one, order), var_name="y", pointwise=True) for name, one in terms.items()
    }
    best = max(loos, key=lambda n: float(loos[n].elpd))
    rows = {}
    print(f"{len(order)} left out one at a time; differences to {best}")
    print(f"{'result':<24}{'elpd':>10}{'se':>8}{'difference':>12}{'se':>8}{'p_loo':>8}{'k > 0.7':>9}")
    for name, loo in sorted(loos.items(), key=lambda item: -float(item[1].elpd)):
        gap = np.asarray(loo.elpd_i - loos[best].elpd_i)
        rows[name] = {
            "elpd": float(loo.elpd),
            "se": float(loo.se),
            "difference": float(gap.sum()),
            "difference_se": float(np.sqrt(gap.size * gap.var())),
            "p_loo": float(loo.p),
            "k_above_0.7": int(np.sum(np.asarray(loo.pareto_k) > 0.7)),
        }
        r = rows[name]
        print(f"{name:<24}{r['elpd']:>10.1f}{r['se']:>8.1f}{r['difference']:>12.1f}{r['difference_se']:>8.1f}"
              f"{r['p_loo']:>8.1f}{r['k_above_0.7']:>9}")  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps({"left_out": len(order), "results": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
