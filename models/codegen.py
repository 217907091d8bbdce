"""sympy expressions to JAX functions, with common subexpressions shared and powers guarded at zero."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import sympy
from jaxtyping import Array, Float
from sympy.printing.numpy import JaxPrinter

from .operations import real

Compiled = Callable[..., Float[Array, " n"]]


def guarded_power(base: Float[Array, ""], exponent: Float[Array, ""]) -> Float[Array, ""]:
    """x^n for x > 0, continued to x ≤ 0 by x for n = 1, by x² for n = 2, by 1 for n = 0 and else by 0 (∞ for n < 0).

    x^n log x has limit 0 at 0 for n > 0, but arithmetic gives 0·(−∞); and a stage of the solver may lie just below 0.
    Value, first and second derivative there are finite: an infinite one (of x^0.7, or the second of x^1.7) is 0.
    """
    positive = base > 0
    safe = jnp.where(positive, base, 1.0)
    below = jnp.where(exponent == 1, base, jnp.where(exponent == 2, base * base, 0.0))
    below = jnp.where(exponent == 0, 1.0, jnp.where(exponent < 0, jnp.inf, below))
    return jnp.where(positive, jnp.exp(exponent * jnp.log(safe)), below)


def guarded_slope(base: Float[Array, ""], exponent: Float[Array, ""]) -> Float[Array, ""]:
    """n x^(n−1), the derivative of `guarded_power` by its base, and 0 where that is infinite."""
    positive = base > 0
    safe = jnp.where(positive, base, 1.0)
    below = jnp.where(exponent == 1, 1.0, jnp.where(exponent == 2, 2.0 * base, 0.0))
    return jnp.where(positive, exponent * jnp.exp((exponent - 1.0) * jnp.log(safe)), below)


def guarded_log(base: Float[Array, ""]) -> Float[Array, ""]:
    """log x for x > 0, else 0: the factor of x^n in its derivative by n."""
    positive = base > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, base, 1.0)), 0.0)


class Power(sympy.Function):
    """x^n with the derivatives of `guarded_power`. sympy's own, n x^n / x, is 0/0 at x = 0."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        base, exponent = self.args
        return Slope(base, exponent) if argindex == 1 else self * GuardedLog(base)


class Slope(sympy.Function):
    """∂x^n/∂x; see `guarded_slope`."""


class GuardedLog(sympy.Function):
    """See `guarded_log`."""


class Size(sympy.Function):
    """|x|, whose derivative is sign(x): sympy's holds for complex x."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return sympy.sign(self.args[0])


class Floor(sympy.Function):
    """⌊x⌋, whose derivative is 0 here: sympy leaves it open."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return sympy.Integer(0)


class Ceiling(Floor):
    """⌈x⌉, likewise."""


def _whole(exponent: sympy.Expr) -> bool:
    return bool(exponent.is_Integer or (exponent.is_Float and float(exponent).is_integer()))


def guard(expression: sympy.Expr) -> sympy.Expr:
    """`expression` with functions whose derivatives are finite numbers wherever a solver may evaluate them."""
    expression = expression.replace(
        lambda e: isinstance(e, sympy.Pow) and not _whole(e.exp) and not (e.base.is_number and e.base.is_positive),
        lambda e: Power(e.base, e.exp),
    )
    return real(expression).replace(sympy.Abs, Size).replace(sympy.floor, Floor).replace(sympy.ceiling, Ceiling)


class _Printer(JaxPrinter):
    def _print_Pow(self, expr, rational=False):
        base, exponent = expr.base, expr.exp
        if exponent == -1:
            return f"(1.0/({self._print(base)}))"
        if _whole(exponent):
            return f"({self._print(base)})**({int(exponent)})"
        return f"guarded_power({self._print(base)}, {self._print(exponent)})"

    def _print_ITE(self, expr):
        return f"if_then_else({', '.join(self._print(a) for a in expr.args)})"

    def _print_Xor(self, expr):
        result = self._print(expr.args[0])
        for a in expr.args[1:]:
            result = f"logical_xor({result}, {self._print(a)})"
        return result

    def _print_Float(self, expr):
        return repr(float(expr))

    def _print_Rational(self, expr):
        return repr(expr.p / expr.q)

    def _print_Integer(self, expr):
        return f"{int(expr)}.0"


_FUNCTIONS = {
    "guarded_power": guarded_power,
    "Power": guarded_power,
    "Slope": guarded_slope,
    "GuardedLog": guarded_log,
    "Size": jnp.abs,
    "Floor": jnp.floor,
    "Ceiling": jnp.ceil,
    "logical_xor": jnp.logical_xor,
    "if_then_else": jnp.where,
}


Name = str | sympy.Symbol


def as_symbol(name: Name) -> sympy.Symbol:
    """The symbol of a name; the time of a simulation has a symbol that no name has."""
    return sympy.Symbol(name) if isinstance(name, str) else name


def compile_elementwise(
    names: Sequence[Name], expressions: Sequence[sympy.Expr]
) -> tuple[tuple[int, ...], Callable[..., Sequence[Float[Array, ...]]]]:
    """Which of `names` the expressions use (positions), and a function of those, array by array, that broadcasts.

    Raises `ValueError` for names that are not in `names`.
    """
    # Names of models may be Python's keywords or clash with numpy's: number them.
    symbols = [sympy.Symbol(f"x_{i}") for i in range(len(names))]
    numbered = {as_symbol(n): s for n, s in zip(names, symbols, strict=True)}
    found = set().union(*(e.free_symbols for e in expressions)) if expressions else set()
    if unknown := found - numbered.keys():
        raise ValueError(f"unknown names in a formula: {', '.join(sorted(map(str, unknown)))}")
    renamed = [guard(sympy.sympify(e)).xreplace(numbered) for e in expressions]
    used = set().union(*(e.free_symbols for e in renamed)) if renamed else set()
    where = tuple(i for i, s in enumerate(symbols) if s in used)
    printer = _Printer({"fully_qualified_modules": False, "inline": True, "allow_unknown_functions": True})
    wanted = [symbols[i] for i in where]
    return where, sympy.lambdify(wanted, renamed, modules=[_FUNCTIONS, "jax"], printer=printer, cse=True)


def compile_vector(arguments: Sequence[Sequence[Name]], expressions: Sequence[sympy.Expr]) -> Compiled:
    """A function of one array for each list of names in `arguments`, returning the stacked `expressions`.

    The arrays' last axis runs over the names; leading axes broadcast.
    """
    used, function = compile_elementwise([n for group in arguments for n in group], expressions)
    place = [(i, j) for i, group in enumerate(arguments) for j in range(len(group))]
    where = [place[k] for k in used]
    if not expressions:
        return lambda *arrays: jnp.zeros((*arrays[0].shape[:-1], 0))

    def compiled(*arrays: Float[Array, ...]) -> Float[Array, ...]:
        parts = [_unstack(a) for a in arrays]
        values = function(*(parts[i][j] for i, j in where))
        shape = jnp.broadcast_shapes(*(a.shape[:-1] for a in arrays))
        dtype = jnp.result_type(float, *arrays)
        return jnp.stack([jnp.broadcast_to(jnp.asarray(v, dtype), shape) for v in values], axis=-1)

    return compiled


def _unstack(array: Float[Array, "*batch n"]) -> list[Float[Array, "*batch"]]:
    """The entries along the last axis. The adjoint of a split is one concatenation, that of n slices n sums."""
    if not array.shape[-1]:
        return []
    return [part[..., 0] for part in jax.lax.split(array, (1,) * array.shape[-1], axis=array.ndim - 1)]
