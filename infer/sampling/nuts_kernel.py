"""NumPyro's NUTS for all runs of one shape: what a run brings of its own is an argument of what is compiled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback
from jaxtyping import Array, Float, Int

from ...late_imports import part_of_numpyro
from ...models.solvers.status import Status
from ..problem.failures import FailureCounter
from ..problem.measured import Measured
from ..problem.problem import Problem

if TYPE_CHECKING:
    from numpyro.infer.hmc import HMCState
    from numpyro.infer.util import ParamInfo


class ChainPlace(NamedTuple):
    """Where a chain moves: over w with u = centre + scale·w, of the density that the data give.

    `number` tells it from the chains of all runs, whose failed solves are counted in one place.
    """

    measured: Measured
    centre: Float[np.ndarray | Array, " parameters"]
    scale: Float[np.ndarray | Array, "parameters parameters"]
    number: int | Int[Array, ""]


class NUTSKernel:
    """The first state of a chain and its iterations, of `problem` with any data, under NumPyro's `options`."""

    def __init__(self, problem: Problem, options: tuple[tuple[str, Any], ...], chunk: int):
        self.problem, self.options, self.chunk = problem, dict(options), chunk
        self.failures = FailureCounter()
        self._first_state, self._next_state = part_of_numpyro("infer.hmc").hmc(
            potential_fn_gen=self._potential, algo="NUTS"
        )
        self._taken, self._lock = 0, threading.Lock()
        self.iterate = jax.jit(self._iterate)

    def numbers(self, count: int) -> range:
        """Numbers for so many chains that no other has."""
        with self._lock:
            self._taken += count
            return range(self._taken - count, self._taken)

    def init(self, info: ParamInfo, key: Array, place: ChainPlace) -> HMCState:
        """The first state of a chain, from w, its potential and gradient; solves nothing."""
        return self._first_state(info, rng_key=key, model_args=(place,), **self.options)

    def _potential(self, place: ChainPlace) -> Callable[[Float[Array, " parameters"]], Float[Array, ""]]:
        """−log density over w, which counts failed solves of a chain."""
        problem = self.problem.holding(place.measured)
        centre, scale = jnp.asarray(place.centre), jnp.asarray(place.scale)

        def potential(w):
            value, status = problem.objective_unfolded(centre + scale @ w)
            self.failures.record(status, place.number)
            return value

        return potential

    def _iterate(self, state: HMCState, place: ChainPlace, length) -> tuple[HMCState, dict]:
        """`length` iterations of one chain, compiled once for all lengths up to a chunk."""
        failures = self.failures
        take = jax.ShapeDtypeStruct((len(Status),), jnp.int64)

        def iterate(state):
            state = self._next_state(state, (place,), {})
            # Read after the iteration's own solves have counted: the new energy is an argument.
            kinds = io_callback(lambda c, _: failures.take_chain(int(c)), take, place.number, state.potential_energy)
            failed = jnp.sum(kinds) > 0
            return state, {
                "w": state.z,
                "lp": -state.potential_energy,
                "energy": state.energy,
                "n_steps": state.num_steps,
                "acceptance_rate": state.accept_prob,
                "diverging": state.diverging & ~failed,
                "failed": failed,
                "step_size": state.adapt_state.step_size,
                "kinds": kinds,
            }

        def put(i, carried):
            state, info = iterate(carried[0])
            return state, jax.tree.map(lambda all_, one: all_.at[i].set(one), carried[1], info)

        _, info = jax.eval_shape(iterate, state)
        empty = jax.tree.map(lambda x: jnp.zeros((self.chunk, *x.shape), x.dtype), info)
        return jax.lax.fori_loop(0, length, put, (state, empty))


__all__ = ["ChainPlace", "NUTSKernel"]
