"""No function is longer than 60 lines, its docstring apart, and no Python file longer than 400."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.tier("check")

ROOT = Path(__file__).parents[2]
FOLDERS = ("infer", "models", "data", "src/hexamer/cli", "tests", "benchmarks", "docs")
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
EXCEPTIONS = {
    # One scan over the stretches of a course: its parts share what it carries.
    ("models/solvers/reference/engine.py", "_course"): 72,
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


def test_files_are_short() -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text(encoding="utf-8").splitlines()) for p in files()}
    assert len(lengths) > 400
    assert {p: n for p, n in lengths.items() if n > LONGEST_FILE} == {}


def test_functions_are_short() -> None:
    lengths = {(str(p.relative_to(ROOT)), name): n for p in files() for name, n in functions(p)}
    long = {which: n for which, n in lengths.items() if n > EXCEPTIONS.get(which, LONGEST_FUNCTION)}
    assert long == {}
    assert all(lengths.get(which, 0) > LONGEST_FUNCTION for which in EXCEPTIONS), "an exception that none needs"
