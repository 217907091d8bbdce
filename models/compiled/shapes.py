"""Many formulas of few shapes, such as the rates of a large network: each shape is evaluated once, over arrays.

Written out one by one, the rates of 500 species take XLA minutes to compile. But most are sums of products `k*A*B`: the
terms of one shape are one product of arrays, gathered from the arguments, and sums put them where they belong.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float

from ..listing import did_you_mean
from .codegen import Compiled, Name, as_symbol, compile_elementwise

WRITTEN_OUT = 128
"""Species up to which the formulas of a model are written out one by one, by the fused engine too."""
_PLACES: list[sympy.Symbol] = []


@dataclass
class _Terms:
    """The terms of one shape: `coefficient` times the shape at the arguments of `index`, added to `row`."""

    rows: list[int] = field(default_factory=list)
    coefficients: list[float] = field(default_factory=list)
    index: list[tuple[int, ...]] = field(default_factory=list)


def compile_by_shape(arguments: Sequence[Sequence[Name]], expressions: Sequence[sympy.Expr]) -> Compiled:
    """The same function as `compile_vector`'s, up to rounding, which compiles faster if the expressions are many."""
    names = [as_symbol(n) for group in arguments for n in group]
    position = {symbol: i for i, symbol in enumerate(names)}
    shapes: dict[sympy.Expr, _Terms] = {}
    for row, expression in enumerate(expressions):
        for term in sympy.Add.make_args(sympy.sympify(expression)):
            coefficient, core = term.as_coeff_Mul()
            shape, symbols = _shape_of(core)
            if unknown := [s for s in symbols if s not in position]:
                strange = list(map(str, unknown))
                meant = did_you_mean(strange, map(str, names))
                raise ValueError(f"unknown names in a formula: {', '.join(strange)}{meant}")
            terms = shapes.setdefault(shape, _Terms())
            terms.rows.append(row)
            terms.coefficients.append(float(coefficient))
            terms.index.append(tuple(position[s] for s in symbols))
    parts = [_compiled(shape, terms) for shape, terms in shapes.items()]
    rows = np.concatenate([terms.rows for terms in shapes.values()]) if shapes else np.zeros(0, dtype=int)
    order = np.argsort(rows, kind="stable")

    def compiled(*arrays: Float[Array, ...]) -> Float[Array, ...]:
        batch = jnp.broadcast_shapes(*(a.shape[:-1] for a in arrays))
        dtype = jnp.result_type(float, *arrays)
        pool = jnp.concatenate([jnp.broadcast_to(a, (*batch, a.shape[-1])) for a in arrays], axis=-1)
        out = jnp.zeros((*batch, len(expressions)), dtype)
        if not parts:
            return out
        values = jnp.concatenate([part(pool) for part in parts], axis=-1)
        return out.at[..., rows[order]].add(values[..., order].astype(dtype), indices_are_sorted=True)

    return compiled


def _shape_of(core: sympy.Expr) -> tuple[sympy.Expr, list[sympy.Symbol]]:
    """The expression with numbered symbols, and the symbols by number."""
    symbols = list(dict.fromkeys(e for e in sympy.preorder_traversal(core) if isinstance(e, sympy.Symbol)))
    while len(_PLACES) < len(symbols):
        _PLACES.append(sympy.Symbol(f"place_{len(_PLACES):03d}"))
    return core.xreplace(dict(zip(symbols, _PLACES, strict=False))), symbols


def _compiled(
    shape: sympy.Expr, terms: _Terms
) -> Callable[[Float[Array, "*batch pool"]], Float[Array, "*batch terms"]]:
    index, coefficients = np.array(terms.index, dtype=np.int32), np.array(terms.coefficients)
    used, function = compile_elementwise(_PLACES[: index.shape[1]], [shape])

    def part(pool: Float[Array, "*batch pool"]) -> Float[Array, "*batch terms"]:
        (values,) = function(*(pool[..., index[:, k]] for k in used))
        size = (*pool.shape[:-1], len(coefficients))
        return jnp.broadcast_to(values, size) * jnp.broadcast_to(coefficients, size)

    return part
