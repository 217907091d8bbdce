"""What changes each amount, as numbers times expressions: where conserved sums are looked for.

A sum may be conserved though no reaction says so: A' = -k1 A + k2 B and B' = k1 A - k2 B, written as rate rules, or a
flow that two reactions with the same rate carry. So rates are taken apart into their terms, and terms that differ by a
number alone are one.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false
from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import sympy

LARGEST = 300  # operations of a rate that is taken apart: products of sums grow without bound

Terms = Sequence[tuple[sympy.Expr, sympy.Expr]]


def balances(changes: Sequence[Terms], order: Sequence[sympy.Expr] = ()) -> list[list[Fraction]]:
    """A matrix of numbers, amounts × distinct terms, from the (coefficient, rate) pairs that each amount changes by.

    Terms of the rates in `order` come first, in that order.
    """
    column: dict[sympy.Expr, int] = {}
    parts: dict[sympy.Expr, list[tuple[Fraction, int]]] = {}

    def taken_apart(rate: sympy.Expr) -> list[tuple[Fraction, int]]:
        if rate not in parts:
            whole = sympy.expand(rate) if rate.count_ops() <= LARGEST else rate
            pairs = [term.as_coeff_Mul() for term in sympy.Add.make_args(whole)]
            parts[rate] = [(_fraction(n), column.setdefault(e, len(column))) for n, e in pairs if n != 0]
        return parts[rate]

    for rate in order:
        taken_apart(rate)
    rows: list[dict[int, Fraction]] = []
    for pairs in changes:
        row: dict[int, Fraction] = {}
        for coefficient, rate in pairs:
            number, rest = sympy.sympify(coefficient).as_coeff_Mul()
            for n, c in taken_apart(rate if rest == 1 else rest * rate):
                row[c] = row.get(c, Fraction(0)) + _fraction(number) * n
        rows.append(row)
    return [[row.get(c, Fraction(0)) for c in range(len(column))] for row in rows]


def _fraction(number: sympy.Expr) -> Fraction:
    exact = sympy.nsimplify(number, rational=True)
    return Fraction(int(exact.p), int(exact.q))
