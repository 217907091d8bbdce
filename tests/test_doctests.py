"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

pytestmark = pytest.mark.tier("check")

ROOT = Path(__file__).parents[1]
PARTS = [(ROOT, folder) for folder in ("models", "data", "infer")] + [(ROOT / "src/hexamer", "cli")]
MODULES = [
    ".".join(("hexamer", *path.relative_to(start).with_suffix("").parts))
    for start, folder in PARTS
    for path in sorted((start / folder).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def test_there_are_examples() -> None:
    assert len(MODULES) > 5


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert done.attempted
    assert not done.failed
