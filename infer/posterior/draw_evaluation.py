"""Simulates draws: predictions, likelihood terms, and the conditional distributions of integrated scales."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ...models.solvers.dispatch import falls_back
from ..problem.parts import log_density_of_parts
from ..problem.problem import Problem

CHUNK = 256  # draws handed to the device at once
BATCH = 32  # draws simulated at once

OfDraw = Callable[[Problem, Array], tuple[Array | np.ndarray, ...]]


class Evaluated(NamedTuple):
    """Everything about draws that takes a simulation; the leading axis is that of the draws."""

    mean: Float[np.ndarray, "draws rows"]  # on each observable's scale, at scales = 1 where integrated out
    sd: Float[np.ndarray, "draws rows"]
    rows: Float[np.ndarray, "draws rows"]  # log density; where a scale is integrated out, given its other rows
    scales: Float[np.ndarray, "draws scales"]  # joint log density of all rows of each scale that is integrated out
    location: Float[np.ndarray, "draws scales"]  # of ln s given the data
    spread: Float[np.ndarray, "draws scales"]
    status: Int[np.ndarray, "draws protocols"]
    lowest: Float[np.ndarray, "draws species"]  # how far below 0 the model takes it

    def of(self, draws: slice) -> Evaluated:
        """The results of some of the draws."""
        return Evaluated(*(array[draws] for array in self))


@falls_back
def evaluate_draws(problem: Problem, z: Float[np.ndarray, "draws parameters"]) -> Evaluated:
    """Simulates every draw, in chunks, so that memory is bounded; compiled once."""
    found = Evaluated(*map_draws(problem, _evaluated, z))
    each = np.arange(len(problem.dataset))
    return found._replace(rows=log_density_of_parts(problem, found.mean, found.sd, found.rows, each))


def _evaluated(problem: Problem, z: Float[Array, " parameters"]) -> tuple[Array | np.ndarray, ...]:
    readout = problem.read(problem.values(z))
    terms, nuisance = problem.terms_of(readout), problem.nuisance
    none = jnp.zeros(0)
    scales = (none, none)
    if len(nuisance):
        scales = nuisance.conditional(jnp.asarray(problem.measured.value) - readout.mean, readout.sd)
    return readout.mean, readout.sd, terms.rows, terms.scales, *scales, readout.status, jnp.asarray(readout.lowest)


def map_draws(problem: Problem, function: OfDraw, draws: np.ndarray, *, shared: bool = True) -> tuple[np.ndarray, ...]:
    """`function(problem, draw)` of every draw, which solves what `problem` does.

    In chunks, of which a batch is solved at once. Compiled code is kept and shared as `Problem.compiled` does it,
    unless `shared` is false, as for a closure that is made anew for each call.
    """
    with problem.placed(min(BATCH, len(draws))):
        return _map_draws(problem, function, draws, shared)


def _of_batches(problem: Problem, function: OfDraw, full: tuple[int, ...], batch: int, draws: Array):
    def one(draw: Array) -> list[Array | np.ndarray]:
        results = function(problem, draw)
        return [results[i] for i in full]

    return jax.lax.map(one, draws, batch_size=batch)


def _shapes(problem: Problem, function: OfDraw, shape: tuple[int, ...], shared: bool):
    """Shapes and types of what `function` returns of one draw; if it is shared, it is traced once."""
    draw = jax.ShapeDtypeStruct(shape, float)
    if not shared:
        return jax.eval_shape(partial(function, problem), draw)

    def traced(bare: Problem):
        return jax.eval_shape(lambda measured, z: function(bare.holding(measured), z), problem.measured, draw)

    return problem.once((_shapes, function, shape), traced)


def _map_draws(problem: Problem, function: OfDraw, draws: np.ndarray, shared: bool) -> tuple[np.ndarray, ...]:
    n = len(draws)
    results = _shapes(problem, function, draws.shape[1:], shared)
    full = tuple(i for i, r in enumerate(results) if 0 not in r.shape)  # JAX cannot batch what is empty
    batch = min(BATCH, n)
    size = min(CHUNK, -(-n // batch) * batch)  # whole batches: a smaller one would be compiled again
    what = (function, full, batch)
    compiled = problem.compiled(_of_batches, *what) if shared else jax.jit(partial(_of_batches, problem, *what))
    parts = []
    for start in range(0, n, size):
        chunk = draws[start : start + size]
        padded = np.concatenate([chunk, np.repeat(chunk[-1:], size - len(chunk), axis=0)])
        parts.append([np.asarray(a)[: len(chunk)] for a in compiled(jnp.asarray(padded))])
    arrays = dict(zip(full, (np.concatenate(p) for p in zip(*parts, strict=True)), strict=True))
    return tuple(arrays.get(i, np.zeros((n, *r.shape), r.dtype)) for i, r in enumerate(results))


def thinned(total: int, wanted: int | None) -> np.ndarray:
    """Positions of about `wanted` of `total` draws, evenly spread; None: all of them."""
    count = total if wanted is None else min(wanted, total)
    return np.unique(np.linspace(0, total - 1, count).round().astype(int))


__all__ = ["Evaluated", "evaluate_draws", "map_draws", "thinned"]
