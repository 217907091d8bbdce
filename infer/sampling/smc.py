"""Tempered sequential Monte Carlo: populations of particles from the prior to the posterior, which weigh modes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ...models.compiled.jumps import check_smooth
from ...models.listing import counted
from ..problem.parameter_space import Z
from ..problem.problem import Problem
from ..problem.usage import check_sampled
from .sampler import Block, Info

_IMPOSSIBLE = -1e30  # log likelihood of a failed solve: 0 × −∞ would be NaN where the temperature does not count it
_FAR = _IMPOSSIBLE / 2
_ACCEPTED = 0.75  # mean acceptance probability that the step size is adapted to
_GAIN = 1.5  # of that adaptation, per step of the temperature
_JITTER = 0.3  # of step sizes between particles, relative: none is in phase with the density
_MOST_LEAPFROGS = 24
_KEPT = 0.05  # of the particles' variances, kept in the mass matrix without their covariances


class SMCState(NamedTuple):
    """Populations of particles over u, and how far each of them is.

    `weights` sum to 1 in each population; `temperature` is 0 for the prior and 1 for the posterior; `log_evidence` is
    the evidence so far; `step_size` is that of the next moves, in units of the particles' spread.
    """

    particles: Float[np.ndarray, "populations particles parameters"]
    weights: Float[np.ndarray, "populations particles"]
    temperature: Float[np.ndarray, " populations"]
    log_evidence: Float[np.ndarray, " populations"]
    step_size: Float[np.ndarray, " populations"]
    done: Int[np.ndarray, ""]  # steps of the temperature
    drawn: Int[np.ndarray, ""]  # 1 if the particles have moved at the posterior, too
    impossible: Int[np.ndarray, ""]  # draws from the prior with likelihood 0, of all populations
    moved: Int[np.ndarray, ""]  # trajectories of all particles
    moved_impossible: Int[np.ndarray, ""]  # those of them that ended at likelihood 0, and were rejected
    leapfrogs: Int[np.ndarray, ""]  # of all trajectories: a gradient each


@dataclass(frozen=True, eq=False)
class SMC:
    """blackjax's adaptive tempered SMC over u with z = fold(u), a `Sampler`: a population is what NUTS calls a chain.

    Particles begin as draws from the prior, which sees every mode; the likelihood counts ever more. At each step the
    temperature rises so far that the weights are worth `target_ess` of the particles; particles are drawn anew by
    weight and moved by Hamiltonian Monte Carlo, whose mass matrix and step size follow the population. After the
    temperature has reached 1 they move once more, and are draws of equal weight.

    Populations know nothing of each other. So their spread is the error of what they estimate: the weights of modes,
    and the evidence.

    Parameters
    ----------
    problem : Problem
        Whose posterior to sample.
    populations, particles : int
        Number of populations, at least 2, and of the particles in each.
    moves : int
        Trajectories of each particle per step of the temperature.
    target_ess : float
        Effective share of the particles, between 0 and 1, dimensionless: the larger, the smaller the steps.
    seed : int
        Of all random numbers.

    Other Parameters
    ----------------
    devices : sequence of JAX's devices
        Not used: all populations are one batch.
    state : SMCState
        The populations.
    saved : dict of arrays
        What `save` returned, in the sampler's own units.
    blocks : sequence of Block
        All blocks of the run before that.

    Raises
    ------
    ValueError
        For a model whose rates jump at a condition on the state, as its gradient leaves something out; for a problem
        without parameters to sample, counts that are too small, and a share that is not between 0 and 1.
    """

    problem: Problem
    populations: int = 16
    particles: int = 250
    moves: int = 6
    target_ess: float = 0.7
    seed: int = 0

    def __post_init__(self):
        check_smooth(self.problem.model.name, self.problem.model.jumps)
        check_sampled(self.problem.name, self.problem.space.names)
        count = len(self.problem.space)
        least = {
            "populations": (2, " (`chains` of a fit), whose spread is the standard error"),
            "particles": (
                2 * count + 2,
                f" (`draws` of a fit), for the covariance of {counted(self.problem.space.names, 'parameter')}",
            ),
            "moves": (1, ""),
        }
        for name, (lowest, why) in least.items():
            if (value := getattr(self, name)) < lowest:
                raise ValueError(f"{name} must be at least {lowest}, not {value}{why}")
        if not 0 < self.target_ess < 1:
            raise ValueError(f"target_ess must be between 0 and 1, not {self.target_ess:g}")

    def __repr__(self) -> str:
        return f"SMC({self.problem.name!r}, {self.populations} populations of {self.particles}, seed {self.seed})"

    @property
    def identity(self) -> dict[str, Any]:
        """The options that change the draws."""
        options = {n: getattr(self, n) for n in ("populations", "particles", "moves", "target_ess")}
        return {"name": "SMC", **options, "blackjax": version("blackjax")}

    def init(self, devices: Sequence[Any]) -> SMCState:
        """Draws from the prior. Raises `FloatingPointError` if the simulation fails at all of them."""
        size = (self.populations, self.particles)
        u = self.problem.space.unfold(self.problem.space.sample_many(self.seed, math.prod(size))).reshape(*size, -1)
        with self.problem.placed(math.prod(size)):
            known = np.asarray(self.problem.compiled(_likelihoods)(jnp.asarray(u)))
        if len(failing := np.flatnonzero(np.all(known == _IMPOSSIBLE, axis=1))):
            raise FloatingPointError(
                f"the likelihood is 0 at all {self.particles} draws from the prior of {len(failing)} of "
                f"{self.populations} populations: the model cannot be simulated where the prior lies. Narrow the "
                "priors, or sample by NUTS, which starts from the best fit"
            )
        one = np.ones(self.populations)
        step = one / len(self.problem.space) ** 0.25
        return SMCState(
            u,
            np.ones(size) / self.particles,
            0 * one,
            0 * one,
            step,
            np.array(0),
            np.array(0),
            np.array(np.sum(known == _IMPOSSIBLE)),
            np.array(0),
            np.array(0),
            np.array(0),
        )

    def step(self, state: SMCState) -> tuple[SMCState, Block]:
        """The next temperature of each population, or the last moves once all have reached the posterior."""
        last = bool(np.all(state.temperature >= 1))
        key = jax.random.fold_in(jax.random.PRNGKey(self.seed), 1 + int(state.done))
        leapfrogs = np.clip(np.ceil(0.5 * np.pi / np.median(state.step_size)), 1, _MOST_LEAPFROGS).astype(int)
        with self.problem.placed(self.populations * self.particles):
            moved = self.problem.compiled(_moved, self.moves, self.target_ess)(
                jax.random.split(key, self.populations), *map(jnp.asarray, state[:3]), _covariances(state),
                jnp.asarray(state.step_size), jnp.asarray(leapfrogs),
            )  # fmt: skip
        particles, weights, temperature, increment, accepted, height, ends = map(np.asarray, moved)
        step = np.clip(state.step_size * np.exp(_GAIN * (accepted - _ACCEPTED)), 1e-3, 2.0)
        after = state._replace(
            particles=particles,
            weights=weights,
            temperature=temperature,
            log_evidence=state.log_evidence + increment,
            step_size=step,
            done=state.done + 1,
            drawn=np.array(int(last)),
            moved=state.moved + ends.size,
            moved_impossible=state.moved_impossible + np.sum(ends),
            leapfrogs=state.leapfrogs + ends.size * leapfrogs,
        )
        if not last:
            return after, Block(True, particles[:, :0])
        acceptance = np.broadcast_to(accepted[:, None], height.shape)
        return after, Block(False, particles, {"lp": height, "acceptance_rate": acceptance})

    def info(self, state: SMCState) -> Info:
        """How far the populations are, and the evidence that each of them has found."""
        reached = float(state.temperature.min())
        facts: dict[str, Any] = {"sampler": "SMC", "temperature_steps": int(state.done)}
        facts |= {"prior_draws": self.populations * self.particles, "prior_draws_impossible": int(state.impossible)}
        facts |= {"moves": int(state.moved), "moves_impossible": int(state.moved_impossible)}
        facts |= {"leapfrogs": int(state.leapfrogs)}
        if finished := bool(state.drawn):
            evidence, error = combined_evidence(state.log_evidence)
            facts |= {"log_evidence": evidence, "log_evidence_error": error}
            facts |= {"log_evidence_of_populations": state.log_evidence.tolist()}
        return Info(int(state.done), None, finished, f"temperature {reached:.3g}", facts, "temperature step")

    def save(self, state: SMCState) -> dict[str, np.ndarray]:
        """The state as arrays by name."""
        return {k: np.asarray(v) for k, v in state._asdict().items()}

    def restore(self, devices: Sequence[Any], saved: Mapping[str, np.ndarray], blocks: Sequence[Block]) -> SMCState:
        """The state that `save` returned."""
        return SMCState(**{k: saved[k] for k in SMCState._fields})


def _likelihood(problem: Problem, u: Z) -> Float[Array, ""]:
    value = problem.log_likelihood(problem.space.fold(u))
    return jnp.where(jnp.isfinite(value), value, _IMPOSSIBLE)


def _likelihoods(
    problem: Problem, u: Float[Array, "populations particles parameters"]
) -> Float[Array, "populations particles"]:
    return jax.vmap(jax.vmap(partial(_likelihood, problem)))(u)


def _moved(problem: Problem, moves: int, target_ess: float, *of_populations: Array) -> tuple[Array, ...]:
    """One step of all populations."""
    import blackjax  # a second to import
    from blackjax.smc import adaptive_tempered, resampling
    from blackjax.smc.tempered import TemperedSMCState

    move, prior, likelihood = blackjax.hmc.build_kernel(), problem.log_prior_unfolded, partial(_likelihood, problem)
    kernel = adaptive_tempered.build_kernel(
        prior, likelihood, move, blackjax.hmc.init, resampling.systematic, target_ess
    )

    def one(key, particles, weights, temperature, covariance, step_size, leapfrogs):
        moving, jittering = jax.random.split(key)
        jitter = 1 + _JITTER * jax.random.uniform(jittering, weights.shape, minval=-1.0)
        parameters = {
            "step_size": step_size * jitter,
            "inverse_mass_matrix": covariance[None],
            "num_integration_steps": leapfrogs[None],
        }
        state = TemperedSMCState(particles, weights, temperature)
        state, info = kernel(moving, state, moves, parameters)
        height = jax.vmap(prior)(state.particles) + jax.vmap(likelihood)(state.particles)
        accepted = jnp.mean(info.update_info.acceptance_rate)
        # The likelihood of a failed solve is far below all others, at any temperature that is not 0.
        ends = info.update_info.proposal.logdensity < _FAR * state.tempering_param
        return *state, info.log_likelihood_increment, accepted, height, ends

    return jax.vmap(one, in_axes=(0, 0, 0, 0, 0, 0, None))(*of_populations)


def _covariances(state: SMCState) -> Float[np.ndarray, "populations parameters parameters"]:
    """Covariances of the weighted particles of each population, for the mass matrix."""
    found = []
    for particles, weights in zip(state.particles, state.weights, strict=True):
        covariance = np.atleast_2d(np.cov(particles.T, aweights=weights))
        spread = np.diag(np.maximum(np.diag(covariance), 1e-12))
        found.append((1 - _KEPT) * covariance + _KEPT * spread)
    return np.array(found)


def combined_evidence(of_populations: Float[np.ndarray, " populations"]) -> tuple[float, float]:
    """log of the mean evidence of independent populations, in nats, and its standard error."""
    top = float(np.max(of_populations))
    evidence = np.exp(of_populations - top)
    error = evidence.std(ddof=1) / evidence.mean() / math.sqrt(len(evidence))
    return top + math.log(float(evidence.mean())), float(error)


__all__ = ["SMC", "SMCState", "combined_evidence"]
