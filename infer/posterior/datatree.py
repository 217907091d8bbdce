"""Draws as an ArviZ `DataTree`: parameters in their units, likelihood terms, replicated measurements, data,
provenance, and what was fitted (see `infer/posterior/fitted.py`).

Names: each parameter is a variable of its own, as it is called (`Kd1`, `scale_pSTAT3[gel-1]`; a slash, which
no NetCDF name may hold, becomes ∕). Rows of an observable run along the dimension `row[<observable>]`, with
the coordinates `protocol[…]`, `time[…]` and `experiment[…]`, and `censored[…]` where any row is: "left",
"right" or "interval". Its value is then a limit, and its replicates are what would be recorded, never beyond it; so the
middle of its ties is the quantile of the row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int

from ...data.parameter import Parameter, draw_prior
from ...models.compiled.identity import model_digest
from ...models.solvers.below_zero import below_zero_warning, by_species
from ...models.solvers.dispatch import falls_back
from ..problem.censoring import recorded, uppers
from ..problem.failures import count_kinds
from ..problem.parameter_space import search_bounds
from ..problem.problem import Problem
from .file import MARK
from .fitted import GROUP, store_fitted

CHUNK = 256  # draws handed to the device at once
BATCH = 32  # draws simulated at once
PRIOR_DRAWS = 2000
SCALES = "integrated_scales"
_SAMPLE = ("chain", "draw")

Failures = Mapping[str, Mapping[str, int]]
OfDraw = Callable[[Problem, Array], tuple[Array | np.ndarray, ...]]


class Evaluated(NamedTuple):
    """Everything about draws that takes a simulation; the leading axis is that of the draws."""

    mean: Float[np.ndarray, "draws rows"]  # on each observable's scale, at scales = 1 where integrated out
    sd: Float[np.ndarray, "draws rows"]
    rows: Float[np.ndarray, "draws rows"]  # log density, 0 where the scale is integrated out
    scales: Float[np.ndarray, "draws scales"]
    location: Float[np.ndarray, "draws scales"]  # of ln s given the data
    spread: Float[np.ndarray, "draws scales"]
    status: Int[np.ndarray, "draws protocols"]
    lowest: Float[np.ndarray, "draws species"]  # how far below 0 the model takes it


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
        False leaves out the groups `log_likelihood` and `posterior_predictive`.

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
    if z.ndim != 3 or z.shape[2] != len(problem.space):
        raise ValueError(f"z must be chains × draws × {len(problem.space)} parameters, not of shape {z.shape}")
    for name, values in stats.items():
        if np.shape(values)[:2] != z.shape[:2]:
            raise ValueError(
                f"stats[{name!r}] must be {z.shape[0]} chains × {z.shape[1]} draws, not {np.shape(values)}"
            )
    rng = np.random.default_rng(seed)
    shape = z.shape[:2]
    flat = z.reshape(-1, z.shape[2])
    theta = np.asarray(problem.compiled(_naturals)(jnp.asarray(flat)))
    values = dict(zip(problem.space.names, theta.T, strict=True))
    groups: dict[str, xr.Dataset] = {}
    known = dict(provenance or {})
    if predictive or len(problem.nuisance):
        evaluated = evaluate_draws(problem, flat)
        log_scales = rng.normal(evaluated.location, evaluated.spread)
        values |= dict(zip(problem.nuisance.names, np.exp(log_scales).T, strict=True))
        if note := below_zero_warning(by_species(problem.model, evaluated.lowest.min(axis=0))):
            known["below_zero"] = note
        if predictive:
            groups["log_likelihood"] = _log_likelihood(problem, evaluated, shape)
            groups["posterior_predictive"] = _replicates(problem, evaluated, log_scales, shape, rng)
    estimated = [p for p in problem.parameters.values() if p.name in values]
    groups = {
        "posterior": _parameters(estimated, {n: v.reshape(shape) for n, v in values.items()}),
        "sample_stats": _sample_stats(stats, failures),
        **groups,
        "observed_data": observed_data(problem),
        GROUP: store_fitted(problem),
        "prior": _parameters(estimated, {p.name: draw_prior(p, PRIOR_DRAWS, rng)[None] for p in estimated}),
    }
    root = xr.Dataset(attrs={**_provenance(problem, seed), **{k: _attribute(v) for k, v in known.items()}})
    return xr.DataTree.from_dict({"/": root, **groups}, name=problem.name or None)


@falls_back
def evaluate_draws(problem: Problem, z: Float[np.ndarray, "draws parameters"]) -> Evaluated:
    """Simulates every draw, in chunks, so that memory is bounded; compiled once."""
    return Evaluated(*map_draws(problem, _evaluated, z))


def _evaluated(problem: Problem, z: Float[Array, " parameters"]) -> tuple[Array | np.ndarray, ...]:
    readout = problem.read(problem.values(z))
    terms, nuisance = problem.terms_of(readout), problem.nuisance
    none = jnp.zeros(0)
    scales = (none, none)
    if len(nuisance):
        scales = nuisance.conditional(jnp.asarray(problem.measured.value) - readout.mean, readout.sd)
    return readout.mean, readout.sd, terms.rows, terms.scales, *scales, readout.status, jnp.asarray(readout.lowest)


def _naturals(problem: Problem, z: Float[Array, "draws parameters"]) -> Float[Array, "draws parameters"]:
    return jax.vmap(problem.space.constrain)(z)


def map_draws(problem: Problem, function: OfDraw, draws: np.ndarray, *, shared: bool = True) -> tuple[np.ndarray, ...]:
    """`function(problem, draw)` of every draw, which solves what `problem` does.

    In chunks, of which a batch is solved at once. Compiled code is kept and shared as `Problem.compiled` does it,
    unless `shared` is false, as for a closure that is made anew for each call.
    """
    with problem.placed(min(BATCH, len(draws))):
        return _map_draws(problem, function, draws, shared)


def _of_batches(problem: Problem, function: OfDraw, full: tuple[int, ...], batch: int, draws: Array):
    def one(draw: Array) -> list[Array | np.ndarray]:
        results = function(problem, draw)
        return [results[i] for i in full]

    return jax.lax.map(one, draws, batch_size=batch)


def _map_draws(problem: Problem, function: OfDraw, draws: np.ndarray, shared: bool) -> tuple[np.ndarray, ...]:
    n = len(draws)
    results = jax.eval_shape(partial(function, problem), jax.ShapeDtypeStruct(draws.shape[1:], float))
    full = tuple(i for i, r in enumerate(results) if 0 not in r.shape)  # JAX cannot batch what is empty
    batch = min(BATCH, n)
    size = min(CHUNK, -(-n // batch) * batch)  # whole batches: a smaller one would be compiled again
    what = (function, full, batch)
    compiled = problem.compiled(_of_batches, *what) if shared else jax.jit(partial(_of_batches, problem, *what))
    parts = []
    for start in range(0, n, size):
        chunk = draws[start : start + size]
        padded = np.concatenate([chunk, np.repeat(chunk[-1:], size - len(chunk), axis=0)])
        parts.append([np.asarray(a)[: len(chunk)] for a in compiled(jnp.asarray(padded))])
    arrays = dict(zip(full, (np.concatenate(p) for p in zip(*parts, strict=True)), strict=True))
    return tuple(arrays.get(i, np.zeros((n, *r.shape), r.dtype)) for i, r in enumerate(results))


def replicate(problem: Problem, mean: np.ndarray, sd: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Measurements drawn anew, … × rows, as they would be recorded (not on a logarithm's scale)."""
    assays = problem.assays
    noise = assays.noise.draw(rng, mean.shape[:-1])
    measured = np.array([m.value for m in problem.dataset.measurements])
    tail = np.asarray(problem.measured.tail)
    return np.asarray(recorded(assays.natural(mean + sd * noise), measured, uppers(problem.dataset), tail))


