"""The runner takes any sampler: blackjax's tempered SMC, whose state is a population, saves and resumes."""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from blackjax.base import SamplingAlgorithm
from blackjax.smc.resampling import systematic
from blackjax.smc.tempered import TemperedSMCState

from hexamer import Problem, Protocol
from hexamer.data import Dataset, Measurement, Parameter, Prior, direct
from hexamer.infer import (
    NUTS,
    ArrayState,
    Block,
    Curvature,
    Draws,
    Info,
    Sampler,
    StoreError,
    run_sampler,
    to_datatree,
)
from hexamer.models import compile_network, read_antimony

pytestmark = pytest.mark.tier("slow")


type State = tuple[TemperedSMCState, jax.Array]  # and how often the temperature has risen


@dataclass(frozen=True, eq=False)
class TemperedSMC(ArrayState[State]):
    """Particles from the prior to the posterior, by likelihoods tempered so that half of the particles count."""

    problem: Problem
    particles: int
    seed: int

    @property
    def identity(self) -> dict[str, Any]:
        return {"name": "tempered SMC", "particles": self.particles, "blackjax": version("blackjax")}

    @cached_property
    def algorithm(self) -> Any:
        prior, hmc, one = self.problem.log_prior_unfolded, blackjax.hmc, np.ones(1, int)
        options = {"step_size": 0.2 * one, "inverse_mass_matrix": 1.0 * one[None], "num_integration_steps": 8 * one}
        kernel = hmc.build_kernel(), hmc.init
        smc = blackjax.adaptive_tempered_smc(prior, self.likelihood, *kernel, options, systematic, target_ess=0.5)
        return SamplingAlgorithm(smc.init, jax.jit(smc.step))

    def likelihood(self, u: jax.Array) -> jax.Array:
        return self.problem.log_likelihood(self.problem.space.fold(u))

    def init(self, devices: Sequence[Any]) -> State:
        z = self.problem.space.sample_many(self.seed, self.particles)
        return self.algorithm.init(jnp.asarray(self.problem.space.unfold(z))), jnp.array(0)

    def step(self, state: State) -> tuple[State, Block]:
        moving, resampling = jax.random.split(jax.random.fold_in(jax.random.PRNGKey(self.seed), state[1]))
        smc, _ = self.algorithm.step(moving, state[0])
        chosen = systematic(resampling, smc.weights, self.particles)
        last = smc.tempering_param >= 1
        return (smc, state[1] + 1), Block(not last, np.asarray(smc.particles)[None, chosen[: self.particles * last]])

    def info(self, state: State) -> Info:
        reached, steps = float(state[0].tempering_param), int(state[1])
        return Info(steps, None, reached >= 1, f"temperature {reached:.2f}", {"tempering_steps": steps})


def two_modes() -> Problem:
    """k² is measured as 1: the posterior of k has a mode near −1 and one near 1, of which NUTS would see one."""
    model = compile_network(read_antimony("model squares; k = 1; species y = 1; J: y -> ; 0*y; end"))
    dataset = Dataset(
        "squares",
        {"k2": direct("k2", "k*k", sd=0.3)},
        {"rest": Protocol("rest")},
        (Measurement("k2", "rest", 1.0, 1.0),),
        {"k": Parameter("k", Prior("normal", "lin", 0.2, 1.0))},
    )
    return Problem(model, dataset)


@cache
def sampler_of(problem: Problem, particles: int, seed: int) -> Sampler[State]:
    return TemperedSMC(problem, particles, seed)


def run(problem: Problem, out: Path | None = None, *, seed: int = 1, particles: int = 400, **options) -> Draws | None:
    sampler = sampler_of(problem, particles, seed)
    return run_sampler(sampler, out=out, progress=False, **options)


@pytest.fixture(scope="module")
def problem() -> Problem:
    return two_modes()


@pytest.fixture(scope="module")
def whole(problem: Problem, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Draws]:
    folder = tmp_path_factory.mktemp("whole")
    draws = run(problem, folder)
    assert draws is not None
    return folder, draws


def test_particles_are_draws_from_the_posterior(problem: Problem, whole) -> None:
    """Against quadrature."""
    _, draws = whole
    assert draws.complete
    assert draws.z.shape == (1, 400, 1)
    k = np.linspace(-4, 4, 8001)
    weight = np.exp(-0.5 * (k - 0.2) ** 2 - 0.5 * ((k * k - 1) / 0.3) ** 2)
    weight /= weight.sum()
    found = np.asarray(problem.space.constrain(jnp.asarray(draws.z[0])))[:, 0]
    above = float(weight[k > 0].sum())
    assert np.mean(found > 0) == pytest.approx(above, abs=4 * np.sqrt(above * (1 - above) / 400))
    assert np.mean(found**2) == pytest.approx(np.sum(weight * k**2), abs=0.06)
    assert np.std(np.abs(found)) == pytest.approx(
        np.sqrt(np.sum(weight * k**2) - np.sum(weight * np.abs(k)) ** 2), rel=0.2
    )


def test_facts_and_times_are_of_the_whole_run(problem: Problem, whole) -> None:
    folder, draws = whole
    assert draws.facts == {"tempering_steps": len(list(folder.glob("chunk-*.npz")))}
    assert draws.facts["tempering_steps"] > 2
    assert set(draws.seconds) == {"warmup", "draws"}
    assert all(s > 0 for s in draws.seconds.values())
    tree = to_datatree(problem, draws.z, draws.stats, seed=1, failures=draws.failed, provenance=draws.facts)
    assert tree["posterior"].dataset["k"].shape == (1, 400)
    assert tree.attrs["tempering_steps"] == draws.facts["tempering_steps"]


