"""Quotients, logarithms and exponentials whose parts overflow though they themselves do not.

1/(1 + e^u) is 0 for a large u, but its derivative by the rules is inf/inf. So numerator and denominator are both
multiplied by e^(-M), with M such that the largest term of the denominator lies in range. M is held fixed: the quotient
does not depend on it, so derivatives of every order are right without M's own. Where nothing is near overflow M is
exactly 0, and no number changes.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false, reportOperatorIssue=false
from __future__ import annotations

import sympy

from .guarded import Excess, Fade, Frozen, Largest, LogSize, Power

ROOM = 150.0  # of a logarithm, up and down: e^ROOM may be raised to the fourth power
LOG_OF_ZERO = -1e4
SMALL_POWER = 3  # a literal exponent to which e^ROOM may be raised, with two derivatives
LARGE = 10  # a literal exponent from which x^n may overflow at an x that a model has


def growth(e: sympy.Expr) -> sympy.Expr | None:
    """The logarithm of the size of `e` where that may be out of range, else None."""
    match e:
        case sympy.Add():
            growths = [growth(a) for a in e.args]
            grown = [g for g in growths if g is not None]
            if not grown:
                return None
            return Largest(*grown, *([sympy.Integer(0)] if len(grown) < len(growths) else []))
        case sympy.Mul():
            grown = [g for g in map(growth, e.args) if g is not None]
            return sympy.Add(*grown) if grown else None
    if not e.free_symbols or e.has(Excess):  # a number, or in range already
        return None
    match e:
        case sympy.exp():
            return e.args[0]
        case Power():
            inner = growth(e.args[0])
            return e.args[1] * (LogSize(e.args[0]) if inner is None else inner)
        case sympy.Pow() if e.base.is_number:
            return e.exp * sympy.log(e.base)
        case sympy.Pow():
            inner = growth(e.base)
            if inner is not None:
                return e.exp * inner
            return e.exp * LogSize(e.base) if e.exp.is_number and abs(e.exp) >= LARGE else None
    return None


def scaled(e: sympy.Expr, m: sympy.Expr) -> sympy.Expr:
    """e · e^(-m), such that no part overflows where the whole does not."""
    if growth(e) is None:
        return Fade(m) * e
    match e:
        case sympy.Add():
            return sympy.Add(*(scaled(a, m) for a in e.args))
        case sympy.Mul():
            return _product(e, m)
        case sympy.exp():
            return sympy.exp(e.args[0] - m)
        case Power():
            base, n, *_ = e.args
            return Power(base, n, m) if growth(base) is None else _raised(base, n, m)
        case sympy.Pow() if e.base.is_number:
            return sympy.exp(e.exp * sympy.log(e.base) - m)
        case sympy.Pow() if growth(e.base) is not None:
            return scaled(e.base, m / e.exp) ** e.exp
    return Power(*e.args, m)


def _raised(base: sympy.Expr, n: sympy.Expr, m: sympy.Expr) -> sympy.Expr:
    """base^n e^(-m) of a base that may overflow."""
    inner = Excess(growth(base))
    return Power(scaled(base, inner), n, m - n * inner)


def _product(e: sympy.Mul, m: sympy.Expr) -> sympy.Expr:
    """A product's factors share m by their sizes, so that none overflows for another that vanishes."""
    sizes = {a: g for a in e.args if (g := growth(a)) is not None}
    other_factors = sympy.Mul(*(a for a in e.args if a not in sizes))
    if len(sizes) == 1:
        return other_factors * scaled(next(iter(sizes)), m)
    parts = [Largest(g, sympy.Integer(0)) + 1 for g in sizes.values()]
    shares = [Frozen(m * p / sympy.Add(*parts)) for p in parts[1:]]
    shares.insert(0, m - sympy.Add(*shares))
    return other_factors * sympy.Mul(*(scaled(a, share) for a, share in zip(sizes, shares, strict=True)))


def quotient_in_range(e: sympy.Expr) -> sympy.Expr:
    """A product or power with its denominators, and sums under a real power, in range."""
    powers, others, m = [], [], sympy.Integer(0)
    for a in sympy.Mul.make_args(e):
        if isinstance(a, (Power, sympy.Pow)) and len(a.args) == 2 and _sum_that_grows(a):
            inner = Excess(growth(a.args[0]))
            raised = a.func if a.args[1].is_number and abs(a.args[1]) <= SMALL_POWER else Power
            powers.append(raised(scaled(a.args[0], inner), a.args[1]))
            m = m - a.args[1] * inner
        else:
            others.append(a)
    if not powers:
        return _balanced(e)
    return sympy.Mul(*powers) * scaled(sympy.Mul(*others), m)


def _balanced(e: sympy.Expr) -> sympy.Expr:
    """A product in which one factor may overflow where another vanishes."""
    sizes = {a: g for a in sympy.Mul.make_args(e) if (g := growth(a)) is not None}
    if len(sizes) < 2 or not any(g.could_extract_minus_sign() for g in sizes.values()):
        return e
    excess = {a: Excess(g) for a, g in sizes.items()}
    other_factors = sympy.Mul(*(a for a in e.args if a not in sizes))
    return other_factors * sympy.Mul(*(scaled(a, m) for a, m in excess.items())) * Fade(-sympy.Add(*excess.values()))


def _sum_that_grows(a: sympy.Expr) -> bool:
    base, n = a.args
    if isinstance(a, sympy.Pow) and not n.could_extract_minus_sign():
        return False  # a polynomial is large where it is
    return growth(base) is not None and (isinstance(base, sympy.Add) or isinstance(a, Power))


def logarithm(x: sympy.Expr) -> sympy.Expr:
    """log x, also of an x that overflows."""
    size = growth(x)
    if size is None:
        return sympy.log(x)
    m = Excess(size)
    return m + sympy.log(scaled(x, m))


def saturated(x: sympy.Expr) -> sympy.Expr:
    """x with terms that overflow held at a size where e^x and tanh x have come to their ends."""
    terms = sympy.Add.make_args(x)
    sizes = [growth(t) for t in terms]
    if all(g is None for g in sizes):
        return x
    above = [None if g is None else Largest(Excess(g), sympy.Integer(0)) for g in sizes]
    return sympy.Add(*(t if m is None else scaled(t, m) for t, m in zip(terms, above, strict=True)))