def thinned(total: int, wanted: int | None) -> np.ndarray:
    """Positions of about `wanted` of `total` draws, evenly spread; None: all of them."""
    count = total if wanted is None else min(wanted, total)
    return np.unique(np.linspace(0, total - 1, count).round().astype(int))


def safe(name: str) -> str:
    """A name that NetCDF takes."""
    return name.replace("/", "∕")


def observed_data(problem: Problem) -> xr.Dataset:
    """The measurements, a variable for each observable, as measured."""
    variables = {}
    for name, rows in rows_of(problem).items():
        value = np.array([problem.dataset.measurements[i].value for i in rows])
        o = problem.dataset.observables[name]
        variables[safe(name)] = _rows_array(problem, name, rows, value, (), {"unit": o.unit, "scale": str(o.scale)})
    return xr.Dataset(variables)


def rows_of(problem: Problem) -> dict[str, np.ndarray]:
    """Positions of each observable's rows among the measurements; observables without rows are left out."""
    positions: dict[str, list[int]] = {n: [] for n in problem.dataset.observables}
    for i, m in enumerate(problem.dataset.measurements):
        positions[m.observable].append(i)
    return {n: np.array(r) for n, r in positions.items() if r}


def _rows_array(problem: Problem, name: str, rows, values, leading: tuple[str, ...], attrs) -> xr.DataArray:
    """Values of some rows of one observable, with what is known of the rows."""
    measured = [problem.dataset.measurements[i] for i in rows]
    key = safe(name)
    dimension = f"row[{key}]"
    numbers = [m.row for m in measured]
    # Tables number their rows; measurements made in code may not.
    index = numbers if len(set(numbers)) == len(numbers) else [int(i) for i in rows]
    coords = {
        dimension: np.array(index),
        f"protocol[{key}]": (dimension, np.array([m.protocol for m in measured])),
        f"time[{key}]": (dimension, np.array([m.time for m in measured])),
        f"experiment[{key}]": (dimension, np.array([m.experiment for m in measured])),
    }
    if any(m.censored for m in measured):
        coords[f"censored[{key}]"] = (dimension, np.array([m.censored for m in measured]))
    return xr.DataArray(values, dims=(*leading, dimension), coords=coords, attrs=attrs)


