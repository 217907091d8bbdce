"""How long the command line takes for its help, and to say what is wrong with the data.

    python -m benchmarks.command_times [--runs 5] [--json FILE]

Each command runs in a process of its own, in turns with the others. Beside them: Python that does nothing, and bare
imports, if they are installed, of JAX, on which hexamer rests, of petab, which reads PEtab's tables, and of pyPESTO, a
peer. What is not said as it should be is printed as a failure, whatever its time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from .measures import ROOT

DEMO = ROOT / "data/bundled_problems/il6_demo"
PEERS = ("jax", "petab.v1", "pypesto")
COMMANDS = ("fit", "map", "evaluate", "simulate", "dose-response", "export", "list")


class Case(NamedTuple):
    """A command, what it must print, and the status that it must end with."""

    command: list[str]
    said: str = ""
    status: int = 0


def _hexamer(*words: object, said: str, status: int = 0) -> Case:
    return Case([sys.executable, "-m", "hexamer", *map(str, words)], said, status)


def _spoiled(folder: Path, file: str, right: str, wrong: str) -> Path:
    """A copy of the demonstration problem with one mistake in it."""
    folder.mkdir()
    for name in ("problem.toml", "measurements.csv", "priors.csv"):
        shutil.copy(DEMO / name, folder)
    text = (folder / file).read_text()
    (folder / file).write_text(text.replace(right, wrong, 1))
    return folder


def cases(folder: Path) -> Mapping[str, Case]:
    """Commands that are timed, by their names in the table."""
    key = _spoiled(folder / "key", "problem.toml", 'assay = "blot"', 'asay = "blot"')
    value = _spoiled(folder / "value", "measurements.csv", ",10,0,5,", ",10,0,soon,")
    at = folder / "at.csv"
    at.write_text("parameter,value\nk_imp,much\n")
    out = ("--out", folder / "out")
    timed = {"python -c pass": Case([sys.executable, "-c", "pass"])}
    for peer in PEERS:
        if importlib.util.find_spec(peer.partition(".")[0]) is not None:
            timed[f"import {peer}"] = Case([sys.executable, "-c", f"import {peer}"])
    timed["hexamer --help"] = _hexamer("--help", said="dose-response")
    timed |= {f"hexamer {name} --help": _hexamer(name, "--help", said=f"hexamer {name}") for name in COMMANDS}
    return timed | {
        "fit, wrong key in problem.toml": _hexamer("fit", key, *out, said="the key is missing", status=2),
        "fit, wrong value in a table": _hexamer("fit", value, *out, said="row 2, 'time' holds 'soon'", status=2),
        "fit, unknown data set": _hexamer("fit", "hepg3", *out, said="did you mean 'hepg2'?", status=2),
        "evaluate, wrong value in --at": _hexamer("evaluate", "il6_demo", "--at", at, said="holds 'much'", status=2),
        "simulate, unknown network": _hexamer(
            "simulate", "hepg2_cor", *out, said="did you mean 'hepg2_core'?", status=2
        ),
    }


class Run(NamedTuple):
    """Seconds by the clock, those that the CPU worked, and what went wrong, if anything."""

    wall: float
    cpu: float
    failure: str


def _run(case: Case) -> Run:
    began, used = time.perf_counter(), _cpu()
    done = subprocess.run(
        case.command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"}
    )
    wall, cpu = time.perf_counter() - began, _cpu() - used
    said = " ".join((done.stdout + done.stderr).split())
    right = done.returncode == case.status and case.said in said
    return Run(wall, cpu, "" if right else f"status {done.returncode}, said: {said[-200:]}")


def _cpu() -> float:
    """Seconds of the CPU that ended processes have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _row(runs: list[Run]) -> dict[str, float | str]:
    """Figures of all runs but the first, which fills the disk's cache and Python's compiled files."""
    walls, cpus = zip(*((r.wall, r.cpu) for r in runs[1:]), strict=True)
    failure = next((r.failure for r in runs if r.failure), "")
    return {"median_s": statistics.median(walls), "least_s": min(walls), "least_cpu_s": min(cpus), "failure": failure}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    load = os.getloadavg()
    with TemporaryDirectory() as folder:
        timed = cases(Path(folder))
        runs: dict[str, list[Run]] = {name: [] for name in timed}
        for _ in range(arguments.runs + 1):
            for name, case in timed.items():
                runs[name].append(_run(case))
    rows = {name: _row(runs_of_case) for name, runs_of_case in runs.items()}
    print(f"load of the machine before: {load[0]:.1f}; {arguments.runs} runs")
    print(f"{'':<32}{'median s':>10}{'least s':>10}{'CPU s':>10}")
    for name, row in rows.items():
        numbers = "".join(f"{row[key]:>10.2f}" for key in ("median_s", "least_s", "least_cpu_s"))
        print(f"{name:<32}{numbers}  {row['failure'] or 'ok'}")
    if arguments.json:
        content = {"load_average_before": load, "runs": arguments.runs, "rows": rows}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    sys.exit(any(row["failure"] for row in rows.values()))


if __name__ == "__main__":
    main()
