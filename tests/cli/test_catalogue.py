"""What `hexamer list` shows."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import hexamer
from hexamer.cli import app
from hexamer.cli.catalogue import Kind, inventory
from hexamer.data.assays import ASSAYS
from hexamer.models import bundled
from hexamer.models.library import MODULES, cells, drugs

pytestmark = pytest.mark.tier("check")

NAMES = {
    Kind.models: bundled(),
    Kind.problems: hexamer.data.bundled(),
    Kind.modules: MODULES,
    Kind.drugs: drugs(),
    Kind.cells: cells(),
    Kind.assays: tuple(ASSAYS),
}


@pytest.mark.parametrize("kind", Kind)
def test_every_name_has_a_line(kind: Kind) -> None:
    found = inventory(kind)
    assert tuple(found) == NAMES[kind]
    for line in found.values():
        assert 8 < len(line) < 160
        assert not set("\n$\\`") & set(line.replace("`hepg2`", ""))
    shown = CliRunner().invoke(app, ["list", kind.value])
    assert shown.exit_code == 0
    assert [line.split()[0] for line in shown.stdout.splitlines()] == list(found)


def test_all_kinds_at_once() -> None:
    shown = CliRunner().invoke(app, ["list"])
    assert [line for line in shown.stdout.splitlines() if line.endswith(":")] == [f"{kind}:" for kind in Kind]


def test_an_unknown_kind_is_refused() -> None:
    shown = CliRunner().invoke(app, ["list", "drogs"])
    assert shown.exit_code == 2
    assert "'drogs' is not one of models" in shown.output


def test_letters_may_be_of_any_case() -> None:
    shown = CliRunner().invoke(app, ["list", "Drugs"])
    assert shown.exit_code == 0
    assert shown.output.startswith("siltuximab ")


def test_version() -> None:
    command = [sys.executable, "-m", "hexamer", "--version"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == f"hexamer {hexamer.__version__}\n"


def _completed(words: str) -> list[str]:
    """What a shell offers for the last of these words."""
    line = words.split(" ")
    program = "import sys; sys.orig_argv = ['', '-m', 'hexamer']; from hexamer.cli import app; app(prog_name='hexamer')"
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(line) - 1), "_HEXAMER_COMPLETE": "complete_bash"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **asked})
    return done.stdout.split()


@pytest.mark.tier("slow")
def test_a_shell_completes_commands_and_names() -> None:
    assert _completed("hexamer ev") == ["evaluate"]
    assert _completed("hexamer list dr") == ["drugs"]
    assert _completed("hexamer fit hepg") == ["hepg2", "hepg2_assembly"]
    assert _completed("hexamer simulate il6_") == ["il6_classic", "il6_stat3", "il6_full"]
    assert _completed("hexamer dose-response cyto") == ["cytokine_release"]