def _log_likelihood(problem: Problem, evaluated: Evaluated, shape: tuple[int, int]) -> xr.Dataset:
    free = problem.nuisance.group < 0
    variables = {}
    for name, rows in rows_of(problem).items():
        free_rows = rows[free[rows]]
        if len(free_rows):
            values = evaluated.rows[:, free_rows].reshape(*shape, -1)
            variables[safe(name)] = _rows_array(
                problem, name, free_rows, values, _SAMPLE, {"pointwise_unit": "measurement"}
            )
    if len(problem.nuisance):
        variables[SCALES] = xr.DataArray(
            evaluated.scales.reshape(*shape, -1),
            dims=(*_SAMPLE, "scale"),
            coords={"scale": np.array(problem.nuisance.names)},
            attrs={"pointwise_unit": "gel or plate: all measurements that share the scale, integrated out"},
        )
    return _sampled(xr.Dataset(variables, attrs=_failed(evaluated)), shape)


def _replicates(problem: Problem, evaluated: Evaluated, log_scales, shape, rng) -> xr.Dataset:
    nuisance = problem.nuisance
    mean = evaluated.mean
    if len(nuisance):
        shift = nuisance.slope * log_scales[:, nuisance.group.clip(0)]
        mean = mean + np.where(nuisance.group >= 0, shift, 0.0)
    drawn = replicate(problem, mean, evaluated.sd, rng)
    variables = {
        safe(name): _rows_array(
            problem,
            name,
            rows,
            drawn[:, rows].reshape(*shape, -1).astype(_precision(problem, rows)),
            _SAMPLE,
            {"unit": problem.dataset.observables[name].unit},
        )
        for name, rows in rows_of(problem).items()
    }
    return _sampled(xr.Dataset(variables, attrs=_failed(evaluated)), shape)


def _precision(problem: Problem, rows) -> type[np.floating]:
    """Of replicates: half the room is enough, but for those that must equal their limit."""
    return np.float64 if np.any(problem.measured.tail[rows]) else np.float32


def _failed(evaluated: Evaluated) -> dict[str, str]:
    return {"failed_solves": json.dumps(count_kinds(evaluated.status))}


def _sampled(dataset: xr.Dataset, shape: tuple[int, int]) -> xr.Dataset:
    return dataset.assign_coords(chain=np.arange(shape[0]), draw=np.arange(shape[1]))


def _parameters(parameters: list[Parameter], values: Mapping[str, np.ndarray]) -> xr.Dataset:
    variables = {}
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
        variables[safe(p.name)] = xr.DataArray(values[p.name], dims=_SAMPLE, attrs=attrs)
    return _sampled(xr.Dataset(variables), np.shape(next(iter(values.values())))[:2])


def _sample_stats(stats: Mapping[str, np.ndarray], failures: Failures) -> xr.Dataset:
    arrays = {n: np.asarray(v) for n, v in stats.items()}
    attrs = {f"failures_{phase}": json.dumps(dict(failures.get(phase, {}))) for phase in ("warmup", "draws")}
    shape = next(iter(arrays.values())).shape[:2] if arrays else (0, 0)
    return _sampled(xr.Dataset({n: (_SAMPLE, v) for n, v in arrays.items()}, attrs=attrs), shape)


def _provenance(problem: Problem, seed: int) -> dict[str, Any]:
    known = {p.name: p for p in problem.parameters.values()}
    settings = problem.settings
    with problem.placed() as devices:
        names = [f"{d.platform}:{d.id} {d.device_kind}" for d in devices]
    return {
        MARK: version("hexamer"),
        **{f"{n}_version": version(n) for n in ("jax", "diffrax", "numpyro", "arviz")},
        "inference_library": "hexamer",
        "inference_library_version": version("hexamer"),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "devices": json.dumps(names),
        "problem": problem.name,
        "model": problem.model.name,
        "model_digest": model_digest(problem.model),
        "measurements": len(problem.dataset),
        "priors": json.dumps({n: p.prior.text for n, p in known.items() if p.prior is not None}, ensure_ascii=False),
        "integrated_out": json.dumps(list(problem.nuisance.names)),
        "fixed": json.dumps(problem.fixed),
        "solver_settings": json.dumps(settings.stored()),
        "notes": json.dumps(list(problem.dataset.notes), ensure_ascii=False),
    }


def _attribute(value: Any) -> str | int | float:
    """An attribute that NetCDF takes."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def on_search_scale(array: xr.DataArray) -> np.ndarray:
    """A parameter's draws on the scale that it is searched on; NaN where a logarithm does not exist."""
    values = np.asarray(array.values, dtype=float)
    scale = array.attrs.get("search_scale", "lin")
    if scale == "lin":
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(values) if scale == "log" else np.log10(values)


__all__ = [
    "Evaluated",
    "evaluate_draws",
    "observed_data",
    "on_search_scale",
    "replicate",
    "to_datatree",
]
