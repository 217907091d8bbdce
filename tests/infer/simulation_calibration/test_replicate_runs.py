"""`sbc` on a decay: right posteriors pass, wrong ones are caught, runs resume, and nothing compiles anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hexamer import CalibrationCheck, Model, Problem, sbc
from hexamer.infer import StoreError
from hexamer.infer.problem.parameter_space import ParameterSpace
from hexamer.infer.problem.readout import Readout
from hexamer.infer.simulation_calibration import replicate, replicate_runs
from hexamer.infer.simulation_calibration.replicate import NO_FIT, Effort, run_replicate
from hexamer.infer.simulation_calibration.truths import Truth
from support.closed_form import with_closed_form
from support.decay_check import data, problem

pytestmark = pytest.mark.tier("slow")

SMALL: dict[str, Any] = {"replicates": 60, "chains": 1, "warmup": 100, "draws": 200, "starts": 2, "progress": False}
TINY: dict[str, Any] = {"replicates": 20, "chains": 1, "warmup": 20, "draws": 20, "starts": 1, "progress": False}


def checked(made: Problem, **options: Any) -> CalibrationCheck:
    found = sbc(made, **{**SMALL, **options})
    assert found is not None
    return found


def test_a_right_posterior_passes(decay_model: Model) -> None:
    """With a limit of detection, and a scale that is integrated out."""
    check = checked(problem(decay_model), seed=1)
    assert check.quantities == ("k", "a0", "noise", "scale_1", "log likelihood")
    assert check.calibrated, str(check)
    assert check.ranks.shape == (60, 5)
    assert not check.failed


def test_a_standard_deviation_that_is_too_large_is_caught(decay_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The likelihood takes 1.3 times the noise that data are simulated with."""
    right = Problem.terms_of

    def broken(self: Problem, readout: Readout):
        return right(self, readout._replace(sd=1.3 * readout.sd))

    monkeypatch.setattr(Problem, "terms_of", broken)
    check = checked(problem(decay_model), seed=1)
    assert not check.calibrated, str(check)
    assert check.table.to_dict()["shape"]["noise"] == "too low"


