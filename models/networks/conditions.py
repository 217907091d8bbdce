"""Booleans as numbers and numbers as Booleans, in sympy expressions: a formula may use either for the other."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false
from __future__ import annotations

from collections.abc import Mapping, Sequence

import sympy
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanAtom, BooleanFunction


def is_condition(e: sympy.Basic) -> bool:
    """True if `e` is a Boolean: a comparison, a combination of such, true or false. A symbol is a number."""
    return isinstance(e, (Relational, BooleanFunction, BooleanAtom))


def as_number(e: sympy.Basic) -> sympy.Expr:
    """A Boolean as 1 or 0; a number as it is."""
    if e is sympy.true or e is sympy.false:
        return sympy.Integer(e is sympy.true)
    if not is_condition(e):
        return e
    return piecewise([(sympy.Integer(1), e), (sympy.Integer(0), sympy.true)])


def as_boolean(e: sympy.Basic) -> sympy.Basic:
    """A number as a condition, true unless it is 0; a Boolean as it is."""
    if is_condition(e):
        return e
    if e.is_Number:
        return sympy.false if e == 0 else sympy.true
    if isinstance(e, sympy.Piecewise):
        within = [(v, c) for v, c in e.args]
        if len(within) == 2 and within[0][0] == 1 and within[1] == (0, sympy.true):
            return within[0][1]
    return sympy.Ne(e, 0)


def piecewise(pairs: Sequence[tuple[sympy.Basic, sympy.Basic]]) -> sympy.Basic:
    """The value of the first pair (value, condition) whose condition holds; a condition may hold a piecewise itself."""
    return without_ite(sympy.Piecewise(*((value, _lifted(condition)) for value, condition in pairs)))


def replace(e: sympy.Basic, rule: Mapping[sympy.Basic, sympy.Basic]) -> sympy.Basic:
    """`e` with its parts replaced, like sympy's `xreplace`; a piecewise may come to stand in a condition of another."""
    if not (e.has(sympy.Piecewise) and any(value.has(sympy.Piecewise) for value in rule.values())):
        return e.xreplace(rule)
    if e in rule:
        return rule[e]
    if isinstance(e, sympy.Piecewise):
        return piecewise([(replace(value, rule), replace(condition, rule)) for value, condition in e.args])
    return e.func(*(replace(a, rule) for a in e.args))


def _lifted(condition: sympy.Basic) -> sympy.Basic:
    """`condition` with each piecewise in it written as and, or and not.

    sympy does so as well, but it first solves the conditions as inequalities, which is slow and fails for exclusive or.
    """
    if not condition.has(sympy.Piecewise):
        return condition
    lifted = sympy.piecewise_fold(condition)
    if not isinstance(lifted, sympy.Piecewise):
        return lifted
    result = sympy.false  # as any comparison with a piecewise none of whose conditions holds
    for value, holds in reversed(lifted.args):
        result = sympy.ITE(holds, value, result)
    return without_ite(result)


def without_ite(e: sympy.Basic) -> sympy.Basic:
    """`e` in and, or and not: sympy writes a condition that holds a piecewise with if-then-else, which engines lack."""
    if not e.has(sympy.ITE):
        return e
    return e.replace(lambda part: isinstance(part, sympy.ITE), lambda part: part.to_nnf(simplify=False))
