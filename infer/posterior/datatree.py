"""Draws as an ArviZ `DataTree`, with the groups and names that ArviZ's functions look for.

- `posterior` and `prior`: each parameter is a variable, by its name (`Kd1`, `scale_pSTAT3[gel-1]`; a slash, which no
  NetCDF name may hold, becomes ∕), in its unit. Scales that are integrated out are drawn given each draw.
- `unconstrained_posterior`: the same draws as z; of integrated scales (ln s − μ)/τ with their prior N(μ, τ²) of ln s.
- `log_prior`: log density of each parameter's prior on its search scale, so that it does not depend on units.
- `log_likelihood`: of each measurement, over the rows of `infer/posterior/row_layout.py`. Where a scale is integrated
  out, that of the row given the other rows of its scale, as leave-one-out needs it. These do not sum to the log
  likelihood; those of `log_likelihood_by_scale` do: `shared_scale` is the joint density of the rows of each
  integrated scale, `other_rows` the sum over the rows without one.
- `posterior_predictive`, `prior_predictive` (of the first draws of `prior`), `observed_data`, over the same rows.
  The value of a censored row is its limit, and its replicates are what would be recorded, never beyond it; so the
  middle of its ties is the quantile of the row. `noise_free_prediction` has the replicates without noise.
- `left_out`: the quantile of each row in what the other rows predict of it (`infer/posterior/left_out.py`).
- `constant_data`: whether a row was measured or is a limit.
- `sample_stats`, and `fitted` (see `infer/posterior/fitted.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from ...data.earlier_result import safe
from ...data.joint_prior import draw_priors
from ...data.parameter import Parameter
from ...models.solvers.below_zero import below_zero_warning, by_species
from ..problem.parameter_space import ParameterSpace, search_bounds
from ..problem.problem import Problem
from .draw_evaluation import Evaluated, evaluate_draws
from .fitted import GROUP, store_fitted
from .left_out import LEFT_OUT, left_out_quantiles
from .predictive import SAMPLE, failed, in_their_runs, over_draws, prior_replicates, replicates, without_noise
from .provenance import as_attribute, provenance_of
from .row_layout import constant_data, observed_data, over_rows

PRIOR_DRAWS = 2000
PRIOR_PREDICTIVE = 200  # of them are simulated

Failures = Mapping[str, Mapping[str, int]]


class _Random(NamedTuple):
    """All random numbers of a tree, drawn before anything is simulated."""

    log_scales: Float[np.ndarray, "draws scales"]  # standard normal
    noise: Float[np.ndarray, "draws rows"]
    prior: dict[str, Float[np.ndarray, " prior_draws"]]
    prior_noise: Float[np.ndarray, "prior_predictive rows"]


def to_datatree(
    problem: Problem,
    z: np.ndarray,
    stats: Mapping[str, np.ndarray],
    *,
    seed: int,
    failures: Failures,
    provenance: Mapping[str, Any] | None = None,
    predictive: bool = True,
) -> xr.DataTree:
    """Draws of z with all that follows from them, as an ArviZ tree.

    Scales that are integrated out are drawn from their conditional distribution given each draw.

    Parameters
    ----------
    problem : Problem
        What was sampled.
    z : array, chains × draws × parameters
        Unconstrained coordinates, dimensionless.
    stats : dict of arrays, chains × draws each
        The sampler's statistics, dimensionless.
    seed : int
        Of replicates and draws of the prior.
    failures : dict
        Failed solves by kind in "warmup" and "draws".
    provenance : dict, optional
        Added to the root's attributes.
    predictive : bool
        False leaves out what takes a simulation of each draw: the likelihood terms and all predictions.

    Returns
    -------
    xarray.DataTree
        Groups of ArviZ, with units as attributes.

    Raises
    ------
    ValueError
        For arrays of the wrong shape.
    """
    z = np.asarray(z, dtype=float)
    _check_shapes(problem, z, stats)
    shape, flat = z.shape[:2], z.reshape(-1, z.shape[2])
    estimated = [p for p in problem.parameters.values() if p.estimated]
    random = _draw(problem, estimated, len(flat), np.random.default_rng(seed), predictive=predictive)
    theta = np.asarray(problem.compiled(_naturals)(jnp.asarray(flat)))
    values = dict(zip(problem.space.names, theta.T, strict=True))
    unconstrained = dict(zip(problem.space.names, flat.T, strict=True))
    groups: dict[str, xr.Dataset] = {}
    known = dict(provenance or {})
    if predictive or len(problem.nuisance):
        nuisance, of_prior = problem.nuisance, _prior_coordinates(problem, random) if predictive else flat[:0]
        evaluated = evaluate_draws(problem, np.concatenate([flat, of_prior]))
        posterior, prior = evaluated.of(slice(len(flat))), evaluated.of(slice(len(flat), None))
        log_scales = posterior.location + posterior.spread * random.log_scales
        values |= dict(zip(nuisance.names, np.exp(log_scales).T, strict=True))
        standard = (log_scales - nuisance.location) / nuisance.spread
        unconstrained |= dict(zip(nuisance.names, standard.T, strict=True))
        if note := below_zero_warning(by_species(problem.model, posterior.lowest.min(axis=0))):
            known["below_zero"] = note
        if predictive:
            groups = _predicted(problem, posterior, prior, log_scales, random, shape)
    groups = {
        "posterior": _parameters(estimated, {n: v.reshape(shape) for n, v in values.items()}),
        "unconstrained_posterior": _plain({p.name: unconstrained[p.name].reshape(shape) for p in estimated}),
        "log_prior": _log_prior(problem, estimated, values, shape),
        "sample_stats": _sample_stats(stats, failures, shape),
        **groups,
        "observed_data": observed_data(problem),
        "constant_data": constant_data(problem),
        GROUP: store_fitted(problem),
        "prior": _parameters(estimated, {n: v[None] for n, v in random.prior.items()}),
    }
    root = xr.Dataset(attrs={**provenance_of(problem, seed), **{k: as_attribute(v) for k, v in known.items()}})
    return xr.DataTree.from_dict({"/": root, **groups}, name=problem.name or None)


def _check_shapes(problem: Problem, z: np.ndarray, stats: Mapping[str, np.ndarray]) -> None:
    if z.ndim != 3 or z.shape[2] != len(problem.space):
        raise ValueError(f"z must be chains × draws × {len(problem.space)} parameters, not of shape {z.shape}")
    for name, values in stats.items():
        if np.shape(values)[:2] != z.shape[:2]:
            raise ValueError(
                f"stats[{name!r}] must be {z.shape[0]} chains × {z.shape[1]} draws, not {np.shape(values)}"
            )


def _draw(
    problem: Problem, estimated: list[Parameter], n: int, rng: np.random.Generator, *, predictive: bool
) -> _Random:
    noise = problem.assays.noise
    return _Random(
        log_scales=rng.standard_normal((n, len(problem.nuisance))),
        noise=noise.draw(rng, (n if predictive else 0,)),
        prior=draw_priors(estimated, problem.dataset.joint_priors, PRIOR_DRAWS, rng),
        prior_noise=noise.draw(rng, (PRIOR_PREDICTIVE if predictive else 0,)),
    )


def _prior_coordinates(problem: Problem, random: _Random) -> Float[np.ndarray, "prior_predictive parameters"]:
    """z of the first draws of the prior."""
    drawn = [random.prior[n][:PRIOR_PREDICTIVE] for n in problem.space.names]
    return problem.space.coordinates(np.stack(drawn, axis=1))


def _predicted(
    problem: Problem,
    posterior: Evaluated,
    prior: Evaluated,
    log_scales: Float[np.ndarray, "draws scales"],
    random: _Random,
    shape: tuple[int, int],
) -> dict[str, xr.Dataset]:
    """The groups that take a simulation of each draw."""
    mean = in_their_runs(problem, posterior, log_scales)
    rows = posterior.rows.astype(np.float32).astype(float)  # 7 digits, which a file keeps in half the bytes
    groups = {
        "log_likelihood": over_draws(over_rows(problem, rows.reshape(*shape, -1), SAMPLE), shape),
        "posterior_predictive": replicates(problem, mean, posterior, random.noise, shape),
        "noise_free_prediction": without_noise(problem, mean, shape),
        "log_likelihood_by_scale": _by_scale(problem, posterior, shape),
    }
    scales = [np.log(random.prior[n][:PRIOR_PREDICTIVE]) for n in problem.nuisance.names]
    of_scales = np.array(scales).T.reshape(PRIOR_PREDICTIVE, len(scales))
    of_prior = prior_replicates(problem, prior, of_scales, random.prior_noise)
    for group in groups.values():
        group.attrs |= failed(posterior)
    quantiles = left_out_quantiles(problem, posterior)
    groups |= {} if quantiles is None else {LEFT_OUT: quantiles}
    return groups | ({"prior_predictive": of_prior} if of_prior.sizes["draw"] else {})


def _by_scale(problem: Problem, evaluated: Evaluated, shape: tuple[int, int]) -> xr.Dataset:
    free = problem.nuisance.group < 0
    joint = xr.DataArray(
        evaluated.scales.reshape(*shape, len(problem.nuisance)),
        dims=(*SAMPLE, "scale"),
        coords={"scale": np.array(problem.nuisance.names, dtype=str)},
        attrs={"meaning": "joint log density of all measurements that share the scale, which is integrated out"},
    )
    others = xr.DataArray(evaluated.rows[:, free].sum(axis=1).reshape(shape), dims=SAMPLE)
    return over_draws(xr.Dataset({"shared_scale": joint, "other_rows": others}), shape)


def _naturals(problem: Problem, z: Float[Array, "draws parameters"]) -> Float[Array, "draws parameters"]:
    return jax.vmap(problem.space.constrain)(z)


def _log_prior(
    problem: Problem, estimated: list[Parameter], values: Mapping[str, np.ndarray], shape: tuple[int, int]
) -> xr.Dataset:
    z = ParameterSpace(estimated).coordinates(np.stack([values[p.name] for p in estimated], axis=1))
    density = np.asarray(problem.compiled(_prior_densities)(jnp.asarray(z)))
    return _plain({p.name: column.reshape(shape) for p, column in zip(estimated, density.T, strict=True)})


def _prior_densities(problem: Problem, z: Float[Array, "draws estimated"]) -> Float[Array, "draws estimated"]:
    """Log prior density of each estimated parameter, integrated scales too, on its search scale."""
    estimated = [p for p in problem.parameters.values() if p.estimated]
    space = ParameterSpace(estimated, problem.dataset.joint_priors)
    return jax.vmap(lambda z: space.log_prior_of_search(space.search(z)))(z)


def _plain(values: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Draws by parameter, without what is known of the parameters."""
    shape = np.shape(next(iter(values.values())))
    return over_draws(xr.Dataset({safe(n): (SAMPLE, v) for n, v in values.items()}), (shape[0], shape[1]))


