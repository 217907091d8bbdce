"""Conditions on the state at which rates jump, such as `piecewise(1, A > thr, 0)`, found in the rates.

When such a condition goes is known only on the way, so steps do not stop there as they do at conditions in time. Two
things follow. A stay that is shorter than a step, as between A > 50 and A < 50.2, may be passed over. And derivatives
leave out that the moment moves with the parameters: they may be 0 where they are not.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false
from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable, Mapping

import sympy
from scipy.optimize import brentq
from sympy.core.relational import Eq, Ge, Gt, Ne, Relational

from .expressions import to_infix

_SAMPLES = 32
_SAME = 1e-6
_INFINITE = 1e9
_GRID = [10.0**k for k in range(-6, 7)]
_REMEDY = (
    "write it as a condition in time, such as time >= t_on, or as a smooth function, such as 1/(1 + exp(-n*(A - K))) "
    "for A > K"
)


def jumps(rates: Mapping[str, Iterable[sympy.Expr]], parameters: Mapping[str, float]) -> list[str]:
    """One sentence for each condition on the state at which parts of `rates`, by what they change, jump.

    Where both sides agree, as of max(0, A - K), nothing jumps. Both are compared for parameters near the values of
    `parameters`; one of 0 or NaN may be anything.
    """
    search = _Search({sympy.Symbol(n) for n, parts in rates.items() if any(e != 0 for e in parts)}, parameters)
    found: dict[str, list[str]] = {}
    for name, parts in rates.items():
        for e in parts:
            for condition in search.conditions(e):
                found.setdefault(condition, []).append(name)
    return [f"the rate of change of {', '.join(dict.fromkeys(names))} jumps at {said}" for said, names in found.items()]


def warning(found: Collection[str]) -> str:
    """What a user has to know of a model whose rates jump."""
    return (
        f"{'; '.join(found)}. No step stops there: what lasts shorter than a step may be passed over. And derivatives "
        f"leave out that the moment moves with the parameters, so map and fit refuse this model. To fit it, {_REMEDY}"
    )


def check_smooth(model: str, found: Collection[str]) -> None:
    """Raises `ValueError` for a model whose derivatives leave something out."""
    if found:
        raise ValueError(
            f"{model} cannot be fitted: {'; '.join(found)}, and the derivatives that a fit follows leave out that the "
            f"moment moves with the parameters: {_REMEDY}"
        )


class _Search:
    def __init__(self, states: set[sympy.Symbol], parameters: Mapping[str, float]):
        self.states = states
        self.parameters = {sympy.Symbol(n): v for n, v in parameters.items() if math.isfinite(v) and v != 0}

    def conditions(self, e: sympy.Expr) -> list[str]:
        steps = [f for f in e.atoms(sympy.floor, sympy.ceiling, sympy.sign) if f.free_symbols & self.states]
        borders: dict[sympy.Expr, Relational] = {}
        for relation in sorted(e.atoms(Relational), key=str):
            if relation.free_symbols & self.states and not isinstance(relation, (Eq, Ne)):
                borders.setdefault(_border(relation), relation)
        crossed = [r for d, r in borders.items() if self.jumps(e, d)]
        return [to_infix(x) for x in (*sorted(steps, key=str), *crossed)]

    def jumps(self, e: sympy.Expr, d: sympy.Expr) -> bool:
        """Whether the two sides of d = 0 differ at one of a sample of points on it, or no point is found.

        Points at which a side is infinite, as A/B at B > 0, have no say: none comes there.
        """
        above, below = (e.xreplace(_truths(e, d, positive=p)) for p in (True, False))
        if above == below:
            return False
        moved = min(d.free_symbols & self.states, key=str)
        rng = random.Random(0)
        known = False
        for _ in range(_SAMPLES):
            point = {s: self.draw(s, rng) for s in sorted(e.free_symbols | d.free_symbols, key=str)}
            root = _root(d.xreplace({s: sympy.Float(v) for s, v in point.items() if s != moved}), moved)
            if root is None:
                continue
            known = True
            values = {s: sympy.Float(v) for s, v in {**point, moved: root}.items()}
            one, other = (_value(_without_strangers(side, d, rng).xreplace(values)) for side in (above, below))
            if one is None or other is None:
                continue
            if abs(one - other) > _SAME * max(1.0, abs(one), abs(other)):
                return True
        return not known

    def draw(self, s: sympy.Symbol, rng: random.Random) -> float:
        if s in self.parameters:
            return self.parameters[s] * rng.uniform(0.9, 1.1)
        return 10 ** rng.uniform(-2, 2)


def _border(relation: Relational) -> sympy.Expr:
    """What is 0 where the relation goes; the same for a relation and its opposite."""
    d = sympy.expand(relation.lhs - relation.rhs)
    return min(d, sympy.expand(-d), key=str)


def _truths(e: sympy.Expr, d: sympy.Expr, *, positive: bool) -> dict[sympy.Basic, sympy.Basic]:
    """The relations in `e` that go where d = 0, as they are on one side of it."""
    truths: dict[sympy.Basic, sympy.Basic] = {}
    for relation in e.atoms(Relational):
        if isinstance(relation, (Eq, Ne)) or _border(relation) != d:
            continue
        same = sympy.expand(relation.lhs - relation.rhs) == d
        truths[relation] = sympy.true if isinstance(relation, (Gt, Ge)) == (same == positive) else sympy.false
    return truths


def _without_strangers(e: sympy.Expr, d: sympy.Expr, rng: random.Random) -> sympy.Expr:
    """`e` with a truth drawn for each relation that has no name in common with `d`."""
    others = [r for r in sorted(e.atoms(Relational), key=str) if not r.free_symbols & d.free_symbols]
    return e.xreplace({r: rng.choice([sympy.true, sympy.false]) for r in others})


def _root(d: sympy.Expr, s: sympy.Symbol) -> float | None:
    """Where `d`, a function of `s` alone, is 0; None where no change of sign is found."""
    f = sympy.lambdify([s], d, "math")

    def value(x: float) -> float:
        try:
            return float(f(x))
        except (ValueError, ZeroDivisionError, OverflowError, TypeError):
            return math.nan

    grid = [-x for x in reversed(_GRID)] + _GRID
    values = [value(x) for x in grid]
    for x, y, a, b in reversed(list(zip(grid, grid[1:], values, values[1:], strict=False))):
        if a == 0 or b == 0:
            return x if a == 0 else y
        if a * b < 0:
            return float(brentq(value, x, y, xtol=1e-14, rtol=1e-14))
    return None


def _value(e: sympy.Expr) -> float | None:
    try:
        value = complex(e)
    except TypeError:
        return None
    return value.real if abs(value.real) < _INFINITE and abs(value.imag) < _SAME else None
