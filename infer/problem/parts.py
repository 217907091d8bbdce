"""The likelihood of parts of the data, each given all other rows: what leave-one-out cross-validation weighs.

Given the parameters, rows are independent, except for those that share a scale that is integrated out.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from .problem import Problem


def log_density_of_parts(
    problem: Problem,
    mean: Float[np.ndarray, "*draws rows"],
    sd: Float[np.ndarray, "*draws rows"],
    rows: Float[np.ndarray, "*draws rows"],
    part: Int[np.ndarray, " rows"],
) -> Float[np.ndarray, "*draws parts"]:
    """log p(rows of the part | all other rows, parameters) of every part, in nats; NaN if a simulation failed.

    `mean` and `sd` are those of a readout, with integrated scales at 1, `rows` the log densities of the rows without
    such a scale (see `LikelihoodTerms`), and `part` the number of each row's part, from 0. If every row is a part,
    these are the pointwise terms of a log likelihood; a plate whose rows are one part has its joint density.
    """
    nuisance, measured = problem.nuisance, problem.measured
    alone = np.where(nuisance.group >= 0, np.asarray(measured.jacobian), rows)
    parts = int(part.max()) + 1
    density = np.zeros((*alone.shape[:-1], parts))
    np.add.at(density, (..., part), alone)  # pyright: ignore[reportArgumentType]
    if len(nuisance):
        with np.errstate(all="ignore"):  # of simulations that failed
            density += nuisance.log_density_of_parts(np.asarray(measured.value) - mean, sd, part, parts)
    return density


__all__ = ["log_density_of_parts"]
