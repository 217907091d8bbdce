"""Failed solves, counted where they happen: a rejected leapfrog never reaches the sampler's trace."""

from __future__ import annotations

import threading
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from ..models.status import Status


class FailureCounter:
    """Counts failed evaluations of a density by kind; safe to use from several devices at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def record(self, failed: Bool[Array, ""], status: Int[Array, " protocols"]) -> None:
        """Counts one evaluation inside a traced function, at no cost unless it failed."""
        jax.lax.cond(failed, lambda s: jax.debug.callback(self._add, s), lambda s: None, status)

    def _add(self, status: np.ndarray) -> None:
        status = np.asarray(status)
        kinds = {Status(int(s)) for s in np.unique(status)} - {Status.OK}
        # Finite trajectories whose density is not: a logarithm of a negative reading, say.
        kinds = kinds or {Status.NOT_FINITE}
        with self._lock:
            self._counts[min(kinds).label] += 1

    def take(self) -> dict[str, int]:
        """The counts since the last call, which are then forgotten."""
        jax.effects_barrier()
        with self._lock:
            counts, self._counts = dict(self._counts), Counter()
        return counts


def count_kinds(status: Int[np.ndarray, "..."]) -> dict[str, int]:
    """How many of the statuses are of each kind of failure."""
    kinds, counts = np.unique(np.asarray(status), return_counts=True)
    return {Status(int(k)).label: int(n) for k, n in zip(kinds, counts, strict=True) if k != Status.OK}


def worst(status: Int[Array, "*batch protocols"], finite: Bool[Array, "*batch"]) -> Int[Array, "*batch"]:
    """One status for an evaluation: the first failure among its protocols, or not_finite where the density is."""
    first = jnp.min(jnp.where(status == Status.OK, len(Status), status), axis=-1)
    return jnp.where(first < len(Status), first, jnp.where(finite, Status.OK, Status.NOT_FINITE))
