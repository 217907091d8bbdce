"""Failed solves, counted where they happen: a rejected leapfrog never reaches the sampler's trace."""

from __future__ import annotations

import threading
from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from ...models.solvers.status import Status


class FailureCounter:
    """Counts failed evaluations of a density by kind and chain; safe to use from several devices at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[int, Counter[str]] = {}

    def record(self, status: Int[Array, ""], chain: Int[Array, ""] | int = 0) -> None:
        """Counts one evaluation inside a traced function, at no cost unless it failed."""
        failed = status != Status.OK
        jax.lax.cond(failed, partial(jax.debug.callback, self._add), lambda s, c: None, status, chain)

    def _add(self, status: Int[Array, ""], chain: Int[Array, ""]) -> None:
        kind = Status(int(status))
        if kind == Status.OK:  # under vmap both branches run
            return
        with self._lock:
            self._counts.setdefault(int(chain), Counter())[kind.label] += 1

    def take(self) -> dict[str, int]:
        """The counts of all chains since they were last taken, which are then forgotten."""
        jax.effects_barrier()
        with self._lock:
            total = sum(self._counts.values(), Counter())
            self._counts = {}
        return dict(total)

    def take_chain(self, chain: int) -> np.ndarray:
        """Counts of one chain since they were last taken, in the order of `Status`."""
        with self._lock:
            counts = self._counts.pop(int(chain), Counter())
        return np.array([counts[kind.label] for kind in Status], dtype=np.int64)


def count_kinds(status: Int[np.ndarray, "*shape"]) -> dict[str, int]:
    """How many of the statuses are of each kind of failure."""
    kinds, counts = np.unique(np.asarray(status), return_counts=True)
    return {Status(int(k)).label: int(n) for k, n in zip(kinds, counts, strict=True) if k != Status.OK}


def worst(status: Int[Array, "*batch protocols"], finite: Bool[Array, "*batch"]) -> Int[Array, "*batch"]:
    """One status for an evaluation: the first failure of its protocols, or not_finite if the density is."""
    first = jnp.min(jnp.where(status == Status.OK, len(Status), status), axis=-1)
    return jnp.where(first < len(Status), first, jnp.where(finite, Status.OK, Status.NOT_FINITE))
