"""Value and gradient of a calibration problem: hexamer by several solvers, and AMICI; time beside error.

    python -m benchmarks.gradient --problem hepg2 --json FILE [--repeats N] [--methods METHOD …]

Every method differentiates the same function of the model's own parameters (`gradient_case`). Each runs at rtol
1e-6 ("standard"), and at the loosest tolerance of a ladder whose gradient is right to 1e-5 ("matched"): largest
|g - g_ref| over largest |g_ref|, both by relative changes of the parameters, against rodas5p at rtol 1e-10.
Each method has a process of its own. Times are of warm calls; `gradient_ms` is for value and gradient together.

AMICI is run by the Python that HEXAMER_AMICI_PYTHON names (`.venv-amici/bin/python` if that is there), with
replicates merged, which leaves L as it is and makes it faster, and in its fastest mode that is exact enough.

FILE is a list of rows; what machine, versions and reference they hold for stands in `*.meta.json` beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import amici_runs
from .amici_runs import Amici
from .gradient_table import table
from .measures import ATOL_RATIO, ROOT, Row, WorkerFailed, answer_of, gradient_error, machine, module

HEXAMER = (
    "fused",
    "diffrax-rodas5p",
    "diffrax-tsit5",
    "diffrax-kvaerno5",
    "diffrax-kvaerno3",
    "diffrax-rodas5p-forward",
)
TIGHT = 1e-10


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Comparison:
    """One problem's case and reference; `meta` tells what they are."""

    def __init__(self, problem: str, folder: Path, cache: Path, *, with_amici: bool):
        self.file = folder / "case.json"
        if subprocess.run(module("gradient_case", problem, self.file), cwd=ROOT, check=False).returncode:
            raise SystemExit(f"no case was made of {problem}")
        self.case: dict[str, Any] = json.loads(self.file.read_text())
        self.amici, why = self._find_amici(folder, cache, with_amici)
        if self.amici is None:
            say(f"AMICI is {why}")
        reference = self._tight("diffrax-rodas5p")
        check = self._check(reference)
        say(
            f"reference: {reference['method']} at rtol {TIGHT:g}; {check['method']} at {check['rtol']:g} differs "
            f"by {check['gradient_difference']:.1e} (gradient) and {check['value_difference']:.1e} (value)"
        )
        self.case["reference"] = reference
        self.file.write_text(json.dumps(self.case))
        self.meta: Row = {
            "problem": problem,
            "rows": len(self.case["sd"]),
            **{k: self.case[k] for k in ("protocols", "species", "parameters")},
            "amici": why,
            "reference": reference | {"atol": TIGHT * ATOL_RATIO},
            "reference_check": check,
        }

    def _find_amici(self, folder: Path, cache: Path, wanted: bool) -> tuple[Amici | None, str]:
        python = amici_runs.find_python()
        if not wanted:
            return None, "not asked for"
        if isinstance(self.case["amici"], str):
            return None, f"skipped: {self.case['amici']}"
        if python is None:
            return None, "skipped: it has no environment (make peers, or set HEXAMER_AMICI_PYTHON)"
        return Amici(python, self.case, folder, cache), "run"

    def _tight(self, method: str) -> dict[str, Any]:
        return answer_of(module("gradient_worker", self.file, "--method", method, "--reference", TIGHT))

    def _check(self, reference: dict[str, Any]) -> Row:
        """How far another code, or else another solver, is from the reference."""
        if self.amici is not None:
            other = self.amici.run(amici_runs.METHODS[:1], [], 1, 1)["reference"] | {"method": amici_runs.METHODS[0]}
        else:
            other = self._tight("diffrax-kvaerno5")
        p = [self.case["values"][n] for n in self.case["parameters"]]
        return {
            "method": other["method"],
            "rtol": other["rtol"],
            "value_difference": abs(other["value"] - reference["value"]) / abs(reference["value"]),
            "gradient_difference": gradient_error(other["gradient"], reference["gradient"], p),
        }

    def rows(self, method: str, repeats: int) -> Iterator[Row]:
        """All rows of a method; one that says why, if it failed."""
        empty = dict.fromkeys(("forward_ms", "gradient_ms", "max_rel_error", "compile_s"))
        try:
            if method in HEXAMER:
                command = module("gradient_worker", self.file, "--method", method, "--repeats", repeats)
                answers = answer_of(command)["rows"]
            elif self.amici is not None:
                answers = self.amici.rows(method, repeats, self.case["reference"]["gradient"])
            else:
                answers = []
        except WorkerFailed as error:
            answers = [{"error": str(error)}]
        for row in answers:
            yield {"problem": self.case["problem"], "method": method, **empty, **row}


def save(file: Path, rows: Sequence[Row], meta: Row) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n")
    file.with_suffix(".meta.json").write_text(json.dumps(meta, indent=1, allow_nan=False) + "\n")


def main() -> None:
    known = HEXAMER + amici_runs.METHODS
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problem", default="hepg2", help="hepg2 (needs HEXAMER_DATA) or il6_demo")
    parser.add_argument("--json", type=Path, help="write the rows here, and *.meta.json beside it")
    parser.add_argument("--repeats", type=int, default=30, help="of each timing (default 30)")
    parser.add_argument("--methods", nargs="+", choices=known, default=known)
    parser.add_argument("--cache", type=Path, default=ROOT / "results" / "amici", help="compiled models")
    arguments = parser.parse_args()
    meta = machine()
    say(f"import hexamer: {meta['import_s']:.1f} s")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        wanted = bool(set(arguments.methods) & set(amici_runs.METHODS))
        cache = arguments.cache.resolve()
        try:
            comparison = Comparison(arguments.problem, Path(folder), cache, with_amici=wanted)
        except WorkerFailed as error:
            raise SystemExit(f"no reference: {error}") from None
        for method in arguments.methods:
            say(f"{method} …")
            rows += comparison.rows(method, arguments.repeats)
            meta |= comparison.meta | {"load_average_after": os.getloadavg()}
            if arguments.json:
                save(arguments.json, rows, meta)
    print(table(rows))


if __name__ == "__main__":
    main()
