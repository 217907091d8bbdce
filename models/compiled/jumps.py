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
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import sympy
from sympy.core.relational import Eq, Ge, Gt, Ne, Relational

from ..networks.formulas import to_infix
from ..networks.whole_numbers import as_called

_SAMPLES = 16
_STRIDE = 1e-3  # from a border, relative, to where the size of a rate is taken
_SAME = 1e-4  # of that size
_INFINITE = 1e4  # times that size
_GRID = [*(-(10.0**k) for k in range(9, -16, -1)), 0.0, *(10.0**k for k in range(-15, 10))]
_REMEDY = (
    "write it as a condition in time, such as time >= t_on, or as a smooth function, such as 1/(1 + exp(-n*(A - K))) "
    "for A > K"
)


def find_jumps(rates: Mapping[str, Iterable[sympy.Expr]], parameters: Mapping[str, float]) -> list[str]:
    """One sentence for each condition on the state at which parts of `rates`, by what they change, jump.

    Where both sides agree, as of max(0, A - K), nothing jumps. Both are compared for parameters near the values of
    `parameters`; one of 0 or NaN may be anything.
    """
    search = _Search({sympy.Symbol(n) for n, parts in rates.items() if any(e != 0 for e in parts)}, parameters)
    names_by_condition: dict[str, list[str]] = {}
    for name, parts in rates.items():
        for e in parts:
            for condition in search.conditions(e):
                names_by_condition.setdefault(condition, []).append(name)
    return [
        f"the rate of change of {', '.join(dict.fromkeys(names))} jumps at {condition}"
        for condition, names in names_by_condition.items()
    ]


def warning(places: Collection[str]) -> str:
    """A note on a model whose rates jump at `places` (sentences of `find_jumps`), with the way out."""
    return (
        f"{'; '.join(places)}. No step stops there: what lasts shorter than a step may be passed over. And derivatives "
        f"leave out that the moment moves with the parameters, so map and fit refuse this model. To fit it, {_REMEDY}"
    )


def check_smooth(model: str, places: Collection[str]) -> None:
    """Raises `ValueError` for a model whose derivatives leave something out."""
    if places:
        raise ValueError(
            f"{model} cannot be fitted: {'; '.join(places)}, and the derivatives that a fit follows leave out that the "
            f"moment moves with the parameters: {_REMEDY}"
        )


class _Search:
    def __init__(self, states: set[sympy.Symbol], parameters: Mapping[str, float]):
        self.states = states
        self.parameters = {sympy.Symbol(n): v for n, v in parameters.items() if math.isfinite(v) and v != 0}

    def conditions(self, e: sympy.Expr) -> list[str]:
        steps = [f for f in e.atoms(sympy.floor, sympy.ceiling, sympy.sign) if f.free_symbols & self.states]
        texts = list(dict.fromkeys(to_infix(as_called(f, e)) for f in sorted(steps, key=str)))
        if any(r.free_symbols & self.states for r in e.atoms(Relational)):
            rate = _Rate(e)
            crossed = [r for d, r in rate.borders.items() if d.free_symbols & self.states and self.jumps(rate, d)]
            texts += dict.fromkeys(to_infix(as_called(r, e)) for r in crossed)
        return texts

    def jumps(self, rate: _Rate, d: sympy.Expr) -> bool:
        """True if the rate differs between d > 0 and d < 0 at one of a sample of points with d = 0, or none is found.

        Points at which it is infinite, as A/B at B = 0, are left out: no trajectory comes there.
        """
        moved = min(d.free_symbols & self.states, key=str)
        others = [s for s in rate.symbols if s != moved]
        margin = sympy.lambdify([moved, *others], d, "math")
        rng = random.Random(0)
        known = False
        for _ in range(_SAMPLES):
            point = {s: self.draw(s, rng) for s in others}
            root = _root(lambda x, point=point: _number(margin, [x, *point.values()]))
            if root is None:
                continue
            known = True
            unrelated_truths = {r: rng.random() < 0.5 for r in rate.relations if not r.free_symbols & d.free_symbols}
            step = _STRIDE * (abs(root) or 1.0)
            at = [{**point, moved: x} for x in (root, root - step, root + step)]
            truths = [unrelated_truths | rate.truths(d, positive=p) for p in (True, False)]
            (one, *beside), (other, *behind) = ([rate(values, truth) for values in at] for truth in truths)
            size = max((abs(x) for x in (*beside, *behind) if math.isfinite(x)), default=0.0)
            if max(abs(one), abs(other)) < _INFINITE * size and abs(one - other) > _SAME * size:
                return True
        return not known

    def draw(self, s: sympy.Symbol, rng: random.Random) -> float:
        if s in self.parameters:
            return self.parameters[s] * rng.uniform(0.9, 1.1)
        return 10 ** rng.uniform(-2, 2)


