"""`fit`: from a problem to a posterior in a folder, each stage kept so that a killed run resumes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args
from warnings import warn

import jax.numpy as jnp
import numpy as np

from ..models.listing import did_you_mean
from ..models.solvers.dispatch import uses_fused
from ..models.solvers.settings import Settings
from ..models.solvers.solver import Solver
from .checks.solver_choice import choose_solver, with_steps
from .optimisation.fits import SEARCH
from .optimisation.laplace import Curvature
from .optimisation.many_starts import find_map
from .optimisation.modes import Modes, chain_starts, find_modes, restored_modes, stored_modes
from .problem.identity import Identity, run_parts, with_layout_of
from .problem.problem import Problem
from .sampling.nuts import NUTS
from .sampling.runner import run_sampler
from .sampling.smc import SMC
from .sampling.store import StoreError, chunk_numbers, load_arrays, refuse_another, save_arrays, writable
from .storage.files import remove_stale_parts
from .storage.lock import locked

if TYPE_CHECKING:
    from .result import Calibration

log = logging.getLogger(__name__)

Method = Literal["nuts", "smc", "auto"]

START, CHAINS = "start.npz", "chains"  # in the folder of a fit
_SEARCH_AGAIN = "remove it, and the same command looks for the best fit again; draws stay"


def fit(
    problem: Problem,
    out: str | Path,
    *,
    method: Method = "nuts",
    chains: int | None = None,
    warmup: int = 1000,
    draws: int | None = None,
    seed: int = 0,
    starts: int = 16,
    solver: Solver | None = None,
    target_acceptance: float = 0.8,
    progress: bool = True,
    stop_after: float | None = None,
    say: Callable[[str], None] = log.info,
) -> Calibration | None:
    """Best fits, curvature, solver choice, a sampler: a posterior in the folder `out`.

    `out/map.json` is a record of the optimisation runs, `out/start.npz` holds what the sampler starts from,
    `out/chains/` its draws, and `out/posterior.nc` the posterior. A second call with the same arguments reuses the
    search and the draws that it finds there.

    Parameters
    ----------
    problem : Problem
        What to calibrate.
    out : path
        The folder; made if it is missing.
    method : {"nuts", "smc", "auto"}
        The sampler. `"nuts"` begins at the best fits, and cannot weigh optima that its chains do not cross between;
        `"smc"` begins at the prior, weighs them, finds the evidence, and takes several times as long (see `SMC`);
        `"auto"` is `"smc"` if several optima may hold a share of the posterior, else `"nuts"`.
    chains : int, optional
        Number of chains, by default 4; of SMC, of populations, by default 16.
    warmup, draws : int
        Iterations of each chain in the warmup, and after it, by default 1000. SMC has no warmup, and `draws` is the
        number of particles of each population, by default 250.
    seed : int
        Of all random numbers.
    starts : int
        Number of starts of the search for the best fits.
    solver : Fused, Diffrax or Auto, optional
        By default that of the problem's settings. If these name no method of diffrax's and the fused engine cannot
        solve the model, it is the cheapest of diffrax's solvers that agrees with Kvaerno5 within 1e-5 at the best fit
        and at draws of the Laplace approximation around it.
    target_acceptance : float
        Mean acceptance probability that NUTS adapts its step size to, dimensionless.
    progress : bool
        Whether to show progress bars.
    stop_after : float, optional
        Time in seconds after which the sampling stops.
    say : callable
        Takes a sentence on each step of the work; by default it is logged.

    Returns
    -------
    Calibration or None
        With the draws so far if the sampling was stopped; None if it was stopped within the warmup.

    Raises
    ------
    ValueError
        For an unknown solver or method, a problem without parameters to sample, and counts that are too small.
    StoreError
        If `out` cannot be written, is damaged, or holds another run, naming what differs.
    LockedError
        If another process is at work there.
    """
    if method not in (known := get_args(Method)):
        raise ValueError(f"unknown method {method!r}: choose {', '.join(known)}{did_you_mean([method], known)}")
    folder = Path(out)
    if method == "smc":
        _smc(problem, chains, draws, seed)  # what is wrong with the counts is said before the search
    writable(folder)
    if solver == "auto":
        warn('fit(solver="auto") is now solver=None; the old word goes with the next release', DeprecationWarning, 2)
        solver = None
    if solver is not None:
        problem = problem.with_settings(solver=solver)
    with locked(folder):
        remove_stale_parts(folder)
        start, chosen, modes = _start(problem, folder, starts, seed, solver is None, progress, say)
        if _by_smc(method, modes, say):
            sampler = _smc(chosen, chains, draws, seed)
        else:
            chains = 4 if chains is None else chains
            sampler = NUTS(
                chosen,
                start,
                chains=chains,
                warmup=warmup,
                draws=1000 if draws is None else draws,
                seed=seed,
                initial=chain_starts(chosen, modes, chains, seed),
                origins=modes.origins(chains),
                target_acceptance=target_acceptance,
            )
        result = run_sampler(sampler, out=folder / CHAINS, progress=progress, stop_after=stop_after)
    if result is None:
        return None
    from .result import Calibration  # brings xarray

    calibration = Calibration(chosen, folder, result, start, modes)
    _ = calibration.tree  # written, so that the folder holds the posterior of these draws
    return calibration


def _smc(problem: Problem, populations: int | None, particles: int | None, seed: int) -> SMC:
    """The sampler, by default with its own counts."""
    counts = {"populations": populations, "particles": particles}
    return SMC(problem, seed=seed, **{name: n for name, n in counts.items() if n is not None})


def _by_smc(method: Method, modes: Modes, say: Callable[[str], None]) -> bool:
    """Whether to sample by SMC. If the method is `auto`, says why."""
    if method != "auto":
        return method == "smc"
    if len(modes) > 1:
        say(f"sampling by SMC: {len(modes)} optima may hold a share of the posterior, and NUTS cannot weigh them")
    else:
        say("sampling by NUTS: one optimum holds the posterior")
    return len(modes) > 1


def describe_progress(folder: Path) -> str:
    """A sentence on what an interrupted fit has written to `folder`, and what the next one does with it."""
    if chunk_numbers(folder / CHAINS):
        return f"draws are in {folder / CHAINS}, and the same command resumes the run"
    if (folder / START).is_file():
        return f"no draws yet; the best fit is in {folder}, and the same command resumes the run"
    return "nothing is kept yet, and the same command begins anew"


def _start(
    problem: Problem, folder: Path, starts: int, seed: int, choose: bool, progress: bool, say: Callable[[str], None]
) -> tuple[Curvature, Problem, Modes]:
    """Where sampling starts, the problem with the chosen solver, and the optima: read from the folder, or computed."""
    identity = run_parts(problem, seed=seed, starts=starts, solver="chosen" if choose else "given")
    prepared = _load(folder / START, identity, problem.settings.solver)
    if prepared is None:
        prepared = _prepare(problem, folder, starts, seed, choose, progress, say)
        texts = {"identity": json.dumps(identity), "settings": json.dumps(prepared[1].stored())}
        parts = {**{n: np.array(t) for n, t in texts.items()}, **prepared[0]._asdict(), **stored_modes(prepared[2])}
        save_arrays(folder / START, parts)
    chosen = with_layout_of(prepared[1], problem.settings)
    # The problem itself where it can be: what is compiled for it stays.
    solved = problem if chosen == problem.settings else problem.with_settings(chosen)
    return prepared[0], solved, prepared[2]


def _prepare(
    problem: Problem, folder: Path, starts: int, seed: int, choose: bool, progress: bool, say: Callable[[str], None]
) -> tuple[Curvature, Settings, Modes]:
    """The highest mode with the curvature there, the solver to sample with, and all modes worth a chain."""
    say(f"looking for the best fit from {starts} starts")
    fits = find_map(problem, starts=starts, seed=seed, progress=progress)
    fits.save(folder / SEARCH)
    say(
        f"best −log posterior {fits.objective[0]:.2f}; {fits.near_best()} of {starts} starts within 0.1 of it, "
        f"{int(fits.converged.sum())} converged, {fits.redrawn} redrawn; evaluations failed: {fits.failed or 'none'}"
    )
    for sentence in fits.words():
        say(sentence)
    start, modes = find_modes(problem, fits)
    if uses_fused(problem.model, problem.settings):
        say(f"solving with the fused engine at rtol {problem.settings.rtol:g}")
        return start, problem.settings, modes
    if choose and problem.settings.diffrax.method is None:
        rng = np.random.default_rng([seed, 2])
        around = start.centre + rng.normal(size=(20, len(start.centre))) @ start.scale.T
        points = problem.space.fold(jnp.asarray(np.concatenate([start.centre[None], around])))
        choice = choose_solver(problem, np.asarray(points))
        say(str(choice))
        return start, choice.problem.settings, modes
    return start, with_steps(problem, problem.settings.diffrax).settings, modes


def _load(path: Path, identity: Identity, solver: Solver) -> tuple[Curvature, Settings, Modes] | None:
    if not path.exists():
        return None
    arrays = load_arrays(path, _SEARCH_AGAIN, unsealed=True)
    try:
        refuse_another(path.parent, json.loads(str(arrays["identity"])), identity)
        start = Curvature(**{k: arrays[k] for k in Curvature._fields})
        modes = restored_modes(arrays, list(arrays), start)
        return start, Settings.restored(json.loads(str(arrays["settings"])), solver), modes
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} is damaged ({error}): {_SEARCH_AGAIN}") from None


__all__ = ["describe_progress", "fit", "writable"]
