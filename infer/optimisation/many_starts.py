"""`find_map`: many starts at once, the best fits ranked, failures counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

from ...models.compiled.jumps import check_smooth
from ...models.listing import check_word
from ...models.solvers.dispatch import falls_back
from ...models.solvers.machine import usable_cores
from ..problem.problem import Objective, Problem
from ..problem.usage import check_sampled
from .batched_runs import run_batched
from .fits import Fits
from .optima import Optimum, find_optima
from .starts import REDRAWS, Initial, Starts
from .stopping import Limits

if TYPE_CHECKING:
    import optax
    import optimistix

    from .optimisers import Optimiser


@falls_back
def find_map(
    problem: Problem,
    *,
    starts: int | np.ndarray = 50,
    seed: int = 0,
    objective: Objective = "posterior",
    initial: Initial = "prior",
    optimiser: optax.GradientTransformation | optimistix.AbstractMinimiser | None = None,
    max_iterations: int = 1000,
    gradient_tolerance: float = 1e-3,
    value_tolerance: float = 1e-5,
    lanes: int = 8,
    progress: bool = True,
) -> Fits:
    """Minimises the objective from many starts and ranks the results.

    Starts run side by side. A start whose simulation fails is drawn anew, a failing step is shortened, and a non-finite
    value never counts as converged. The result of a run is the lowest point that it found.

    Parameters
    ----------
    problem : Problem
        What to fit.
    starts : int or array, starts × parameters
        How many, or the points z to begin at (dimensionless).
    seed : int
        Of the random starts.
    objective : str
        `"posterior"`, `"likelihood"` or `"density"`; see `Problem.objective`.
    initial : str
        Draws starts from the priors (`"prior"`), or log-uniformly over 1e-5 to 1e3 within the priors' bounds
        (`"wide"`).
    optimiser : optax.GradientTransformation or optimistix.AbstractMinimiser, optional
        By default hexamer's L-BFGS, whose runs share batched evaluations. Others, such as `optax.lbfgs()` or
        `optimistix.BFGS(rtol=1e-8, atol=1e-8)`, run in threads, a start in each. A minimiser of optimistix also ends by
        its own tolerances.
    max_iterations : int
        Most iterations per run.
    gradient_tolerance : float
        A run ends when max |∂/∂z| is at most this, in nats (z is dimensionless).
    value_tolerance : float
        A run also ends when ten iterations gain no more than this, in nats.
    lanes : int
        Runs that share one batched evaluation, or threads, on each device, which bounds memory; a finished lane takes
        the next start.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Fits
        All runs, best first.

    Raises
    ------
    ValueError
        For a model whose rates jump at a condition on the state, as its gradient leaves something out; for a problem
        without parameters to search; for `starts` of the wrong shape; if `initial="wide"` leaves nothing within a
        parameter's bounds.
    TypeError
        For an optimiser that is neither.
    FloatingPointError
        If all starts fail.
    """
    began = time.perf_counter()
    check_smooth(problem.model.name, problem.model.jumps)
    check_sampled(problem.name, problem.space.names)
    check_word("initial", initial, get_args(Initial))
    check_word("objective", objective, get_args(Objective))
    points = starts if isinstance(starts, np.ndarray) else None
    count = len(points) if points is not None else int(starts)  # pyright: ignore[reportArgumentType]
    if count < 1:
        raise ValueError(f"starts must be at least 1, not {count}")
    if points is not None and points.shape != (count, len(problem.space)):
        raise ValueError(f"starts must be starts × {len(problem.space)} parameters, not of shape {points.shape}")
    adapted = _adapted(optimiser)
    limits = Limits(gradient_tolerance, value_tolerance, max_iterations)
    evaluate = problem.compiled(_values_and_gradients, objective)
    with problem.placed(min(lanes, count)) as devices, tqdm(total=count, desc="starts", disable=not progress) as bar:
        devices = devices[: max(1, min(usable_cores(), count) if devices[0].platform == "cpu" else count)]
        lanes = max(1, min(lanes, -(-count // len(devices))))
        state = Starts(problem, count, seed, initial, points, partial(_show, bar))
        if adapted is None:
            work = [partial(run_batched, state, evaluate, limits, lanes, device) for device in devices]
        else:
            work = _stepped(adapted, state, objective, limits, lanes, devices)
        _run_all(state, work)
        return _ranked(state, objective, evaluate, lanes, began)


def _values_and_gradients(problem: Problem, objective: Objective, z: Float[Array, "lanes parameters"]):
    return jax.vmap(jax.value_and_grad(partial(problem.objective, kind=objective), has_aux=True))(z)


def _adapted(optimiser: object) -> Optimiser | None:
    """An optimiser of another library behind hexamer's protocol; None for hexamer's own."""
    if optimiser is None:
        return None
    from .optimisers import adapted  # imports optax and optimistix

    return adapted(optimiser)


def _stepped(
    optimiser: Optimiser, state: Starts, objective: Objective, limits: Limits, lanes: int, devices: Sequence[Any]
) -> list[Callable[[], None]]:
    """The work of each thread for an optimiser of another library."""
    from .stepped_runs import Steps, run_stepped

    # An optimiser's identity is that of its functions: the same object shares what is compiled, an equal one does not.
    steps = state.problem.once((Steps, optimiser, objective), lambda shape: Steps(optimiser, shape, objective))
    return [partial(run_stepped, state, steps, limits, device) for device in devices for _ in range(lanes)]


def _show(bar: tqdm, best: float) -> None:
    bar.update()
    bar.set_postfix(best=f"{best:.2f}")


def _run_all(state: Starts, work: Sequence[Callable[[], None]]) -> None:
    """Runs all starts, a thread for each piece of work."""
    with ThreadPoolExecutor(len(work)) as pool:
        futures = [pool.submit(piece) for piece in work]
        try:
            for future in futures:
                future.result()
        except BaseException:
            state.stopped = True  # the other threads end with the evaluation in hand
            raise


def _ranked(state: Starts, objective: Objective, evaluate: Callable[..., Any], lanes: int, began: float) -> Fits:
    """The results of all starts, best first."""
    problem, count = state.problem, len(state.random)
    done = state.done
    order = sorted(range(count), key=lambda i: done[i][0].value if done[i][0].started else np.inf)
    runs = [done[i][0] for i in order]
    notes = _why_failed(problem, state.failing)
    if not runs[0].started:
        reason = ". ".join([*notes, "Look at the model and the priors"])
        raise FloatingPointError(f"all {count} starts fail, {REDRAWS} redraws each ({dict(state.failed)}): {reason}")
    z, values = np.array([r.z for r in runs]), np.array([r.value for r in runs])
    optima = _grouped(problem, evaluate, lanes, z, np.where([r.started for r in runs], values, np.inf))
    return Fits(
        problem=problem,
        kind=objective,
        z=z,
        start=np.array([done[i][1] for i in order]),
        objective=values,
        reason=tuple(r.reason for r in runs),
        iterations=np.array([r.iterations for r in runs]),
        evaluations=np.array([r.evaluations for r in runs]),
        failed=dict(state.failed),
        redrawn=state.redrawn,
        traces=tuple(np.array(r.trace) for r in runs),
        seconds=time.perf_counter() - began,
        optima=optima,
        notes=notes,
    )


def _why_failed(problem: Problem, failing: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Sentences on failures, from one z of each kind of them."""
    said = (problem.why_failed([kind], problem.values(jnp.asarray(z))) for kind, z in failing.items())
    return tuple(dict.fromkeys(sentence for sentences in said for sentence in sentences))


def _grouped(problem: Problem, compiled, lanes: int, z: np.ndarray, values: np.ndarray) -> tuple[Optimum, ...]:
    """Optima among fits, with the evaluation that was compiled for so many lanes."""

    def evaluate(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = []
        for first in range(0, len(points), lanes):
            part = points[first : first + lanes]
            full = np.concatenate([part, np.repeat(part[-1:], lanes - len(part), axis=0)])
            (value, _), gradient = compiled(jnp.asarray(full))
            parts.append((np.asarray(value)[: len(part)], np.asarray(gradient)[: len(part)]))
        value, gradient = (np.concatenate(p) for p in zip(*parts, strict=True))
        return value, gradient

    points = problem.space.one_sided(z)
    return find_optima(evaluate, points, values, problem.space.standard(points))
