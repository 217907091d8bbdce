"""From trajectories to what the assays read: predictions and standard deviations of every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float, Int

from ...data.dataset import Dataset, Observable
from ...data.native.coverage import near
from ...models.compiled.domain import bounded
from ...models.compiled.model import Model
from ...models.compiled.observe import RowGroup
from ...models.compiled.plan import compile_plan
from ...models.networks.formulas import TIME, bind_time, inline
from ...models.solvers.below_zero import lowest
from ...models.solvers.dispatch import solve
from ...models.solvers.reading import SolutionReader
from ...models.solvers.settings import Settings
from .censoring import tails
from .plan_values import PlanValues
from .row_noise import RowNoise

_MEAN, _SPREAD = "<mean>", "<sd>"  # no names of a model


class Readout(NamedTuple):
    """Rows in the order of the measurements; means and standard deviations on each observable's scale."""

    mean: Float[Array, " rows"]
    sd: Float[Array, " rows"]
    status: Int[Array, " protocols"]
    steps: Int[Array, " protocols"]
    lowest: Float[Array, " species"] | tuple[()] = ()  # how far below 0 each falls; see `models.solvers.below_zero`


class Assays:
    """All observables of a data set compiled against a model and the names of the values they use.

    `fixed`: those of the values that never change.
    """

    def __init__(self, model: Model, dataset: Dataset, names: Sequence[str], fixed: Mapping[str, float] | None = None):
        self.dataset = dataset
        self.names = tuple(names)
        self.model = with_inputs_of_protocols(model, dataset)
        self._values = PlanValues(self.model, dataset, self.names)
        times: dict[str, set[float]] = {}
        for m in dataset.measurements:
            times.setdefault(m.protocol, set()).add(m.time)
        self.protocols = tuple(times)
        sorted_times = {p: sorted(t) for p, t in times.items()}
        self.plan = compile_plan(
            self.model,
            [self._values.continuing(dataset.protocols[p]) for p in self.protocols],
            [sorted_times[p] for p in self.protocols],
            self._values.names,
            fixed or {},
        )
        where = {(p, t): (i, j) for i, p in enumerate(self.protocols) for j, t in enumerate(sorted_times[p])}
        # In the order of the rows: that of the description must not decide in which order gradients are summed.
        used = [dataset.observables[n] for n in dict.fromkeys(m.observable for m in dataset.measurements)]
        self.reading = SolutionReader(self.model, self.plan, [self._group(o, where) for o in used])
        self.row_protocol = self.reading.rows.protocol
        self.log_base = np.array([dataset.observables[m.observable].scale.log_base for m in dataset.measurements])
        self.limits = tails(dataset)  # the kind of limit that each row may state
        self.noise = RowNoise.of(dataset)

    def _group(self, observable: Observable, where: Mapping[tuple[str, float], tuple[int, int]]) -> RowGroup:
        rows = [(i, m) for i, m in enumerate(self.dataset.measurements) if m.observable == observable.name]
        cells = np.array([where[m.protocol, m.time] for _, m in rows], dtype=int)
        return RowGroup(
            self._formulas(observable),
            rows=np.array([i for i, _ in rows], dtype=int),
            protocol=cells[:, 0],
            time=cells[:, 1],
            arguments={n: [m.arguments[k] for _, m in rows] for k, n in enumerate(observable.placeholders)},
        )

    def _formulas(self, observable: Observable) -> tuple[sympy.Expr, sympy.Expr]:
        """Mean and standard deviation on the observable's scale, over names of the model but its rules."""
        model = self.model
        names = {*model.names, *self.names, *observable.placeholders}  # else `time` is that of the simulation
        unknown = sorted(observable.symbols - {*names, "time", TIME.name})
        if unknown:
            file = self.dataset.described_in
            where = f"{file}, 'observables.{observable.name}': " if file else ""
            raise ValueError(
                f"{where}observable {observable.name!r} uses {', '.join(unknown)}: no species, rule or parameter of "
                f"{model.name}, and no parameter of the data set{near(unknown[0], sorted(names))}"
            )
        mean = bind_time(observable.scale.formula(observable.formula), names)
        spread = bind_time(observable.noise_formula, names)
        written = inline({**model.formulas, _MEAN: mean, _SPREAD: spread})
        states = [s.name for s in model.symbols]
        return bounded(written[_MEAN], states), bounded(written[_SPREAD], states)

    def of_plan(self, settings: Settings, values: Float[Array, " names"]) -> Float[Array, " more"]:
        """Parameter values with what follows from them behind, as the plan takes them."""
        return self._values(settings, values)

    def natural(self, x: Float[np.ndarray, "*batch rows"]) -> Float[np.ndarray, "*batch rows"]:
        """Values on each observable's scale, in the units of the measurements."""
        logarithmic = self.log_base > 0
        with np.errstate(over="ignore", invalid="ignore"):  # inf · 0 of those that are not logarithmic
            return np.where(logarithmic, np.exp(np.where(logarithmic, x * self.log_base, 0.0)), x)

    def read(self, settings: Settings, values: Float[Array, " names"]) -> Readout:
        """Simulates all protocols and reads every row; NaN if a trajectory failed."""
        values = self.of_plan(settings, values)
        solution = solve(self.model, self.plan, settings, values, small_batch=True)
        mean, sd = self.reading(settings, values, solution)
        states = jax.lax.stop_gradient(solution.y)
        low = lowest(self.model, states, settings.rtol, settings.atol, jnp)
        return Readout(mean, sd, solution.status, solution.steps, low)


def with_inputs_of_protocols(model: Model, dataset: Dataset) -> Model:
    """Names that protocols set and only observables use, as parameters that the ODE does not see."""
    changed = frozenset().union(*(p.targets for p in dataset.protocols.values()))
    used = frozenset().union(*(o.symbols for o in dataset.observables.values()))
    extra = sorted((changed & used) - set(model.parameters) - set(model.species))
    if not extra:
        return model
    defaults = np.append(model.defaults, np.full(len(extra), np.nan))
    return replace(model, parameters=(*model.parameters, *extra), defaults=defaults)


__all__ = ["Assays", "Readout"]
