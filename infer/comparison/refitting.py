"""The posterior without a part of the data, sampled anew."""

from __future__ import annotations

import logging
from dataclasses import replace

import arviz_stats
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from ...data.parameter import FIXED, draw_prior
from ..optimisation.laplace import Curvature
from ..optimisation.whitening import spread
from ..problem.parameter_space import ParameterSpace
from ..problem.problem import Problem
from ..problem.usage import used_names
from ..sampling.nuts import sample

log = logging.getLogger(__name__)

CHAINS = 4  # at most; SMC has more populations
WARMUP, DRAWS = 500, 500  # of each chain: it starts at draws of the posterior, whitened by their covariance
_UNMIXED = 1.05  # R-hat


def without(problem: Problem, left_out: Bool[np.ndarray, " rows"]) -> Problem:
    """The problem of the other rows, without the parameters that they do not use."""
    rows = tuple(m for m, out in zip(problem.dataset.measurements, left_out, strict=True) if not out)
    fewer = replace(problem.dataset, measurements=rows)
    used = used_names(problem.model, fewer)
    parameters = {n: p for n, p in problem.parameters.items() if n in used or not (p.estimated or p.source == FIXED)}
    joint = [j.among(parameters) for j in fewer.joint_priors]
    return Problem(
        problem.model,
        replace(fewer, parameters=parameters, joint_priors=tuple(filter(None, joint))),
        marginalise=[n for n in problem.nuisance.names if n in parameters],
        settings=problem.settings,
    )


def draws_without(
    problem: Problem,
    u: Float[np.ndarray, "chains draws parameters"],
    left_out: Bool[np.ndarray, " rows"],
    *,
    name: str,
    seed: int,
    progress: bool,
) -> Float[np.ndarray, "some_chains drawn parameters"]:
    """Draws of u given the rows that are not left out, started from draws `u` of the whole posterior.

    Parameters that only the left-out rows use have their prior. `name` is that of the left-out part, for messages.
    """
    fewer = without(problem, left_out)
    columns = [problem.space.names.index(n) for n in fewer.space.names]
    before = u[..., columns].reshape(-1, len(columns))
    rng = np.random.default_rng(seed)
    scale = spread(before)
    precision = np.linalg.inv(scale @ scale.T)
    start = Curvature(before.mean(0), precision, scale, np.linalg.eigvalsh(precision))
    chains = min(len(u), CHAINS)
    first = np.asarray(fewer.space.fold(jnp.asarray(before[rng.choice(len(before), chains)])))
    result = sample(
        fewer, start, chains=chains, warmup=WARMUP, draws=DRAWS, seed=seed, initial=first, progress=progress
    )
    assert result is not None  # nothing stops it
    drawn = fewer.space.unfold(result.z)
    rhat = max(float(arviz_stats.rhat(drawn[..., i])) for i in range(len(columns))) if chains > 1 else 1.0
    if rhat > _UNMIXED:
        log.warning(
            "the fit without %s has not converged, so its prediction is not reliable: R-hat is %.2f", name, rhat
        )
    full = np.zeros((*drawn.shape[:2], len(problem.space)))
    full[..., columns] = drawn
    for i, parameter in enumerate(problem.space.parameters):
        if i not in columns and parameter.name in problem.dataset.jointly:
            full[..., i] = drawn_jointly(problem, parameter.name, full, columns, rng)
            columns = [*columns, i]
        elif i not in columns:
            alone = ParameterSpace([parameter])
            of_prior = draw_prior(parameter, drawn[..., 0].size, rng)[:, None]
            full[..., i] = alone.unfold(alone.coordinates(of_prior)).reshape(drawn.shape[:2])
    return full


def drawn_jointly(
    problem: Problem,
    name: str,
    u: Float[np.ndarray, "chains draws parameters"],
    columns: list[int],
    rng: np.random.Generator,
) -> Float[np.ndarray, "chains draws"]:
    """u of a parameter in a joint prior, given those in `columns`."""
    (joint,) = (j for j in problem.space.joint_priors if name in j.parameters)
    known = [i for i in columns if problem.space.names[i] in joint.parameters]
    weights, sd = joint.given(name, [problem.space.names[i] for i in known])
    return u[..., known] @ weights + sd * rng.standard_normal(u.shape[:2])


__all__ = ["drawn_jointly", "draws_without", "without"]
