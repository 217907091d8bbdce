"""From trajectories to what the assays read: predictions and standard deviations of every row."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float, Int

from ...data.dataset import Dataset, Observable
from ...data.native.coverage import near
from ...models.compiled.codegen import compile_elementwise
from ...models.compiled.domain import ATOL, RTOL, bounded
from ...models.compiled.model import Model
from ...models.compiled.plan import compile_plan
from ...models.networks.formulas import TIME, bind_time, inline
from ...models.solvers.below_zero import judged_by, lowest
from ...models.solvers.dispatch import solve, uses_fused
from ...models.solvers.fused import cuda
from ...models.solvers.fused.codegen.lower import DoesNotCompile, Unsupported
from ...models.solvers.fused.engine import threads
from ...models.solvers.fused.observables import Formulas, Group
from ...models.solvers.settings import Settings
from ...models.solvers.status import Status
from .censoring import tails, uppers
from .gather import gather
from .row_noise import RowNoise

log = logging.getLogger(__name__)

_MEAN, _SPREAD = "<mean>", "<sd>"  # no names of a model


class Readout(NamedTuple):
    """Rows in the order of the measurements; means and standard deviations on each observable's scale."""

    mean: Float[Array, " rows"]
    sd: Float[Array, " rows"]
    status: Int[Array, " protocols"]
    steps: Int[Array, " protocols"]
    lowest: Float[Array, " species"] | tuple[()] = ()  # how far below 0 each falls; see `models.solvers.below_zero`


@dataclass(frozen=True, eq=False)
class _Group:
    """The rows of one observable: where in the pool what they use lies, and the formula over it."""

    rows: np.ndarray  # positions in the dataset
    names: tuple[str, ...]  # that the formulas use
    columns: tuple[np.ndarray, ...]  # of each name, an index into the pool for each row
    expressions: tuple[sympy.Expr, sympy.Expr]  # mean and standard deviation
    function: Callable[..., Sequence[Float[Array, " rows"]]]  # both, of the columns


