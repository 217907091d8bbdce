"""SMC: evidence and weights of modes against closed forms, resumption, words and bad input."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from helpers import CASES
from hexamer import Problem, Protocol, load_problem
from hexamer.data import Dataset, Measurement, Parameter, Prior, direct
from hexamer.infer import SMC, find_map, fit, run_sampler
from hexamer.infer.sampling.smc import combined_evidence
from hexamer.models import compile_network, read_antimony
from support.likelihoods import of_density

pytestmark = pytest.mark.tier("slow")


def normal(x: str, mean: float, sd: float) -> str:
    return f"exp(-(({x} - ({mean}))/{sd})^2/2)/({sd}*sqrt(2*pi))"


def unequal_modes() -> Problem:
    """As in the case of that name: 0.85 of the posterior at (−4, 0), 0.15 at (5, 2); evidence 1/400."""
    flat = Prior("uniform", "lin", lower=-10.0, upper=10.0)
    first = f"0.85*{normal('x', -4, 0.5)}*{normal('y', 0, 1)}"
    return of_density(f"{first} + 0.15*{normal('x', 5, 0.25)}*{normal('y', 2, 0.5)}", {"x": flat, "y": flat})


def with_error(of_populations: np.ndarray) -> tuple[float, float]:
    return float(of_populations.mean()), float(of_populations.std(ddof=1) / math.sqrt(len(of_populations)))


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_modes_are_weighed_and_the_evidence_is_found(seed: int) -> None:
    found = run_sampler(SMC(problem_of_modes(), seed=seed), progress=False)
    assert found is not None
    weight, error = with_error((found.z[..., 0] < 0).mean(1))
    assert weight == pytest.approx(0.85, abs=0.05)
    assert abs(weight - 0.85) < 3 * error
    assert found.facts["log_evidence"] == pytest.approx(-math.log(400), abs=2 * found.facts["log_evidence_error"])


_MODES: list[Problem] = []


def problem_of_modes() -> Problem:
    """Made once."""
    if not _MODES:
        _MODES.append(unequal_modes())
    return _MODES[0]


def test_parameters_that_may_be_exchanged() -> None:
    """Each order of the two rate constants is half of the posterior."""
    problem = load_problem(CASES / "two-modes" / "problem.yaml")
    found = run_sampler(SMC(problem, particles=80, seed=1), progress=False)
    assert found is not None
    values = np.asarray(problem.space.constrain(jnp.asarray(found.z)))
    first, second = (values[..., problem.space.names.index(n)] for n in ("k1", "k2"))
    weight, error = with_error((first > second).mean(1))
    assert weight == pytest.approx(0.5, abs=0.05)
    assert abs(weight - 0.5) < 3 * error


def test_a_gaussian_has_its_closed_form() -> None:
    """k ~ N(0.2, 1), measured as 1.4 ± 0.5: N(1.16, 1/√5), evidence N(1.4; 0.2, √1.25)."""
    model = compile_network(read_antimony("model plain; k = 1; species S = 1; J: S -> ; 0*S*k; end"))
    dataset = Dataset(
        "gaussian",
        {"k": direct("k", "k", sd=0.5)},
        {"idle": Protocol("idle")},
        (Measurement("k", "idle", 1.0, 1.4),),
        {"k": Parameter("k", Prior("normal", "lin", 0.2, 1.0))},
    )
    problem = Problem(model, dataset)
    found = run_sampler(SMC(problem, seed=1), progress=False)
    assert found is not None
    values = np.asarray(problem.space.constrain(jnp.asarray(found.z)))[..., 0]
    mean, error = with_error(values.mean(1))
    assert mean == pytest.approx(1.16, abs=4 * error)
    assert values.std() == pytest.approx(math.sqrt(0.2), rel=0.05)
    exact = -0.5 * 1.2**2 / 1.25 - 0.5 * math.log(2 * math.pi * 1.25)
    assert found.facts["log_evidence"] == pytest.approx(exact, abs=4 * found.facts["log_evidence_error"])


def test_a_stopped_run_goes_on_to_the_same_draws(tmp_path: Path) -> None:
    few: dict[str, Any] = {"populations": 3, "particles": 40, "moves": 2, "seed": 4}
    whole = run_sampler(SMC(problem_of_modes(), **few), progress=False)
    stopped = run_sampler(SMC(problem_of_modes(), **few), out=tmp_path, progress=False, stop_after=0.0)
    assert stopped is None
    resumed = run_sampler(SMC(problem_of_modes(), **few), out=tmp_path, progress=False)
    assert whole is not None
    assert resumed is not None
    np.testing.assert_array_equal(whole.z, resumed.z)
    assert whole.facts == resumed.facts


def test_a_fit_says_what_each_optimum_holds(tmp_path: Path) -> None:
    """`auto` takes SMC, as there are two optima; the words have their shares, and the evidence."""
    said: list[str] = []
    found = fit(problem_of_modes(), tmp_path, method="auto", starts=12, seed=1, progress=False, say=said.append)
    assert found is not None
    assert any("sampling by SMC: 2 optima" in sentence for sentence in said)
    assert found.summary.title == "plain: 2 parameters, 16 populations × 250 particles"
    text = " ".join(found.summary.words)
    assert "The log evidence is -6.0" in text or "The log evidence is -5.9" in text
    assert "2 optima of the posterior were found" in text
    assert "near optimum 1" in text
    assert "cannot weigh" not in text
    assert found.tree.attrs["log_evidence"] == pytest.approx(-math.log(400), abs=0.2)
    assert "chain_started_at_optimum" not in found.tree.attrs  # they began at draws of the prior


@pytest.mark.tier("slow")
def test_draws_from_the_prior_with_likelihood_0_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = of_density("sqrt(x)", {"x": Prior("uniform", "lin", lower=-10.0, upper=10.0)})  # none below 0
    monkeypatch.setitem(problem.__dict__, "log_likelihood", lambda z: jnp.log(z[0]))
    sampler = SMC(problem, populations=2, particles=50)
    state = sampler.init([])
    assert int(state.impossible) == np.sum(state.particles < 0)
    assert 30 < int(state.impossible) < 70
    assert sampler.info(state).facts["prior_draws_impossible"] == int(state.impossible)


@pytest.mark.tier("check")
def test_evidence_of_populations() -> None:
    """The mean evidence, not of its logarithms; alike populations have no error."""
    logs = np.log([1.0, 3.0])
    assert combined_evidence(logs) == pytest.approx((math.log(2.0), math.sqrt(2.0) / 2.0 / math.sqrt(2.0)))
    assert combined_evidence(np.full(4, -1e5)) == (-1e5, 0.0)


@pytest.mark.tier("test")
def test_bad_input(tmp_path: Path) -> None:
    problem = of_density("exp(-x^2)", {"x": Prior("normal", "lin", 0.0, 1.0)})
    for options, said in [
        ({"populations": 1}, r"populations must be at least 2, not 1 \(`chains` of a fit\)"),
        ({"particles": 3}, r"particles must be at least 4, not 3 \(`draws` of a fit\), for the covariance of 1 param"),
        ({"moves": 0}, "moves must be at least 1"),
        ({"target_ess": 1.0}, "target_ess must be between 0 and 1, not 1"),
    ]:
        with pytest.raises(ValueError, match=said):
            SMC(problem, **options)
    with pytest.raises(ValueError, match=r"unknown method 'smcc': choose nuts, smc, auto; did you mean 'smc'\?"):
        fit(problem, tmp_path / "none", method="smcc")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="populations must be at least 2, not 1"):
        fit(problem, tmp_path / "none", method="smc", chains=1)
    assert not (tmp_path / "none").exists()


@pytest.mark.tier("test")
def test_a_problem_without_parameters(tmp_path: Path) -> None:
    """NumPy spoke of a zero-size array."""
    model = compile_network(read_antimony("model plain; k = 1; species S = 1; J: S -> ; 0*S*k; end"))
    rows = (Measurement("k", "idle", 1.0, 1.4),)
    problem = Problem(model, Dataset("plain", {"k": direct("k", "k", sd=0.5)}, {"idle": Protocol("idle")}, rows))
    for start in (SMC, find_map, lambda p: fit(p, tmp_path)):
        with pytest.raises(ValueError, match="'plain' has no parameter to search or sample: give at least one a prior"):
            start(problem)


@pytest.mark.tier("slow")
def test_a_prior_where_nothing_can_be_simulated() -> None:
    model = compile_network(read_antimony("model grows; k = 1; species S = 1; J: -> S; 1e300*k^2*S; end"))
    dataset = Dataset(
        "grows",
        {"S": direct("S", "S", sd=0.5)},
        {"idle": Protocol("idle")},
        (Measurement("S", "idle", 1.0, 1.4),),
        {"k": Parameter("k", Prior("uniform", "lin", lower=1.0, upper=2.0))},
    )
    with pytest.raises(FloatingPointError, match="the likelihood is 0 at all 20 draws from the prior of 2 of 2"):
        SMC(Problem(model, dataset), populations=2, particles=20).init([])
