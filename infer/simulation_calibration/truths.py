"""True parameters, drawn from the prior, and measurements simulated from them.

The density is 0 where a simulation fails, so the prior that it implies is the problem's, given that the simulation
succeeds. A draw at which it fails is therefore drawn anew, which leaves ranks uniform. So is one whose measurements no
float or logarithm can hold: to condition on the data changes no posterior.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...data.joint_prior import draw_priors
from ...models.solvers.status import Status
from ..problem.problem import Problem
from ..problem.readout import Readout

REDRAWS = 50  # of a truth, before its replicate is given up
UNRECORDED = "a reading that cannot be recorded"


class Truth(NamedTuple):
    """The parameters and scales of a replicate, and the rows that were simulated from them."""

    z: Float[np.ndarray, " parameters"]  # unconstrained
    log_scales: Float[np.ndarray, " scales"]  # ln of the scales that are integrated out
    rows: Float[np.ndarray, " rows"]  # readings with noise, before limits, in the units of the measurements


def draw_truth(problem: Problem, rng: np.random.Generator) -> tuple[Truth | None, Counter[str]]:
    """A draw of parameters and scales with its measurements, and how many draws before it failed in which way.

    None if all of them fail.
    """
    failed: Counter[str] = Counter()
    space, nuisance, assays = problem.space, problem.nuisance, problem.assays
    for _ in range(1 + REDRAWS):
        drawn = draw_priors(space.parameters, space.joint_priors, 1, rng)
        z = space.coordinates(np.array([drawn[n] for n in space.names]).T)[0]
        log_scales = nuisance.location + nuisance.spread * rng.standard_normal(len(nuisance))
        noise = assays.noise.draw(rng, ())
        if not np.all(np.isfinite(z)):  # a draw on a bound, or beyond what floats hold
            failed[Status.NOT_FINITE.label] += 1
            continue
        with problem.placed():
            readout = problem.compiled(_readout_at)(jnp.asarray(z))
        status = int(np.max(np.asarray(readout.status), initial=Status.OK))
        mean, sd = np.array(readout.mean), np.asarray(readout.sd)
        if status == Status.OK and not (np.all(np.isfinite(mean)) and np.all((sd > 0) & np.isfinite(sd))):
            status = Status.NOT_FINITE
        if status != Status.OK:
            failed[Status(status).label] += 1
            continue
        shared = nuisance.group >= 0
        mean[shared] += nuisance.slope[shared] * log_scales[nuisance.group[shared]]
        rows = assays.natural(mean + sd * noise)
        if np.all(np.isfinite(rows)) and np.all(rows[assays.log_base > 0] > 0):
            return Truth(z, log_scales, rows), failed
        failed[UNRECORDED] += 1
    return None, failed


def _readout_at(problem: Problem, z: Float[Array, " parameters"]) -> Readout:
    return problem.read(problem.values(z))


__all__ = ["REDRAWS", "Truth", "draw_truth"]
