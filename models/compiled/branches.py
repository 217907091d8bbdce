"""Branches of a formula that are not taken, kept out of its derivative.

`piecewise(a/d, d > 0, 0)` is 0 at d = 0, and so is its derivative. Differentiation in reverse multiplies the derivative
of each branch that is not taken by 0, and 0·∞ is NaN. So the symbols of a branch that divides or holds a function
have no derivative where it is not taken.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
from __future__ import annotations

import sympy


class Taken(sympy.Function):
    """`Taken(x, condition)`: the value x; its derivative is that of x if the condition holds, else 0."""

    nargs = 2


def shielded(expression: sympy.Expr) -> sympy.Expr:
    """`expression`, whose branches add to its derivative only where they are taken."""
    return _Shield()(expression, sympy.true) if expression.has(sympy.Piecewise) else expression


class _Shield:
    """From the root down, each part once for each condition under which it is needed."""

    def __init__(self) -> None:
        self._done: dict[tuple[sympy.Basic, sympy.Basic], sympy.Basic] = {}

    def __call__(self, e: sympy.Basic, needed: sympy.Basic) -> sympy.Basic:
        if isinstance(e, sympy.Symbol):
            return e if needed == sympy.true else Taken(e, needed)
        if not e.args or isinstance(e, sympy.logic.boolalg.Boolean):  # a condition has no derivative
            return e
        if (e, needed) not in self._done:
            self._done[e, needed] = self._rewrite(e, needed)
        return self._done[e, needed]

    def _rewrite(self, e: sympy.Basic, needed: sympy.Basic) -> sympy.Basic:
        if not isinstance(e, sympy.Piecewise):
            arguments = [self(a, needed) for a in e.args]
            return e if tuple(arguments) == e.args else e.func(*arguments)
        pairs, left = [], needed
        for value, condition in (pair.args for pair in e.args):
            here = sympy.And(left, condition) if _may_be_infinite(value) else needed
            pairs.append((self(value, here), condition))
            left = sympy.And(left, sympy.Not(condition))
        return sympy.Piecewise(*pairs, evaluate=False)


def _may_be_infinite(e: sympy.Basic) -> bool:
    return any(
        (isinstance(part, sympy.Pow) and not (part.exp.is_Integer and part.exp.is_positive))
        or (isinstance(part, sympy.Function) and not isinstance(part, sympy.Piecewise))
        for part in sympy.preorder_traversal(e)
    )
