"""Compiled code on disk: where it lies, who decides, and that a second process computes the same with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from hexamer.models.solvers import disk_cache

pytestmark = pytest.mark.tier("check")

SCRIPT = """
import jax
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
import hexamer
from hexamer.models import compile_network, read_antimony
model = compile_network(read_antimony("model m; k = 0.7; species A = 2; A -> ; k*A; end"))
f = jax.jit(jax.grad(lambda k: hexamer.simulate(model, {"k": k}, hexamer.Protocol(), [1.0]).y[0, 0].sum()))
print(repr(float(f(0.7))), sum(e.endswith("cache_hits") for e in hits))
"""


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of its own, and no memory of a former call; JAX's configuration is restored."""
    monkeypatch.delenv(disk_cache.VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(jax.config, "update", lambda *_: pytest.fail("JAX was configured"))
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="folders of Linux")
def test_the_folder(untouched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = disk_cache.cache_folder()
    assert folder is not None
    assert folder.parent == untouched / ".cache" / "hexamer" / "jax"
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert disk_cache.cache_folder() == Path("/caches/hexamer/jax", folder.name)
    monkeypatch.setenv(disk_cache.VARIABLE, "~/mine")
    assert disk_cache.cache_folder() == untouched / "mine" / "jax" / folder.name
    monkeypatch.setenv(disk_cache.VARIABLE, "off")
    assert disk_cache.cache_folder() is None


def test_a_folder_that_cannot_be_made_is_left_out(untouched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (untouched / "file").write_text("in the way")
    monkeypatch.setenv(disk_cache.VARIABLE, str(untouched / "file"))
    disk_cache.keep_compiled_code.__wrapped__()


def test_what_nobody_read_for_long_goes(tmp_path: Path) -> None:
    """Of JAX's files alone: HEXAMER_CACHE may name a folder with a clone of JAX in it."""
    mine = tmp_path / "jax" / "this"
    for machine in ("this", "other"):
        (tmp_path / "jax" / machine).mkdir(parents=True)
        for name in ("jit_f-old-cache", "jit_f-old-atime", "README.md", "jit_f-new-cache"):
            (tmp_path / "jax" / machine / name).write_text("code")
            if "new" not in name:
                os.utime(tmp_path / "jax" / machine / name, (1e9, 1e9))
    disk_cache._remove_unused(mine)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        "jax/other/README.md",
        "jax/other/jit_f-new-cache",
        "jax/this/README.md",
        "jax/this/jit_f-new-cache",
    ]


def run(script: str, **variables: str) -> str:
    """What a script prints in a process of its own."""
    # JAX keeps what takes long to compile; here all, on a fast machine, too
    environment = {**os.environ, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", **variables}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.tier("slow")
def test_a_second_process_takes_the_code_from_disk(tmp_path: Path) -> None:
    folders = (str(tmp_path / "ours"), str(tmp_path / "ours"), "off")
    (first, hits), (second, hits_after), (without, _) = (run(SCRIPT, HEXAMER_CACHE=f).split() for f in folders)
    assert first == second == without
    assert int(hits) == 0 < int(hits_after)
    run(SCRIPT, HEXAMER_CACHE=str(tmp_path / "unused"), JAX_COMPILATION_CACHE_DIR=str(tmp_path / "of the user"))
    assert not (tmp_path / "unused").exists()


SAMPLER = """
import hexamer, numpy as np
from hexamer import Problem, Protocol, Settings
from hexamer.data import Dataset, Measurement, Parameter, Prior, direct
from hexamer.infer import Curvature, sample
from hexamer.models import compile_network, read_antimony
model = compile_network(read_antimony("model blow_up; k = 1; species y = 1; J: -> y; k*y^2; end"))
data = Dataset("half", {"k": direct("k", "k", sd=1e3)}, {"rest": Protocol("rest")},
    (Measurement("k", "rest", 1.0, 1.0),), {"k": Parameter("k", Prior("normal", "log10", 0.0, 0.5))})
one = np.eye(1)
start = Curvature(np.full(1, -1.0), one, one, np.ones(1))
problem = Problem(model, data, settings=Settings(max_steps=300))
draws = sample(problem, start, chains=1, warmup=50, draws=50, seed=3, progress=False)
print(sorted((phase, sorted(kinds.items())) for phase, kinds in draws.failed.items()), draws.z.tobytes().hex())
"""


@pytest.mark.tier("slow")
def test_a_sampler_from_disk_counts_its_failed_solves(tmp_path: Path) -> None:
    """The code on disk calls Python, of whichever process runs it."""
    first, second, without = (run(SAMPLER, HEXAMER_CACHE=c) for c in (str(tmp_path), str(tmp_path), "off"))
    assert [*tmp_path.rglob("*iterate*")]
    assert first == second == without
    assert "('draws', [])" not in first