def _parameters(parameters: list[Parameter], values: Mapping[str, np.ndarray]) -> xr.Dataset:
    dataset = _plain({p.name: values[p.name] for p in parameters})
    for p in parameters:
        assert p.prior is not None
        attrs: dict[str, str | float] = {
            "unit": p.unit,
            "prior": p.prior.text,
            "search_scale": str(p.search_scale),
            "source": p.source,
        }
        if (bounds := search_bounds(p)) is not None:
            attrs |= {"lower_bound": bounds[0], "upper_bound": bounds[1]}  # on the search scale
        dataset[safe(p.name)].attrs = attrs
    return dataset


def _sample_stats(stats: Mapping[str, np.ndarray], failures: Failures, shape: tuple[int, int]) -> xr.Dataset:
    arrays = {n: np.asarray(v) for n, v in stats.items()}
    attrs = {f"failures_{phase}": json.dumps(dict(failures.get(phase, {}))) for phase in ("warmup", "draws")}
    return over_draws(xr.Dataset({n: (SAMPLE, v) for n, v in arrays.items()}, attrs=attrs), shape)


def on_search_scale(array: xr.DataArray) -> np.ndarray:
    """A parameter's draws on the scale that it is searched on; NaN where a logarithm does not exist."""
    values = np.asarray(array.values, dtype=float)
    scale = array.attrs.get("search_scale", "lin")
    if scale == "lin":
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(values) if scale == "log" else np.log10(values)


__all__ = ["on_search_scale", "safe", "to_datatree"]
