"""Functions that formulas become before they are differentiated: their derivatives are finite where a solver may be."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

import sympy


class Power(sympy.Function):
    """x^n e^(-m), where m is 0 if it is not given, with the derivatives of `guarded_power`.

    sympy's own derivative, n x^n / x, is 0/0 at x = 0.
    """

    nargs = (2, 3)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        if argindex == 1:
            return Slope(*self.args)
        return self * GuardedLog(self.args[0]) if argindex == 2 else -self


class Slope(sympy.Function):
    """∂x^n/∂x · e^(-m); see `guarded_slope`."""

    nargs = (2, 3)


class GuardedLog(sympy.Function):
    """See `guarded_log`."""


class Size(sympy.Function):
    """|x|, whose derivative is sign(x): sympy's holds for complex x."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return sympy.sign(self.args[0])


class Frozen(sympy.Function):
    """x, taken for a constant by derivatives: for what a result does not depend on."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return sympy.Integer(0)


class Excess(Frozen):
    """How far a logarithm lies beyond what leaves room for squares and cubes, above or below; else 0."""


class LogSize(Frozen):
    """log |x|, and far below 0 at x = 0."""


class Largest(Frozen):
    """The largest of several, of which only the size matters."""


class Fade(sympy.Function):
    """e^(-m)."""

    @classmethod
    def eval(cls, m: sympy.Expr) -> sympy.Expr | None:
        return sympy.Integer(1) if m == 0 else None

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return -self


class Floor(Frozen):
    """⌊x⌋, whose derivative is 0 here: sympy leaves it open."""


class Ceiling(Frozen):
    """⌈x⌉, likewise."""
