"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib

import pytest

from package_modules import modules

pytestmark = pytest.mark.tier("check")

MODULES = [f"hexamer.{name}" for name, path in modules().items() if ">>> " in path.read_text(encoding="utf-8")]


def test_there_are_examples() -> None:
    assert len(MODULES) > 5


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert done.attempted
    assert not done.failed
