"""`fit`: from a problem to a posterior in a folder, each stage kept so that a killed run resumes."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from warnings import warn

import jax.numpy as jnp
import numpy as np

from ..models.solvers.dispatch import uses_fused
from ..models.solvers.settings import Settings
from ..models.solvers.solver import Solver
from .checks.solver_choice import choose_solver, with_steps
from .optimisation.fits import SEARCH
from .optimisation.laplace import Curvature
from .optimisation.many_starts import find_map
from .optimisation.modes import Modes, find_modes, one_mode, restored_modes, stored_modes
from .problem.identity import Identity, run_parts, with_layout_of
from .problem.problem import Problem
from .sampler_choice import Method, Options, diverged_on_ridge
from .sampling.draws import Draws
from .sampling.runner import run_sampler
from .sampling.store import (
    StoreError,
    chunk_numbers,
    load_arrays,
    refuse_another,
    sampler_name,
    save_arrays,
    writable,
)
from .storage.files import remove_stale_parts
from .storage.lock import locked
from .warm_start import EarlierDraws, earlier_draws

if TYPE_CHECKING:
    from .result import Calibration

log = logging.getLogger(__name__)

START, CHAINS = "start.npz", "chains"  # in the folder of a fit
POPULATIONS = "populations"  # of SMC that `auto` takes after NUTS
_SEARCH_AGAIN = "remove it, and the same command looks for the best fit again; draws stay"


def fit(
    problem: Problem,
    out: str | Path,
    *,
    method: Method = "nuts",
    start: Calibration | str | Path | None = None,
    chains: int | None = None,
    warmup: int | None = None,
    draws: int | None = None,
    seed: int = 0,
    starts: int = 16,
    solver: Solver | None = None,
    target_acceptance: float | None = None,
    progress: bool = True,
    stop_after: float | None = None,
    say: Callable[[str], None] = log.info,
) -> Calibration | None:
    """Best fits, curvature, solver choice, a sampler: a posterior in the folder `out`.

    `out/map.json` is a record of the optimisation runs, `out/start.npz` holds what the sampler starts from,
    `out/chains/` its draws, and `out/posterior.nc` the posterior. A second call with the same arguments reuses the
    search and the draws that it finds there; with more `draws` of NUTS it continues the chains, whose first draws stay
    as they are.

    Parameters
    ----------
    problem : Problem
        What to calibrate.
    out : path
        The folder; made if it is missing.
    method : {"nuts", "smc", "auto"}
        The sampler. `"nuts"` begins at the best fits, and cannot weigh optima that its chains do not cross between;
        `"smc"` begins at the prior, weighs them, finds the evidence, and takes several times as long (see `SMC`);
        `"auto"` is `"smc"` if several optima may hold a share of the posterior, else `"nuts"`; if 1 in 1000 draws of
        NUTS diverge on a ridge, it goes on to SMC, in `out/populations/`.
    start : Calibration or path, optional
        An earlier result, or its folder: NUTS starts from its draws and their covariance. Parameters are matched by
        name. If all are in the result, nothing is searched; new ones start from the best fit.
    chains : int, optional
        Number of chains, by default 4; of SMC, of populations, by default 16.
    warmup : int, optional
        Iterations of each chain of NUTS in the warmup, by default 1000; 300 if a result with all parameters is the
        `start`. SMC has no warmup.
    draws : int, optional
        Iterations of each chain after the warmup, by default 1000; of SMC, the number of particles of each
        population, by default 250.
    seed : int
        Of all random numbers.
    starts : int
        Number of starts of the search for the best fits.
    solver : Fused, Diffrax or Auto, optional
        By default that of the problem's settings. If these name no method of diffrax's and the fused engine cannot
        solve the model, it is the cheapest of diffrax's solvers that agrees with Kvaerno5 within 1e-5 at the best fit
        and at draws of the Laplace approximation around it.
    target_acceptance : float, optional
        Mean acceptance probability that NUTS adapts its step size to, dimensionless; by default 0.8.
    progress : bool
        Whether to show progress bars.
    stop_after : float, optional
        Time in seconds after which the sampling stops.
    say : callable
        Takes a sentence on each step of the work; by default it is logged.

    Returns
    -------
    Calibration or None
        With the draws so far if the sampling was stopped; None if it was stopped within the warmup, or before the
        populations of SMC were at the posterior.

    Raises
    ------
    ValueError
        For an unknown solver or method, a problem without parameters to sample, counts that are too small, options
        that SMC does not have, and a `start` that has none of the parameters, or has them in other units.
    StoreError
        If `out` cannot be written, is damaged, or holds another run, naming what differs, or a longer one.
    LockedError
        If another process is at work there.
    """
    options = Options(method, chains, warmup, draws, seed, target_acceptance)
    options.check(problem, start is not None)
    folder = Path(out)
    writable(folder)
    if solver == "auto":
        warn('fit(solver="auto") is now solver=None; the old word goes with the next release', DeprecationWarning, 2)
        solver = None
    if solver is not None:
        problem = problem.with_settings(solver=solver)
    earlier = None if start is None else earlier_draws(problem, start, folder)
    with locked(folder):
        remove_stale_parts(folder)
        search = _Search(starts, seed, solver is None, progress, say, earlier)
        centre, chosen, modes = _start(problem, folder, search)
        result = _sampled(chosen, folder, options, centre, modes, search, stop_after)
    if result is None:
        return None
    from .result import Calibration  # brings xarray

    calibration = Calibration(chosen, folder, result, centre, modes)
    _ = calibration.tree  # written, so that the folder holds the posterior of these draws
    return calibration


class _Search(NamedTuple):
    """How the start of a sampler is looked for.

    `choose`: whether to choose the solver; `earlier`: draws of an earlier result that take part in it.
    """

    starts: int
    seed: int
    choose: bool
    progress: bool
    say: Callable[[str], None]
    earlier: EarlierDraws | None


def _sampled(
    problem: Problem,
    folder: Path,
    options: Options,
    start: Curvature,
    modes: Modes,
    search: _Search,
    stop_after: float | None,
) -> Draws | None:
    """The draws of the sampler that the options ask for; of `auto`, of SMC if NUTS diverged on a ridge."""
    began = time.monotonic()
    by_smc, why = options.choose(modes, search.earlier)
    for sentence in why:
        search.say(sentence)
    sampler = options.smc(problem) if by_smc else options.nuts(problem, start, modes, search.earlier)
    result = run_sampler(sampler, out=folder / CHAINS, progress=search.progress, stop_after=stop_after)
    if options.method != "auto" or by_smc or result is None or not result.complete:
        return result
    if not (ridge := diverged_on_ridge(result)):
        return result
    try:
        populations = options.smc(problem)
    except ValueError as error:
        search.say(f"{ridge}; SMC cannot sample it with these options: {error}")
        return result
    search.say(f"{ridge}. Sampling by SMC, from the prior; the draws of NUTS stay in {folder / CHAINS}")
    for sentence in options.words_of_unused():
        search.say(sentence)
    left = None if stop_after is None else max(0.0, stop_after - (time.monotonic() - began))
    return run_sampler(populations, out=folder / POPULATIONS, progress=search.progress, stop_after=left)


def describe_progress(folder: Path) -> str:
    """A sentence on what an interrupted fit has written to `folder`, and what the next one does with it."""
    for name in (POPULATIONS, CHAINS):
        if chunk_numbers(folder / name):
            what = "populations are" if sampler_name(folder / name) == "SMC" else "draws are"
            return f"{what} in {folder / name}, and the same command resumes the run"
    if (folder / START).is_file():
        return f"no draws yet; the best fit is in {folder}, and the same command resumes the run"
    return "nothing is kept yet, and the same command begins anew"


def _start(problem: Problem, folder: Path, search: _Search) -> tuple[Curvature, Problem, Modes]:
    """Where sampling starts, the problem with the chosen solver, and the optima: read from the folder, or computed."""
    solver, earlier = "chosen" if search.choose else "given", search.earlier
    parts = {
        "starts": search.starts,
        "solver": solver,
        **({} if earlier is None else {"earlier draws": earlier.digest}),
    }
    identity = run_parts(problem, seed=search.seed, **parts)
    if earlier is not None:
        search.say(earlier.sentence(problem))
    prepared = _load(folder / START, identity, problem.settings.solver)
    if prepared is None:
        start, modes = _centre(problem, folder, search)
        prepared = start, _settings(problem, start, search), modes
        texts = {"identity": json.dumps(identity), "settings": json.dumps(prepared[1].stored())}
        save_arrays(
            folder / START, {**{n: np.array(t) for n, t in texts.items()}, **start._asdict(), **stored_modes(modes)}
        )
    chosen = with_layout_of(prepared[1], problem.settings)
    # The problem itself where it can be: what is compiled for it stays.
    solved = problem if chosen == problem.settings else problem.with_settings(chosen)
    return prepared[0], solved, prepared[2]


def _centre(problem: Problem, folder: Path, search: _Search) -> tuple[Curvature, Modes]:
    """The highest mode with the curvature there, and all modes worth a chain; of earlier draws, their normal."""
    earlier = search.earlier
    if earlier is None:
        return _best_fits(problem, folder, search)
    usual = None
    if len(earlier.places) < len(problem.space):
        usual, _ = _best_fits(problem, folder, search)
    start = earlier.centre(usual)
    return start, one_mode(start)


def _best_fits(problem: Problem, folder: Path, search: _Search) -> tuple[Curvature, Modes]:
    """The highest mode with the curvature there, and all modes worth a chain."""
    say = search.say
    say(f"looking for the best fit from {search.starts} starts")
    fits = find_map(problem, starts=search.starts, seed=search.seed, progress=search.progress)
    fits.save(folder / SEARCH)
    say(
        f"best −log posterior {fits.objective[0]:.2f}; {fits.near_best()} of {search.starts} starts within 0.1 of it, "
        f"{int(fits.converged.sum())} converged, {fits.redrawn} redrawn; evaluations failed: {fits.failed or 'none'}"
    )
    for sentence in fits.words():
        say(sentence)
    return find_modes(problem, fits, say)


def _settings(problem: Problem, start: Curvature, search: _Search) -> Settings:
    """The settings to sample with, with the solver chosen around the start if nobody named one."""
    if uses_fused(problem.model, problem.settings):
        search.say(f"solving with the fused engine at rtol {problem.settings.rtol:g}")
        return problem.settings
    if search.choose and problem.settings.diffrax.method is None:
        rng = np.random.default_rng([search.seed, 2])
        around = start.centre + rng.normal(size=(20, len(start.centre))) @ start.scale.T
        points = problem.space.fold(jnp.asarray(np.concatenate([start.centre[None], around])))
        choice = choose_solver(problem, np.asarray(points))
        search.say(str(choice))
        return choice.problem.settings
    return with_steps(problem, problem.settings.diffrax).settings


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
