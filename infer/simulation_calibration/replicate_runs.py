"""`sbc`: replicate after replicate, each on disk as it ends, so that a killed run resumes."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tqdm import tqdm

from ...models.compiled.jumps import check_smooth
from ...models.solvers.dispatch import falls_back
from ..problem.identity import run_parts
from ..problem.problem import Problem
from ..problem.usage import check_sampled
from ..sampling import nuts
from ..sampling.store import Store, chunk_numbers
from .calibration_check import LEAST_RANKED, CalibrationCheck, check_of
from .replicate import RANKED, Effort, Replicate, quantities_of, run_replicate

FEWEST = 20  # replicates: the ranks of fewer look uniform, whatever they are
RESULT = "sbc.npz"  # the file of a check, in the folder of its replicates


@falls_back
def sbc(
    problem: Problem,
    *,
    replicates: int = 200,
    seed: int = 0,
    chains: int = 2,
    warmup: int = 300,
    draws: int = 300,
    starts: int = 4,
    target_acceptance: float = 0.8,
    level: float = 0.01,
    out: str | Path | None = None,
    progress: bool = True,
    stop_after: float | None = None,
) -> CalibrationCheck | None:
    """Simulation-based calibration: whether posteriors of simulated measurements cover the truth as often as they say.

    Each replicate draws parameters and integrated scales from the prior, simulates measurements with noise, records
    them as the instrument would (limits included), finds the best fit, samples by NUTS, and ranks the truth among the
    draws. If model, likelihood and sampler are right, the ranks of each quantity are uniform.

    Parameters
    ----------
    problem : Problem
        What to check. Its measured values are not used; its rows and their limits are.
    replicates : int
        How many, at least 20. A folder with some of them resumes, also with more replicates than before.
    seed : int
        Of all random numbers. Each replicate has its own, whatever the others do.
    chains, warmup, draws : int
        Of NUTS, for each replicate.
    starts : int
        Number of starts of the search for the best fit, as in `find_map`.
    target_acceptance : float
        Mean acceptance probability that NUTS adapts its step size to, dimensionless.
    level : float
        Probability of the verdict `not calibrated` if all is right; dimensionless.
    out : path, optional
        A folder for each replicate as it ends, and the result, `sbc.npz`.
    progress : bool
        Whether to show a progress bar.
    stop_after : float, optional
        Time in seconds after which no replicate is begun.

    Returns
    -------
    CalibrationCheck or None
        Ranks, p values, a verdict and what to do. None if it was stopped before a replicate had ranks.

    Raises
    ------
    ValueError
        For fewer than 20 replicates or draws, a problem without parameters to sample, and a model whose rates jump at
        a condition on the state.
    FloatingPointError
        If none of the first 20 replicates has ranks.
    StoreError
        If `out` cannot be written, is damaged, or holds another run, naming what differs.
    LockedError
        If another process is at work there.

    Notes
    -----
    Draws of a chain are not independent, which alone makes ranks uneven. So ranks are among `ranked` draws of each
    replicate, the same number for all: the 5% quantile over replicates of the smallest bulk ESS. Ties are broken at
    random. The test compares the ECDF of the ranks with its simultaneous envelope, and Holm's method corrects for the
    number of quantities. The log likelihood is among them since it depends on the data as well: a posterior that
    ignores a part of the data has uniform ranks of each parameter.

    References
    ----------
    Talts, Betancourt, Simpson, Vehtari and Gelman (2018), arXiv:1804.06788; Säilynoja, Bürkner and Vehtari (2022),
    Stat. Comput. 32, 32; Modrák, Moon, Kim, Bürkner, Huurre, Faltejsková, Gelman and Vehtari (2023), Bayesian Anal. 20,
    461-488.
    """
    effort = Effort(chains, warmup, draws, starts, target_acceptance)
    _check_arguments(problem, replicates, effort, level)
    identity = run_parts(problem, seed=seed, replicate={**effort._asdict(), "compared": RANKED})
    began, done = time.monotonic(), []
    with nullcontext() if out is None else Store.open(out, identity) as store, _each_warning_once():
        known = 0 if store is None else min(store.count, replicates)
        done = [] if store is None else [Replicate.of_arrays(store.load(i)) for i in range(known)]
        for index in tqdm(
            range(known, replicates), "replicates", initial=known, total=replicates, disable=not progress
        ):
            _check_not_all_failed(problem, done)
            if stop_after is not None and time.monotonic() - began > stop_after:
                break
            done.append(run_replicate(problem, effort, seed, index))
            if store is not None:
                store.append(done[-1].arrays())
        _check_not_all_failed(problem, done)
        if all(r.reason for r in done):
            return None
        result = check_of(problem.name, quantities_of(problem), done, level=level, complete=len(done) == replicates)
        if out is not None:
            result.save(Path(out) / RESULT)
    return result


def describe_replicates(folder: Path) -> str:
    """A sentence on what an interrupted run has written to `folder`, and what the next one does with it."""
    if count := len(chunk_numbers(folder)):
        return f"{count} replicates are in {folder}, and the same command resumes the run"
    return "nothing is kept yet, and the same command begins anew"


def _check_arguments(problem: Problem, replicates: int, effort: Effort, level: float) -> None:
    check_smooth(problem.model.name, problem.model.jumps)
    check_sampled(problem.name, problem.space.names)
    if replicates < FEWEST:
        raise ValueError(f"replicates must be at least {FEWEST}, not {replicates}: ranks of fewer show nothing")
    if effort.draws < LEAST_RANKED:
        raise ValueError(f"draws must be at least {LEAST_RANKED}, not {effort.draws}: the truth is ranked among them")
    for name in ("chains", "warmup", "starts"):
        if (count := getattr(effort, name)) < 1:
            raise ValueError(f"{name} must be at least 1, not {count}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}: it is the probability of a false alarm")


def _check_not_all_failed(problem: Problem, done: list[Replicate]) -> None:
    """Raises `FloatingPointError` if there are 20 replicates and none of them has ranks."""
    if len(done) < FEWEST or any(not r.reason for r in done):
        return
    reasons = ", ".join(f"{reason} ({n})" for reason, n in Counter(r.reason for r in done).items())
    redrawn = sum((Counter(r.redrawn) for r in done), Counter())
    failures = f"; draws of the prior failed as {dict(redrawn)}" if redrawn else ""
    raise FloatingPointError(
        f"no replicate of {problem.name!r} has ranks: {reasons}{failures}. Look at the model and the priors"
    )


@contextmanager
def _each_warning_once() -> Iterator[None]:
    """The sampler says of every replicate how few devices there are; once is enough."""
    said: set[str] = set()

    def first(record: logging.LogRecord) -> bool:
        new = record.getMessage() not in said
        said.add(record.getMessage())
        return new

    nuts.log.addFilter(first)
    try:
        yield
    finally:
        nuts.log.removeFilter(first)


__all__ = ["RESULT", "describe_replicates", "sbc"]
