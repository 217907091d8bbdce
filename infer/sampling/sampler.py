"""The interface between the runner and a sampler: a state, blocks of draws, and the state as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int

from ..problem.problem import Problem


@dataclass(frozen=True, eq=False)
class Block:
    """A few iterations of a sampler, of the warmup or of the draws.

    - `u`: unfolded, unconstrained coordinates (`problem.space.fold` makes z of them); 0 draws if none came of it
    - `stats`: of each draw, under the same names in all blocks of draws
    - `failed`: failed solves by `Status`
    """

    warmup: bool
    u: Float[np.ndarray, "chains draws parameters"]
    stats: Mapping[str, np.ndarray] = field(default_factory=dict)  # chains × draws each
    failed: Int[np.ndarray, " statuses"] | None = None
    seconds: float = 0.0  # of wall time, which the runner measures


class Info(NamedTuple):
    """How far a sampler is, and what is to be said of its run.

    `done` and `total` count iterations per chain, or whatever the sampler counts; `total` is None if nobody knows it.
    """

    done: int
    total: int | None
    finished: bool
    phase: str  # what the progress bar shows
    facts: Mapping[str, Any] = {}  # of the run, such as its warmup's gradient evaluations; they go into posterior.nc


class Sampler[State](Protocol):
    """A way to draw from a problem's posterior: one chain, several, or a population. It does not change.

    The runner calls `init` or `restore`, then `step` until `info` says that the run is finished; after each step it
    writes the block and the arrays of `save` to disk. So a killed run resumes from its last block.
    """

    @property
    def problem(self) -> Problem: ...

    @property
    def seed(self) -> int: ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Options that change the draws, as JSON holds them: a run on disk resumes only with the same.

        `name` says what sampler it is. If it builds on another library, give that library's version, too.
        """
        ...

    def init(self, devices: Sequence[Any]) -> State:
        """The state before the first step. `devices`: JAX's, over which the sampler may spread its work."""
        ...

    def step(self, state: State) -> tuple[State, Block]:
        """The next state, and what came of the step."""
        ...

    def info(self, state: State) -> Info: ...

    def save(self, state: State) -> dict[str, np.ndarray]:
        """The state as arrays by name."""
        ...

    def restore(self, devices: Sequence[Any], saved: Mapping[str, np.ndarray], blocks: Sequence[Block]) -> State:
        """The state that `save` gave after the last of all `blocks` of the run."""
        ...


__all__ = ["Block", "Info", "Sampler"]
