"""One replicate: a truth, its measurements, a fit of them as of real ones, and where the truth lies among the draws."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple

import arviz_stats
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ..optimisation.many_starts import find_map
from ..optimisation.modes import chain_starts, find_modes
from ..posterior.draw_evaluation import map_draws, thinned
from ..problem.problem import Problem
from ..sampling.draws import Draws
from ..sampling.nuts import NUTS
from ..sampling.runner import run_sampler
from .truths import Truth, draw_truth

LIKELIHOOD = "log likelihood"
RANKED = 200  # draws of a replicate that are compared with the truth, at most
STAGES = ("truth", "search", "sampling", "ranks")

NO_TRUTH = "no draw of the prior gave measurements"
NO_FIT = "no best fit"
NO_CHAIN = "a chain found no start"
STILL = "draws that never move"


class Effort(NamedTuple):
    """How a replicate is fitted: the part of a run's identity that is not the problem's."""

    chains: int
    warmup: int
    draws: int
    starts: int
    target_acceptance: float


@dataclass(frozen=True, eq=False)
class Replicate:
    """The outcome of one replicate; quantities are those of `quantities_of`.

    `below` says of each compared draw whether it lies below the truth; `ess` is the smallest bulk ESS of all
    quantities, and `rhat` the largest R-hat, NaN of a single chain. `seconds` are those of `STAGES`. `reason` says why
    a replicate has no ranks, and is empty if it has.
    """

    below: Bool[np.ndarray, "draws quantities"] = field(default_factory=lambda: np.zeros((0, 0), bool))
    ess: float = np.nan
    rhat: float = np.nan
    diverging: int = 0
    redrawn: Mapping[str, int] = field(default_factory=dict)
    seconds: Float[np.ndarray, " stages"] = field(default_factory=lambda: np.zeros(len(STAGES)))
    reason: str = ""

    def arrays(self) -> dict[str, np.ndarray]:
        """The replicate as arrays by name."""
        redrawn = {
            "redrawn_kinds": np.array(list(self.redrawn), str),
            "redrawn": np.array([*self.redrawn.values()], int),
        }
        return {n: np.asarray(v) for n, v in asdict(self).items()} | redrawn

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Replicate:
        """The replicate that `arrays` wrote."""
        scalars = {n: arrays[n].item() for n in ("ess", "rhat", "diverging", "reason")}
        redrawn = dict(zip(arrays["redrawn_kinds"].tolist(), arrays["redrawn"].tolist(), strict=True))
        return cls(below=arrays["below"], seconds=arrays["seconds"], redrawn=redrawn, **scalars)


def quantities_of(problem: Problem) -> tuple[str, ...]:
    """The names of all that is ranked: sampled parameters, scales that are integrated out, and the log likelihood."""
    return (*problem.space.names, *problem.nuisance.names, LIKELIHOOD)


def run_replicate(problem: Problem, effort: Effort, seed: int, index: int) -> Replicate:
    """The replicate with this number, from random numbers of its own."""
    rng = np.random.default_rng([seed, index])
    of_search, of_chains = (int(n) for n in rng.integers(2**31, size=2))
    clock = [time.perf_counter()]
    truth, redrawn = draw_truth(problem, rng)
    clock.append(time.perf_counter())
    if truth is None:
        return _failed(NO_TRUTH, redrawn, clock)
    of_truth = problem.with_data(truth.rows)
    try:
        fits = find_map(of_truth, starts=effort.starts, seed=of_search, progress=False)
        start, modes = find_modes(of_truth, fits)
        initial = chain_starts(of_truth, modes, effort.chains, of_chains)
    except FloatingPointError:
        return _failed(NO_FIT, redrawn, [*clock, time.perf_counter()])
    clock.append(time.perf_counter())
    sampler = NUTS(
        of_truth,
        start,
        chains=effort.chains,
        warmup=effort.warmup,
        draws=effort.draws,
        seed=of_chains,
        initial=initial,
        origins=modes.origins(effort.chains),
        target_acceptance=effort.target_acceptance,
    )
    try:
        drawn = run_sampler(sampler, progress=False)
    except FloatingPointError:
        return _failed(NO_CHAIN, redrawn, [*clock, time.perf_counter()])
    assert drawn is not None  # nothing stops it
    clock.append(time.perf_counter())
    ranked = _compared(of_truth, truth, drawn, rng)
    return replace(ranked, redrawn=redrawn, seconds=np.diff([*clock, time.perf_counter()]))


def _failed(reason: str, redrawn: Counter[str], clock: list[float]) -> Replicate:
    seconds = np.zeros(len(STAGES))
    seconds[: len(clock) - 1] = np.diff(clock)
    return Replicate(reason=reason, redrawn=redrawn, seconds=seconds)


def _compared(problem: Problem, truth: Truth, drawn: Draws, rng: np.random.Generator) -> Replicate:
    """The truth among the draws; scales are drawn given each draw, and ties are broken at random."""
    chains, draws, parameters = drawn.z.shape
    some = thinned(chains * draws, RANKED)
    z = np.concatenate([truth.z[None], drawn.z.reshape(-1, parameters)[some]])
    likelihood, location, spread = map_draws(problem, _likelihood_and_scales, z)
    log_scales = location + spread * rng.standard_normal(location.shape)
    log_scales[0] = truth.log_scales
    values = np.concatenate([np.asarray(problem.space.search(jnp.asarray(z))), log_scales, likelihood[:, None]], axis=1)
    ties = rng.random(values[1:].shape) < 0.5
    below = (values[1:] < values[0]) | ((values[1:] == values[0]) & ties)
    traces = [*np.moveaxis(problem.space.standard(drawn.z), -1, 0), drawn.stats["lp"]]
    diverging = int(drawn.stats["diverging"].sum())
    if any(np.ptp(trace) == 0 for trace in traces):
        return Replicate(diverging=diverging, reason=STILL)
    ess = min(float(arviz_stats.ess(trace, method="bulk")) for trace in traces)
    rhat = max(float(arviz_stats.rhat(trace)) for trace in traces) if chains > 1 else np.nan
    return Replicate(below, ess, rhat, diverging)


def _likelihood_and_scales(problem: Problem, z: Float[Array, " parameters"]) -> tuple[Array | np.ndarray, ...]:
    """Log likelihood, and mean and standard deviation of the ln of each integrated scale given the data."""
    readout = problem.read(problem.values(z))
    terms, nuisance = problem.terms_of(readout), problem.nuisance
    scales = (jnp.zeros(0), jnp.zeros(0))
    if len(nuisance):
        scales = nuisance.conditional(jnp.asarray(problem.measured.value) - readout.mean, readout.sd)
    return jnp.sum(terms.rows) + jnp.sum(terms.scales), *scales


__all__ = ["LIKELIHOOD", "RANKED", "STAGES", "Effort", "Replicate", "quantities_of", "run_replicate"]
