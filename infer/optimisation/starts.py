"""Starts of an optimiser: how they are drawn, which are still to be run, and what became of those that were."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from typing import Literal, Protocol

import jax
import numpy as np

from ...models.solvers.status import Status
from ..problem.parameter_space import ParameterSpace
from ..problem.problem import Problem

REDRAWS = 20  # of a start that fails, before it is given up
WIDE = (1e-5, 1e3)

Initial = Literal["prior", "wide"]


class OptimiserRun(Protocol):
    """One run of an optimiser: the best point so far, its objective, and why it ended (`reason`, empty before)."""

    z: np.ndarray
    value: float
    iterations: int
    evaluations: int
    reason: str
    trace: list[float]

    @property
    def started(self) -> bool: ...


def draw_start(problem: Problem, rng: np.random.Generator, initial: Initial) -> np.ndarray:
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


class Starts:
    """The starts still to be run and the runs done; shared by all threads."""

    def __init__(
        self,
        problem: Problem,
        count: int,
        seed: int,
        initial: Initial,
        points: np.ndarray | None,
        report: Callable[[float], object],
    ):
        """`points` are starts that the user gave. `report` is called with the lowest objective after each run."""
        self.problem, self.points, self.report = problem, points, report
        self.initial: Initial = initial
        self.random = [np.random.default_rng([seed, i]) for i in range(count)]
        self.waiting = list(reversed(range(count)))
        self.attempts: Counter[int] = Counter()
        self.done: dict[int, tuple[OptimiserRun, np.ndarray]] = {}
        self.failed: Counter[str] = Counter()
        self.failing: dict[str, np.ndarray] = {}  # the first z that failed in each way
        self.redrawn = 0
        self.stopped = False
        self.lock = threading.Lock()

    def next(self) -> tuple[int, np.ndarray] | None:
        """A start's number and its z; None if none is left."""
        with self.lock:
            if not self.waiting:
                return None
            index = self.waiting.pop()
        if self.points is not None and self.attempts[index] == 0:
            return index, np.asarray(self.points[index])
        return index, draw_start(self.problem, self.random[index], self.initial)

    def finish(self, index: int, run: OptimiserRun, start: np.ndarray) -> None:
        """Takes a finished run; if its start failed, another is to be drawn."""
        with self.lock:
            self.attempts[index] += 1
            if not run.started and self.attempts[index] <= REDRAWS:
                self.redrawn += 1
                self.waiting.append(index)
                return
            self.done[index] = (run, start)
            self.report(min(r.value for r, _ in self.done.values()))

    def count(self, status: int, z: np.ndarray) -> None:
        """Counts an evaluation if it failed."""
        if status == Status.OK:
            return
        with self.lock:
            self.failed[Status(status).label] += 1
            self.failing.setdefault(Status(status).label, z)
