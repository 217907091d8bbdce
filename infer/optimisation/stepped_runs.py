"""Runs of another library's optimiser, each in a thread of its own: one compiled call per step.

The objective is evaluated inside the library's code, where a line search may take many points per step. So each
evaluation reports itself to the run that it belongs to; a run's result is the lowest point that it has evaluated.
`jax.vmap` over runs would make all wait for the longest line search, and evaluate both branches of every condition:
on `hepg2`, 50 steps of 8 runs of `optax.lbfgs` took 0.44 s so, and 0.18 s one after the other (2 cores, no reports).
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ...models.solvers.placement import on
from ..problem.measured import Measured
from ..problem.problem import Objective, Problem
from .optimisers import Optimiser, PointObjective, RunVerdict
from .starts import Starts
from .stopping import FAILED_START, NO_DESCENT, Limits

_UNMOVED = 50  # steps in a row that lead nowhere, after which a run is given up; 40 halvings make 1e-12 of a step


class ReportedEvaluation(NamedTuple):
    """A reported evaluation; the gradient is None if the optimiser asked for the objective alone."""

    z: np.ndarray
    value: float
    gradient: np.ndarray | None
    status: int

    @property
    def usable(self) -> bool:
        """True if objective and gradient are finite."""
        return bool(np.isfinite(self.value) and (self.gradient is None or np.all(np.isfinite(self.gradient))))


class SteppedRun:
    """The progress of one run, from its evaluations and steps."""

    def __init__(self, start: np.ndarray, limits: Limits):
        self.limits = limits
        self.z, self.value, self.gradient = start, np.inf, None  # of the lowest evaluation
        self.position = start
        self.iterations = self.evaluations = self.unmoved = 0
        self.reason = ""
        self.trace: list[float] = []

    @property
    def started(self) -> bool:
        """True if the objective is finite at the start."""
        return bool(np.isfinite(self.value))

    def record(self, evaluations: list[ReportedEvaluation]) -> None:
        """Takes note of evaluations; the first of a run is at its start."""
        for evaluation in evaluations:
            self.evaluations += 1
            if self.evaluations == 1 and not evaluation.usable:
                self.reason = FAILED_START
                return
            if evaluation.usable and evaluation.value <= self.value:
                self.z, self.value = evaluation.z, evaluation.value
                self.gradient = evaluation.gradient
        if self.started and not self.trace:
            self.trace.append(self.value)

    def step(self, evaluations: list[ReportedEvaluation], position: np.ndarray, verdict: RunVerdict) -> None:
        """Takes the evaluations of a step, the point after it and the verdict; sets a `reason` to stop."""
        self.record(evaluations)
        if self.reason:
            return
        value = _value_at(position, evaluations)
        moved = np.isfinite(value) and not np.array_equal(position, self.position)
        self.position, self.unmoved = position, 0 if moved else self.unmoved + 1
        if moved:
            self.iterations += 1
            self.trace.append(value)
            gradient = np.full_like(self.z, np.inf) if self.gradient is None else self.gradient
            self.reason = self.limits.ending(self.trace, gradient, self.iterations)
        if not self.reason and verdict.converged:
            self.reason = "optimiser"
        if not self.reason and (verdict.failed or self.unmoved >= _UNMOVED):
            self.reason = NO_DESCENT


def _value_at(position: np.ndarray, evaluations: list[ReportedEvaluation]) -> float:
    """The objective at `position`; if no evaluated point equals it, as after rounding, the last evaluated objective."""
    last = evaluations[-1].value if evaluations else np.inf
    return next((e.value for e in evaluations if np.array_equal(e.z, position)), last)


class Steps:
    """An optimiser compiled for the objective of a problem with any data; threads may call it at once."""

    def __init__(self, optimiser: Optimiser, problem: Problem, kind: Objective):
        self.parameters, self.taken = len(problem.space), 0
        self.reports: defaultdict[int, list[ReportedEvaluation]] = defaultdict(list)
        self.lock, self.compiled = threading.Lock(), set()
        self.constant: Any = None  # in all states; known when `init` has been traced
        evaluate = _reporting(problem, kind, self._report)

        def init(measured: Measured, number: Int[Array, ""], z: Float[Array, " parameters"]) -> Any:
            arrays, self.constant = _split(optimiser.init(lambda z: evaluate(z, measured, number), z))
            return arrays

        def step(measured: Measured, number: Int[Array, ""], state: Any) -> Any:
            objective: PointObjective = lambda z: evaluate(z, measured, number)  # noqa: E731
            after = optimiser.step(objective, eqx.combine(state, self.constant))
            return _split(after)[0], optimiser.position(after), optimiser.verdict(objective, after)

        self.init, self.step = jax.jit(init), jax.jit(step)

    def _report(self, packed: Array) -> np.ndarray:
        number, value, status, *_ = row = np.asarray(packed)
        z, gradient = row[3 : 3 + self.parameters], row[3 + self.parameters :]
        evaluation = ReportedEvaluation(z, float(value), gradient if len(gradient) else None, int(status))
        self.reports[int(number)].append(evaluation)
        return np.asarray(value)

    def _call(self, name: str, device: Any, *arguments: Any) -> Any:
        """Calls `init` or `step`. Of several threads that call it for the first time, one compiles it for all."""
        function = getattr(self, name)
        if (name, device) in self.compiled:
            return jax.block_until_ready(function(*arguments))
        with self.lock:
            result = jax.block_until_ready(function(*arguments))
            self.compiled.add((name, device))
            return result

    def run(self, start: np.ndarray, starts: Starts, limits: Limits, device: Any) -> SteppedRun:
        """A whole run; without a `reason` if all were stopped."""
        with self.lock:
            self.taken += 1  # the runs of other searches report here, too
            key = self.taken
        measured, number = jax.device_put((starts.problem.measured, np.array(key)), device)
        run = SteppedRun(start, limits)
        with on(device):
            state = self._call("init", device, measured, number, jax.device_put(start, device))
            run.record(self._take_evaluations(key, starts))
            while not (run.reason or starts.stopped):
                state, position, verdict = self._call("step", device, measured, number, state)
                run.step(self._take_evaluations(key, starts), np.asarray(position), verdict)
        return run

    def _take_evaluations(self, key: int, starts: Starts) -> list[ReportedEvaluation]:
        """The evaluations of a run since the last call; counts those that failed."""
        evaluations = self.reports.pop(key, [])
        for evaluation in evaluations:
            starts.count(evaluation.status, evaluation.z)
        return evaluations


def run_stepped(starts: Starts, steps: Steps, limits: Limits, device: Any) -> None:
    """One run after the other on one device until no start is left."""
    while not starts.stopped and (entry := starts.next()):
        index, start = entry
        run = steps.run(start, starts, limits, device)
        if run.reason:
            starts.finish(index, run, start)


def _reporting(problem: Problem, kind: Objective, report: Callable[..., np.ndarray]) -> Callable[..., Array]:
    """The objective of z, data and a run's number, which calls `report` with each evaluation."""

    def reported(number, value, status, *points) -> Array:
        # One array, as each argument takes time. Not `io_callback`: JAX calls what holds one by way of Python, in 1 ms.
        # Nothing is left out or done twice here, since the value that comes back is the one that is used.
        head = jnp.stack([number.astype(value.dtype), value, status.astype(value.dtype)])
        shape = jax.ShapeDtypeStruct((), value.dtype)
        return jax.pure_callback(report, shape, jnp.concatenate([head, *points]), vmap_method="sequential")

    @jax.custom_vjp
    def evaluate(z, measured, number):
        value, status = problem.holding(measured).objective(z, kind)
        return reported(number, value, status, z)

    def forward(z, measured, number):
        differentiated = jax.value_and_grad(partial(problem.holding(measured).objective, kind=kind), has_aux=True)
        (value, status), gradient = differentiated(z)
        return reported(number, value, status, z, gradient), gradient

    def reverse(gradient, by_value):
        return by_value * gradient, None, None

    evaluate.defvjp(forward, reverse)
    return evaluate


def _split(state: Any) -> tuple[Any, Any]:
    """The arrays of a state, and what is constant in it, such as functions.

    The arrays have strong types: with weak ones the second step would compile anew.
    """
    arrays, constant = eqx.partition(state, eqx.is_array)
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), arrays), constant
