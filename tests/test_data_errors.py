"""What is wrong with the data is said before anything heavy is imported, and so within a second or two."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from helpers import CASES, slowly

pytestmark = pytest.mark.tier("test")

# What solves, samples, draws and keeps results; without it, `hexamer fit` has only read the data.
HEAVY = {
    *("arviz_plots", "arviz_stats", "diffrax", "equinox", "jax", "matplotlib", "numpyro", "pandas", "tqdm", "warp"),
    "xarray",
}
REPORT = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted({m.partition(".")[0] for m in sys.modules} & set(%r)))))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("problem.toml", "measurements.csv", "priors.csv"):
        (tmp_path / name).write_bytes((files("hexamer.data") / "bundled_problems/il6_demo" / name).read_bytes())
    return tmp_path


def told(folder: Path, *command: object) -> tuple[str, set[str]]:
    """What the command says, and which heavy packages it had imported by then."""
    (folder / "startup").mkdir()
    (folder / "startup/sitecustomize.py").write_text(REPORT % sorted(HEAVY))
    path = os.pathsep.join(filter(None, [str(folder / "startup"), os.environ.get("PYTHONPATH")]))
    words = [sys.executable, "-m", "hexamer", *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 2, done.stderr
    return done.stderr, set(json.loads(done.stdout.splitlines()[-1]))


def test_a_missing_key_of_the_description(folder: Path) -> None:
    toml = folder / "problem.toml"
    toml.write_text(toml.read_text().replace('assay = "blot"', 'asay = "blot"', 1))
    said, imported = told(folder, "fit", folder, "--out", folder / "run")
    assert "problem.toml, 'observables.pSTAT3_cytoplasm.assay': the key is missing" in said
    assert imported == set()
    assert not (folder / "run").exists()


@pytest.mark.parametrize("command", ["fit", *slowly("map", "evaluate")])
def test_a_value_that_is_not_a_number(folder: Path, command: str) -> None:
    table = folder / "measurements.csv"
    table.write_text(table.read_text().replace(",10,0,5,", ",10,0,soon,", 1))
    said, imported = told(folder, command, folder, *(["--out", folder / "run"] if command == "fit" else []))
    assert "measurements.csv, row 2, 'time' holds 'soon'; expected a finite number" in said
    assert imported == set()


def test_a_value_of_a_parameter(folder: Path) -> None:
    (folder / "at.csv").write_text("parameter,value\nk_imp,much\n")
    said, imported = told(folder, "evaluate", folder, "--at", folder / "at.csv")
    assert "at.csv, row 1, 'value' holds 'much'" in said
    assert imported == set()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("fit hepg3 --out run", "hepg3"),
        *slowly(("map il6_demo --model hepg3_core", "hepg3"), ("dose-response il7 --out run", "il7")),
    ],
)
def test_names_that_nobody_knows(command: str, name: str, tmp_path: Path) -> None:
    said, imported = told(tmp_path, *command.split())
    assert name in said
    assert imported == set()


@pytest.mark.tier("slow")
def test_the_check_sees_what_is_imported(tmp_path: Path) -> None:
    said, imported = told(tmp_path, "simulate", "hepg2_core", "--times", "0:1", "--out", tmp_path / "out.csv")
    assert "--times takes START:STOP:STEP" in said
    assert "jax" in imported


def test_petab_tables(tmp_path: Path) -> None:
    """The petab library, which checks them, reads them with pandas."""
    case = CASES / "edited-model-resumed/before"
    shutil.copytree(case, tmp_path / "petab")
    table = tmp_path / "petab/measurements.tsv"
    table.write_text(table.read_text().replace("1.558", "high", 1))
    said, imported = told(tmp_path, "evaluate", tmp_path / "petab/problem.yaml")
    assert "measurements.tsv, row 1, 'measurement' holds 'high'" in said
    assert imported <= {"pandas", "tqdm"}
