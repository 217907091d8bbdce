"""Constraints of a network along a solved course: when each first fails to hold."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportOperatorIssue=false
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float

from ..networks.conditions import as_boolean, as_number
from ..networks.formulas import TIME, to_infix
from ..networks.network import Constraint
from .domain import ATOL, RTOL, TOLERATED
from .model import Model
from .observe import States, Tolerance, grid_reader
from .plan import Plan

FirstFailures = Callable[[Float[Array, " names"], States, Tolerance, Tolerance], dict[str, Float[Array, " protocols"]]]


def first_failures(model: Model, plan: Plan) -> FirstFailures:
    """A function `(values, y, rtol, atol)` that says by constraint at which output it first does not hold.

    It returns a time in the model's unit for each protocol, NaN if the constraint holds at all outputs, or if there is
    no course. A comparison that is off by no more than the solver's error holds.
    """
    constraints = () if model.network is None else model.network.constraints
    read = grid_reader(model, plan, [as_number(relaxed(c.condition)) for c in constraints])

    def first(values: Float[Array, " names"], y: States, rtol: Tolerance, atol: Tolerance) -> dict[str, Array]:
        solved = jnp.all(jnp.isfinite(y), axis=-1)
        times = jnp.asarray(plan.times, y.dtype)
        found = {}
        for c, holds in zip(constraints, read(values, y, rtol, atol), strict=True):
            fails = jnp.min(jnp.where((holds == 0) & solved, times, jnp.inf), axis=-1)
            found[c.name] = jnp.where(jnp.isfinite(fails), fails, jnp.nan)
        return found

    return first


def relaxed(condition: sympy.Basic) -> sympy.Basic:
    """`condition` with each comparison wider by the error of a course that has the tolerances `RTOL` and `ATOL`."""
    condition = as_boolean(condition)
    if isinstance(condition, (sympy.And, sympy.Or)):
        return condition.func(*map(relaxed, condition.args))
    if condition.free_symbols <= {TIME}:
        return condition
    if not isinstance(condition, (sympy.Ge, sympy.Gt, sympy.Le, sympy.Lt, sympy.Eq)):
        return condition
    left, right = condition.args
    slack = TOLERATED * (RTOL * (sympy.Abs(left) + sympy.Abs(right)) + ATOL)
    if isinstance(condition, sympy.Eq):
        return sympy.Le(sympy.Abs(left - right), slack)
    greater, less = (left, right) if isinstance(condition, (sympy.Ge, sympy.Gt)) else (right, left)
    return sympy.Ge(greater - less + slack, 0)


def constraint_warning(constraints: Sequence[Constraint], failures: Mapping[str, np.ndarray]) -> str:
    """A warning that names each constraint that fails, and when at first; empty if all hold."""
    said = []
    for c in constraints:
        times = failures[c.name][np.isfinite(failures[c.name])]
        if times.size:
            why = f": {c.message}" if c.message else ""
            said.append(f"{c.name}, {to_infix(as_boolean(c.condition))}, does not hold at t = {times.min():g}{why}")
    return "; ".join(said)


__all__ = ["FirstFailures", "constraint_warning", "first_failures", "relaxed"]
