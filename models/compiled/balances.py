"""Conserved sums of a network, found in its rates: which sums of amounts nothing changes.

A sum may be conserved though no reaction says so: A' = -k1 A + k2 B and B' = k1 A - k2 B, written as rate rules, or a
flow that two reactions with the same rate carry. So rates are taken apart into their terms, and terms that differ by a
number alone are one. Then the left null space of the matrix amounts × terms is what is conserved.

Parameters may stand in such a sum: of A' = -k (A - B)/V1 and B' = k (A - B)/V2 it is V1 A + V2 B. What no sum holds yet
is therefore tried again, each balance divided by something made of parameters alone: first by its denominators, then
by the factor that all its terms share. What each amount then counts in the sum is a polynomial, so that none divides by
a parameter that may be 0.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false
from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import comb, prod
from typing import NamedTuple

import numpy as np
import sympy

from ..networks.derivatives import Terms
from .moieties import conserved_moieties

LARGEST = 1000  # terms of a rate that is taken apart: products and powers of sums grow without bound

TermNumbers = dict[sympy.Expr, Fraction]  # the number before each term
Sum = dict[int, sympy.Expr]  # what each amount counts in a conserved sum


class Conserved(NamedTuple):
    """Sums of amounts that nothing changes; each has a `dependent` amount, which occurs in it alone."""

    sums: list[Sum]
    dependent: tuple[int, ...]


def conserved(
    changes: Sequence[Terms], parameters: Collection[sympy.Symbol], order: Sequence[sympy.Expr] = ()
) -> Conserved:
    """What is conserved of amounts, each of which changes by the sum of its (coefficient, rate) pairs.

    `parameters` do not change in time. Terms of the rates in `order` come first in the elimination, in that order.
    """
    first = {term: None for rate in order for term in _row([(sympy.Integer(1), rate)])}
    rows = [_row(pairs) for pairs in changes]
    moieties, dependent = _null(rows, first)
    sums: list[Sum] = [
        {int(i): sympy.nsimplify(row[i], rational=True) for i in np.flatnonzero(row)} for row in moieties
    ]
    for divisor_of in (_denominator, _shared):
        apart = {i: _grouped(row, set(parameters)) for i, row in enumerate(rows) if row and i not in dependent}
        left = _balances_with_shared_terms(apart)
        grouped = [{factor: _cancelled(part) for factor, part in apart[i].items()} for i in left]
        divisors = [divisor_of(before.values()) for before in grouped]
        null_rows, which = _null([_divided(before, d) for before, d in zip(grouped, divisors, strict=True)], {})
        for row, d in zip(null_rows, which, strict=True):
            members = np.flatnonzero(row)
            whole = _least_multiple([divisors[i] for i in members])
            new = {left[i]: sympy.cancel(_exact(row[i]) * whole / divisors[i]) for i in members}
            sums = [*(_without(left[d], one, new) for one in sums), new]
            dependent = (*dependent, left[d])
    return Conserved(sums, dependent)


def _without(amount: int, one: Sum, other: Sum) -> Sum:
    """The sum `one` and so much of `other` that it does not hold `amount`."""
    if amount not in one:
        return one
    a, b = other[amount], one[amount]
    both = {i: sympy.expand(a * one.get(i, 0) - b * other.get(i, 0)) for i in {**one, **other}}
    shared = sympy.gcd_list([e for e in both.values() if e != 0])
    return {i: sympy.cancel(e / shared) for i, e in both.items() if e != 0}


def _row(pairs: Terms) -> TermNumbers:
    row: TermNumbers = {}
    for coefficient, rate in pairs:
        number, factor = sympy.sympify(coefficient).as_coeff_Mul()
        for n, term in _split_terms(rate if factor == 1 else factor * rate):
            row[term] = row.get(term, Fraction(0)) + _fraction(number) * n
    return {term: n for term, n in row.items() if n != 0}


@lru_cache(maxsize=4096)
def _split_terms(rate: sympy.Expr) -> tuple[tuple[Fraction, sympy.Expr], ...]:
    whole = sympy.expand(rate) if _terms_at_most(rate) <= LARGEST else rate
    pairs = (term.as_coeff_Mul() for term in sympy.Add.make_args(whole))
    return tuple((_fraction(n), term) for n, term in pairs)


def _terms_at_most(e: sympy.Basic) -> int:
    """An upper bound of the number of terms of an expanded expression; counting ends above `LARGEST`."""
    if isinstance(e, sympy.Add):
        return min(sum(map(_terms_at_most, e.args)), LARGEST + 1)
    if isinstance(e, sympy.Pow) and e.exp.is_Integer:
        base, power = _terms_at_most(e.base), min(abs(int(e.exp)), LARGEST)
        return min(comb(base + power - 1, power), LARGEST + 1) if base > 1 else 1
    inside = [_terms_at_most(part) for part in e.args]
    if isinstance(e, sympy.Mul) or max(inside, default=0) > LARGEST:
        return min(prod(inside), LARGEST + 1)
    return 1


def _null(rows: Sequence[TermNumbers], first: Mapping[sympy.Expr, None]) -> tuple[np.ndarray, tuple[int, ...]]:
    columns = {e: i for i, e in enumerate({**first, **dict.fromkeys(e for row in rows for e in row)})}
    return conserved_moieties([{columns[e]: n for e, n in row.items() if n} for row in rows])


def _grouped(row: TermNumbers, parameters: set[sympy.Symbol]) -> dict[sympy.Expr, sympy.Expr]:
    """The coefficient, a rational function of parameters, of each part of a balance that may change in time."""
    before: dict[sympy.Expr, sympy.Expr] = {}
    for term, n in row.items():
        constants = [f for f in sympy.Mul.make_args(term) if f.free_symbols <= parameters and f.is_rational_function()]
        part = sympy.Mul(*constants)
        before[term / part] = before.get(term / part, sympy.Integer(0)) + part * _number(n)
    return before


def _balances_with_shared_terms(balances: Mapping[int, Collection[sympy.Expr]]) -> list[int]:
    """The balances each of whose terms stands in another one too: none else can be part of a conserved sum."""
    left = dict(balances)
    while True:
        count = Counter(term for terms in left.values() for term in terms)
        alone = [i for i, terms in left.items() if any(count[term] == 1 for term in terms)]
        if not alone:
            return [*left]
        for i in alone:
            del left[i]


def _denominator(before: Collection[sympy.Expr]) -> sympy.Expr:
    """1 / the least common denominator."""
    return 1 / sympy.lcm_list([sympy.fraction(part)[1] for part in before])


def _shared(before: Collection[sympy.Expr]) -> sympy.Expr:
    """The greatest common factor."""
    above, below = zip(*map(sympy.fraction, before), strict=True)
    return _greatest_common_divisor(above) / sympy.lcm_list(below)


def _greatest_common_divisor(polynomials: Sequence[sympy.Expr]) -> sympy.Expr:
    """sympy's, without its long work if one of them is a product: what divides a product is a product."""
    sums = [[_powers(term) for term in sympy.Add.make_args(e)] for e in polynomials]
    terms = [powers for one in sums for powers in one]
    if None in terms or all(len(one) > 1 for one in sums):
        return sympy.gcd_list(polynomials)
    numbers, powers = zip(*terms, strict=True)  # pyright: ignore[reportGeneralTypeIssues]
    in_all = frozenset.intersection(*map(frozenset, powers))
    return sympy.Mul(sympy.igcd(*numbers, 0), *(s ** min(p[s] for p in powers) for s in sorted(in_all, key=str)))


