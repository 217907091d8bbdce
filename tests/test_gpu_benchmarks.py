"""The benchmarks for a card's machine, on a machine without one: nothing may keep them from reporting."""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import gpu
from benchmarks.gpu_compile import KERNELS, by_network, changed, merged, traffic
from benchmarks.measures import plain

pytestmark = pytest.mark.tier("test")

# A machine with JAX, diffrax, NumPyro, sympy, warp-lang, antimony and python-libsbml, and the source, not installed.
BARE = """
import importlib.metadata, importlib.util, os, runpy, sys

sys.path[:] = [p for p in sys.path if not os.path.isdir(os.path.join(p, "hexamer"))]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
assert importlib.util.find_spec("hexamer") is None

class Absent:
    names = "arviz pandas petab pint typer click optax matplotlib xarray h5netcdf h5py beartype roadrunner".split()

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
version = importlib.metadata.version

def known(name):
    if name == "hexamer":
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)

importlib.metadata.version = known
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BARE, module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)


@pytest.mark.tier("slow")
@pytest.mark.skipif(not (shutil.which("c++") or shutil.which("g++")), reason="a dry run needs a C++ compiler for nvcc")
def test_the_first_run(tmp_path: Path) -> None:
    """All of it, on the CPU: the kernels alone, and through JAX."""
    file = tmp_path / "first.json"
    done = run(
        "benchmarks.gpu_first_run",
        "--dry-run",
        "--minutes",
        60,
        *("--models", "hepg2_core", "--repeats", 1, "--json", file),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = {line["line"]: line for line in json.loads(file.read_text())["lines"]}
    assert not [name for name, line in lines.items() if "error" in line or line.get("good") is False]
    assert sum(line.get("good", False) for line in lines.values()) >= 16
    assert {name.split(":")[0] for name in lines} == {"alone", "by JAX"}
    assert "break_even" in lines["by JAX: hepg2_core: gradients, GPU against CPU"]
    assert done.stdout.startswith("DRY RUN on the CPU")
    assert re.fullmatch(r"\d+ right, 0 wrong, 0 failed, 0 left out for want of time", done.stdout.splitlines()[-1])
    assert " ms" not in done.stdout
    assert "the GPU is faster" not in done.stdout


@pytest.mark.tier("slow")
def test_the_benchmark(tmp_path: Path) -> None:
    """Every kind of row; a peer that is not installed is a row that says so."""
    file = tmp_path / "gpu.json"
    done = run(
        "benchmarks.gpu", "--dry-run", "--minutes", 60, *("--model", "hepg2_core", "--repeats", 1, "--json", file)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(file.read_text())
    assert report["machine"]["versions"]["jax"]
    assert len(report["checks"]) == 6
    assert all(c["good"] for c in report["checks"])
    assert not [r for r in report["rows"] if "error" in r]
    assert {r["method"] for r in report["rows"] if "not_installed" not in r} == {
        "fused",
        "fused on the CPU",
        "diffrax-kvaerno5",
    }
    assert {r["not_installed"] for r in report["rows"] if r["method"] == "modax-rodas5p"} == {"modax"}
    assert not report["left_out"]


def test_rows_are_left_out_when_time_is_up(tmp_path: Path) -> None:
    """And named; what went before is in the file."""
    file = tmp_path / "gpu.json"
    report = {"rows": [], "left_out": []}
    of = {"method": "fused", "precision": "float64", "start": "course"}
    rows = [(of | {"trajectories": i}, lambda: {"value_error": math.nan, "seconds": math.nan}) for i in range(3)]
    gpu.run_all([("rows", iter(rows[:1]))], report, file, math.inf)
    done = of | {"trajectories": 0, "value_error": None, "seconds": None}
    assert json.loads(file.read_text()) == {"rows": [done], "left_out": []}
    gpu.run_all([("rows", iter(rows[1:]))], report, file, 0.0)
    assert json.loads(file.read_text())["left_out"] == [of | {"trajectories": 1}, of | {"trajectories": 2}]


def test_a_row_that_fails_says_why() -> None:
    def fail() -> gpu.Row:
        raise MemoryError

    assert gpu.attempt({"row": 1}, fail) == {"row": 1, "error": "MemoryError: -"}


def test_no_number_is_no_agreement() -> None:
    """A kernel that writes NaN where the CPU has numbers is wrong, and where both have none it is right."""
    known = np.array([[1.0, np.nan], [2.0, 3.0]])
    assert gpu._off(known, known, (1,)) == 0
    assert math.isnan(gpu._off(np.array([[1.0, np.nan], [np.nan, 3.0]]), known, (1,)))
    assert plain({"x": np.float64("nan"), "y": [np.inf, np.int32(2), True], "z": np.array([1.0, np.nan]).tolist()}) == {
        "x": None,
        "y": [None, 2, True],
        "z": [1.0, None],
    }


def test_without_a_gpu_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argparse._sys, "argv", ["gpu"])  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setattr(gpu.cuda, "devices", lambda: ())
    monkeypatch.setattr(gpu.cuda, "why_none", lambda: "the NVIDIA driver is too old")
    with pytest.raises(SystemExit, match=r"can both use: the NVIDIA driver is too old\. Nothing was timed"):
        gpu.main()


SASS = """
\t.section\t.text._Z6coursePKiPKd,"ax",@progbits
        /*0000*/                   LDL.64 R2, [R1] ;
        $_Z6coursePKiPKd$_ZN6Engine5ratesEPKdS1_Pd:
        /*0010*/              @!P0 LDL.128 R2, [R1] ;
        /*0020*/                   STL [R1], R2 ;
