"""AMICI on the case of `benchmarks.gradient`, by `peers/amici_worker.py` in an environment of its own."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .measures import ATOL_RATIO, LADDER, MAX_ERROR, NONE_EXACT, ROOT, STANDARD, Row, answer_of, gradient_error

METHODS = ("amici-forward", "amici-adjoint")
_LADDER_KEYS = ("rtol", "max_rel_error", "failed", "steps", "gradient_ms_min", "steady_state_mode", "error")


def find_python() -> str | None:
    """The Python of AMICI's environment, if there is one."""
    default = ROOT / ".venv-amici" / "bin" / "python"
    return os.environ.get("HEXAMER_AMICI_PYTHON") or (str(default) if default.exists() else None)


@dataclass(frozen=True)
class Amici:
    """AMICI's worker on one case, replicates merged; `cache` keeps compiled models."""

    python: str
    case: dict[str, Any]
    folder: Path
    cache: Path

    def run(self, methods: Sequence[str], settings: Sequence[Row], threads: int, repeats: int) -> dict[str, Any]:
        """The worker's answer. Raises `WorkerFailed`."""
        file = self.folder / "amici.json"
        file.write_text(json.dumps(self.case["amici"] | {"settings": list(settings)}))
        worker = ROOT / "benchmarks" / "peers" / "amici_worker.py"
        command: list[object] = [self.python, worker, file, "--cache", self.cache, "--merge", "--threads", threads]
        return answer_of([str(c) for c in (*command, "--repeats", repeats, "--methods", *methods)])

    def rows(self, method: str, repeats: int, reference: Sequence[float]) -> list[Row]:
        """Rows on one and two threads, at the standard tolerance and at the loosest that is exact enough."""
        tried = self._rows(method, [_matched(rtol) for rtol in LADDER], 1, 1, reference)
        exact = [r["rtol"] for r in tried if (e := r.get("max_rel_error")) is not None and e <= MAX_ERROR]
        ladder = [{k: r[k] for k in _LADDER_KEYS if k in r} for r in tried]
        settings = [_setting(STANDARD), *([_matched(max(exact))] if exact else [])]
        all_rows: list[Row] = []
        for threads in (1, 2):
            standard, *matched = self._rows(method, settings, threads, repeats, reference)
            last = matched[0] if matched else {"threads": threads, "error": NONE_EXACT}
            all_rows += [standard | {"setting": "standard"}, last | {"setting": "matched", "ladder": ladder}]
        return all_rows

    def _rows(
        self, method: str, settings: Sequence[Row], threads: int, repeats: int, reference: Sequence[float]
    ) -> list[Row]:
        load = os.getloadavg()[0]
        rows = self.run([method], settings, threads, repeats)["rows"]
        p = list(self.case["amici"]["parameters"].values())
        for row in rows:
            row |= {"failed": row.pop("failures"), "load_average": load, "replicates": "merged"}
            if "gradient" in row:
                error = gradient_error(row.pop("gradient"), reference, p)
                row["max_rel_error"] = error if math.isfinite(error) else None
        return rows


def _setting(rtol: float) -> Row:
    return {"rtol": rtol, "atol": rtol * ATOL_RATIO}


def _matched(rtol: float) -> Row:
    return _setting(rtol) | {"max_error": MAX_ERROR}
