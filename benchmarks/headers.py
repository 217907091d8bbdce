"""The headers that the fused engine writes for a model, here for a small one, as files: for editors and clang-tidy.

    python -m benchmarks.headers [FOLDER]

Without FOLDER they go to build/headers, where `models/solvers/fused/c/compile_flags.txt` points.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import sympy

from hexamer.models.solvers.fused.compilation import functions_of
from hexamer.models.solvers.fused.observables import Group, observable_headers
from hexamer.models.solvers.fused.source import model_headers
from hexamer.models.solvers.fused.xla import handler_headers

from .gpu_sanitize import model_of

FOLDER = Path(__file__).parents[1] / "build" / "headers"


def write(folder: Path) -> list[Path]:
    """Writes the headers, and returns where."""
    a, b = sympy.symbols("a b")
    group = Group(("a", "b"), a * b, a + 1, np.array([[0, 1], [2, 3]]), np.array([0, 1]))
    headers = {**model_headers(functions_of(model_of("switched"))), **handler_headers(), **observable_headers([group])}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in headers.items():
        (folder / name).write_text(text)
    return [folder / name for name in headers]


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.headers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    for file in write(parser.parse_args().folder):
        print(file)


if __name__ == "__main__":
    main()
