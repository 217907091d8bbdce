"""Killed, interrupted, out of disk, damaged: a run ends in the same draws, or in a clear refusal."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hexamer import load_problem
from hexamer.infer import PosteriorFileError, StoreError, fit, read_datatree, save_datatree, to_datatree

pytestmark = pytest.mark.tier("test")

MODEL = "model decay; species A = 2; k = 0.5; J: A -> ; k*A; end"
PROBLEM = '[observables.A]\nassay = "direct"\nsignal = "A"\nunit = "nM"\nsd = 0.1\n'
ROWS = "observable,time,value,unit\nA,0.5,1.56,nM\nA,1,1.21,nM\nA,2,0.74,nM\nA,4,0.27,nM\n"
PRIORS = "parameter,unit,distribution,location,scale,value\nk,1/min,log10_normal,0,1,0.5\n"
FIT = ("--chains", "2", "--warmup", "100", "--draws", "300", "--starts", "2", "--seed", "1", "--quiet")

# Runs the command line; says when it is about to. With LIMIT, no file may grow from the third chunk on: as on a full
# disk, every write then fails.
START = """
import os, resource, sys
import hexamer.cli
from hexamer.infer.sampling.store import Store
if "LIMIT" in os.environ:
    append = Store.append
    def limited(self, arrays):
        if self.count == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        append(self, arrays)
    Store.append = limited
print("ready", flush=True)
hexamer.cli.main()
"""


_started: list[subprocess.Popen[str]] = []
# Processes share compiled code on disk, as those of a user do. So some are killed while they write it.
_CACHE = tempfile.TemporaryDirectory(prefix="compiled")


def spawn(*command: str, **environment: str) -> subprocess.Popen[str]:
    env = {**os.environ, "HEXAMER_CACHE": _CACHE.name, **environment}
    new = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    _started.append(new)
    return new


@pytest.fixture(autouse=True)
def _processes() -> Iterator[None]:
    """Ctrl-C interrupts them, also where the tests run in the background, which ignores it; none outlives its test."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # which children inherit
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    while _started:
        with _started.pop() as left:
            left.kill()


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return spawn(sys.executable, "-c", START, *map(str, arguments), **environment)


