"""Log density of the posterior, and of each part of the data given the rest, at many draws."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from ...models.solvers.dispatch import falls_back
from ...models.solvers.status import Status
from ..posterior.draw_evaluation import map_draws
from ..posterior.predictive import SAMPLE
from ..problem.failures import worst
from ..problem.parts import log_density_of_parts
from ..problem.problem import Problem
from .partition import Partition

PARAMETER = "unconstrained_parameter"  # the dimension of the sampler's coordinates u, as ArviZ calls it


class Densities:
    """Both densities of draws of u, chains × draws × parameters, from one simulation of each, compiled once."""

    def __init__(self, problem: Problem, partition: Partition):
        self.problem, self.partition = problem, partition
        self._last: tuple[np.ndarray, tuple[np.ndarray, ...]] | None = None

    def _at(self, u: xr.DataArray) -> tuple[np.ndarray, ...]:
        points = u.transpose(*SAMPLE, PARAMETER).values
        if self._last is None or not np.array_equal(self._last[0], points):
            density, mean, sd, rows = _evaluate(self.problem, points.reshape(-1, points.shape[-1]))
            parts = log_density_of_parts(self.problem, mean, sd, rows, self.partition.part)
            # A failed simulation has density zero, so its weight is zero, whatever its parts are.
            both = density, np.where(np.isfinite(density)[:, None], parts, 0.0)
            self._last = points.copy(), tuple(a.reshape(*points.shape[:2], *a.shape[1:]) for a in both)
        return self._last[1]

    def log_posterior(self, u: xr.DataArray) -> xr.DataArray:
        """Unnormalised log density over u, −∞ where a simulation failed."""
        return _of_draws(u, self._at(u)[0])

    def log_likelihood_of_part(self, u: xr.DataArray, i: Any) -> xr.DataArray:
        """log p(i-th part | all other rows, u); 0 if `log_posterior` is −∞, which a weight of 0 needs."""
        return _of_draws(u, self._at(u)[1][..., int(i)])

    def log_likelihood(self, u: xr.DataArray) -> xr.DataArray:
        """log p(part | all other rows, u) of all parts."""
        dims = (*SAMPLE, self.partition.by)
        at = {name: u[name] for name in SAMPLE if name in u.coords}
        return xr.DataArray(self._at(u)[1], dims=dims, coords={**self.partition.coordinates, **at})


@falls_back
def _evaluate(problem: Problem, u: Float[np.ndarray, "draws parameters"]) -> tuple[np.ndarray, ...]:
    return map_draws(problem, _density_and_readings, u)


def _density_and_readings(problem: Problem, u: Float[Array, " parameters"]) -> tuple[Array, ...]:
    readout = problem.read(problem.values(problem.space.fold(u)))
    terms = problem.terms_of(readout)
    density = jnp.sum(terms.rows) + jnp.sum(terms.scales) + problem.log_prior_unfolded(u)
    fine = worst(terms.status, jnp.isfinite(density)) == Status.OK
    return jnp.where(fine, density, -jnp.inf), readout.mean, readout.sd, terms.rows


def _of_draws(u: xr.DataArray, values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims=SAMPLE, coords={name: u[name] for name in SAMPLE if name in u.coords})


__all__ = ["PARAMETER", "Densities"]