class _Rate:
    """A rate as a function of its symbols and of the truth of each relation in it, which may be set."""

    def __init__(self, e: sympy.Expr):
        self.symbols = sorted(e.free_symbols, key=str)
        self.relations = sorted(e.atoms(Relational), key=str)
        flags = [sympy.Symbol(f"relation {k}") for k in range(len(self.relations))]
        replaced = e.xreplace({r: sympy.Gt(flag, 0) for r, flag in zip(self.relations, flags, strict=True)})
        self._value = sympy.lambdify([*self.symbols, *flags], replaced, "math")
        self._holds = [sympy.lambdify(self.symbols, r, "math") for r in self.relations]
        self.borders: dict[sympy.Expr, Relational] = {}
        self._sides: dict[sympy.Expr, dict[Relational, bool]] = {}  # by border: whether a relation holds where d > 0
        for r in self.relations:
            if not isinstance(r, (Eq, Ne)):
                d, same = _border(r)
                self.borders.setdefault(d, r)
                self._sides.setdefault(d, {})[r] = isinstance(r, (Gt, Ge)) == same

    def truths(self, d: sympy.Expr, *, positive: bool) -> dict[Relational, bool]:
        """The relations that go where d = 0, as they are on one side of it."""
        return {r: holds == positive for r, holds in self._sides[d].items()}

    def __call__(self, values: Mapping[sympy.Symbol, float], truths: Mapping[Relational, bool]) -> float:
        """NaN where it is not a real number."""
        numbers = [values[s] for s in self.symbols]
        flags = [
            float(truths[r] if r in truths else bool(_number(holds, numbers)))
            for r, holds in zip(self.relations, self._holds, strict=True)
        ]
        return _number(self._value, [*numbers, *flags])


def _border(relation: Relational) -> tuple[sympy.Expr, bool]:
    """d, which is 0 where the relation changes, and is one for A > K and A <= K; whether it is left side less right."""
    d = sympy.expand(relation.lhs - relation.rhs)
    least = min(d, sympy.expand(-d), key=str)
    return least, least == d


def _root(f: Callable[[float], float]) -> float | None:
    """A root of `f`, the largest between points of a grid; None if `f` changes its sign nowhere."""
    from scipy.optimize import brentq  # a quarter of a second to import

    values = [f(x) for x in _GRID]
    for x, y, a, b in reversed(list(zip(_GRID, _GRID[1:], values, values[1:], strict=False))):
        if a == 0 or b == 0:
            return x if a == 0 else y
        if a * b < 0:
            return float(brentq(f, x, y, xtol=1e-300, rtol=1e-14, disp=False))
    return None


def _number(f: Callable[..., complex], arguments: Sequence[float]) -> float:
    try:
        value = complex(f(*arguments))
    except (ArithmeticError, TypeError, ValueError):
        return math.nan
    return value.real if abs(value.imag) <= _SAME * max(1.0, abs(value)) else math.nan