class Assays:
    """All observables of a data set compiled against a model and the names of the values they use.

    Everything that a formula may use lies in one vector, the pool: values, constants of the plan, numbers that rows
    fill in, and all trajectories. Reading is then one gather, formulas, and one permutation.
    """

    def __init__(self, model: Model, dataset: Dataset, names: Sequence[str]):
        self.dataset = dataset
        self.names = tuple(names)
        self.model = with_inputs_of_protocols(model, dataset)
        times: dict[str, set[float]] = {}
        for m in dataset.measurements:
            times.setdefault(m.protocol, set()).add(m.time)
        self.protocols = tuple(times)
        sorted_times = {p: sorted(t) for p, t in times.items()}
        self.plan = compile_plan(
            self.model,
            [dataset.protocols[p] for p in self.protocols],
            [sorted_times[p] for p in self.protocols],
            self.names,
        )
        self._numbers: list[float] = []
        self._tolerances: dict[str, list[int]] = {RTOL.name: [], ATOL.name: []}  # their places among the numbers
        where = {(p, t): (i, j) for i, p in enumerate(self.protocols) for j, t in enumerate(sorted_times[p])}
        self.row_protocol = np.array([where[m.protocol, m.time][0] for m in dataset.measurements], dtype=int)
        # In the order of the rows: that of the description must not decide in which order gradients are summed.
        used = [dataset.observables[n] for n in dict.fromkeys(m.observable for m in dataset.measurements)]
        self._groups = [self._group(o, where) for o in used]
        self._index_pool()
        self.log_base = np.array([dataset.observables[m.observable].scale.log_base for m in dataset.measurements])
        self.tail = tails(dataset)
        self.value, jacobian = _values_on_scale(dataset, self.log_base)
        self.width = _on_base(uppers(dataset), self.log_base) - self.value  # of intervals, 0 for other rows
        self.jacobian = np.where(self.tail == 0, jacobian, 0.0)  # a probability has none
        self.noise = RowNoise.of(dataset)

    def _number(self, value: float) -> int:
        """Place of a number among the pool's own; below 0 until the trajectories' place is known."""
        self._numbers.append(float(value))
        return -len(self._numbers)

    def _argument(self, value: float | str) -> int:
        if not isinstance(value, str):
            return self._number(value)
        if value not in self.names:
            raise ValueError(f"a measurement uses the parameter {value!r}, which has neither a prior nor a value")
        return self.names.index(value)

    def _group(self, observable: Observable, where: Mapping[tuple[str, float], tuple[int, int]]) -> _Group:
        found = [(i, m) for i, m in enumerate(self.dataset.measurements) if m.observable == observable.name]
        protocol = np.array([where[m.protocol, m.time][0] for _, m in found], dtype=int)
        time = np.array([where[m.protocol, m.time][1] for _, m in found], dtype=int)
        names, used, expressions, function = self._compile(observable)
        environment = len(self.plan.names) + len(self.plan.constants)
        model, symbols = self.model, [s.name for s in self.model.symbols]

        def column(name: str) -> np.ndarray:
            if name in observable.placeholders:
                k = observable.placeholders.index(name)
                return np.array([self._argument(m.arguments[k]) for _, m in found], dtype=int)
            if name in symbols:
                cell = protocol * self.plan.times.shape[1] + time
                return environment + cell * len(model.species) + symbols.index(name)
            if name in model.parameters:
                return self.plan.parameters[protocol, self.plan.segment[protocol, time], model.parameters.index(name)]
            if name in self._tolerances:
                place = self._number(0.0)
                self._tolerances[name].append(-place - 1)
                return np.full(len(found), place)
            if name == TIME.name:
                return np.array([self._number(m.time) for _, m in found], dtype=int)
            return np.full(len(found), self.names.index(name))

        rows = np.array([i for i, _ in found], dtype=int)
        taken = tuple(names[k] for k in used)
        return _Group(rows, taken, tuple(map(column, taken)), expressions, function)

    def _compile(self, observable: Observable):
        """Names that a formula may use, positions of those it does, mean and standard deviation, and a function."""
        model = self.model
        own = {*model.names, *self.names, *observable.placeholders}  # else `time` is that of the simulation
        symbols = [s.name for s in model.symbols]
        others = [n for n in self.names if n not in (*symbols, *model.parameters)]
        known = {*own, "time", TIME.name}
        unknown = sorted(observable.symbols - known)
        if unknown:
            file = self.dataset.described_in
            where = f"{file}, 'observables.{observable.name}': " if file else ""
            raise ValueError(
                f"{where}observable {observable.name!r} uses {', '.join(unknown)}: no species, rule or parameter of "
                f"{model.name}, and no parameter of the data set{near(unknown[0], sorted(own))}"
            )
        mean = bind_time(observable.scale.formula(observable.formula), own)
        spread = bind_time(observable.noise_formula, own)
        written = inline({**model.rules, _MEAN: mean, _SPREAD: spread})
        known = [*observable.placeholders, *symbols, *model.parameters, *others, TIME.name, RTOL.name, ATOL.name]
        names = list(dict.fromkeys(known))
        expressions = bounded(written[_MEAN], symbols), bounded(written[_SPREAD], symbols)
        used, function = compile_elementwise(names, expressions)
        return names, used, expressions, function

    def _index_pool(self) -> None:
        """The gather of all columns of all groups, and the permutation back to the order of the measurements."""
        before = len(self.plan.names) + len(self.plan.constants) + self.plan.times.size * len(self.model.species)
        columns = [c for g in self._groups for c in g.columns]
        index = np.concatenate(columns) if columns else np.zeros(0, int)
        index = np.where(index < 0, before - 1 - index, index)
        self._pool = before + len(self._numbers)
        self._index, self._gather = index, gather(index, self._pool)
        self._lengths = tuple(len(c) for c in columns)
        rows = np.concatenate([g.rows for g in self._groups])
        self._order = np.argsort(rows)
        self._permute = gather(self._order, len(rows))

    @cached_property
    def _formulas(self) -> Formulas | None:
        """All formulas as compiled code, where they can be."""
        columns = iter(np.split(self._index, np.cumsum(self._lengths)[:-1]))
        groups = [
            Group(g.names, *g.expressions, np.array([next(columns) for _ in g.names]), g.rows) for g in self._groups
        ]
        try:
            return Formulas(groups, self.row_protocol, len(self.protocols), self._pool, self._masked_by_xla)
        except Unsupported as reason:
            if isinstance(reason, DoesNotCompile):
                log.warning("formulas of %s are read by JAX: they do not compile here: %s", self.model.name, reason)
            return None

    def natural(self, x: Float[np.ndarray, "*batch rows"]) -> Float[np.ndarray, "*batch rows"]:
        """Values on each observable's scale, in the units of the measurements."""
        logarithmic = self.log_base > 0
        with np.errstate(over="ignore", invalid="ignore"):  # inf · 0 of those that are not logarithmic
            return np.where(logarithmic, np.exp(np.where(logarithmic, x * self.log_base, 0.0)), x)

    def read(self, settings: Settings, values: Float[Array, " names"]) -> Readout:
        """Simulates all protocols and reads every row; NaN where a trajectory failed."""
        solution = solve(self.model, self.plan, settings, values, few=True)
        fixed = [jnp.asarray(c, values.dtype) for c in (self.plan.constants, self._numbers_under(settings, solution.y))]
        ok = solution.status == Status.OK
        compiled = self._formulas if uses_fused(self.model, settings) else None
        # A failed trajectory is NaN, and NaN · 0 would spoil XLA's gradient: read 1, and hide it after.
        y = solution.y if compiled is not None and not cuda.devices() else jnp.where(ok[:, None, None], solution.y, 1.0)
        pool = jnp.concatenate([values, fixed[0], jnp.ravel(y), fixed[1]])
        if compiled is not None:
            mean, sd = compiled(pool, solution.status, threads(settings))
        else:
            mean, sd = self._masked_by_xla(pool, solution.status, reverse=settings.derivative == "reverse")
        held = jax.lax.stop_gradient(solution.y)
        low = lowest(self.model, held, settings.rtol, settings.atol, jnp)
        return Readout(mean, sd, solution.status, solution.steps, low)

    def _numbers_under(
        self, settings: Settings, y: Float[Array, "protocols times species"]
    ) -> Float[Array, " numbers"]:
        """The pool's own numbers, with the solver's tolerances in their places."""
        numbers = jnp.asarray(np.array(self._numbers), y.dtype)
        atol = settings.atol
        if atol is None and self._tolerances[ATOL.name]:
            atol = jnp.max(judged_by(self.model, jax.lax.stop_gradient(y), settings.rtol, jnp))
        for places, value in zip(self._tolerances.values(), (settings.rtol, atol), strict=True):
            if places:
                numbers = numbers.at[np.array(places, dtype=int)].set(value)
        return numbers

    def _masked_by_xla(
        self, pool: Float[Array, " pool"], status: Int[Array, " protocols"], *, reverse: bool = True
    ) -> tuple[Float[Array, " rows"], Float[Array, " rows"]]:
        """Means and standard deviations; NaN where a trajectory failed, whose states the pool has as 1."""
        ok = status[self.row_protocol] == Status.OK
        mean, sd = self._by_xla(pool, reverse=reverse)
        return jnp.where(ok, mean, jnp.nan), jnp.where(ok, sd, jnp.nan)

    def _by_xla(self, pool: Float[Array, " pool"], *, reverse: bool) -> list[Float[Array, " rows"]]:
        """Means and standard deviations, one gather, the formulas and one permutation."""
        taken = self._gather(pool) if reverse else pool[self._index]
        columns = iter(jax.lax.split(taken, self._lengths) if self._lengths else ())
        means, sds = [], []
        for g in self._groups:
            both = g.function(*(next(columns) for _ in g.columns))
            for found, into in zip(both, (means, sds), strict=True):
                into.append(jnp.broadcast_to(jnp.asarray(found, pool.dtype), g.rows.shape))
        joined = [jnp.concatenate(x) for x in (means, sds)]
        return [self._permute(x) if reverse else x[self._order] for x in joined]


def _values_on_scale(dataset: Dataset, log_base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measured values v on their scale, and log |d scale(v)/dv|, which makes a density one of v."""
    values = np.array([m.value for m in dataset.measurements])
    logarithmic = log_base > 0
    if bad := [m for m, x in zip(dataset.measurements, logarithmic, strict=True) if x and not m.value > 0]:
        rows = "; ".join(f"row {m.row}: {m.observable} is {m.value:g}" for m in bad)
        raise ValueError(f"a value on a logarithmic scale must be positive: {rows}")
    base = np.where(logarithmic, log_base, 1.0)
    logged = np.log(np.where(logarithmic, values, 1.0))
    return _on_base(values, log_base), np.where(logarithmic, -logged - np.log(base), 0.0)


def _on_base(values: np.ndarray, log_base: np.ndarray) -> np.ndarray:
    """Values on their observable's scale."""
    logarithmic = log_base > 0
    logged = np.log(np.where(logarithmic, values, 1.0))
    return np.where(logarithmic, logged / np.where(logarithmic, log_base, 1.0), values)


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
