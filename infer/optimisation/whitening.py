"""Whitening by the draws of the warmup: when, and with what."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ...late_imports import part_of_numpyro


def windows(warmup: int) -> dict[int, slice]:
    """The windows of a warmup whose draws whiten what follows, by the iteration at which each ends.

    They are NumPyro's, which are Stan's: there the adaptation of the step size begins anew.
    """
    schedule = part_of_numpyro("infer.hmc_util").build_adaptation_schedule(warmup)
    return {w.end + 1: slice(w.start, w.end + 1) for w in schedule[1:-1]}


def first_window(warmup: int) -> int:
    """The iteration at which the first window begins; `warmup` if it is too short for one."""
    return min((w.start for w in windows(warmup).values()), default=warmup)


def spread(w: Float[np.ndarray, "draws parameters"]) -> Float[np.ndarray, "parameters parameters"]:
    """L, lower triangular, with L·Lᵀ an estimate of the covariance of w, so that L⁻¹w is nearly white.

    Correlations are shrunk as if d draws more had shown none, L·Lᵀ ≈ (n·C + d·diag C)/(n + d) for n draws of d
    parameters: the first windows hold fewer draws than C has elements. Variances are held off zero as Stan does it.
    """
    n, d = w.shape
    covariance = np.atleast_2d(np.cov(w.T))
    shrunk = (n * covariance + d * np.diag(np.diag(covariance))) / (n + d)
    return np.linalg.cholesky((n * shrunk + 5e-3 * np.eye(d)) / (n + 5))
