"""From trajectories to what the assays read: predictions and standard deviations of every row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float, Int

from ..data.dataset import Dataset, Observable
from ..models.codegen import compile_vector
from ..models.engines import solve
from ..models.expressions import inline
from ..models.model import Model
from ..models.plan import compile_plan
from ..models.settings import Settings
from ..models.simulate import parameters_at
from ..models.status import Status

LN10 = float(np.log(10.0))
_LOG_BASE = {"lin": 0.0, "log": 1.0, "log10": LN10}


def on_scale(expression: sympy.Expr, scale: str) -> sympy.Expr:
    """A formula on an observable's scale: itself, its natural or its decadic logarithm."""
    if scale == "lin":
        return expression
    return sympy.log(expression) if scale == "log" else sympy.log(expression) / sympy.log(10)


class Readout(NamedTuple):
    """Rows in the order of the measurements; means and standard deviations on each observable's scale."""

    mean: Float[Array, " rows"]
    sd: Float[Array, " rows"]
    status: Int[Array, " protocols"]
    steps: Int[Array, " protocols"]


@dataclass(frozen=True, eq=False)
class _Group:
    """The rows of one observable, as index arrays."""

    rows: np.ndarray  # positions in the dataset
    protocol: np.ndarray
    time: np.ndarray  # index into the plan's times
    at: np.ndarray  # minutes
    arguments: np.ndarray  # rows × placeholders; indices into [values, constants]
    function: Callable[..., Float[Array, "rows two"]]


class Assays:
    """All observables of a data set compiled against a model and the names of the values they use."""

    def __init__(self, model: Model, dataset: Dataset, names: Sequence[str]):
        self.dataset = dataset
        self.names = tuple(names)
        self.model = _with_inputs_of_protocols(model, dataset)
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
        self._constants: list[float] = []
        where = {(p, t): (i, j) for i, p in enumerate(self.protocols) for j, t in enumerate(sorted_times[p])}
        self._groups = [self._group(o, where) for o in dataset.observables.values()]
        self._groups = [g for g in self._groups if len(g.rows)]
        scale = [dataset.observables[m.observable].scale for m in dataset.measurements]
        self.log_base = np.array([_LOG_BASE[s] for s in scale])
        self.value, self.jacobian = _values_on_scale(dataset, self.log_base)
        self.laplace = np.array([dataset.observables[m.observable].noise == "laplace" for m in dataset.measurements])

    def _slot(self, value: float | str) -> int:
        if isinstance(value, str):
            if value not in self.names:
                raise ValueError(f"a measurement uses the parameter {value!r}, which has neither a prior nor a value")
            return self.names.index(value)
        self._constants.append(float(value))
        return len(self.names) + len(self._constants) - 1

    def _group(self, observable: Observable, where: Mapping[tuple[str, float], tuple[int, int]]) -> _Group:
        found = [(i, m) for i, m in enumerate(self.dataset.measurements) if m.observable == observable.name]
        cells = [where[m.protocol, m.time] for _, m in found]
        return _Group(
            rows=np.array([i for i, _ in found], dtype=int),
            protocol=np.array([c for c, _ in cells], dtype=int),
            time=np.array([t for _, t in cells], dtype=int),
            at=np.array([m.time for _, m in found], dtype=float),
            arguments=np.array([[self._slot(a) for a in m.arguments] for _, m in found], dtype=int).reshape(
                len(found), len(observable.placeholders)
            ),
            function=self._compile(observable),
        )

    def _compile(self, observable: Observable) -> Callable[..., Float[Array, "rows two"]]:
        model = self.model
        states = set(model.species) | set(model.parameters) | {"time"}
        others = [n for n in self.names if n not in states]
        known = {*states, *others, *model.rules, *observable.placeholders}
        unknown = sorted(observable.symbols - known)
        if unknown:
            raise ValueError(
                f"observable {observable.name!r} uses {', '.join(unknown)}: no species, rule or parameter of "
                f"{model.name}, and no parameter of the data set"
            )
        mean = on_scale(observable.formula, observable.scale)
        written = inline({**model.rules, "_mean": mean, "_sd": observable.noise_formula})
        names = (
            model.species,
            model.parameters,
            [n for n in others if n not in observable.placeholders],
            observable.placeholders,
            () if "time" in model.species else ("time",),
        )
        index = np.array([self.names.index(n) for n in names[2]], dtype=int)
        compiled = compile_vector(names, [written["_mean"], written["_sd"]])

        def function(y, p, values, arguments, time):
            return compiled(y, p, values[index], arguments, time[:, None])

        return function

    def natural(self, x: Float[np.ndarray, "*batch rows"]) -> Float[np.ndarray, "*batch rows"]:
        """Values on each observable's scale, in the units of the measurements."""
        logarithmic = self.log_base > 0
        with np.errstate(over="ignore"):
            return np.where(logarithmic, np.exp(np.where(logarithmic, x * self.log_base, 0.0)), x)

    def read(self, settings: Settings, values: Float[Array, " names"]) -> Readout:
        """Simulates all protocols and reads every row; NaN where a trajectory failed."""
        solution = solve(self.model, self.plan, settings, values)
        p = parameters_at(self.plan, values)
        filled = jnp.concatenate([values, jnp.asarray(self._constants, values.dtype)])
        mean = jnp.zeros(len(self.dataset), values.dtype)
        sd = jnp.ones(len(self.dataset), values.dtype)
        for g in self._groups:
            # A failed trajectory is NaN, and NaN · 0 would spoil the gradient: read 1, and hide it after.
            ok = (solution.status[g.protocol] == Status.OK)[:, None]
            y = jnp.where(ok, solution.y[g.protocol, g.time], 1.0)
            both = g.function(y, p[g.protocol, g.time], values, filled[g.arguments], jnp.asarray(g.at))
            both = jnp.where(ok, both, jnp.nan)
            mean, sd = mean.at[g.rows].set(both[:, 0]), sd.at[g.rows].set(both[:, 1])
        return Readout(mean, sd, solution.status, solution.steps)


def _values_on_scale(dataset: Dataset, log_base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measured values v on their scale, and log |d scale(v)/dv|, which makes a density one of v."""
    values = np.array([m.value for m in dataset.measurements])
    logarithmic = log_base > 0
    if bad := [m for m, x in zip(dataset.measurements, logarithmic, strict=True) if x and not m.value > 0]:
        rows = "; ".join(f"row {m.row}: {m.observable} is {m.value:g}" for m in bad)
        raise ValueError(f"a value on a logarithmic scale must be positive: {rows}")
    base = np.where(logarithmic, log_base, 1.0)
    logged = np.log(np.where(logarithmic, values, 1.0))
    return np.where(logarithmic, logged / base, values), np.where(logarithmic, -logged - np.log(base), 0.0)


def _with_inputs_of_protocols(model: Model, dataset: Dataset) -> Model:
    """Names that protocols set and only observables use, as parameters that the ODE does not see."""
    changed = frozenset().union(*(p.targets for p in dataset.protocols.values()))
    used = frozenset().union(*(o.symbols for o in dataset.observables.values()))
    extra = sorted((changed & used) - set(model.parameters) - set(model.species))
    if not extra:
        return model
    defaults = np.append(model.defaults, np.full(len(extra), np.nan))
    return replace(model, parameters=(*model.parameters, *extra), defaults=defaults)


__all__ = ["Assays", "Readout", "on_scale"]