def _powers(term: sympy.Expr) -> tuple[int, dict[sympy.Symbol, int]] | None:
    """The number before a product of symbols, and the power of each; None if it is not such a product."""
    number, product = term.as_coeff_Mul()
    powers = {base: power for base, power in product.as_powers_dict().items() if base != 1}
    plain = all(base.is_Symbol and isinstance(power, sympy.Integer) and power > 0 for base, power in powers.items())
    if not plain or not isinstance(number, sympy.Integer):
        return None
    return int(number), {s: int(p) for s, p in powers.items()}


def _cancelled(e: sympy.Expr) -> sympy.Expr:
    """A product of numbers and powers has nothing to cancel."""
    return sympy.cancel(e) if e.has(sympy.Add) else e


def _divided(before: Mapping[sympy.Expr, sympy.Expr], divisor: sympy.Expr) -> TermNumbers:
    row: TermNumbers = {}
    for factor, part in before.items():
        for n, term in _split_terms(_cancelled(part / divisor)):
            row[term * factor] = row.get(term * factor, Fraction(0)) + n
    return row


def _least_multiple(divisors: Sequence[sympy.Expr]) -> sympy.Expr:
    """The least common multiple of fractions of polynomials."""
    above, below = zip(*(sympy.fraction(d) for d in divisors), strict=True)
    return sympy.lcm_list(above) / sympy.gcd_list(below)


def _exact(number: float) -> sympy.Rational:
    return _number(Fraction(number).limit_denominator(10**9))


def _fraction(number: sympy.Expr) -> Fraction:
    exact = sympy.nsimplify(number, rational=True)
    return Fraction(int(exact.p), int(exact.q))


def _number(fraction: Fraction) -> sympy.Rational:
    return sympy.Rational(fraction.numerator, fraction.denominator)


__all__ = ["Conserved", "conserved"]
