"""Formulas over trajectories: what an assay, a dose response or a user reads of them.

`grid_reader` reads formulas at all protocols and times of a plan. `RowReader` reads other formulas in each row of a
table, at its own protocol and time, with numbers of its own. Both know where a name of the model lies;
`models.solvers.reading` reads rows by compiled code where it can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float, Int

from ..listing import did_you_mean
from ..networks.formulas import TIME, bind_time, inline, parse_infix
from ..protocols.protocol import Value
from .codegen import compile_elementwise
from .domain import ATOL, RTOL, bounded
from .gather import make_gather
from .model import Model
from .plan import Plan

Tolerance = Float[Array, ""] | float
States = Float[Array, "protocols times species"]
GridReader = Callable[[Float[Array, " names"], States, Tolerance, Tolerance], list[Float[Array, "protocols times"]]]


def expression_of(model: Model, formula: str | sympy.Expr) -> sympy.Expr:
    """A formula over species, parameters and rules of `model`, over species and parameters alone."""
    expression = bind_time(parse_infix(formula, model.names), model.names) if isinstance(formula, str) else formula
    return inline({**model.formulas, "": expression})[""]


def grid_reader(model: Model, plan: Plan, formulas: Sequence[str | sympy.Expr]) -> GridReader:
    """A function `(values, y, rtol, atol)` of a plan's values and states that reads each of `formulas`.

    Formulas are over the model's species, rules and parameters, and time. The solver's tolerances say how far below 0
    the base of a root or a real power may lie. Only what formulas use is gathered. Raises `ValueError` naming what the
    model does not have.
    """
    states = [s.name for s in model.symbols]
    known = [*states, *model.arguments, RTOL.name, ATOL.name]
    known += [] if TIME.name in known else [TIME.name]  # else it is a state
    compiled = [_compiled(model, formula, known, states) for formula in formulas]
    segment = np.take_along_axis(plan.parameters, plan.segment[:, :, None], axis=1)

    def read(values: Float[Array, " names"], y: States, rtol: Tolerance, atol: Tolerance) -> list[Array]:
        environment = jnp.concatenate([values, jnp.asarray(plan.constants, values.dtype)])

        def column(k: int) -> Array:
            if k < len(states):
                return y[..., k]
            if known[k] == TIME.name:
                return jnp.asarray(plan.times, values.dtype)
            if known[k] in (RTOL.name, ATOL.name):
                return jnp.asarray(rtol if known[k] == RTOL.name else atol, values.dtype)
            slots = segment[..., k - len(states)]
            same = np.all(slots == slots.flat[0])
            return environment[slots.flat[0]] if same else environment[slots]

        return [
            jnp.broadcast_to(jnp.asarray(function(*map(column, used))[0], values.dtype), y.shape[:-1])
            for used, function in compiled
        ]

    return read


def _compiled(model: Model, formula: str | sympy.Expr, known: Sequence[str], states: Sequence[str]):
    expression = expression_of(model, formula)
    try:
        return compile_elementwise(known, [bounded(expression, states)])
    except ValueError as error:
        unknown = sorted({str(s) for s in expression.free_symbols} - set(known))
        meant = did_you_mean(unknown, [*model.rules, *model.species, *model.parameters])
        raise ValueError(
            f"cannot observe {str(formula)!r} in {model.name}: {error}; rules: {', '.join(model.rules) or 'none'}; "
            f"species: {', '.join(model.species)}{meant}"
        ) from None


@dataclass(frozen=True, eq=False)
class RowGroup:
    """Rows that share formulas, such as the mean and the standard deviation that an observable gives.

    `formulas` are over states, parameters, `arguments` and other names of the plan, without rules of the model.
    """

    formulas: tuple[sympy.Expr, ...]
    rows: Int[np.ndarray, " rows"]  # where each row stands among all
    protocol: Int[np.ndarray, " rows"]  # which of the plan's trajectories it reads
    time: Int[np.ndarray, " rows"]  # at which of that protocol's output times
    arguments: Mapping[str, Sequence[Value]] = field(default_factory=dict)  # by name: a number or a name for each row


@dataclass(frozen=True, eq=False)
class PlacedGroup:
    """A group with the place in the pool of each column that its formulas use."""

    group: RowGroup
    names: tuple[str, ...]  # of the columns
    columns: tuple[Int[np.ndarray, " rows"], ...]
    function: Callable[..., Sequence[Float[Array, " rows"]]]


class RowReader:
    """Formulas of many rows over one vector, the pool: values, constants of the plan, all trajectories, and numbers.

    Reading is then one gather, the formulas, and one permutation into the order of the rows. All groups have equally
    many formulas. Raises `ValueError` for an argument that is not a name of the plan.
    """

    def __init__(self, model: Model, plan: Plan, groups: Sequence[RowGroup]):
        self.model, self.plan = model, plan
        self._numbers: list[float] = []
        self._tolerances: dict[str, list[int]] = {RTOL.name: [], ATOL.name: []}  # their places among the numbers
        placed = [self._placed(g) for g in groups]
        # Numbers lie behind the trajectories: their places, below 0 so far, are known now.
        before = len(plan.names) + len(plan.constants) + plan.times.size * len(model.species)
        self.groups = [
            PlacedGroup(g.group, g.names, tuple(np.where(c < 0, before - 1 - c, c) for c in g.columns), g.function)
            for g in placed
        ]
        self.size = before + len(self._numbers)
        columns = [c for g in self.groups for c in g.columns]
        self._index = np.concatenate(columns) if columns else np.zeros(0, int)
        self._gather = make_gather(self._index, self.size)
        self._lengths = tuple(len(c) for c in columns)
        rows = np.concatenate([g.rows for g in groups])
        self._order = np.argsort(rows)
        self._permute = make_gather(self._order, len(rows))
        self.protocol = np.concatenate([g.protocol for g in groups])[self._order]

    def _placed(self, group: RowGroup) -> PlacedGroup:
        model, plan = self.model, self.plan
        states = [s.name for s in model.symbols]
        others = [n for n in plan.names if n not in (*states, *model.parameters)]
        every = (*group.arguments, *states, *model.arguments, *others, TIME.name, RTOL.name, ATOL.name)
        known = list(dict.fromkeys(every))
        used, function = compile_elementwise(known, group.formulas)
        names = tuple(known[k] for k in used)
        return PlacedGroup(group, names, tuple(self._column(group, n, states) for n in names), function)

    def _column(self, group: RowGroup, name: str, states: Sequence[str]) -> Int[np.ndarray, " rows"]:
        """Places in the pool of what each row has under `name`; below 0 among the numbers."""
        model, plan = self.model, self.plan
        if name in group.arguments:
            return np.array([self._argument(v) for v in group.arguments[name]], dtype=int)
        if name in states:
            cell = group.protocol * plan.times.shape[1] + group.time
            return len(plan.names) + len(plan.constants) + cell * len(states) + states.index(name)
        if name in model.arguments:
            segment = plan.segment[group.protocol, group.time]
            return plan.parameters[group.protocol, segment, model.arguments.index(name)]
        if name in self._tolerances:
            place = self._number(0.0)
            self._tolerances[name].append(-place - 1)
            return np.full(len(group.rows), place)
        if name == TIME.name:
            return np.array([self._number(t) for t in plan.times[group.protocol, group.time]], dtype=int)
        return np.full(len(group.rows), plan.names.index(name))

    def _number(self, value: float) -> int:
        self._numbers.append(float(value))
        return -len(self._numbers)

    def _argument(self, value: Value) -> int:
        if not isinstance(value, str):
            return self._number(value)
        if value not in self.plan.names:
            raise ValueError(f"a measurement uses the parameter {value!r}, which has neither a prior nor a value")
        return self.plan.names.index(value)

    @property
    def uses_atol(self) -> bool:
        """True if a formula asks how far below 0 a state may lie."""
        return bool(self._tolerances[ATOL.name])

    def pool(
        self, values: Float[Array, " names"], y: States, rtol: Tolerance, atol: Tolerance | None
    ) -> Float[Array, " pool"]:
        """The vector that rows are read from; `atol` may be None unless `uses_atol`."""
        numbers = jnp.asarray(np.array(self._numbers), y.dtype)
        for places, value in zip(self._tolerances.values(), (rtol, atol), strict=True):
            if places:
                numbers = numbers.at[np.array(places, dtype=int)].set(value)
        return jnp.concatenate([values, jnp.asarray(self.plan.constants, values.dtype), jnp.ravel(y), numbers])

    def __call__(self, pool: Float[Array, " pool"], *, reverse: bool = True) -> list[Float[Array, " rows"]]:
        """Each formula in every row. `reverse`: with gathers that have no forward derivative, and a fast adjoint."""
        gathered = self._gather(pool) if reverse else pool[self._index]
        columns = iter(jax.lax.split(gathered, self._lengths) if self._lengths else ())
        parts: list[list[Array]] = [[] for _ in self.groups[0].group.formulas]
        for g in self.groups:
            for value, into in zip(g.function(*(next(columns) for _ in g.columns)), parts, strict=True):
                into.append(jnp.broadcast_to(jnp.asarray(value, pool.dtype), g.group.rows.shape))
        joined = [jnp.concatenate(x) for x in parts]
        return [self._permute(x) if reverse else x[self._order] for x in joined]


__all__ = ["PlacedGroup", "RowGroup", "RowReader", "expression_of", "grid_reader"]
