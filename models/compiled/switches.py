"""Conditions in time, such as `time >= t_on`: taken out of rate laws, so that solvers stop where they change.

A condition that compares time with numbers and parameters changes at one moment T(p). In the rate laws a switch stands
in its place, 0 before T and 1 from T on; within a stretch between two such moments the rates are smooth, and no step
crosses one. A moment depends on parameters, so the derivative by T has a term of its own: if f₋ and f₊ are the rates
just before and after T, then moving T by dT moves the state after it by (f₋ − f₊) dT.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false, reportOperatorIssue=false
from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import sympy
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

from ..networks.conditions import without_ite
from ..networks.formulas import TIME, FormulaError, to_infix
from ..networks.whole_numbers import as_called

_HALF = sympy.Rational(1, 2)
_UNTIL_EVENTS = "write the model with conditions that compare time with numbers or parameters, such as time >= t_on"


class Switches:
    """The switches of one model: `freeze` replaces conditions in time, `times` are the moments T over parameters."""

    def __init__(self, states: Iterable[str]):
        self._states = {sympy.Symbol(n) for n in states}
        self.times: list[sympy.Expr] = []
        self.later = False  # a condition in a trigger holds only after its moment, as time > T does
        self._at_moments = False
        self._folded = ""  # the condition whose branches are looked at
        self._whole: sympy.Basic = sympy.Integer(0)  # what is being frozen

    @property
    def names(self) -> tuple[str, ...]:
        """What expressions call the switches; no identifier can hold a space."""
        return tuple(f"switch {k}" for k in range(len(self.times)))

    def freeze_at_moments(self, trigger: sympy.Basic, place: str) -> Any:
        """As `freeze`; the conditions are right at their moments too, where a switch is 1/2: time > T is false at T."""
        self._at_moments = True
        frozen = self.freeze(trigger, place)
        self._at_moments = False
        return frozen

    def freeze(self, expression: sympy.Basic, place: str) -> Any:
        """`expression` with a switch for every condition in time.

        Raises `FormulaError` naming `place` and the condition if it mixes time with the state, or if it is not linear
        in time: when it changes is then not known ahead.
        """
        if TIME not in expression.free_symbols:
            return expression
        expression = without_ite(expression)
        self._whole = self._whole if self._folded else expression
        conditions = [r for r in expression.atoms(Relational) if TIME in r.free_symbols]
        frozen = expression.xreplace({r: self._switch(r, place) for r in sorted(conditions, key=str)})
        if frozen.has(sympy.nan) and not expression.has(sympy.nan):
            raise FormulaError(f"{place}: part of it has a value at single instants only, as the factorial of time has")
        return self._without_kinks(frozen, place)

    def freeze_kinks(self, expression: sympy.Expr, place: str) -> sympy.Expr:
        """As `freeze`, of an expression that may hold time and the state side by side, and no condition."""
        return self._without_kinks(expression, place) if TIME in expression.free_symbols else expression

    def _switch(self, relation: Relational, place: str) -> sympy.Basic:
        condition = self._folded or to_infix(as_called(relation, self._whole))
        if mixed := sorted(map(str, relation.free_symbols & self._states)):
            raise FormulaError(
                f"{place}: the condition {condition} compares time with {', '.join(mixed)}, which the model itself "
                f"changes; this is not supported yet: {_UNTIL_EVENTS}"
            )
        difference = relation.lhs - relation.rhs
        branched = _in_branches(difference)
        if branched.has(sympy.Piecewise):
            before, self._folded = self._folded, condition
            frozen = self._of_branches(sympy.piecewise_fold(branched), relation, place)
            self._folded = before
            return frozen
        difference = sympy.expand(difference)
        slope = sympy.simplify(sympy.diff(difference, TIME))
        if TIME in slope.free_symbols or difference.atoms(sympy.floor, sympy.ceiling):
            raise FormulaError(
                f"{place}: the condition {condition} is not linear in time, so the moments at which it changes are not "
                f"known; this is not supported yet: {_UNTIL_EVENTS}"
            )
        offset = difference.xreplace({TIME: sympy.Integer(0)})
        if slope == 0:
            return relation.func(offset, 0)
        if isinstance(relation, (sympy.Equality, sympy.Unequality)):  # one instant, which no integral sees
            always = sympy.Eq(slope, 0)
            if isinstance(relation, sympy.Equality):
                return sympy.And(always, sympy.Eq(offset, 0))
            return sympy.Or(sympy.Not(always), sympy.Ne(offset, 0))
        above = isinstance(relation, (sympy.StrictGreaterThan, sympy.GreaterThan))
        border = isinstance(relation, (sympy.GreaterThan, sympy.LessThan))
        if slope.is_number:
            return self._passed(sympy.expand(-offset / slope), after=above == bool(slope > 0), border=border)
        moment = sympy.Piecewise((-offset / slope, sympy.Ne(slope, 0)), (sympy.nan, True))
        return sympy.Or(
            sympy.And(slope > 0, self._passed(moment, after=above, border=border)),
            sympy.And(slope < 0, self._passed(moment, after=not above, border=border)),
            sympy.And(sympy.Eq(slope, 0), relation.func(offset, 0)),
        )

    def _passed(self, moment: sympy.Expr, *, after: bool, border: bool) -> Relational:
        """Whether the switch that goes at `moment` has gone (`after`), or has not; at that moment `border` holds."""
        if moment not in self.times:
            self.times.append(moment)
        switch = sympy.Symbol(self.names[self.times.index(moment)])
        if self._at_moments:
            self.later |= border != after
            if border:
                return switch >= _HALF if after else switch <= _HALF
        return switch > _HALF if after else switch < _HALF

    def _of_branches(self, difference: sympy.Expr, relation: Relational, place: str) -> sympy.Basic:
        """Whether a difference of several branches satisfies `relation`: one branch is taken, and satisfies it."""
        assert isinstance(difference, sympy.Piecewise), difference
        holds, before = [], sympy.true
        for value, condition in (pair.args for pair in difference.args):
            holds.append(sympy.And(before, condition, relation.func(value, 0)))
            before = sympy.And(before, sympy.Not(condition))
        return self.freeze(sympy.Or(*holds), place)

    def _without_kinks(self, expression: sympy.Basic, place: str) -> sympy.Basic:
        """min, max and abs of time written as two branches: a step might pass over both ends of what they hold."""
        if jumps := [e for e in expression.atoms(sympy.floor, sympy.ceiling) if TIME in e.free_symbols]:
            function = to_infix(_jumping(expression, jumps))
            raise FormulaError(
                f"{place}: {function} jumps at moments that are not known ahead; this is not "
                f"supported yet: {_UNTIL_EVENTS}"
            )
        kinks = [e for e in expression.atoms(sympy.Min, sympy.Max, sympy.Abs) if TIME in e.free_symbols]
        known = [e for e in kinks if not e.free_symbols & self._states]
        outermost = [e for e in known if not any(e is not other and other.has(e) for other in known)]
        return expression.xreplace({e: self.freeze(_in_branches(e), place) for e in outermost})


def _jumping(expression: sympy.Basic, jumps: Collection[sympy.Basic]) -> sympy.Basic:
    """The first function that jumps, as a user wrote it: rem and quotient are made of floor and ceil."""
    called = as_called(expression)
    made = [f for f in called.atoms(AppliedUndef) if TIME in f.free_symbols and f.func.__name__ in ("rem", "quotient")]
    return min([*(f for f in jumps if called.has(f)), *made] or jumps, key=str)


def _in_branches(expression: sympy.Expr) -> sympy.Expr:
    """min, max and abs that hold time, as `Piecewise`."""

    def choose(e: sympy.Expr) -> sympy.Expr:
        value = e.args[0]
        for other in e.args[1:]:
            first = sympy.Le(value, other) if isinstance(e, sympy.Min) else sympy.Ge(value, other)
            value = sympy.Piecewise((value, first), (other, True))
        return value

    def size(e: sympy.Expr) -> sympy.Expr:
        return sympy.Piecewise((e.args[0], sympy.Ge(e.args[0], 0)), (-e.args[0], True))

    expression = expression.replace(lambda e: isinstance(e, (sympy.Min, sympy.Max)) and TIME in e.free_symbols, choose)
    return expression.replace(lambda e: isinstance(e, sympy.Abs) and TIME in e.free_symbols, size)
