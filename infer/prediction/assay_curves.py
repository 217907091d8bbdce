"""What an assay would read beyond the rows that were measured: over dense times, and over doses.

The response of the model itself, without an assay, is `hexamer.infer.dose_response`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from ...data.dataset import Measurement, Observable
from ...models.listing import did_you_mean
from ...models.protocols.protocol import Protocol, Step
from ...models.solvers.dispatch import falls_back
from ..posterior.datatree import safe
from ..posterior.draw_evaluation import map_draws, thinned
from ..problem.problem import Problem
from ..problem.readout import Assays
from .runs import Values, alignment, average_run, protocol_of

_QUANTILES = 33  # of the noise, for each draw, in a predictive band


@dataclass(frozen=True, eq=False)
class Curve:
    """An observable under a protocol at `x` (times in the model's unit, or doses in the input's), draws ×
    points.

    `mean` and `sd` are on the observable's scale, NaN where the simulation failed.
    """

    observable: Observable
    protocol: str
    x: Float[np.ndarray, " points"]
    mean: Float[np.ndarray, "draws points"]
    sd: Float[np.ndarray, "draws points"]

    def __repr__(self) -> str:
        draws, points = self.mean.shape
        return f"Curve({self.observable.name!r} under {self.protocol!r}, {draws} draws × {points} points)"

    def signal(self, probabilities: float | Sequence[float]) -> Float[np.ndarray, "quantiles points"]:
        """Quantiles of the curve itself, as measured (not on a logarithm's scale)."""
        return self._linear(np.nanquantile(self.mean, probabilities, axis=0))

    def replicated(self, probabilities: float | Sequence[float]) -> Float[np.ndarray, "quantiles points"]:
        """Quantiles of a new measurement: the curve with its noise, in every draw."""
        noise = self.observable.noise.quantile((np.arange(_QUANTILES) + 0.5) / _QUANTILES)
        both = self.mean[None] + self.sd[None] * noise[:, None, None]
        return self._linear(np.nanquantile(both, probabilities, axis=(0, 1)))

    def _linear(self, v: np.ndarray) -> np.ndarray:
        return self.observable.scale.natural(v)


def posterior_values(
    problem: Problem, tree: xr.DataTree, *, draws: int | None = 200, group: str = "posterior"
) -> np.ndarray:
    """Draws × `problem.names`: values of all parameters, fixed ones included, evenly thinned to about
    `draws`.

    Raises `ValueError` naming parameters that the tree does not have.
    """
    known = tree[group].dataset
    fixed = problem.fixed
    missing = [n for n in problem.names if safe(n) not in known and n not in fixed]
    if missing:
        raise ValueError(f"the posterior is not of this problem: it lacks {', '.join(missing)}")
    positions = thinned(known.sizes["chain"] * known.sizes["draw"], draws)
    columns = [
        known[safe(n)].values.reshape(-1)[positions] if safe(n) in known else np.full(len(positions), fixed[n])
        for n in problem.names
    ]
    return np.stack(columns, axis=1)


def as_mapping(problem: Problem, values: Float[ArrayLike, "draws names"]) -> dict[str, Float[np.ndarray, " draws"]]:
    """Columns of `values` by parameter."""
    return dict(zip(problem.names, np.asarray(values, dtype=float).T, strict=True))


@falls_back
def curves(
    problem: Problem,
    values: Float[ArrayLike, "draws names"],
    times: ArrayLike | Mapping[tuple[str, str], ArrayLike],
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    protocols: Mapping[str, Protocol] | None = None,
    run: Mapping[str, Sequence[ArrayLike]] | None = None,
) -> dict[tuple[str, str], Curve]:
    """Courses of observables under protocols, in one batch; by default all pairs that were measured.

    `times` in the model's unit, common or by pair; those before a protocol's start are left out.
    `protocols` by name are by default those of the data. `run` gives for an observable what fills its placeholders,
    numbers or one value per draw (see `average_run`); by default scales are 1, offsets 0 and noise is that of the
    average run.
    """
    values = np.atleast_2d(np.asarray(values, dtype=float))
    if pairs is None:
        pairs = list(dict.fromkeys((m.observable, m.protocol) for m in problem.dataset.measurements))
    protocols = problem.dataset.protocols if protocols is None else protocols
    grids = {}
    for pair in pairs:
        grid = np.unique(np.asarray(times[pair] if isinstance(times, Mapping) else times, dtype=float))
        grids[pair] = grid[grid >= protocols[pair[1]].start]
    points = [(o, p, float(t)) for (o, p), grid in grids.items() for t in grid]
    mean, sd = _predict(problem, values, protocols, points, run)
    ends = np.cumsum([len(g) for g in grids.values()])[:-1]
    return {
        (o, p): Curve(problem.dataset.observables[o], p, grid, m, s)
        for ((o, p), grid), m, s in zip(
            grids.items(), np.split(mean, ends, axis=1), np.split(sd, ends, axis=1), strict=True
        )
    }


@falls_back
def over_doses(
    problem: Problem,
    values: Float[ArrayLike, "draws names"],
    observable: str,
    input: str,
    doses: ArrayLike,
    time: float,
    template: str | Protocol,
    *,
    run: Mapping[str, Sequence[ArrayLike]] | None = None,
) -> Curve:
    """A measured observable at `time` over `doses` of `input`, in model units, all else as in the protocol
    `template`.

    Raises `ValueError` where the template never gives that input.
    """
    protocol = protocol_of(problem.dataset, template)
    at = np.atleast_1d(np.asarray(doses, dtype=float))
    protocols = {f"{input} {d!r}": with_dose(protocol, input, float(d)) for d in at}
    points = [(observable, name, time) for name in protocols]
    if len(protocols) < len(at):
        raise ValueError("doses must differ from each other")
    mean, sd = _predict(problem, np.atleast_2d(np.asarray(values, dtype=float)), protocols, points, run)
    return Curve(problem.dataset.observables[observable], protocol.name, at, mean, sd)


def with_dose(protocol: Protocol, input: str, dose: float) -> Protocol:
    """The protocol with another dose of `input`, wherever it gives one; wash-out stays wash-out."""
    dosing_times = [s.time for s in protocol.steps if s.assign.get(input, 0.0) != 0.0 or input in s.add]
    if not dosing_times:
        dosing_times = [s.time for s in protocol.steps if input in s.assign][:1]
    if not dosing_times:
        meant = did_you_mean(input, protocol.targets)
        raise ValueError(f"protocol {protocol.name!r} gives no {input!r}: use one that does as a template{meant}")

    def changed(step: Step) -> Step:
        if step.time not in dosing_times:
            return step
        if input in step.add:
            return replace(step, add={**step.add, input: dose})
        return replace(step, assign={**step.assign, input: dose})

    return replace(protocol, name=f"{input} {dose!r}", steps=tuple(changed(s) for s in protocol.steps))


def dose_of(protocol: Protocol, input: str, template: Protocol) -> float | None:
    """The dose of `input` at which `protocol` is `template`; None where they differ in anything else."""
    doses = {v for s in protocol.steps for v in (s.assign.get(input), s.add.get(input)) if v not in (None, 0.0)}
    if any(isinstance(v, str) for v in doses) or len(doses) > 1:
        return None
    dose = float(next(iter(doses), 0.0))  # pyright: ignore[reportArgumentType]
    if _without(protocol, input) != _without(template, input):
        return None
    same = dose == 0.0 or with_dose(template, input, dose).steps == with_dose(protocol, input, dose).steps
    return dose if same else None


def _without(protocol: Protocol, input: str):
    """What a protocol does, one input left out."""

    def remaining(values):
        return tuple(sorted((n, v) for n, v in values.items() if n != input))

    steps = [(s.time, remaining(s.assign), remaining(s.add)) for s in protocol.steps]
    before = None if protocol.preequilibration is None else tuple(sorted(protocol.preequilibration.items()))
    return before, tuple(s for s in steps if s[1] or s[2])


def _predict(
    problem: Problem,
    values: Float[np.ndarray, "draws names"],
    protocols: Mapping[str, Protocol],
    points: Sequence[tuple[str, str, float]],
    run: Mapping[str, Sequence[ArrayLike]] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations, draws × points, as if measured in `run`."""
    named = as_mapping(problem, values)
    observables = list(dict.fromkeys(o for o, _, _ in points))
    extra: dict[str, np.ndarray] = {}
    arguments: dict[str, tuple[str, ...]] = {}
    for o in observables:
        filling = (run or {}).get(o) or _unit_run(problem, o, named, len(values))
        names = [f"gel[{o}]{i}" for i in range(len(filling))]
        extra |= {n: np.broadcast_to(np.asarray(v, float), (len(values),)) for n, v in zip(names, filling, strict=True)}
        arguments[o] = tuple(names)
    rows = tuple(Measurement(o, p, t, 1.0, arguments[o]) for o, p, t in points)
    dataset = replace(problem.dataset, protocols=dict(protocols), measurements=rows)
    assays = Assays(problem.model, dataset, (*problem.names, *extra), problem.fixed)

    def one(problem: Problem, v: Float[Array, " names"]) -> tuple[Array, Array]:
        readout = assays.read(problem.settings, v)
        failed = jnp.array([assays.protocols.index(p) for _, p, _ in points])
        ok = (readout.status == 0)[failed]
        return jnp.where(ok, readout.mean, jnp.nan), jnp.where(ok, readout.sd, jnp.nan)

    mean, sd = map_draws(problem, one, np.column_stack([values, *extra.values()]), shared=False)
    return mean, sd


def _unit_run(problem: Problem, observable: str, values: Values, draws: int) -> list[ArrayLike]:
    neutral = alignment(problem.dataset.observables[observable]).unit_run
    if not neutral:
        return []
    average = average_run(problem.dataset, observable, values, draws)
    return [a if np.isnan(n) else n for n, a in zip(neutral, average, strict=True)]
