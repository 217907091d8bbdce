"""Where formulas have a value: roots and real powers of numbers below 0 have none.

`guard` makes x^n 0 just below 0, where a stage of the solver may lie. A state that was accepted, or an output, may lie
below 0 by the solver's error, and no further: a margin for each power is below 0 where it does.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
from __future__ import annotations

from collections.abc import Collection, Iterable

import sympy

from .codegen import guard
from .guarded import Excess, Fade, Floor, Power, Size

RTOL, ATOL = sympy.Symbol("solver's rtol"), sympy.Symbol("solver's atol")  # no model has such names


def atol_of(state: str) -> sympy.Symbol:
    """What margins call the absolute tolerance of a state."""
    return sympy.Symbol(f"{ATOL} of {state}")


TOLERATED = 100  # errors of one step: those of many add up
CLUTTER = 1e-11  # of the largest species: what rounding makes of differences between such
NOISE = 1e-3  # of an absolute tolerance: what lies below 0 by less is 0
ROUNDING = 1e-12

Path = tuple[sympy.Basic, ...]


def margins(expressions: Iterable[sympy.Expr], states: Collection[str]) -> list[sympy.Expr]:
    """One for each power that may be undefined, over its names, `RTOL` and `atol_of` states; below 0 where it is.

    `states` come from the solver, so that they are off by its error. A branch that is not taken has no say.
    """
    paths_by_power: dict[tuple[sympy.Expr, sympy.Expr], list[Path]] = {}
    seen: set[tuple[sympy.Basic, Path]] = set()
    for e in expressions:
        _collect(guard(sympy.sympify(e)), (), paths_by_power, seen)
    return [_margin(*power, paths, states) for power, paths in paths_by_power.items()]


def bounded(
    expression: sympy.Expr,
    states: Collection[str] = (),
    *,
    rtol: sympy.Expr | float = RTOL,
    atol: sympy.Expr | float = ATOL,
) -> sympy.Expr:
    """`expression`, or NaN if one of its powers is undefined."""
    known = {RTOL: sympy.sympify(rtol)} | {atol_of(s): sympy.sympify(atol) for s in states}
    unknown = [m.xreplace(known) for m in margins([expression], states)]
    if not unknown:
        return expression
    return sympy.Piecewise((expression, sympy.And(*(sympy.Ge(m, 0) for m in unknown))), (sympy.nan, True))


def _collect(e: sympy.Basic, path: Path, paths_by_power: dict, seen: set) -> None:
    if not e.args or (e, path) in seen:
        return
    seen.add((e, path))
    if isinstance(e, sympy.Piecewise):
        before: Path = ()
        for value, condition in (pair.args for pair in e.args):
            _collect(condition, path + before, paths_by_power, seen)
            _collect(value, path + before + ((condition,) if condition is not sympy.true else ()), paths_by_power, seen)
            before = (*before, sympy.Not(condition))
        return
    if isinstance(e, Power) and not nonnegative(e.args[0]):
        paths_by_power.setdefault((e.args[0], e.args[1]), []).append(path)
    for a in e.args:
        if not isinstance(a, Excess):
            _collect(a, path, paths_by_power, seen)


def _margin(base: sympy.Expr, exponent: sympy.Expr, paths: list[Path], states: Collection[str]) -> sympy.Expr:
    allowed = sympy.Integer(0)
    for s in sorted(base.free_symbols, key=str):
        slope = sympy.Abs(sympy.diff(base, s))
        if str(s) in states:
            allowed = allowed + TOLERATED * slope * (atol_of(str(s)) + RTOL * sympy.Abs(s))
        else:
            allowed = allowed + ROUNDING * slope * sympy.Abs(s)
    needed = [] if exponent.is_number and not exponent.is_Integer else [sympy.Ne(exponent, Floor(exponent))]
    if () not in paths:
        needed.append(sympy.Or(*(sympy.And(*p) for p in paths)))
    margin = base + allowed
    return sympy.Piecewise((margin, sympy.And(*needed)), (sympy.Integer(1), True)) if needed else margin


def nonnegative(e: sympy.Expr) -> bool:
    """Whether its form shows that `e` is never below 0."""
    if e.is_number:
        return bool(e.is_nonnegative)
    match e:
        case sympy.exp() | Fade() | Size() | sympy.Abs():
            return True
        case sympy.Add() | sympy.Mul():
            return all(map(nonnegative, e.args))
        case sympy.Max():
            return any(map(nonnegative, e.args))
        case sympy.Min():
            return all(map(nonnegative, e.args))
        case Power():
            return nonnegative(e.args[0])
        case sympy.Pow():
            return bool(e.exp.is_even) or nonnegative(e.base)
        case sympy.Piecewise():
            return all(nonnegative(pair.args[0]) for pair in e.args)
    return False
