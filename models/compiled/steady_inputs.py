"""Finds a rate that changes with time during pre-equilibration, so that there is no steady state."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportOperatorIssue=false
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import sympy

from ..networks.formulas import TIME, to_infix
from ..protocols.protocol import Protocol
from .model import Model


def varying_rate(model: Model, protocol: Protocol, names: Sequence[str], fixed: Mapping[str, float]) -> str | None:
    """A term of a rate that changes with time before `protocol` starts, in words; None if there is none.

    `names` are those of the caller's values, which may be any, unless they are `fixed`. Conditions in time stand as
    they do just before the start, so that what an input does after its time does not count. If the moment of one
    depends on the caller's values, the model's own values tell whether it has passed.
    """
    if not model.rhs_depends_on_time:
        return None
    if model.kinetics is None:
        return "its function uses t"
    numbers = _numbers(model, protocol, names, fixed)
    switches = _switches(model, protocol, numbers)
    for rate in model.kinetics.rates:
        if TIME not in rate.free_symbols or TIME not in rate.xreplace(numbers | switches).free_symbols:
            continue
        terms = sympy.Add.make_args(rate.xreplace(switches))
        return to_infix(next((t for t in terms if TIME in t.xreplace(numbers).free_symbols), rate))
    return None


def _numbers(
    model: Model, protocol: Protocol, names: Sequence[str], fixed: Mapping[str, float]
) -> dict[sympy.Symbol, sympy.Expr]:
    """What is known of parameters then."""
    values = {n: v for n, v in _defaults(model).items() if n not in names}
    values |= {n: v for n, v in fixed.items() if n in model.parameters}
    for name, value in (protocol.preequilibration or {}).items():
        if name in model.parameters:
            values[name] = fixed.get(value, math.nan) if isinstance(value, str) else float(value)
    return {sympy.Symbol(n): _exact(v) for n, v in values.items() if math.isfinite(v)}


def _defaults(model: Model) -> dict[str, float]:
    return {n: float(v) for n, v in zip(model.parameters, model.defaults, strict=True) if math.isfinite(v)}


def _exact(value: float) -> sympy.Expr:
    return sympy.Integer(int(value)) if value == int(value) else sympy.Float(value)


def _switches(
    model: Model, protocol: Protocol, numbers: Mapping[sympy.Symbol, sympy.Expr]
) -> dict[sympy.Symbol, sympy.Expr]:
    """The switches just before the start, those whose moments are known."""
    assert model.kinetics is not None
    fallback = {sympy.Symbol(n): _exact(v) for n, v in _defaults(model).items()}
    found = {}
    for name, moment in zip(model.kinetics.switches, model.kinetics.switch_times, strict=True):
        moment = moment.xreplace({**fallback, **numbers})
        if moment is sympy.nan:  # it never goes
            found[sympy.Symbol(name)] = sympy.Integer(0)
        elif moment.is_number and moment.is_real:
            found[sympy.Symbol(name)] = sympy.Integer(float(moment) < protocol.start)
    return found


__all__ = ["varying_rate"]