def test_a_lost_jacobian_is_caught(decay_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prior of a0 is uniform, and a0 is searched on its logarithm: without dθ/dx its prior is 1/a0."""
    right = ParameterSpace.log_prior_of_search

    def lost(self: ParameterSpace, x: jax.Array) -> jax.Array:
        return right(self, x) - jnp.where(np.array(self.names) == "a0", x, 0.0)

    monkeypatch.setattr(ParameterSpace, "log_prior_of_search", lost)
    check = checked(problem(decay_model, times=(4.0,), limit=None, noise=0.5), seed=1)
    assert not check.calibrated, str(check)
    assert check.table.to_dict()["shape"]["a0"] == "too low"


def test_limits_taken_as_values_are_caught(decay_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row below its limit is taken for a reading of the limit."""
    right = Problem.with_data

    def as_values(self: Problem, values: np.ndarray) -> Problem:
        found = right(self, values)
        return found.holding(found.measured._replace(tail=np.zeros(len(values), int)))

    monkeypatch.setattr(Problem, "with_data", as_values)
    rows = [replace(m, value=1.0, censored="left") if m.observable == "A_abs" else m for m in data().measurements]
    made = with_closed_form(decay_model, replace(data(), measurements=tuple(rows)))
    check = checked(made, replicates=40, seed=1)
    assert not check.calibrated, str(check)


def test_an_interrupted_run_resumes_bit_for_bit(
    decay_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = problem(decay_model)
    whole = sbc(made, **TINY, seed=3)
    calls = iter(range(100))
    right = replicate_runs.run_replicate

    def killed(*arguments: Any):
        if next(calls) == 8:
            raise KeyboardInterrupt
        return right(*arguments)

    monkeypatch.setattr(replicate_runs, "run_replicate", killed)
    with pytest.raises(KeyboardInterrupt):
        sbc(made, **TINY, seed=3, out=tmp_path)
    monkeypatch.setattr(replicate_runs, "run_replicate", right)
    assert "8 replicates are in" in replicate_runs.describe_replicates(tmp_path)
    stopped = sbc(made, **TINY, seed=3, out=tmp_path, stop_after=0.0)
    assert stopped is not None
    assert not stopped.complete
    assert len(stopped.ranks) == 8
    resumed = sbc(made, **TINY, seed=3, out=tmp_path)
    assert whole is not None
    assert resumed is not None
    np.testing.assert_array_equal(resumed.ranks, whole.ranks)
    np.testing.assert_array_equal(resumed.ess, whole.ess)
    assert (resumed.ranked, resumed.verdict) == (whole.ranked, whole.verdict)
    stored = CalibrationCheck.read(tmp_path / "sbc.npz")
    assert str(stored) == str(resumed)
    with pytest.raises(StoreError, match=r"holds another run .*warmup was 20, now 21"):
        sbc(problem(decay_model), **{**TINY, "warmup": 21}, seed=3, out=tmp_path)
    with pytest.raises(StoreError, match=r"holds another run .*the measurements changed"):
        sbc(problem(decay_model, limit=None), **TINY, seed=3, out=tmp_path)


def test_nothing_is_compiled_after_the_first_replicate(decay_model: Model) -> None:
    made, effort = problem(decay_model), Effort(2, 30, 30, 2, 0.8)
    compiled: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, duration_secs, **_: compiled.append(event))
    run_replicate(made, effort, 0, 0)
    assert any("backend_compile" in e for e in compiled)
    compiled.clear()
    found = [run_replicate(made, effort, 0, i) for i in range(1, 8)]
    assert [e for e in compiled if "backend_compile" in e] == []
    assert len({r.below.tobytes() for r in found}) == 7


def test_replicates_that_fail_are_counted(decay_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    right, calls = replicate.find_map, iter(range(1000))

    def sometimes(*arguments: Any, **options: Any):
        if next(calls) % 4 == 0:
            raise FloatingPointError("all 1 starts fail")
        return right(*arguments, **options)

    monkeypatch.setattr(replicate, "find_map", sometimes)
    check = sbc(problem(decay_model), **TINY)
    assert check is not None
    assert check.failed[NO_FIT] == 5
    assert len(check.ranks) + sum(check.failed.values()) == 20
    assert "Replicates without ranks: 5 (no best fit)" in " ".join(check.words)

    def never(*_: Any, **__: Any):
        raise FloatingPointError("all 1 starts fail")

    monkeypatch.setattr(replicate, "find_map", never)
    with pytest.raises(FloatingPointError, match=r"no replicate of 'decay' has ranks: no best fit \(20\)\. Look at"):
        sbc(problem(decay_model), **{**TINY, "replicates": 30})


@pytest.mark.tier("test")
def test_what_is_refused(decay_model: Model, decay: Callable[..., Problem]) -> None:
    made = decay()
    refused: tuple[tuple[dict[str, Any], str], ...] = (
        ({"replicates": 5}, "replicates must be at least 20, not 5: ranks of fewer show nothing"),
        ({"draws": 10}, "draws must be at least 20, not 10"),
        ({"starts": 0}, "starts must be at least 1, not 0"),
        ({"level": 0.0}, "level must lie between 0 and 1, not 0"),
    )
    for options, message in refused:
        with pytest.raises(ValueError, match=message):
            sbc(made, **options)
    fixed = {n: replace(p, prior=None, value=p.value or 1.0) for n, p in data().parameters.items()}
    with pytest.raises(ValueError, match="'decay' has no parameter to search or sample"):
        sbc(Problem(decay_model, replace(data(), parameters=fixed)))


@pytest.mark.skipif(find_spec("simuk") is None, reason="simuk is not installed")
def test_ranks_are_those_of_simuk(decay_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """simuk fits NumPyro's form of the problem with NumPyro's NUTS; of one truth and one data set the ranks agree."""
    import simuk
    from numpyro import infer

    from hexamer.infer.problem.numpyro_bridge import numpyro_model

    rows = tuple(m for m in data(limit=None).measurements if m.observable == "A_abs")
    parameters = {n: p for n, p in data().parameters.items() if n != "scale_1"}
    made = Problem(decay_model, replace(data(), measurements=rows, parameters=parameters))
    truths: list[Truth] = []

    def simulated(seed: int, k: float, a0: float, noise: float) -> dict[str, np.ndarray]:
        course = a0 * np.exp(-k * np.array([m.time for m in rows]))
        values = np.asarray(course + noise * np.random.default_rng(seed).normal(size=len(rows)))
        truths.append(Truth(made.space.coordinates(np.array([[k, a0, noise]]))[0], np.zeros(0), values))
        return {"A_abs": values}

    count, draws = 12, 400
    theirs = simuk.SBC(
        infer.NUTS(lambda A_abs=None: numpyro_model(made, data={"A_abs": A_abs})),
        num_simulations=count,
        sample_kwargs={"num_warmup": 300, "num_samples": draws},
        data_dir={"A_abs": np.zeros(len(rows))},
        simulator=simulated,
        seed=1,
        progress_bar=False,
    )
    theirs.run_simulations()
    shares: Any = theirs.simulations
    monkeypatch.setattr(replicate, "draw_truth", lambda *_: (truths.pop(0), {}))
    ours = [run_replicate(made, Effort(2, 300, 400, 2, 0.8), 1, i) for i in range(count)]
    for i, name in enumerate(made.space.names):
        right = np.ravel(shares["prior_sbc"][name].values) / draws
        found = np.array([r.below[:, i].mean() for r in ours])
        assert np.corrcoef(found, right)[0, 1] > 0.97
        np.testing.assert_allclose(found, right, atol=0.2)  # 4 sd of ranks among about 100 independent draws
