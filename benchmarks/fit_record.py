"""What a folder of `hexamer fit` says of its run, as one JSON record: convergence, failures, seconds, leapfrogs, truth.

python -m benchmarks.fit_record results/demo --wall 92 --load "nothing else" --json benchmarks/results/demo.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd

from hexamer.infer import read_datatree


def record(folder: Path) -> dict[str, Any]:
    """The run's record, but for what only a watch tells."""
    tree = read_datatree(folder / "posterior.nc")
    stats: Any = tree["sample_stats"]
    attributes: dict[str, Any] = {str(k): v for k, v in tree.attrs.items()}
    summary: Any = pd.read_csv(folder / "summary.csv", index_col=0)
    search = json.loads((folder / "map.json").read_text())
    seconds = json.loads(attributes["seconds"])
    draws = int(stats["n_steps"].size)
    answer: dict[str, Any] = {
        "problem": attributes["problem"],
        "settings": json.loads(attributes["solver_settings"]),
        "chains": int(stats.sizes["chain"]),
        "draws_a_chain": int(stats.sizes["draw"]),
        "best_objective": search["objective"][0],
        "starts_within_0.1_of_best": f"{search['within_0.1_of_best']} of {len(search['objective'])}",
        "map_s": search["seconds"],
        "warmup_s": seconds["warmup"],
        "draws_s": seconds["draws"],
        "leapfrogs_a_draw": float(stats["n_steps"].mean()),
        "warmup_leapfrogs": int(attributes["warmup_leapfrogs"]),
        "divergent_draws": int(stats["diverging"].sum()),
        "draws_with_failed_solve": int(stats["failed"].sum()),
        "r_hat_max": float(summary["r_hat"].max()),
        "ess_bulk_min": float(summary["ess_bulk"].min()),
        "ess_tail_min": float(summary["ess_tail"].min()),
        "ess_bulk_min_per_second": float(summary["ess_bulk"].min()) / seconds["draws"],
        "leapfrogs_per_second": draws * float(stats["n_steps"].mean()) / seconds["draws"],
        "versions": {k: v for k, v in attributes.items() if k.endswith("_version")},
    }
    answer["parameters"] = {
        str(name): {k: float(row[k]) for k in ("median", "5%", "95%", "r_hat", "ess_bulk", "ess_tail")}
        for name, row in summary.iterrows()
    }
    if (folder / "truth.csv").is_file():
        truth: Any = pd.read_csv(folder / "truth.csv", index_col=0)
        answer["truth"] = {str(n): row.to_dict() for n, row in truth.iterrows()}
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wall", type=float, required=True, help="seconds of the whole command")
    parser.add_argument("--load", required=True, help="what else the machine did")
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    content = {"wall_s": arguments.wall, "load": arguments.load} | record(arguments.folder)
    arguments.json.write_text(json.dumps(content, indent=1, default=str) + "\n")
    print(
        json.dumps(
            {k: v for k, v in content.items() if k not in ("parameters", "truth", "versions")}, indent=1, default=str
        )
    )


if __name__ == "__main__":
    main()
