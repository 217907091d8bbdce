"""All errors of our own have one base, and are what Python calls such errors too."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from hexamer import HexamerError, load_network
from hexamer.data import DataNotFound, FormulaError, TableError, UnitError
from hexamer.infer import LockedError, PosteriorFileError, StoreError
from hexamer.models import DerivativeError, UnsupportedModelError
from package_modules import modules

pytestmark = pytest.mark.tier("check")


def test_each_class_of_exceptions_has_the_base() -> None:
    found = {
        kind
        for name in filter(None, modules())
        for _, kind in inspect.getmembers(importlib.import_module(f"hexamer.{name}"), inspect.isclass)
        if issubclass(kind, BaseException) and kind.__module__.startswith("hexamer")
    }
    assert len(found) > 20
    assert [kind for kind in found if not issubclass(kind, HexamerError)] == []


@pytest.mark.parametrize(
    ("ours", "pythons"),
    [
        (TableError, ValueError),
        (UnitError, ValueError),
        (FormulaError, ValueError),
        (UnsupportedModelError, ValueError),
        (StoreError, ValueError),
        (LockedError, ValueError),
        (PosteriorFileError, ValueError),
        (DataNotFound, FileNotFoundError),
        (DerivativeError, TypeError),
    ],
)
def test_it_is_what_python_calls_it(ours: type[Exception], pythons: type[Exception]) -> None:
    assert issubclass(ours, pythons)
    assert issubclass(ours, HexamerError)


def test_it_is_caught_by_the_base(tmp_path: Path) -> None:
    (tmp_path / "m.ant").write_text("model m; species A = 1; A -> ; A*; end")
    with pytest.raises(HexamerError, match=r"m\.ant"):
        load_network(tmp_path / "m.ant")


def test_files_that_are_not_there_keep_their_number() -> None:
    assert DataNotFound(2, "gone").errno == 2
    with pytest.raises(OSError, match=r"^gone$"):
        raise DataNotFound("gone")


def test_the_base_needs_nothing_else() -> None:
    """The command line, which imports what is heavy when it needs it, catches it."""
    code = "import sys; sys.orig_argv = ['', '-m', 'hexamer']; from hexamer import HexamerError; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "hexamer.errors" in done.stdout.split()
    assert not {"hexamer.models", "jax", "numpy", "sympy"} & set(done.stdout.split())