def finished(*arguments: object, **environment: str) -> tuple[int, str, str]:
    begun = start(*arguments, **environment)
    out, err = begun.communicate(timeout=900)
    return begun.returncode, out, err


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decay")
    for name, text in {
        "model.ant": MODEL,
        "problem.toml": PROBLEM,
        "measurements.csv": ROWS,
        "priors.csv": PRIORS,
        "values.csv": "parameter,value\nk,0.5\n",
    }.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def whole(problem: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole")
    status, _, err = finished("fit", problem, "--out", out, *FIT)
    assert status == 0, err
    return out


def draws(out: Path) -> np.ndarray:
    return np.asarray(read_datatree(out / "posterior.nc")["posterior"].dataset["k"])


def parts(out: Path) -> list[Path]:
    return [*out.rglob("*.part"), *out.rglob(".*.part")]


def chunks(out: Path) -> list[Path]:
    return sorted((out / "chains").glob("chunk-*.npz"))


@pytest.mark.tier("slow")
def test_killed_at_20_random_moments(problem: Path, whole: Path, tmp_path: Path) -> None:
    """At any time of the run, and right when a chunk appears; each run is taken up until it ends."""
    rng = random.Random(4)
    began = time.monotonic()
    assert finished("fit", problem, "--out", tmp_path / "first", *FIT)[0] == 0
    length = time.monotonic() - began
    killed, runs = 0, 0
    while killed < 20:
        out = tmp_path / f"run-{runs}"
        process = start("fit", problem, "--out", out, *FIT)
        known, after = len(chunks(out)), rng.uniform(0.2, 1.1) * length
        moment = time.monotonic() + after
        while process.poll() is None and time.monotonic() < moment:
            if killed % 2 and len(chunks(out)) > known:
                time.sleep(rng.uniform(0, 0.05))
                break
            time.sleep(0.005)
        if process.poll() is None:
            process.kill()
            killed += 1
        process.communicate()
        if process.returncode == 0:
            np.testing.assert_array_equal(draws(out), draws(whole))
            runs += 1
    out = tmp_path / f"run-{runs}"
    status, _, err = finished("fit", problem, "--out", out, *FIT)
    assert status == 0, err
    np.testing.assert_array_equal(draws(out), draws(whole))
    assert parts(out / "chains") == []


@pytest.mark.tier("slow")
def test_full_disk_in_the_draws(problem: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, _, err = finished("fit", problem, "--out", out, *FIT, LIMIT="1")
    assert status == 2
    assert f"cannot write '{out / 'chains' / 'chunk-00002.npz'}': File too large; choose a folder" in err
    assert "Traceback" not in err
    assert parts(out) == []
    assert finished("fit", problem, "--out", out, *FIT)[0] == 0
    np.testing.assert_array_equal(draws(out), draws(whole))


@pytest.mark.tier("slow")
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_damaged_files(damage: str, problem: Path, tmp_path: Path) -> None:
    """A chunk, the start and the posterior; what the message says leads to the same draws."""
    loaded = load_problem(problem)

    def again() -> np.ndarray:
        found = fit(loaded, tmp_path, chains=2, warmup=100, draws=300, starts=2, seed=1, progress=False)
        assert found is not None
        tree = to_datatree(loaded, found.draws.z, found.draws.stats, seed=1, failures={}, predictive=False)
        save_datatree(tree, tmp_path / "posterior.nc")
        return draws(tmp_path)

    expected = again()
    for path, lost in ((chunks(tmp_path)[2], chunks(tmp_path)[2:]), (tmp_path / "start.npz", [tmp_path / "start.npz"])):
        spoil(path, damage)
        with pytest.raises(StoreError, match=rf"{path} is damaged \(.*\): remove it"):
            again()
        for file in lost:
            file.unlink()
        np.testing.assert_array_equal(again(), expected)
    spoil(tmp_path / "posterior.nc", damage)
    with pytest.raises(PosteriorFileError, match=r"a fit into the same folder makes it anew from the draws there"):
        draws(tmp_path)
    np.testing.assert_array_equal(again(), expected)


def spoil(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.tier("slow")
def test_second_process_on_the_same_folder(problem: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    long = [*FIT, "--draws", "100000"]
    first = start("fit", problem, "--out", out, *long)
    while not chunks(out):
        assert first.poll() is None
        time.sleep(0.1)
    status, _, err = finished("fit", problem, "--out", out, *long)
    first.kill()
    first.communicate()
    assert status == 2
    assert f"another process writes to {out} (process {first.pid} on " in err


def interrupted(process: subprocess.Popen[str]) -> tuple[int, float, str]:
    """Exit status after Ctrl-C, the seconds it took, and what was said."""
    assert process.poll() is None, "it ended before it could be interrupted"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    return process.returncode, time.monotonic() - began, err


def many(problem: Path, out: Path) -> dict[str, list[object]]:
    """Commands that take long enough to be interrupted."""
    doses = ["--doses", "0.001:500:1000 ng/ml", "--drug", "tocilizumab=0, 0.001:500:1200 ug/ml"]
    return {
        "fit": ["fit", problem, "--out", out, *FIT, "--draws", "100000", "--starts", "2000"],
        "map": ["map", problem, "--starts", "20000", "--quiet"],
        "evaluate": ["evaluate", problem, "--at", problem / "values.csv"],
        "simulate": ["simulate", "il6_full", "--times", "0:20000:0.01", "--out", out / "courses.csv"],
        "dose-response": ["dose-response", "il6_stat3+tocilizumab", *doses, "--out", out, "--quiet"],
    }


MOMENTS = [
    ("fit", 4.0),
    ("dose-response", 5.0),
    *(
        pytest.param(name, after, marks=pytest.mark.tier("slow"))
        for name, moments in {
            "fit": (0.3, 1.0, 8.0),
            "map": (0.3, 2.0, 8.0),
            "evaluate": (0.3, 0.6),
            "simulate": (0.3, 1.0, 2.5),
            "dose-response": (0.3, 2.0, 13.0),
        }.items()
        for after in moments
    ),
]


@pytest.mark.tier("slow")
@pytest.mark.parametrize(("name", "after"), MOMENTS)
def test_interrupt_ends_within_two_seconds(name: str, after: float, problem: Path, tmp_path: Path) -> None:
    """In Python, in a compiler and in compiled code alike."""
    process = start(*many(problem, tmp_path)[name], HEXAMER_CACHE="off")  # it compiles
    wait_until_ready(process)
    time.sleep(after)
    status, seconds, err = interrupted(process)
    assert status == 130
    assert seconds < 2
    assert "Traceback" not in err
    assert "ignored" not in err
    said = err.strip().splitlines()[-1]
    assert said.startswith("interrupted; ")
    assert "draws are in" not in said  # no command has any so early
    assert parts(tmp_path) == []


COMMAND = """
import sys
print("ready", flush=True)
from hexamer.cli import main
main()
"""


def as_installed(folder: Path, *arguments: str, ignoring: bool = False) -> subprocess.Popen[str]:
    """The command as its own script starts it, before anything is imported."""
    script = folder / "hexamer"
    script.write_text(COMMAND)
    shell = ["sh", "-c", 'trap "" INT; exec "$0" "$@"'] if ignoring else []
    command = [*shell, sys.executable, str(script), *arguments]
    process = spawn(*command)
    wait_until_ready(process)
    return process


@pytest.mark.tier("slow")
@pytest.mark.parametrize("after", [0.3, 0.8, 1.5])
def test_interrupt_while_it_imports(after: float, tmp_path: Path) -> None:
    process = as_installed(tmp_path, "simulate", "il6_full", "--out", str(tmp_path / "x.csv"), "--times", "0:1000:0.01")
    time.sleep(after)
    status, seconds, err = interrupted(process)
    assert (status, err.strip()) == (130, "interrupted; its result is not complete")
    assert seconds < 2


@pytest.mark.tier("slow")
def test_an_interrupt_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """As under nohup, and in the background of a script."""
    process = as_installed(tmp_path, "--help", ignoring=True)
    for _ in range(3):
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "dose-response" in out


@pytest.mark.tier("slow")
def test_a_program_that_imports_hexamer_keeps_its_handler() -> None:
    script = "import signal, hexamer; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "True"


@pytest.mark.tier("slow")
def test_interrupted_fit_says_where_its_draws_are(problem: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start("fit", problem, "--out", out, *FIT, "--draws", "100000")
    while not chunks(out):
        assert process.poll() is None
        time.sleep(0.1)
    status, seconds, err = interrupted(process)
    assert status == 130
    assert seconds < 2
    said = f"interrupted; draws are in {out / 'chains'}, and the same command resumes the run"
    assert err.strip().splitlines()[-1] == said
    assert parts(out) == []
