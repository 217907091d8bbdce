"""The mode of the density and its curvature there: what a sampler is first preconditioned with.

Over the sampler's coordinates u, see `ParameterSpace.fold`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..problem.problem import Problem
from .lbfgs import Minimiser
from .whitening import spread

_PRIOR_DRAWS = 500
STEP = 1e-3  # of central differences, in u (prior standard deviations)


class Curvature(NamedTuple):
    """−log density near `centre` as ½ (u − centre)ᵀ H (u − centre).

    Attributes
    ----------
    centre : array, parameters
        A point u, dimensionless.
    hessian : array, parameters × parameters
        H, dimensionless.
    scale : array, parameters × parameters
        A matrix with scale·scaleᵀ = H⁻¹, so that u = centre + scale·w makes w a unit normal there; dimensionless.
    eigenvalues : array, parameters
        Of H, before they were raised to the floor; dimensionless.
    """

    centre: Float[np.ndarray, " parameters"]
    hessian: Float[np.ndarray, "parameters parameters"]
    scale: Float[np.ndarray, "parameters parameters"]
    eigenvalues: Float[np.ndarray, " parameters"]

    def __repr__(self) -> str:
        least, most = np.min(self.eigenvalues), np.max(self.eigenvalues)
        return f"Curvature({len(self.centre)} parameters, eigenvalues {least:.3g} to {most:.3g})"


def find_mode(problem: Problem, z: Float[np.ndarray, " parameters"]) -> Float[np.ndarray, " parameters"]:
    """The u of largest density near the best fit z.

    They differ: the best fit is that of the density over natural parameters, where a scale of noise may be zero.

    Parameters
    ----------
    problem : Problem
        What was fitted.
    z : array, parameters
        The best fit in unconstrained coordinates, dimensionless.

    Returns
    -------
    array, parameters
        Unfolded coordinates u, dimensionless.
    """
    run = Minimiser(problem.space.unfold(z))
    while not run.reason:
        value, gradient = problem.potential(jnp.asarray(run.trial))
        run.advance(float(value), np.asarray(gradient))
    return run.z


def curvature(problem: Problem, u: Float[np.ndarray, " parameters"], *, floor: float = 0.1) -> Curvature:
    """Hessian of −log density at u by central differences of the gradient.

    Parameters
    ----------
    problem : Problem
        Whose posterior density is meant.
    u : array, parameters
        The point, in unfolded coordinates (dimensionless).
    floor : float
        Eigenvalues are raised to this, dimensionless: over u a prior contributes about 1, so that a smaller one shows
        that u is not a maximum, or is noise.

    Returns
    -------
    Curvature
        Centre, Hessian and scale at u.

    Raises
    ------
    FloatingPointError
        If a neighbouring simulation fails.
    """
    step = STEP * np.eye(len(u))
    points = np.concatenate([u + step, u - step])
    values, rows = zip(*map(problem.potential, points), strict=True)
    usable = np.isfinite(values).reshape(2, -1).all(0)
    if not usable.all():
        failed = [n for n, fine in zip(problem.space.names, usable, strict=True) if not fine]
        raise FloatingPointError(f"the simulation fails next to the point, along {', '.join(failed)}")
    up, down = np.split(np.array(rows), 2)
    hessian = (up - down) / (2 * STEP)
    hessian = (hessian + hessian.T) / 2
    eigenvalues, vectors = np.linalg.eigh(hessian)
    scale = vectors / np.sqrt(np.maximum(eigenvalues, floor))
    return Curvature(np.asarray(u), hessian, scale, eigenvalues)


def prior_curvature(problem: Problem, u: Float[np.ndarray, " parameters"]) -> Curvature:
    """The normal distribution around u that is as wide as the prior, for a u next to which simulations fail.

    Parameters
    ----------
    problem : Problem
        Whose prior is meant.
    u : array, parameters
        The point, in unfolded coordinates (dimensionless).

    Returns
    -------
    Curvature
        With the covariance of 500 draws from the prior.
    """
    scale = spread(problem.space.unfold(problem.space.sample_many(0, _PRIOR_DRAWS)))
    hessian = np.linalg.inv(scale @ scale.T)
    return Curvature(np.asarray(u), hessian, scale, np.linalg.eigvalsh(hessian))
