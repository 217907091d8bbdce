"""The likelihood of parts of the data, each given all other rows: what leave-one-out cross-validation weighs.

Given the parameters, rows are independent, except for those that share a scale that is integrated out.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .problem import Problem
from .readout import Readout


def log_density_of_parts(problem: Problem, readout: Readout, part: Int[np.ndarray, " rows"]) -> Float[Array, " parts"]:
    """log p(rows of the part | all other rows, parameters) of every part, in nats.

    `part` numbers the part of each row, from 0. If every row is a part, these are the pointwise terms of a log
    likelihood; a plate whose rows are one part has its joint density.
    """
    nuisance, jacobian = problem.nuisance, problem.assays.jacobian
    alone = jnp.where(nuisance.group >= 0, jacobian, problem.row_densities(readout))
    parts = int(part.max()) + 1
    density = jax.ops.segment_sum(alone, part, num_segments=parts)
    if not len(nuisance):
        return density
    residual = jnp.asarray(problem.assays.value) - readout.mean
    return density + nuisance.log_density_of_parts(residual, readout.sd, part, parts)


__all__ = ["log_density_of_parts"]
