"""The C headers can be read as they stand, one by one: by a compiler, an editor or clang-tidy."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from benchmarks import headers
from benchmarks.gpu_driver import compiler

from hexamer.models.solvers.fused import source

pytestmark = pytest.mark.tier("test")

FOLDER = Path(source.__file__).parent / "c"
HEADERS = sorted(file.name for file in FOLDER.glob("*.h"))


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Those of compile_flags.txt, with the headers that are written for a model."""
    written = tmp_path_factory.mktemp("headers")
    headers.write(written)
    given = (FOLDER / "compile_flags.txt").read_text().split()
    replaced = [f"-I{written}" if flag.endswith("build/headers") else flag for flag in given]
    assert replaced != given
    return [*replaced, "-Werror", "-fsyntax-only", "-Wno-psabi", "-march=native", "-flax-vector-conversions"]


@pytest.mark.skipif(not (shutil.which("c++") or shutil.which("g++")), reason="there is no C++ compiler")
@pytest.mark.parametrize("lanes", [1, pytest.param(8, marks=pytest.mark.tier("slow"))])
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_alone_is_code(name: str, lanes: int, flags: list[str]) -> None:
    """It includes what it needs, and compilers warn of nothing."""
    chosen = [f"-DLANES={lanes}" if flag.startswith("-DLANES") else flag for flag in flags]
    command = [str(compiler()), *chosen, "-include", name, "/dev/null"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.tier("check")
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_short_and_whole(name: str) -> None:
    """Nothing is filled in, and what is included stands at the top, where Python's joining of headers finds it."""
    text = source.header_text(name)
    assert not re.search(r"@\w+@", text)
    assert len(text.splitlines()) < 400
    assert text.count("#pragma once\n") == 1
    head, body = text.split("#pragma once\n")
    assert all(line.startswith("//") for line in head.splitlines())
    assert "#include" not in re.sub(r'\A(#include ["<][\w.]+[">]\n)*', "", body)


@pytest.mark.tier("check")
def test_headers_are_joined_once_and_in_order() -> None:
    written = {
        "a.h": '#pragma once\n#include "b.h"\n#include "c.h"\na',
        "b.h": '#include "c.h"\nb',
        "c.h": "#include <math.h>\nc",
    }
    assert source.join("a.h", written).split() == ["c", "b", "a"]
    assert source.join("a.h", written, ["c.h"]).split() == ["b", "a"]
