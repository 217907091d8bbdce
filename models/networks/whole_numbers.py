"""Operations on whole numbers: rem, quotient and factorial of MathML."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportReturnType=false, reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import math
from collections.abc import Collection

import sympy

LARGEST_FACTORIAL = 170
"""Of 171 the factorial is beyond 1.8e308."""


def quotient(a: sympy.Expr, b: sympy.Expr) -> sympy.Expr:
    """a/b without what stands after the point: towards 0, so that rem has the sign of a."""
    ratio = a / b
    return sympy.Piecewise((sympy.floor(ratio), sympy.Ge(ratio, 0)), (sympy.ceiling(ratio), True))


def rem(a: sympy.Expr, b: sympy.Expr) -> sympy.Expr:
    """The remainder of a, less as many whole b as fit: a - b quotient(a, b)."""
    return a - b * quotient(a, b)


def as_called(e: sympy.Basic, within: sympy.Basic | None = None) -> sympy.Basic:
    """`e` with rem(a, b) and quotient(a, b) in place of what these make of a and b: the formula as a user wrote it.

    sympy may have written the two branches of a quotient apart: then `within` is the formula that has both.
    """
    ratios = {f.args[0] for f in (e if within is None else within).atoms(sympy.floor)}
    return _called(e, ratios & {f.args[0] for f in (e if within is None else within).atoms(sympy.ceiling)})


def _called(e: sympy.Basic, ratios: Collection[sympy.Expr]) -> sympy.Basic:
    if not e.args:
        return e
    if (ratio := _quotient_of(e, ratios)) is not None:
        return sympy.Function("quotient")(*_ratio_of(_called(ratio, ratios)))
    if isinstance(e, sympy.Add):
        for term in e.args:
            factors = sympy.Mul.make_args(term)
            whole = [f for f in factors if _quotient_of(f, ratios) is not None]
            if len(whole) != 1:
                continue
            b = -sympy.Mul(*(f for f in factors if f is not whole[0]))
            a = _tidy(sympy.expand(b * _quotient_of(whole[0], ratios)))
            others = [_tidy(other) for other in e.args if other is not term]
            if all(part in others for part in sympy.Add.make_args(a)):
                left = [_called(other, ratios) for other in others if other not in sympy.Add.make_args(a)]
                return sympy.Add(*left, sympy.Function("rem")(_called(a, ratios), _called(b, ratios)))
    return e.func(*(_called(a, ratios) for a in e.args))


def _quotient_of(e: sympy.Basic, ratios: Collection[sympy.Expr]) -> sympy.Expr | None:
    """a/b if `e` is quotient(a, b), or one of its branches."""
    parts = [pair.args[0] for pair in e.args] if isinstance(e, sympy.Piecewise) and len(e.args) == 2 else [e]
    known = all(isinstance(p, (sympy.floor, sympy.ceiling)) and p.args[0] in ratios for p in parts)
    return parts[0].args[0] if known and len({p.args for p in parts}) == 1 else None


def _ratio_of(ratio: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """a and b of a/b, of which a number in front may have become one."""
    number, rest = ratio.as_coeff_Mul()
    above, below = rest.as_numer_denom()
    return (above, _tidy(below / number)) if number.is_Float else (number.p * above, number.q * below)


def _tidy(e: sympy.Expr) -> sympy.Expr:
    """`e` without the rounding of its numbers: 1.0 is 1."""
    rounded = {f: float(f"{float(f):.12g}") for f in e.atoms(sympy.Float)}
    return e.xreplace({f: sympy.Integer(int(x)) if x.is_integer() else sympy.Float(x) for f, x in rounded.items()})


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


__all__ = ["LARGEST_FACTORIAL", "as_called", "factorial", "factorial_of_number", "quotient", "rem"]
