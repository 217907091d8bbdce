"""Inverse functions with an infinite slope at an end of their domain, written with the square root of what ends there.

Such are arccosh and arcsech at 1, and arcsin, arccos, arccsc and arcsec at ±1. With the root they have what roots have:
a finite derivative at the end, a value for a stage of the solver that lies just beyond, and a margin that says whether
an accepted state does (see `hexamer.models.compiled.domain`).
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportOperatorIssue=false
# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from collections.abc import Callable, Mapping

import sympy

from .guarded import Power
from .stable import logarithm, quotient_in_range

_HALF = sympy.Rational(1, 2)


class _Inverse(sympy.Function):
    """A function of x and of the root of 1 - x^2; messages show it as `written`, of x alone."""

    nargs = 2
    written: str

    def _sympystr(self, printer) -> str:
        return f"{self.written}({printer._print(self.args[0])})"


class Arcsin(_Inverse):
    """The angle whose sine is the first argument, and whose cosine is the second, the root of 1 - x^2."""

    written = "asin"

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        sine, cosine = self.args
        return cosine if argindex == 1 else -sine


class Arccos(_Inverse):
    """The angle whose cosine is the first argument, and whose sine is the second, the root of 1 - x^2."""

    written = "acos"

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        cosine, sine = self.args
        return -sine if argindex == 1 else cosine


def _arccosh(x: sympy.Expr) -> sympy.Expr:
    return logarithm(x + _root(x - 1, x + 1))


def _arcsin(x: sympy.Expr) -> sympy.Expr:
    return Arcsin(x, _root(1 - x, 1 + x))


def _arccos(x: sympy.Expr) -> sympy.Expr:
    return Arccos(x, _root(1 - x, 1 + x))


def _root(one: sympy.Expr, other: sympy.Expr) -> sympy.Expr:
    return quotient_in_range(Power(one, _HALF) * Power(other, _HALF))


def _inverse(x: sympy.Expr) -> sympy.Expr:
    return quotient_in_range(1 / x)


BY_ROOTS: Mapping[type[sympy.Function], Callable[[sympy.Expr], sympy.Expr]] = {
    sympy.acosh: _arccosh,
    sympy.asin: _arcsin,
    sympy.acos: _arccos,
    sympy.asech: lambda x: _arccosh(_inverse(x)),
    sympy.acsc: lambda x: _arcsin(_inverse(x)),
    sympy.asec: lambda x: _arccos(_inverse(x)),
}
"""By function; the argument is one that `guard` has rewritten, and not a number."""

__all__ = ["BY_ROOTS", "Arccos", "Arcsin"]
