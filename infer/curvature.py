"""The curvature of the log density at its best fit: what a sampler is preconditioned with."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .problem import Problem

STEP = 1e-3  # of central differences, in z (prior standard deviations)
LANES = 16  # gradients at once: enough to fill the vector units, few enough to bound memory


class Curvature(NamedTuple):
    """−log density near `centre` as ½ (z − centre)ᵀ H (z − centre).

    `scale` is a matrix with scale·scaleᵀ = H⁻¹, so that z = centre + scale·w makes w a unit normal there.
    """

    centre: Float[np.ndarray, " parameters"]
    hessian: Float[np.ndarray, "parameters parameters"]
    scale: Float[np.ndarray, "parameters parameters"]
    eigenvalues: Float[np.ndarray, " parameters"]


def curvature(problem: Problem, z: Float[np.ndarray, " parameters"], *, floor: float = 0.1) -> Curvature:
    """Hessian of −log density at z by central differences of the gradient, evaluated in batches.

    Eigenvalues are raised to `floor`: over z a prior contributes about 1, so a smaller one says that z is no
    maximum, or noise. Raises `FloatingPointError` where a neighbouring simulation fails.
    """
    count = len(problem.space)
    gradient = jax.vmap(jax.grad(lambda z: problem.objective(z, "density")[0]))
    step = STEP * np.eye(count)
    points = np.concatenate([z + step, z - step])
    padded = np.concatenate([points, np.tile(z, (-len(points) % LANES, 1))]).reshape(-1, LANES, count)
    rows = np.asarray(jax.jit(lambda batch: jax.lax.map(gradient, batch))(jnp.asarray(padded))).reshape(-1, count)
    up, down = rows[:count], rows[count : 2 * count]
    failed = [n for n, a, b in zip(problem.space.names, up, down, strict=True) if not (np.any(a) and np.any(b))]
    if failed or not np.all(np.isfinite(rows)):
        raise FloatingPointError(
            f"the simulation fails next to the point, along {', '.join(failed) or 'some parameters'}"
        )
    hessian = (up - down) / (2 * STEP)
    hessian = (hessian + hessian.T) / 2
    values, vectors = np.linalg.eigh(hessian)
    scale = vectors / np.sqrt(np.maximum(values, floor))
    return Curvature(np.asarray(z), hessian, scale, values)