@pytest.mark.parametrize("kept", [1, 2])
def test_it_resumes_particle_for_particle(problem: Problem, whole, tmp_path: Path, caplog, kept: int) -> None:
    folder, draws = whole
    shutil.copytree(folder, tmp_path / "killed")
    for path in sorted((tmp_path / "killed").glob("chunk-*.npz"))[kept:]:
        path.unlink()
    with caplog.at_level(logging.INFO, "hexamer"):
        resumed = run(problem, tmp_path / "killed")
    assert f"resuming after {kept} iteration" in caplog.text
    assert resumed is not None
    np.testing.assert_array_equal(resumed.z, draws.z)
    assert resumed.facts == draws.facts


KILLED = """
import os, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from test_samplers import TemperedSMC, two_modes
from hexamer.infer import run_sampler
step, calls = TemperedSMC.step, []
def dying(self, state):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), 9)
    return step(self, state)
TemperedSMC.step = dying
problem = two_modes()
run_sampler(TemperedSMC(problem, 400, 1), out=Path({out!r}), progress=False)
"""


def test_a_killed_process_resumes(problem: Problem, whole, tmp_path: Path) -> None:
    program = KILLED.format(paths=[str(Path(__file__).parent)], out=str(tmp_path / "run"))
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert len(list((tmp_path / "run").glob("chunk-*.npz"))) == 2
    resumed = run(problem, tmp_path / "run")
    assert resumed is not None
    np.testing.assert_array_equal(resumed.z, whole[1].z)


def test_it_stops_when_its_time_is_over(problem: Problem, whole, tmp_path: Path, caplog) -> None:
    """The first block takes longer; the same call then goes on."""
    with caplog.at_level(logging.WARNING, "hexamer"):
        assert run(problem, tmp_path, stop_after=1e-9) is None
    assert "stopped after 1 iteration" in caplog.text
    finished = run(problem, tmp_path)
    assert finished is not None
    np.testing.assert_array_equal(finished.z, whole[1].z)


def test_another_run_is_refused(problem: Problem, whole) -> None:
    with pytest.raises(StoreError, match="particles was 400, now 300"):
        run(problem, whole[0], particles=300)
    with pytest.raises(StoreError, match="seed was 1, now 2"):
        run(problem, whole[0], seed=2)


class OtherIdentity(TemperedSMC):
    @property
    def identity(self) -> dict[str, Any]:
        return {"name": "another", "particles": self.particles, "settings": {"ess": 0.5}, "seed": "no"}


class NoIdentity(TemperedSMC):
    @property
    def identity(self) -> dict[str, Any]:
        return {"name": "no identity", "step": np.float32(0.5)}


class BadBlocks(TemperedSMC):
    block = Block(False, np.zeros((1, 4, 2)))

    def step(self, state: State) -> tuple[State, Block]:
        return state, self.block


def test_the_identity_is_the_samplers_own(problem: Problem, whole) -> None:
    """It cannot hide a part of the problem's, and what JSON does not hold is refused."""
    with pytest.raises(StoreError, match="the sampler was 'tempered SMC', now 'another'"):
        run_sampler(OtherIdentity(problem, 400, 1), out=whole[0], progress=False)
    faster = problem.with_settings(rtol=1e-5)
    with pytest.raises(StoreError, match="rtol was 1e-06, now 1e-05"):
        run_sampler(TemperedSMC(faster, 400, 1), out=whole[0], progress=False)
    with pytest.raises(ValueError, match=r"the identity of NoIdentity holds step = .*0\.5.*: give text, numbers"):
        run_sampler(NoIdentity(problem, 400, 1), progress=False)


@pytest.mark.tier("test")
@pytest.mark.parametrize(
    ("block", "said"),
    [
        (Block(False, np.zeros((1, 4, 2))), r"gave u of shape \(1, 4, 2\): expected chains × draws × 1 parameters"),
        (Block(False, np.full((1, 4, 1), np.nan)), "gave draws that are not finite"),
        (Block(False, np.zeros((1, 4, 1)), {"lp": np.zeros(4)}), "gave lp of another shape than chains × draws"),
    ],
)
def test_bad_blocks_are_refused_at_once(problem: Problem, block: Block, said: str) -> None:
    sampler = BadBlocks(problem, 400, 1)
    object.__setattr__(sampler, "block", block)
    with pytest.raises(ValueError, match=f"BadBlocks {said}"):
        run_sampler(sampler, progress=False)


@pytest.mark.tier("test")
def test_nuts_with_another_seed_is_another_run(problem: Problem, tmp_path: Path) -> None:
    """With starts that are given, the seed alone tells two runs apart."""
    start = Curvature(np.zeros(1), np.eye(1), np.eye(1), np.ones(1))
    options = {"chains": 1, "warmup": 10, "draws": 5, "initial": np.ones((1, 1))}
    assert run_sampler(NUTS(problem, start, seed=5, **options), out=tmp_path, progress=False) is not None
    with pytest.raises(StoreError, match="seed was 5, now 6"):
        run_sampler(NUTS(problem, start, seed=6, **options), out=tmp_path, progress=False)
