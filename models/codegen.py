"""sympy expressions to JAX functions, with common subexpressions shared and powers guarded at zero."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import sympy
from jaxtyping import Array, Float
from sympy.printing.numpy import JaxPrinter

Compiled = Callable[..., Float[Array, " n"]]


def guarded_power(base: Float[Array, ""], exponent: Float[Array, ""]) -> Float[Array, ""]:
    """x^n for x > 0; 0 at and below zero (1 for n = 0), with all derivatives 0 there.

    x^n log x has limit 0 at 0 for n > 0, but arithmetic gives 0·(−∞); and a stage of the solver may lie just below 0.
    """
    positive = base > 0
    safe = jnp.where(positive, base, 1.0)
    return jnp.where(positive, jnp.exp(exponent * jnp.log(safe)), jnp.where(exponent == 0, 1.0, 0.0))


class _Printer(JaxPrinter):
    def _print_Pow(self, expr, rational=False):
        base, exponent = expr.base, expr.exp
        if exponent == -1:
            return f"(1.0/({self._print(base)}))"
        if exponent.is_Integer or (exponent.is_Float and float(exponent).is_integer()):
            return f"({self._print(base)})**({int(exponent)})"
        return f"guarded_power({self._print(base)}, {self._print(exponent)})"

    def _print_Float(self, expr):
        return repr(float(expr))

    def _print_Rational(self, expr):
        return repr(expr.p / expr.q)

    def _print_Integer(self, expr):
        return f"{int(expr)}.0"


def compile_vector(arguments: Sequence[Sequence[str]], expressions: Sequence[sympy.Expr]) -> Compiled:
    """A function of one array for each list of names in `arguments`, returning the stacked `expressions`.

    The arrays' last axis runs over the names; leading axes broadcast.
    """
    # Names of models may be Python's keywords or clash with numpy's: number them.
    numbered = {sympy.Symbol(n): sympy.Symbol(f"x{i}_{j}") for i, group in enumerate(arguments) for j, n in enumerate(group)}
    unknown = set().union(*(e.free_symbols for e in expressions)) - numbered.keys() if expressions else set()
    if unknown:
        raise ValueError(f"unknown names in a formula: {', '.join(sorted(map(str, unknown)))}")
    if not expressions:
        return lambda *arrays: jnp.zeros((*arrays[0].shape[:-1], 0))
    renamed = [sympy.sympify(e).xreplace(numbered) for e in expressions]
    groups = [[sympy.Symbol(f"x{i}_{j}") for j in range(len(g))] for i, g in enumerate(arguments)]
    printer = _Printer({"fully_qualified_modules": False, "inline": True, "allow_unknown_functions": True})
    flat = [s for g in groups for s in g]
    used = set().union(*(e.free_symbols for e in renamed))
    wanted = [s for s in flat if s in used]
    function = sympy.lambdify(
        wanted, renamed, modules=[{"guarded_power": guarded_power}, "jax"], printer=printer, cse=True
    )
    where = [(i, j) for i, g in enumerate(groups) for j, s in enumerate(g) if s in used]

    def compiled(*arrays: Float[Array, "..."]) -> Float[Array, "..."]:
        values = function(*(arrays[i][..., j] for i, j in where))
        shape = jnp.broadcast_shapes(*(a.shape[:-1] for a in arrays))
        dtype = jnp.result_type(float, *arrays)
        return jnp.stack([jnp.broadcast_to(jnp.asarray(v, dtype), shape) for v in values], axis=-1)

    return compiled
