"""Conserved sums of a network, found in its rates: which sums of amounts nothing changes.

A sum may be conserved though no reaction says so: A' = -k1 A + k2 B and B' = k1 A - k2 B, written as rate rules, or a
flow that two reactions with the same rate carry. So rates are taken apart into their terms, and terms that differ by a
number alone are one. Then the left null space of the matrix amounts × terms is what is conserved.

Parameters may stand in such a sum: of A' = -k (A - B)/V1 and B' = k (A - B)/V2 it is V1 A + V2 B. What no sum holds yet
is therefore tried again with a factor for each amount, made of parameters alone: first what clears its denominators,
then what takes out the factor that all its terms share. Factors are products of whole, positive powers, so that none
divides by a parameter that may be 0.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false
from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import sympy

from .moieties import conserved_moieties

LARGEST = 300  # operations of a rate that is taken apart: products of sums grow without bound

Terms = Sequence[tuple[sympy.Expr, sympy.Expr]]
Row = dict[sympy.Expr, Fraction]  # the number before each term
Powers = Mapping[sympy.Expr, int]


class Conserved(NamedTuple):
    """`moieties @ (factors * amounts)` is constant; each moiety has a `dependent` amount, which occurs in it alone."""

    moieties: np.ndarray
    dependent: tuple[int, ...]
    factors: list[sympy.Expr]


def conserved(
    changes: Sequence[Terms], parameters: Collection[sympy.Symbol], order: Sequence[sympy.Expr] = ()
) -> Conserved:
    """What is conserved of amounts, each of which changes by the sum of its (coefficient, rate) pairs.

    `parameters` do not change in time. Terms of the rates in `order` come first in the elimination, in that order.
    """
    first = {term: None for rate in order for term in _row([(sympy.Integer(1), rate)])}
    rows = [_row(pairs) for pairs in changes]
    moieties, dependent = _null(rows, first)
    factors: list[sympy.Expr] = [sympy.Integer(1)] * len(rows)
    own = set(parameters)
    for powers_of in (_denominators, _shared):
        left = [i for i, row in enumerate(rows) if row and not moieties[:, i].any()]
        powers = {i: powers_of(rows[i], own) for i in left}
        if not any(powers.values()):
            continue
        scaled = [_row([(_product(powers[i]), term * _number(n)) for term, n in rows[i].items()]) for i in left]
        found, which = _null(scaled, {})
        for row, d in zip(found, which, strict=True):
            full = np.zeros(len(rows))
            full[left] = row
            moieties, dependent = np.vstack([moieties, full]), (*dependent, left[d])
        for group in _overlapping(found):
            bases = {b for g in group for b in powers[left[g]]}
            least = {b: min(powers[left[g]].get(b, 0) for g in group) for b in bases}
            for i in (left[g] for g in group):
                factors[i] = _product({b: powers[i].get(b, 0) - least[b] for b in bases})
    return Conserved(moieties, dependent, factors)


def _row(pairs: Terms) -> Row:
    row: Row = {}
    for coefficient, rate in pairs:
        number, rest = sympy.sympify(coefficient).as_coeff_Mul()
        for n, term in _apart(rate if rest == 1 else rest * rate):
            row[term] = row.get(term, Fraction(0)) + _fraction(number) * n
    return {term: n for term, n in row.items() if n != 0}


@lru_cache(maxsize=4096)
def _apart(rate: sympy.Expr) -> tuple[tuple[Fraction, sympy.Expr], ...]:
    whole = sympy.expand(rate) if rate.count_ops() <= LARGEST else rate
    pairs = (term.as_coeff_Mul() for term in sympy.Add.make_args(whole))
    return tuple((_fraction(n), term) for n, term in pairs)


def _null(rows: Sequence[Row], first: Mapping[sympy.Expr, None]) -> tuple[np.ndarray, tuple[int, ...]]:
    columns = {**first, **dict.fromkeys(e for row in rows for e in row)}
    return conserved_moieties([[row.get(e, Fraction(0)) for e in columns] for row in rows])


def _powers(term: sympy.Expr, parameters: Collection[sympy.Symbol]) -> Counter[sympy.Expr]:
    """The whole powers of parameters, and of sums of them, that are factors of a term."""
    found: Counter[sympy.Expr] = Counter()
    for factor in sympy.Mul.make_args(term):
        base, exponent = factor.as_base_exp()
        if exponent.is_Integer and base.free_symbols and base.free_symbols <= parameters:
            found[base] += int(exponent)
    return found


def _denominators(row: Row, parameters: Collection[sympy.Symbol]) -> Powers:
    """The lowest powers that leave no parameter in a denominator."""
    each = [_powers(term, parameters) for term in row]
    bases = {b for powers in each for b in powers}
    lowest = {b: min(powers[b] for powers in each) for b in bases}
    return {b: -n for b, n in lowest.items() if n < 0}


def _shared(row: Row, parameters: Collection[sympy.Symbol]) -> Powers:
    """The powers that leave no factor that all terms share."""
    each = [_powers(term, parameters) for term in row]
    shared = {b: min(powers[b] for powers in each) for b in {b for powers in each for b in powers}}
    return {b: -n for b, n in shared.items() if n != 0}


def _overlapping(moieties: np.ndarray) -> list[list[int]]:
    """Groups of amounts that moieties join; what no moiety holds is in none."""
    groups: list[set[int]] = []
    for row in moieties:
        one = set(np.flatnonzero(row).tolist())
        for other in [g for g in groups if g & one]:
            groups.remove(other)
            one |= other
        groups.append(one)
    return [sorted(g) for g in groups]


def _product(powers: Powers) -> sympy.Expr:
    return sympy.Mul(*(b**n for b, n in powers.items()))


def _fraction(number: sympy.Expr) -> Fraction:
    exact = sympy.nsimplify(number, rational=True)
    return Fraction(int(exact.p), int(exact.q))


def _number(fraction: Fraction) -> sympy.Rational:
    return sympy.Rational(fraction.numerator, fraction.denominator)


__all__ = ["Conserved", "conserved"]