\t.section\t.text._Z4slotPKi,"ax",@progbits
        /*0000*/                   STL.64 [R1], R2 ;
"""


def test_local_bytes_are_counted() -> None:
    assert traffic(SASS) == {"course": {"": 8, "rates": 20}, "slot": {"": 8}}


def test_more_local_bytes_must_be_explained() -> None:
    row = {"model": "m", "precision": "float64", "arch": "sm_90", "forward": 1000, "back": 2000}
    assert changed([row], [row | {"forward": 1049}]) == []
    (said,) = changed([row], [row | {"back": 2200}])
    assert said.startswith(
        "m, float64, sm_90: a step back moves 2,200 bytes of local memory, +10% of the 2,000 on record"
    )
    assert len(changed([row], [row | {"back": 1800}])) == 1
    assert changed([], [row]) == ["m, float64, sm_90: not compared: it was not counted then"]
    assert changed([row], [{**row, "error": "no nvcc"}]) == ["m, float64, sm_90: not compared: no nvcc"]


def test_what_did_not_measure_takes_no_measured_rows_place() -> None:
    of = {"compiler": "nvcc", "model": "m", "precision": "float64", "arch": "sm_90"}
    before = [of | {"kernel": "steady", "registers": 255}, of | {"kernel": "course", "error": "no memory"}]
    now = [of | {"kernel": "steady", "not_measured": "no ptxas"}, of | {"kernel": "course", "registers": 128}]
    assert merged(before, now) == [before[0], now[1]]
    assert merged(before, [of | {"kernel": "steady", "registers": 96}])[-1]["registers"] == 96


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        ("gpu", ["--model", "nonsense"], "unknown network 'nonsense'"),
        ("gpu", ["--counts", "0"], "0 is less than 1"),
        ("gpu", ["--minutes", "soon"], "'soon' is not a number"),
        ("gpu_first_run", ["--models", "il6_stat3", "typo"], "unknown network 'typo'"),
        ("gpu_first_run", ["--json", "{folder}"], "it is a folder"),
        ("gpu_compile", ["--against", "{folder}/none.json"], "there is no "),
        ("gpu_compile", ["--json", "{folder}/broken.json"], "is not a report of this benchmark"),
        ("gpu_compile", ["--json", "{folder}/other.json"], "name another file, or --replace it"),
    ],
)
def test_arguments_are_checked_first(
    module: str,
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "broken.json").write_text("{bad")
    empty = {"compilers": {"warp": "0.1"}, "local_bytes_a_step": [], "kernels": []}
    (tmp_path / "other.json").write_text(json.dumps(empty))
    monkeypatch.setattr("sys.argv", ["benchmark", *(a.format(folder=tmp_path) for a in arguments)])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{module}").main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert json.loads((tmp_path / "other.json").read_text()) == empty


# ------------------------------------------------------------------------------------------------------- documents

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results"
DOCUMENT = (ROOT / "docs/fused_engine.md").read_text()


def test_the_document_has_the_figures_of_the_compile_table() -> None:
    report = json.loads((RESULTS / "gpu_compile.json").read_text())
    assert by_network(report["kernels"]) in DOCUMENT
    for row in report["local_bytes_a_step"]:
        assert f"| {row['model']}, {row['precision']} | {row['forward']:,} | {row['back']:,} |" in DOCUMENT
    of = {"compiler": "nvrtc", "arch": "sm_90", "stages_kept": False}
    rows = [row for row in report["kernels"] if of.items() <= row.items()]
    for kernel, precision in itertools.product(KERNELS.values(), ("float64", "float32")):
        cells = [f"`{kernel}`"]
        for model in ("il6_stat3", "hepg2_core"):
            asked = {"model": model, "kernel": kernel, "precision": precision}.items()
            (row,) = [row for row in rows if asked <= row.items()]
            cells += [f"{row[key]:,}" for key in ("registers", "stack_bytes", "spill_store_bytes")]
        assert f"| {' | '.join(cells)} |" in DOCUMENT


def test_the_document_has_the_figures_of_the_first_run() -> None:
    """What ran on a card, how far its numbers are from the CPU's, and what it took."""
    report = json.loads((RESULTS / "gpu_first_run.json").read_text())
    assert not report["dry_run"]
    lines = {line["line"]: line for line in report["lines"] if "left_out" not in line}
    assert f"ran {len(lines)} of the " in DOCUMENT
    judged = {name: line for name, line in lines.items() if "good" in line}
    assert all(line["good"] for line in judged.values())
    assert f"All {len(judged)} questions" in DOCUMENT
    assert all(line.get("same_steps", 1) == 1 for name, line in judged.items() if "float64" in name)
    for precision, value, gradient in (("float64", 3e-9, 3e-11), ("float32", 1.5e-4, 2e-5)):
        for of, most in (("value_off", value), ("gradient_off", gradient)):
            off = [max(line.get(of, 0), line.get(f"{of}_cpu", 0)) for n, line in judged.items() if precision in n]
            assert most / 2 < max(off) <= most
    for label in ("float64, 1e-6", "float64, 1e-4", "float32, 1e-4"):
        times = [lines[f"by JAX: il6_stat3, {label}: {what} of 100000"]["seconds"] for what in ("forward", "gradient")]
        row = f"| {label.replace(', ', ', rtol ')} | " + " | ".join(f"{1e3 * s:,.0f} ms" for s in times)
        assert row in DOCUMENT
