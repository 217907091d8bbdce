"""No function is longer than 60 lines, its docstring apart, no file longer than 400, and no package's face than 80."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.tier("check")

ROOT = Path(__file__).parents[2]
FOLDERS = ("infer", "models", "data", "src/hexamer/cli", "tests", "benchmarks", "docs")
LONGEST_FILE, LONGEST_FUNCTION, LONGEST_FACE = 400, 60, 80
EXCEPTIONS = {
    # One scan over the stretches of a course: its parts share what it carries.
    ("models/solvers/reference/engine.py", "_course"): 72,
}
LONG_FILES = {
    # One program, which `nvcc` takes as one file: cases, kernels for a card and for a host, judgement.
    "benchmarks/gpu_driver.cu": 490,
}


def files() -> list[Path]:
    found = [p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py")] + [*(ROOT / "src/hexamer").glob("*.py")]
    return [p for p in found if "cases" not in p.parts]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a file, and its lines without the docstring."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)


def c_files() -> list[Path]:
    return [p for folder in FOLDERS for kind in ("*.h", "*.cu") for p in (ROOT / folder).rglob(kind)]


def lengths_of(paths: list[Path]) -> dict[str, int]:
    return {str(p.relative_to(ROOT)): len(p.read_text(encoding="utf-8").splitlines()) for p in paths}


def test_files_are_short() -> None:
    lengths = lengths_of(files() + c_files())
    assert len(lengths) > 400
    assert len(c_files()) > 20
    assert {p: n for p, n in lengths.items() if n > LONG_FILES.get(p, LONGEST_FILE)} == {}
    assert all(lengths.get(p, 0) > LONGEST_FILE for p in LONG_FILES), "an exception that none needs"


def test_faces_are_short() -> None:
    faces = lengths_of([p for p in files() if p.name == "__init__.py"])
    assert {"infer/plots/__init__.py", "src/hexamer/__init__.py", "models/__init__.py"} <= faces.keys()
    assert {p: n for p, n in faces.items() if n >= LONGEST_FACE} == {}


def test_functions_are_short() -> None:
    lengths = {(str(p.relative_to(ROOT)), name): n for p in files() for name, n in functions(p)}
    long = {which: n for which, n in lengths.items() if n > EXCEPTIONS.get(which, LONGEST_FUNCTION)}
    assert long == {}
    assert all(lengths.get(which, 0) > LONGEST_FUNCTION for which in EXCEPTIONS), "an exception that none needs"
