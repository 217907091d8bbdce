"""`find_map`: many starts at once, the best fits ranked, failures counted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ...models.compiled.jumps import check_smooth
from ...models.solvers.dispatch import falls_back
from ...models.solvers.machine import usable_cores
from ...models.solvers.placement import on
from ...models.solvers.status import Status
from ..problem.parameter_space import ParameterSpace
from ..problem.problem import Objective, Problem
from .fits import Fits
from .lbfgs import Minimiser
from .optima import Optimum, find_optima

REDRAWS = 20  # of a start that fails, before it is given up
WIDE = (1e-5, 1e3)


def draw_start(problem: Problem, rng: np.random.Generator, initial: Literal["prior", "wide"]) -> np.ndarray:
    """A random start: from the priors, or log-uniform over 1e-5 to 1e3 (within the priors' bounds)."""
    if initial == "prior":
        return np.asarray(problem.space.sample(jax.random.key(int(rng.integers(2**31)))))
    values: dict[str, float] = {}
    for parameter in problem.space.parameters:
        alone = ParameterSpace([parameter])
        for _ in range(1000):
            value = {parameter.name: float(10 ** rng.uniform(*np.log10(WIDE)))}
            with contextlib.suppress(ValueError):
                alone.unconstrain(value)
                values |= value
                break
        else:
            raise ValueError(f"nothing of 1e-5 to 1e3 lies within the bounds of {parameter.name}: use initial='prior'")
    return problem.space.unconstrain(values)


@falls_back
def find_map(
    problem: Problem,
    *,
    starts: int | np.ndarray = 50,
    seed: int = 0,
    objective: Objective = "posterior",
    initial: Literal["prior", "wide"] = "prior",
    max_iterations: int = 1000,
    gradient_tolerance: float = 1e-3,
    value_tolerance: float = 1e-5,
    lanes: int = 8,
    progress: bool = True,
) -> Fits:
    """Minimises the objective from many starts by L-BFGS and ranks the results.

    Starts run side by side. A start whose simulation fails is drawn anew, a failing step is shortened, and a non-finite
    value never counts as converged.

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
    max_iterations : int
        Most iterations per run.
    gradient_tolerance : float
        A run ends when max |∂/∂z| is at most this, in nats (z is dimensionless).
    value_tolerance : float
        A run also ends when ten iterations gain less than this, in nats.
    lanes : int
        Runs that share one batched evaluation on each device, which bounds memory; a finished lane takes the next
        start.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Fits
        All runs, best first.

    Raises
    ------
    ValueError
        For a model whose rates jump at a condition on the state, as its gradient leaves something out; for `starts` of
        the wrong shape; if `initial="wide"` leaves nothing within a parameter's bounds.
    FloatingPointError
        If all starts fail.
    """
    began = time.perf_counter()
    check_smooth(problem.model.name, problem.model.jumps)
    points = starts if isinstance(starts, np.ndarray) else None
    count = len(points) if points is not None else int(starts)  # pyright: ignore[reportArgumentType]
    if count < 1:
        raise ValueError(f"starts must be at least 1, not {count}")
    if points is not None and points.shape != (count, len(problem.space)):
        raise ValueError(f"starts must be starts × {len(problem.space)} parameters, not of shape {points.shape}")
    state = _Queue(problem, count, seed, initial, points, max_iterations, gradient_tolerance, value_tolerance)
    with problem.placed(min(lanes, count)) as devices:
        return _search(state, objective, devices, lanes, progress, began)


def _search(state: _Queue, objective: Objective, devices: Sequence, lanes: int, progress: bool, began: float) -> Fits:
    """Runs all starts over JAX's devices, and ranks what they come to."""
    problem, count = state.problem, len(state.random)
    evaluate = jax.jit(jax.vmap(jax.value_and_grad(lambda z: problem.objective(z, objective), has_aux=True)))
    devices = devices[: max(1, min(usable_cores(), count) if devices[0].platform == "cpu" else count)]
    lanes = max(1, min(lanes, -(-count // len(devices))))
    with (
        tqdm(total=count, desc="starts", disable=not progress) as bar,
        ThreadPoolExecutor(len(devices)) as pool,
    ):
        futures = [pool.submit(_work, state, evaluate, lanes, device, bar) for device in devices]
        try:
            for future in futures:
                future.result()
        except BaseException:
            state.stopped = True  # the other devices end with the evaluation in hand
            raise
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
        found = []
        for first in range(0, len(points), lanes):
            part = points[first : first + lanes]
            full = np.concatenate([part, np.repeat(part[-1:], lanes - len(part), axis=0)])
            (value, _), gradient = compiled(jnp.asarray(full))
            found.append((np.asarray(value)[: len(part)], np.asarray(gradient)[: len(part)]))
        value, gradient = (np.concatenate(p) for p in zip(*found, strict=True))
        return value, gradient

    points = problem.space.one_sided(z)
    return find_optima(evaluate, points, values, problem.space.standard(points))


class _Queue:
    """The starts still to be run and those done; shared by the devices' threads."""

    def __init__(self, problem, count, seed, initial, points, max_iterations, gradient_tolerance, value_tolerance):
        self.problem, self.initial, self.points = problem, initial, points
        self.limits = (gradient_tolerance, value_tolerance, max_iterations)
        self.random = [np.random.default_rng([seed, i]) for i in range(count)]
        self.waiting = list(reversed(range(count)))
        self.attempts: Counter[int] = Counter()
        self.done: dict[int, tuple[Minimiser, np.ndarray]] = {}
        self.failed: Counter[str] = Counter()
        self.failing: dict[str, np.ndarray] = {}  # the first z that failed in each way
        self.redrawn = 0
        self.stopped = False
        self.lock = threading.Lock()

    def next(self) -> tuple[int, Minimiser, np.ndarray] | None:
        with self.lock:
            if not self.waiting:
                return None
            index = self.waiting.pop()
        if self.points is not None and self.attempts[index] == 0:
            z = np.asarray(self.points[index])
        else:
            z = draw_start(self.problem, self.random[index], self.initial)
        return index, Minimiser(z, *self.limits), z

    def finish(self, index: int, run: Minimiser, start: np.ndarray) -> bool:
        """Takes a finished run; False where its start failed and another is to be drawn."""
        with self.lock:
            self.attempts[index] += 1
            if not run.started and self.attempts[index] <= REDRAWS:
                self.redrawn += 1
                self.waiting.append(index)
                return False
            self.done[index] = (run, start)
            return True

    def count(self, statuses: Sequence[int], points: Sequence[np.ndarray]) -> None:
        with self.lock:
            for status, z in zip(statuses, points, strict=True):
                if status != Status.OK:
                    self.failed[Status(status).label] += 1
                    self.failing.setdefault(Status(status).label, z)


def _work(queue: _Queue, evaluate, lanes: int, device, bar: tqdm) -> None:
    """Keeps `lanes` runs going on one device until no start is left."""
    running: list[tuple[int, Minimiser, np.ndarray] | None] = [None] * lanes
    while not queue.stopped:
        for lane in range(lanes):
            if running[lane] is None:
                running[lane] = queue.next()
        active = [r for r in running if r is not None]
        if not active:
            return
        # Empty lanes repeat a live one: the shape, and with it the compiled function, stays.
        points = np.array([(r or active[0])[1].trial for r in running])
        with on(device):
            (values, statuses), gradients = evaluate(jax.device_put(points, device))
        values, statuses, gradients = np.asarray(values), np.asarray(statuses), np.asarray(gradients)
        busy = [lane for lane, entry in enumerate(running) if entry is not None]
        queue.count([int(statuses[lane]) for lane in busy], [points[lane] for lane in busy])
        for lane, entry in enumerate(running):
            if entry is None:
                continue
            index, run, start = entry
            run.tell(float(values[lane]), gradients[lane])
            if run.reason:
                running[lane] = None
                if queue.finish(index, run, start):
                    bar.update()
                    bar.set_postfix(best=f"{min(r.value for r, _ in list(queue.done.values())):.2f}")
