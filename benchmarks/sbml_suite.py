"""Cases of the SBML semantic test suite through `hexamer.simulate`, with a table by tag.

    python -m benchmarks.sbml_suite FOLDER --json FILE

FOLDER holds a folder per case: the model, `-settings.txt`, `-results.csv` and `-model.m`, whose tags say what the case
is about. Of several files the one of the highest level and version is read. A case is

- right: all numbers lie within its tolerances;
- wrong: a number does not;
- failed: the solver ends with a status in place of numbers;
- refused: an error of hexamer says what is not supported;
- traceback: any other error.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import hexamer
from benchmarks.arguments import positive_count, report_file
from hexamer.errors import HexamerError
from hexamer.models import Protocol, Status, load_network
from hexamer.models.networks.formulas import to_infix
from hexamer.models.networks.network import Network
from hexamer.models.solvers.solver import Solver

VERDICTS = ("right", "wrong", "failed", "refused", "traceback")

_LEVEL = re.compile(r"sbml-l(\d)v(\d)\.xml$")


@dataclass(frozen=True)
class Settings:
    """Settings of a case: its variables, and the tolerances at the times of the results."""

    variables: tuple[str, ...]
    absolute: float
    relative: float
    amount: tuple[str, ...]
    concentration: tuple[str, ...]

    @staticmethod
    def read(file: Path) -> Settings:
        """From a `-settings.txt`."""
        lines = (line.partition(":") for line in file.read_text().splitlines())
        stated = {key.strip(): value.strip() for key, _, value in lines}

        def names(key: str) -> tuple[str, ...]:
            return tuple(n.strip() for n in stated.get(key, "").split(",") if n.strip())

        return Settings(
            names("variables"),
            float(stated.get("absolute") or "nan"),  # a case without a time course has none
            float(stated.get("relative") or "nan"),
            names("amount"),
            names("concentration"),
        )


@dataclass(frozen=True)
class Verdict:
    """The result of a case: one of `VERDICTS`, the reason, and the case's tags."""

    case: str
    kind: str
    reason: str
    tags: tuple[str, ...]


def model_file(folder: Path) -> Path:
    """The case's model of the highest level and version."""
    return max(folder.glob("*sbml-l*v*.xml"), key=lambda f: _LEVEL.search(f.name).groups())  # pyright: ignore[reportOptionalMemberAccess]


def settings_file(folder: Path) -> Path:
    """The case's settings."""
    return folder / f"{folder.name}-settings.txt"


def tags_of(folder: Path) -> tuple[str, ...]:
    """Tags of components and tests."""
    text = (folder / f"{folder.name}-model.m").read_text(errors="replace")
    lines = re.findall(r"^(?:componentTags|testTags):(.*)$", text, re.MULTILINE)
    return tuple(dict.fromkeys(t.strip() for line in lines for t in line.split(",") if t.strip()))


def formula(network: Network, name: str, settings: Settings) -> str:
    """The formula to observe for a variable: of a species, the amount or the concentration, as the case asks."""
    rates = {r.name: r.rate for r in network.reactions}
    species = network.species.get(name)
    if species is None:
        return to_infix(rates[name]) if name in rates else name
    if name in settings.amount and not species.amount:
        return f"{name}*{species.compartment}"
    if name in settings.concentration and species.amount:
        return f"{name}/{species.compartment}"
    return name


def results_of(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The times of a case, and the right values at each by variable."""
    with (folder / f"{folder.name}-results.csv").open(newline="") as file:
        head, *rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    times, *columns = np.array(rows, float).T
    return times, dict(zip(head[1:], columns, strict=True))


def distance(settings: Settings, right: np.ndarray, got: np.ndarray) -> np.ndarray:
    """How far each value is off, in the case's tolerances: right is at most 1."""
    same = (right == got) | (np.isnan(right) & np.isnan(got))
    with np.errstate(invalid="ignore"):
        far = np.abs(got - right) / (settings.absolute + settings.relative * np.abs(right))
    return np.where(same, 0.0, np.where(np.isnan(far), np.inf, far))


def deviations(folder: Path, solver: Solver | None = None) -> dict[str, tuple[float, float]]:
    """By variable: the largest distance in the case's tolerances (right: at most 1), and its time.

    Raises what hexamer raises, and `RuntimeError` with the status of a solve that failed.
    """
    settings = Settings.read(settings_file(folder))
    network = load_network(model_file(folder))
    model = hexamer.load_model(network)
    times, right = results_of(folder)
    columns = {name: formula(network, name, settings) for name in settings.variables}
    result = hexamer.simulate(
        model,
        {},
        Protocol(),
        times,
        observe=tuple(dict.fromkeys(columns.values())),
        rtol=min(1e-8, settings.relative * 1e-3),
        atol=min(1e-12, settings.absolute * 1e-6),
        solver=solver,
    )
    status = Status(int(result.status[0]))
    if status != Status.OK:
        raise RuntimeError(f"{status!r}: {status}")
    found = {}
    for name, observed in columns.items():
        far = distance(settings, right[name], np.asarray(result.observed[observed])[0])
        found[name] = float(far.max()), float(times[far.argmax()])
    return found


def judge(folder: Path, solver: Solver | None = None) -> Verdict:
    """Runs a case."""
    verdict = partial(Verdict, folder.name, tags=tags_of(folder))
    try:
        far = deviations(folder, solver)
    except Exception as error:
        reason = " ".join(str(error).split())
        if isinstance(error, RuntimeError) and reason.startswith("<Status"):
            return verdict("failed", reason)
        innermost = traceback.extract_tb(error.__traceback__)[-1].filename
        ours = isinstance(error, HexamerError) or (isinstance(error, ValueError) and "/hexamer/" in innermost)
        return verdict("refused", reason) if ours else verdict("traceback", f"{type(error).__name__}: {reason}")
    wrong = [f"{n} by {d:.3g} tolerances at {t:g}" for n, (d, t) in far.items() if not d <= 1]
    return verdict("wrong", "; ".join(wrong)) if wrong else verdict("right", "")


def judge_all(folders: Iterable[Path], workers: int = 1) -> list[Verdict]:
    """Runs cases, in `workers` processes if there are more than one."""
    if workers == 1:
        return [judge(f) for f in folders]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(judge, folders))


def cases_in(folder: Path) -> list[Path]:
    """The folders of the cases."""
    return sorted(f.parent for f in folder.glob("*/*-settings.txt"))


def table(verdicts: Sequence[Verdict]) -> str:
    """Counts by tag, those of all cases first."""
    tags = Counter(t for v in verdicts for t in v.tags)
    lines = [f"{'':36}" + "".join(f"{k:>10}" for k in VERDICTS)]
    for tag in ["all", *sorted(tags)]:
        counts = Counter(v.kind for v in verdicts if tag == "all" or tag in v.tags)
        lines.append(f"{tag:36}" + "".join(f"{counts[k] or '':>10}" for k in VERDICTS))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the cases")
    parser.add_argument("--cases", nargs="+", default=[], help="only these")
    parser.add_argument("--workers", type=positive_count, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--json", type=report_file, help="where to write all verdicts")
    arguments = parser.parse_args()
    folders = [f for f in cases_in(arguments.folder) if not arguments.cases or f.name in arguments.cases]
    if not folders:
        parser.error(f"there is no such case in {arguments.folder}")
    verdicts = judge_all(folders, arguments.workers)
    for v in verdicts:
        if v.kind != "right":
            print(f"{v.case} {v.kind}: {v.reason[:300]}")
    print(table(verdicts))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(v) for v in verdicts], indent=1))


if __name__ == "__main__":
    main()
