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

    Attributes
    ----------
    warmup : bool
        Whether they belong to the warmup.
    u : array, chains × draws × parameters
        Unfolded, unconstrained coordinates, dimensionless (`problem.space.fold` makes z of them); may have 0 draws.
    stats : dict of arrays, chains × draws each
        Statistics of each draw (dimensionless), under the same names in all blocks of draws.
    failed : array of int, optional
        Number of failed solves by `Status`; dimensionless.
    seconds : float
        Wall time in seconds, which the runner measures.
    """

    warmup: bool
    u: Float[np.ndarray, "chains draws parameters"]
    stats: Mapping[str, np.ndarray] = field(default_factory=dict)
    failed: Int[np.ndarray, " statuses"] | None = None
    seconds: float = 0.0

    def __repr__(self) -> str:
        chains, draws, parameters = self.u.shape
        phase = "warmup" if self.warmup else "draws"
        return f"Block({phase}: {chains} chains × {draws} draws × {parameters} parameters)"


class Info(NamedTuple):
    """How far a sampler is, and what it reports of its run.

    Attributes
    ----------
    done, total : int
        Iterations per chain, or whatever the sampler counts; `total` is None if it is not known.
    finished : bool
        Whether the run is complete.
    phase : str
        What the progress bar shows, and messages about a run without a `total`.
    facts : dict
        Facts on the run, such as the gradient evaluations of its warmup; they go into posterior.nc.
    counted : str
        What `done` counts, in the singular.
    """

    done: int
    total: int | None
    finished: bool
    phase: str
    facts: Mapping[str, Any] = {}
    counted: str = "iteration"


class Sampler[State](Protocol):
    """A way to draw from a problem's posterior: one chain, several, or a population. It does not change.

    The runner calls `init` or `restore`, then `step` until `info` says that the run is finished; after each step it
    writes the block and the arrays of `save` to disk. So an interrupted run resumes from its last block.

    Other Parameters
    ----------------
    devices : sequence of JAX's devices
        The sampler may spread its work over them.
    state : State
        The sampler's own; any type.
    saved : dict of arrays
        What `save` returned, in the sampler's own units.
    blocks : sequence of Block
        All blocks of the run before that.
    """

    @property
    def problem(self) -> Problem:
        """The problem whose posterior is sampled."""
        ...

    @property
    def seed(self) -> int:
        """The seed of all random numbers."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Options that change the draws, as JSON holds them: a run on disk resumes only with the same.

        `name` says what sampler it is. If it builds on another library, give that library's version, too.
        """
        ...

    def init(self, devices: Sequence[Any]) -> State:
        """The state before the first step."""
        ...

    def step(self, state: State) -> tuple[State, Block]:
        """The next state, and the block of draws that the step made."""
        ...

    def info(self, state: State) -> Info:
        """How far the run is."""
        ...

    def save(self, state: State) -> dict[str, np.ndarray]:
        """The state as arrays by name."""
        ...

    def restore(self, devices: Sequence[Any], saved: Mapping[str, np.ndarray], blocks: Sequence[Block]) -> State:
        """The state that `save` returned after the last of all `blocks` of the run."""
        ...


__all__ = ["Block", "Info", "Sampler"]
