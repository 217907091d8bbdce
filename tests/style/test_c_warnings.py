"""Compilers warn of nothing in the C of the fused engine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from benchmarks.gpu_driver import DRIVER, compiler, source_of
from benchmarks.gpu_sanitize import model_of

pytestmark = pytest.mark.tier("check")


@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("name", ["switched", "events"])
@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("single", [False, True])
def test_compilers_warn_of_nothing(name: str, lanes: int, single: bool, tmp_path: Path) -> None:
    """The engine of a network with switches and moieties, of one with events, and the driver around it."""
    header = tmp_path / "source.h"
    header.write_text(source_of(model_of(name), lanes=lanes, single=single))
    warned = ["-Wall", "-Wshadow", "-Werror", "-Wno-psabi"]  # an ABI changed with the vectors of an older compiler
    command = [compiler(), "-x", "c++", "-std=c++17", "-fsyntax-only", "-march=native", "-flax-vector-conversions"]
    command += [*warned, f'-DSOURCE="{header}"', str(DRIVER)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
