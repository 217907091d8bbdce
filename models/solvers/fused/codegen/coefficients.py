"""The parts of rate laws that depend on parameters alone: computed once per stretch of constant inputs."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportOperatorIssue=false
from __future__ import annotations

from collections.abc import Iterable

import sympy

from ....compiled.codegen import Name, as_symbol, guard
from ....compiled.guarded import GuardedLog, Power


class Coefficients:
    """Takes expressions apart: `parts` are over parameters, and what is left is over the state and `q[0]`, `q[1]`, …

    A product's constant factors become one coefficient, so that volumes and concentrations that cancel are gone.
    """

    def __init__(self, state: Iterable[Name]):
        self._state = {as_symbol(n) for n in state}
        self._names: dict[sympy.Expr, sympy.Symbol] = {}

    @property
    def parts(self) -> list[sympy.Expr]:
        """The coefficients, in the order of their numbers."""
        return list(self._names)

    @property
    def names(self) -> list[str]:
        """What expressions call them."""
        return [s.name for s in self._names.values()]

    def factor(self, rate: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
        """A constant factor and the remaining one: `rate` is their product."""
        if rate.is_Add:
            rate = sympy.factor_terms(rate)
        return rate.as_independent(*self._state, as_Add=False)

    def split(self, expression: sympy.Expr) -> sympy.Expr:
        """`expression` over the state and the coefficients."""
        return self._split(guard(sympy.sympify(expression)))

    def _constant(self, e: sympy.Basic) -> bool:
        return not e.free_symbols & self._state

    def _named(self, e: sympy.Expr) -> sympy.Expr:
        if e.is_number:
            return e
        if e.could_extract_minus_sign():
            return -self._named(-e)
        if e not in self._names:
            self._names[e] = sympy.Symbol(f"q[{len(self._names)}]")
        return self._names[e]

    def _split(self, e: sympy.Basic) -> sympy.Basic:
        if not e.free_symbols:
            return e
        if self._constant(e) and isinstance(e, sympy.Expr):
            return self._named(e)
        if isinstance(e, (sympy.Piecewise, sympy.Max, sympy.Min)):
            # What a branch not taken makes of parameters need not be finite: it stays behind its condition.
            return e.xreplace({s: self._named(s) for s in sorted(e.free_symbols - self._state, key=str)})
        if isinstance(e, Power) and len(e.args) == 3 and self._constant(e.args[0]) and self._constant(e.args[1]):
            # x^n e^(-m): the sign of x^n, and one exponential of a logarithm that is a coefficient.
            base, exponent, m = e.args
            size = exponent * GuardedLog(base)
            return self._split(Power(base, exponent, size)) * sympy.exp(self._split(size) - self._split(m))
        if isinstance(e, (sympy.Mul, sympy.Add)):
            constant, varying = e.as_independent(*self._state, as_Add=isinstance(e, sympy.Add))
            return e.func(self._split(constant), *(self._split(a) for a in e.func.make_args(varying)))
        return e.func(*map(self._split, e.args)) if e.args else e
