"""NUTS: right posteriors, failures counted and truncating, runs that resume draw for draw."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from hexamer import Model, Problem, Protocol, Settings
from hexamer.data import Dataset, Measurement, Parameter, Prior, direct
from hexamer.infer import Curvature, StoreError, sample

SPREAD = 0.5  # of log10 k


@pytest.fixture(scope="module")
def half() -> Problem:
    """y' = k y², y(0) = 1, is infinite at t = 1/k, so up to t = 1 it fails where k ≥ 1: half of the prior.

    The measurement says next to nothing, so the posterior is the prior's other half.
    """
    model = Model.from_function(
        lambda t, y, p: p["k"] * y**2, species=["y"], parameters={"k": 1.0}, initial=[1.0], name="blow_up"
    )
    dataset = Dataset(
        "half",
        {"k": direct("k", "k", sd=1e3)},
        {"rest": Protocol("rest")},
        (Measurement("k", "rest", 1.0, 1.0),),
        {"k": Parameter("k", Prior("normal", "log10", 0.0, SPREAD))},
    )
    return Problem(model, dataset, settings=Settings(solver="tsit5", max_steps=300))


def start_of(problem: Problem, centre: float = 0.0) -> Curvature:
    count = len(problem.space)
    return Curvature(np.full(count, centre), np.eye(count), np.eye(count), np.ones(count))


def test_posterior_truncated_by_failures(half: Problem) -> None:
    draws = sample(half, start_of(half, -1.0), chains=4, warmup=200, draws=500, seed=3, progress=False)
    assert draws is not None
    z = draws.z[:, ::5, 0]
    assert np.all(z < 0)
    assert stats.kstest(-z.ravel(), stats.halfnorm.cdf).pvalue > 1e-3
    assert -draws.z.mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.1)
    for phase in ("warmup", "draws"):
        kinds = draws.failed[phase]
        assert sum(kinds.values()) > 0
        assert set(kinds) <= {"too_many_steps", "step_too_small", "not_finite"}
    assert draws.stats["failed"].any()
    assert not np.any(draws.stats["failed"] & draws.stats["diverging"])


def test_resumed_run_is_the_same_draw_for_draw(half: Problem, tmp_path: Path) -> None:
    options = {"chains": 2, "warmup": 40, "draws": 60, "seed": 5, "chunk": 20, "progress": False}
    whole = sample(half, start_of(half, -1.0), out=tmp_path / "whole", **options)
    assert whole is not None
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    for index in (1, 2, 3, 4):  # killed in the warmup, with a file half written
        (tmp_path / f"killed/chunk-0000{index}.npz").unlink()
    (tmp_path / "killed/tmpabc.part").write_bytes(b"half a chunk")
    resumed = sample(half, start_of(half, -1.0), out=tmp_path / "killed", **options)
    in_memory = sample(half, start_of(half, -1.0), **options)
    assert resumed is not None
    assert in_memory is not None
    for other in (resumed, in_memory):
        np.testing.assert_array_equal(other.z, whole.z)
        for name in whole.stats:
            np.testing.assert_array_equal(other.stats[name], whole.stats[name])
        assert other.failed == whole.failed


def test_run_stopped_early_returns_what_it_has(half: Problem, tmp_path: Path) -> None:
    options = {"chains": 1, "warmup": 20, "draws": 40, "seed": 5, "chunk": 20, "progress": False}
    assert sample(half, start_of(half, -1.0), out=tmp_path, stop_after=0.0, **options) is None
    part = sample(half, start_of(half, -1.0), out=tmp_path, stop_after=0.0, **options)
    assert part is not None
    assert not part.complete
    assert part.z.shape == (1, 20, 1)
    rest = sample(half, start_of(half, -1.0), out=tmp_path, **options)
    assert rest is not None
    assert rest.complete
    np.testing.assert_array_equal(rest.z[:, :20], part.z)


def test_folder_of_another_run_is_refused(half: Problem, tmp_path: Path) -> None:
    options = {"chains": 1, "warmup": 5, "draws": 5, "chunk": 5, "progress": False}
    sample(half, start_of(half, -1.0), out=tmp_path, seed=1, **options)
    with pytest.raises(StoreError, match="seed was 1, now 2"):
        sample(half, start_of(half, -1.0), out=tmp_path, seed=2, **options)
    (tmp_path / "chunk-00001.npz").write_bytes(b"torn")
    with pytest.raises(StoreError, match=r"chunk-00001\.npz is damaged"):
        sample(half, start_of(half, -1.0), out=tmp_path, seed=1, **options)


def test_arguments_are_checked(half: Problem) -> None:
    with pytest.raises(ValueError, match="chains must be at least 1, not 0"):
        sample(half, start_of(half), chains=0)
    with pytest.raises(ValueError, match=r"initial must be 2 chains × 1 parameters, not of shape \(3, 1\)"):
        sample(half, start_of(half), chains=2, initial=np.zeros((3, 1)))
