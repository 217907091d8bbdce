"""`Draws`: the result of a sampler's run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ...models.solvers.status import Status
from ..problem.problem import Problem
from .sampler import Block


@dataclass(frozen=True, eq=False)
class Draws:
    """Posterior draws and how they were obtained.

    Attributes
    ----------
    problem : Problem
        What was sampled.
    z : array, chains × draws × parameters
        Unconstrained coordinates, dimensionless.
    stats : dict of arrays, chains × draws each
        NUTS has `diverging` (true divergences), `failed` (a failed solve ended the trajectory), `acceptance_rate`,
        `n_steps` (leapfrogs), `lp` (log density over u), `energy` and `step_size`, all dimensionless.
    failed : dict
        Failed solves by kind, for `warmup` (NUTS: from the first window of its adaptation on) and `draws` separately.
    seconds : dict
        Wall time of `warmup` and `draws` in seconds, over all sessions of a resumed run.
    seed : int
        Of all random numbers.
    facts : dict
        What the sampler reports of the run. NUTS has `max_tree_depth` and `warmup_leapfrogs` (of all chains).
    complete : bool
        False if the run was stopped before it had all its draws.
    """

    problem: Problem
    z: Float[np.ndarray, "chains draws parameters"]
    stats: Mapping[str, np.ndarray]
    failed: Mapping[str, Mapping[str, int]]
    seconds: Mapping[str, float]
    seed: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = True

    def __repr__(self) -> str:
        chains, draws, parameters = self.z.shape
        failed = sum(self.failed.get("draws", {}).values())
        parts = [f"{chains} chains × {draws} draws of {parameters} parameters"]
        parts += [f"{failed} failed solves"] if failed else []
        parts += [] if self.complete else ["stopped early"]
        return f"Draws({self.problem.name!r}, {', '.join(parts)})"


def collect(
    problem: Problem, blocks: Sequence[Block], seed: int, facts: Mapping[str, Any], *, complete: bool
) -> Draws | None:
    """The draws of a run's blocks; None if there are none yet."""
    phases = {"warmup": [b for b in blocks if b.warmup], "draws": [b for b in blocks if not b.warmup]}
    drawn = [b for b in phases["draws"] if b.u.shape[1]]
    if not drawn:
        return None
    u = np.concatenate([b.u for b in drawn], axis=1)
    return Draws(
        problem=problem,
        z=np.asarray(problem.space.fold(jnp.asarray(u))),
        stats={k: np.concatenate([b.stats[k] for b in drawn], axis=1) for k in drawn[0].stats},
        failed={phase: _counts(of_phase) for phase, of_phase in phases.items()},
        seconds={phase: float(sum(b.seconds for b in of_phase)) for phase, of_phase in phases.items()},
        seed=seed,
        facts=dict(facts),
        complete=complete,
    )


def _counts(blocks: Sequence[Block]) -> dict[str, int]:
    totals = sum((b.failed for b in blocks if b.failed is not None), np.zeros(len(Status), dtype=np.int64))
    return {kind.label: int(totals[kind]) for kind in Status if totals[kind]}


__all__ = ["Draws", "collect"]
