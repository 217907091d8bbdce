"""What the processes of `benchmarks.gradient` agree on: tolerances, the error of a gradient, how a worker answers.

Only the standard library: the process that starts the others stays small, so that they inherit a small memory.
"""

from __future__ import annotations

import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STANDARD = 1e-6
LADDER = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
ATOL_RATIO = 1e-2
MAX_ERROR = 1e-5  # of a gradient, for the setting "matched"
NONE_EXACT = f"no rtol from {LADDER[0]:g} to {LADDER[-1]:g} gives a gradient within {MAX_ERROR:g}"

Row = dict[str, Any]


class WorkerFailed(RuntimeError):
    """A process that gave no answer; the message is the end of what it printed."""


def gradient_error(gradient: Sequence[float], reference: Sequence[float], p: Sequence[float]) -> float:
    """max |p (g - g_ref)| / max |p g_ref|; infinite where anything is not a number."""
    largest = max(abs(x * r) for x, r in zip(p, reference, strict=True))
    errors = [abs(x * (g - r)) / largest for x, g, r in zip(p, gradient, reference, strict=True)]
    return max(e if e == e else float("inf") for e in errors)


def peak_memory_mb() -> float:
    """The largest resident memory that this process has had."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kB here
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def module(name: str, *arguments: object) -> list[str]:
    """The command that runs a module of this folder."""
    return [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]


def plain(value: Any) -> Any:
    """`value` for JSON, which has no NaN and no infinity: null in their places."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def answer_of(command: Sequence[str]) -> dict[str, Any]:
    """Runs a worker; the JSON object that it prints last. Raises `WorkerFailed`."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        raise WorkerFailed(" | ".join(done.stderr.strip().splitlines()[-3:]) or "it printed nothing") from None
    if "error" in answer:
        raise WorkerFailed(answer["error"])
    return answer


_VERSIONS = """
import json
from importlib.metadata import distributions
known = {d.name: d.version for d in distributions()}
print(json.dumps({n: known.get(n) for n in ("hexamer", "jax", "jaxlib", "diffrax", "equinox")}))
"""
_IMPORT = """
import json, time
began = time.perf_counter()
import hexamer
print(json.dumps({"s": time.perf_counter() - began}))
"""


def machine() -> Row:
    """Cores, versions (null: not installed), load and seconds that `import hexamer` takes in a fresh process."""
    imports = [answer_of([sys.executable, "-c", _IMPORT])["s"] for _ in range(3)]
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": answer_of([sys.executable, "-c", _VERSIONS]),
        "import_s": statistics.median(imports),
        "import_s_min": min(imports),
        "load_average_before": os.getloadavg(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), platform.processor())
