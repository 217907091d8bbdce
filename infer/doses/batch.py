"""All trajectories of a design for all draws: compiled once, in chunks that fit into memory, over all devices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int
from tqdm import tqdm

from ...models.compiled.model import Model
from ...models.compiled.observe import grid_reader
from ...models.compiled.plan import Plan, compile_plan
from ...models.protocols.protocol import Protocol
from ...models.solvers.below_zero import reading_atol
from ...models.solvers.dispatch import falls_back, solve, uses_fused
from ...models.solvers.placement import devices_for, on
from ...models.solvers.settings import Settings
from ...models.solvers.status import Status
from .course_summary import CourseSummary, summarise_courses
from .failing import check_first

_COPIES = 2  # of a chunk's states that are held at once, at most
_MANY = 2**13  # trajectories of a chunk, above which a few are tried first
_TRIED = 2**9  # of those, about
_JUDGED = 8  # draws under all protocols, at least, by which an experiment is refused as a whole


class Responses(NamedTuple):
    """Responses of draws × protocols (× times if courses are returned), NaN if the solve failed; see `Status`."""

    values: Float[np.ndarray, "draws protocols times"]
    status: Int[np.ndarray, "draws protocols"]


@falls_back
def evaluate(
    model: Model,
    parameters: Mapping[str, Float[np.ndarray, "*draws"]],
    protocols: Sequence[Protocol],
    times: Float[np.ndarray, " times"],
    observe: str,
    *,
    draws: int,
    summary: CourseSummary | None,
    settings: Settings,
    memory: int,
    progress: bool,
) -> Responses:
    """Simulates every draw under every protocol and reads `observe`, a rule, species or formula, or its summary.

    `parameters` are values by name, one number or one for each draw. A chunk is as many draws as fit into `memory`
    bytes with all states of their trajectories; where one draw with all protocols does not, the protocols are solved
    in parts. Chunks are spread over the devices that `models.solvers.placement` gives for the trajectories of one.

    Raises `ValueError` for what the model does not have, and what `check_first` raises of the first chunk, where it
    holds all protocols for 8 draws, or all there are; of a large one a few draws are tried before.
    """
    names = tuple(parameters)
    table = np.stack([np.broadcast_to(np.asarray(parameters[n], float), (draws,)) for n in names], -1)
    each = len(times) * len(model.species) * 8 * _COPIES
    devices = devices_for(min(draws * len(protocols), memory // each), settings)  # of one chunk: a call
    part = max(1, min(len(protocols), memory // (each * len(devices))))
    parts = [protocols[i : i + part] for i in range(0, len(protocols), part)]
    most = max(1, memory // (each * part * len(devices)))  # draws of a chunk on one device
    chunks = math.ceil(draws / (most * len(devices)))
    size = math.ceil(draws / (chunks * len(devices))) * len(devices)  # chunks as equal as they can be
    values, status = [], []

    # A chunk of one draw, or of some doses, as with little memory, says nothing of the others.
    judged = len(parts) == 1 and size >= min(_JUDGED, draws)

    def check(rows: np.ndarray, some: Sequence[Protocol], status: np.ndarray) -> None:
        check_first(model, dict(zip(names, rows[0], strict=True)), some, status, settings)

    bar = tqdm(total=draws * len(protocols), desc="trajectories", unit="", unit_scale=True, disable=not progress)
    with on(devices[0]), bar:
        for some in parts:
            plan = compile_plan(model, some, [times.tolist()] * len(some), names)
            function = _compiled(model, plan, times, observe, summary, settings, devices)
            results = []
            if judged and size * len(some) > _MANY:
                sample_size = math.ceil(max(_TRIED / len(some), min(_JUDGED, draws)) / len(devices)) * len(devices)
                rows = np.linspace(0, draws - 1, sample_size).astype(int)
                check(table[rows], some, np.asarray(function(table[rows])[1]))
            for start in range(0, draws, size):
                rows = np.minimum(np.arange(start, start + size), draws - 1)  # the last chunk is filled up
                count = min(size, draws - start)
                results.append(tuple(np.asarray(r)[:count] for r in function(table[rows])))
                if judged and start == 0:
                    check(table[rows], some, results[0][1])
                bar.update(count * len(some))
            values.append(np.concatenate([v for v, _ in results]))
            status.append(np.concatenate([s for _, s in results]))
    return Responses(np.concatenate(values, axis=1), np.concatenate(status, axis=1))


def _compiled(
    model: Model,
    plan: Plan,
    times: np.ndarray,
    observe: str,
    summary: CourseSummary | None,
    settings: Settings,
    devices: Sequence[Any],
) -> Callable[[np.ndarray], tuple[Array, Array]]:
    read = grid_reader(model, plan, [observe])

    def one(values: Float[Array, " names"]) -> tuple[Array, Array]:
        solution = solve(model, plan, settings, values)
        atol = reading_atol(model, solution.y, settings.rtol, settings.atol)
        (course,) = read(values, solution.y, settings.rtol, atol)
        response = summarise_courses(summary, times, course)
        failed = solution.status != Status.OK
        finite = jnp.all(jnp.isfinite(response), axis=-1)
        status = jnp.where(failed | finite, solution.status, Status.NOT_FINITE)
        return jnp.where((failed | ~finite)[:, None], jnp.nan, response), status

    function = jax.vmap(one)
    if len(devices) == 1:
        return jax.jit(function)
    mesh = jax.make_mesh((len(devices),), ("draws",), devices=devices)
    along = PartitionSpec("draws")
    # diffrax's loops do not say over which axes their state varies.
    mapped = jax.shard_map(function, mesh=mesh, in_specs=along, out_specs=along, check_vma=uses_fused(model, settings))
    compiled = jax.jit(mapped)
    return lambda table: compiled(jax.device_put(table, NamedSharding(mesh, along)))
