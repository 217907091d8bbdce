"""NUTS: right posteriors, failures counted and truncating, runs that resume draw for draw."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from hexamer import Problem, Protocol, Settings
from hexamer.data import Dataset, Measurement, Parameter, Prior, direct
from hexamer.infer import Curvature, Draws, StoreError, curvature, find_mode, sample
from hexamer.models import compile_network, read_antimony

pytestmark = pytest.mark.tier("test")

SPREAD = 0.5  # of log10 k
RESUMED = {"chains": 2, "warmup": 40, "draws": 60, "seed": 5, "chunk": 20, "progress": False}


@pytest.fixture(scope="module")
def half() -> Problem:
    """y' = k y², y(0) = 1, is infinite at t = 1/k, so up to t = 1 it fails where k ≥ 1: half of the prior.

    The measurement says next to nothing, so the posterior is the prior's other half.
    """
    model = compile_network(read_antimony("model blow_up; k = 1; species y = 1; J: -> y; k*y^2; end"))
    dataset = Dataset(
        "half",
        {"k": direct("k", "k", sd=1e3)},
        {"rest": Protocol("rest")},
        (Measurement("k", "rest", 1.0, 1.0),),
        {"k": Parameter("k", Prior("normal", "log10", 0.0, SPREAD))},
    )
    return Problem(model, dataset, settings=Settings(max_steps=300))


def start_of(problem: Problem, centre: float = 0.0) -> Curvature:
    count = len(problem.space)
    return Curvature(np.full(count, centre), np.eye(count), np.eye(count), np.ones(count))


@pytest.mark.tier("slow")
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


@pytest.fixture(scope="module")
def whole(half: Problem, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Draws]:
    """A run whose draws 6 to 36 whiten what follows; its chunks end at 20, 36, 40 (the warmup's end), 60, 80, 100."""
    folder = tmp_path_factory.mktemp("whole")
    draws = sample(half, start_of(half, -1.0), out=folder, **RESUMED)
    assert draws is not None
    return folder, draws


# Killed in the window, right after the whitening, and in the draws.
@pytest.mark.tier("slow")
@pytest.mark.parametrize("chunks", [1, 2, 5])
def test_resumed_run_is_the_same_draw_for_draw(half: Problem, whole, tmp_path: Path, chunks: int) -> None:
    folder, expected = whole
    shutil.copytree(folder, tmp_path / "killed")
    found = sorted((tmp_path / "killed").glob("chunk-*.npz"))
    assert len(found) == 6
    for path in found[chunks:]:
        path.unlink()
    (tmp_path / "killed/tmpabc.part").write_bytes(b"half a chunk")
    resumed = sample(half, start_of(half, -1.0), out=tmp_path / "killed", **RESUMED)
    assert resumed is not None
    assert_same(resumed, expected)


@pytest.mark.tier("slow")
def test_run_in_memory_is_the_same(half: Problem, whole) -> None:
    found = sample(half, start_of(half, -1.0), **RESUMED)
    assert found is not None
    assert_same(found, whole[1])


def assert_same(one: Draws, other: Draws) -> None:
    np.testing.assert_array_equal(one.z, other.z)
    for name in other.stats:
        np.testing.assert_array_equal(one.stats[name], other.stats[name])
    assert one.failed == other.failed


@pytest.mark.tier("slow")
def test_adaptation_ends_with_the_warmup(whole) -> None:
    folder, draws = whole
    chunks = [np.load(path) for path in sorted(folder.glob("chunk-*.npz"))]
    scales = [c["state_scale"].item() for c in chunks]
    assert scales[0] == 1.0  # that of the start
    assert scales[1] != 1.0
    assert set(scales[2:]) == {scales[1]}
    assert np.ptp(draws.stats["step_size"]) == 0  # one for all chains and draws


@pytest.fixture(scope="module")
def level() -> Problem:
    """Five readings of a constant with an unknown background a·b and noise: a banana, and a scale of noise."""
    text = "model level; a = 1; b = 1; nothing = 0; species y = a; J: y -> ; nothing*y; end"
    model = compile_network(read_antimony(text))
    values = (2.1, 1.7, 2.6, 2.2, 1.4)
    return Problem(
        model,
        Dataset(
            "level",
            {"y": direct("y", "y*b", sd="noise")},
            {"rest": Protocol("rest")},
            tuple(Measurement("y", "rest", 1.0, v, row=i) for i, v in enumerate(values)),
            {
                "a": Parameter("a", Prior("normal", "log", 0.0, 1.0)),
                "b": Parameter("b", Prior("normal", "log", 0.0, 1.0)),
                "noise": Parameter("noise", Prior("half_normal", spread=1.0)),
            },
        ),
    )


@pytest.mark.tier("slow")
def test_posterior_with_an_unfolded_scale_of_noise(level: Problem) -> None:
    """Against quadrature over (ln ab, noise): ln ab has a prior of variance 2, ln a/b keeps its own."""
    start = curvature(level, find_mode(level, np.array([0.3, 0.3, 0.5])))
    draws = sample(level, start, chains=4, warmup=300, draws=1000, seed=2, progress=False)
    assert draws is not None
    a, b, noise = (draws.z[..., i] for i in range(3))
    assert np.all(noise > 0)
    product, sd = np.meshgrid(np.linspace(-4, 4, 1601), np.linspace(1e-3, 5, 1601), indexing="ij")
    values = np.array([m.value for m in level.dataset.measurements])
    log_density = stats.norm.logpdf(product, 0, np.sqrt(2)) + stats.halfnorm.logpdf(sd)
    log_density += sum(stats.norm.logpdf(v, np.exp(product), sd) for v in values)
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    for found, grid in ((a + b, product), (noise, sd)):
        mean = float(np.sum(weight * grid))
        spread = float(np.sqrt(np.sum(weight * (grid - mean) ** 2)))
        assert found.mean() == pytest.approx(mean, abs=0.12 * spread)
        assert found.std() == pytest.approx(spread, rel=0.1)
    assert (a - b).std() == pytest.approx(np.sqrt(2), rel=0.1)


@pytest.mark.tier("slow")
def test_run_stopped_early_returns_what_it_has(half: Problem, tmp_path: Path) -> None:
    options = {"chains": 1, "warmup": 10, "draws": 40, "seed": 5, "chunk": 20, "progress": False}
    assert sample(half, start_of(half, -1.0), out=tmp_path, stop_after=0.0, **options) is None
    part = sample(half, start_of(half, -1.0), out=tmp_path, stop_after=0.0, **options)
    assert part is not None
    assert not part.complete
    assert part.z.shape == (1, 20, 1)
    rest = sample(half, start_of(half, -1.0), out=tmp_path, **options)
    assert rest is not None
    assert rest.complete
    np.testing.assert_array_equal(rest.z[:, :20], part.z)


@pytest.mark.tier("slow")
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
