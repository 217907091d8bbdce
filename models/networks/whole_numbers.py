"""Operations on whole numbers: rem, quotient and factorial of MathML."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportReturnType=false, reportOperatorIssue=false
from __future__ import annotations

import math

import sympy

LARGEST_FACTORIAL = 170
"""Of 171 the factorial is beyond 1.8e308."""


def quotient(a: sympy.Expr, b: sympy.Expr) -> sympy.Expr:
    """a/b without what stands after the point: towards 0, so that rem has the sign of a."""
    ratio = a / b
    return sympy.Piecewise((sympy.floor(ratio), sympy.Ge(ratio, 0)), (sympy.ceiling(ratio), True))


def rem(a: sympy.Expr, b: sympy.Expr) -> sympy.Expr:
    """What is left of a after as many whole b as fit: a - b quotient(a, b)."""
    return a - b * quotient(a, b)


def factorial(n: sympy.Expr) -> sympy.Expr:
    """n! of whole numbers of at least 0; not a number elsewhere."""
    cases = [(sympy.Float(float(math.factorial(k))), sympy.Eq(n, k)) for k in range(LARGEST_FACTORIAL + 1)]
    return sympy.Piecewise(*cases)


def factorial_of_number(n: float) -> float:
    """n! of a number. Raises `ValueError` unless it is whole and at least 0, `OverflowError` if n! is too large."""
    if not float(n).is_integer() or n < 0:
        raise ValueError(f"{n:g} has no factorial")
    if n > LARGEST_FACTORIAL:
        raise OverflowError
    return float(math.factorial(int(n)))


__all__ = ["LARGEST_FACTORIAL", "factorial", "factorial_of_number", "quotient", "rem"]
