"""What a release must fill is marked, and `make release` refuses to go on before it is filled."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.tier("check")

ROOT = Path(__file__).parents[2]
FILES = ("CITATION.cff", "pyproject.toml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*FILES, "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def release(folder: Path) -> subprocess.CompletedProcess[str]:
    """`make release`, which would build a wheel by another make; here that is `true`."""
    return subprocess.run(["make", "release", "MAKE=true"], cwd=folder, capture_output=True, text=True, check=False)


def test_a_release_names_the_lines_that_are_not_filled(folder: Path) -> None:
    found = release(folder)
    assert found.returncode != 0
    assert "fill them" in found.stderr
    for name in FILES:
        lines = [n for n, line in enumerate((folder / name).read_text().splitlines(), 1) if "placeholder" in line]
        assert lines
        assert [f"{name}:{n}:" in found.stdout for n in lines] == [True] * len(lines)


def test_a_release_goes_on_once_they_are_filled(folder: Path) -> None:
    for name in FILES:
        text = (folder / name).read_text()
        text = re.sub("# placeholder: .*", "", text).replace("placeholder.invalid", "example.org")
        (folder / name).write_text(text)
    assert release(folder).returncode == 0


def test_the_citation_has_what_its_format_wants() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["authors"] == [{"name": "the hexamer developers"}]
    assert citation["license"] == "Apache-2.0"
