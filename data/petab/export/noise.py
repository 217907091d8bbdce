"""Noise formulas as AMICI takes them: by the id of their own observable, not by species and rules of the model."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import sympy


def by_reading(
    noise: sympy.Expr, formula: sympy.Expr, reading: sympy.Symbol, moving: Collection[sympy.Symbol]
) -> sympy.Expr:
    """Writes a noise formula with `reading`, the symbol of the value of `formula`, in place of states and rules.

    A blot's s √((r x)² + b²) about s x becomes s √((r y/s)² + b²) with y = s x. PEtab allows both; AMICI allows
    readings in a noise formula, but not states. If the reading is not linear in the symbols `moving`, which change
    during a simulation, the noise formula is returned unchanged.
    """
    used = sorted(noise.free_symbols & set(moving), key=str)
    for symbol in used:
        slope = sympy.diff(formula, symbol)
        if slope == 0 or symbol in slope.free_symbols:
            continue
        rest = sympy.expand(formula - slope * symbol)
        written = sympy.simplify(noise.xreplace({symbol: (reading - rest) / slope}))
        if not written.free_symbols & set(moving):
            return cast(sympy.Expr, written)
    return noise


__all__ = ["by_reading"]
