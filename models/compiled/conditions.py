"""Conditions on the state in triggers of events, such as `A < thr`: functions whose sign says whether they hold.

When one changes is known only during a solution, so solvers search for it. In a trigger a symbol stands in its place,
1 if it holds and 0 if not.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false, reportOperatorIssue=false
from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Bool, Float
from sympy.core.relational import Relational

from ..networks.conditions import without_ite
from ..networks.formulas import TIME, FormulaError, to_infix
from ..networks.whole_numbers import as_called
from .codegen import Name, compile_vector
from .switches import Switches

_HALF = sympy.Rational(1, 2)
_ABOVE = (sympy.StrictGreaterThan, sympy.GreaterThan)
_WITH_BORDER = (sympy.LessThan, sympy.GreaterThan, sympy.Equality)


class ConditionReader:
    """Replaces conditions on the state; `conditions` are they, over states, parameters, switches and time.

    `moving` are the states that change by themselves; the others change only when an event or a protocol sets them.
    """

    def __init__(self, states: Collection[str], moving: Collection[str], switches: Switches):
        self.switches = switches
        self._states = {sympy.Symbol(n) for n in states}
        self._moving = {sympy.Symbol(n) for n in moving}
        self.conditions: list[Relational] = []
        self._folded = ""  # the condition whose branches are looked at
        self._whole: sympy.Basic = sympy.Integer(0)  # the trigger

    @property
    def names(self) -> tuple[str, ...]:
        """What triggers call the conditions; no identifier can hold a space."""
        return tuple(f"condition {k}" for k in range(len(self.conditions)))

    def replace(self, trigger: sympy.Basic, place: str) -> sympy.Basic:
        """`trigger` with a symbol for every condition on the state. Raises `FormulaError` naming what has no root."""
        trigger = without_ite(trigger)
        self._whole = self._whole if self._folded else trigger
        found = [r for r in trigger.atoms(Relational) if r.free_symbols & self._states]
        return trigger.xreplace({r: self._replaced(r, place) for r in sorted(found, key=str)})

    def _replaced(self, relation: Relational, place: str) -> sympy.Basic:
        difference = relation.lhs - relation.rhs
        condition = self._folded or to_infix(as_called(relation, self._whole))
        if difference.has(sympy.Piecewise):
            before, self._folded = self._folded, condition
            replaced = self._of_branches(sympy.piecewise_fold(difference), relation, place)
            self._folded = before
            return replaced
        symbols = difference.free_symbols
        jumps = difference.atoms(sympy.floor, sympy.ceiling, sympy.sign)
        if any(e.free_symbols & {TIME, *self._states} for e in jumps):
            function = to_infix(as_called(min(jumps, key=str), self._whole))
            raise FormulaError(
                f"{place}: {function} jumps, so that the moment at which the condition "
                f"{condition} goes is not a root; this is not supported yet: write the condition without it"
            )
        if isinstance(relation, (sympy.Equality, sympy.Unequality)) and symbols & {TIME, *self._moving}:
            raise FormulaError(f"{place}: the condition {condition} differs for one instant only; compare by < or >=")
        frozen = relation.func(
            *(self.switches.freeze_kinks(side, place) for side in (relation.lhs, relation.rhs)), evaluate=False
        )
        if frozen not in self.conditions:
            self.conditions.append(frozen)
        return sympy.Symbol(self.names[self.conditions.index(frozen)]) > _HALF

    def _of_branches(self, difference: sympy.Expr, relation: Relational, place: str) -> sympy.Basic:
        """Whether a difference of several branches satisfies `relation`: one branch is taken, and satisfies it."""
        if not isinstance(difference, sympy.Piecewise):
            raise FormulaError(
                f"{place}: the condition {to_infix(relation)} holds a piecewise that has no branches of its own; "
                "write them as conditions with && and ||"
            )
        holds, before = [], sympy.true
        for value, condition in (pair.args for pair in difference.args):
            holds.append(sympy.And(before, condition, relation.func(value, 0)))
            before = sympy.And(before, sympy.Not(condition))
        return self.replace(sympy.Or(*holds), place)


@dataclass(frozen=True, eq=False)
class StateConditions:
    """Conditions as functions of arrays: `left(y, p, s)` and `right(y, p, s)` are what each compares.

    `above`: it holds if left > right; `border`: it holds if they are equal. `same` and `different` are = and !=.
    `used[e, k]`: the trigger of event e holds condition k.
    """

    left: Callable[..., Float[Array, " conditions"]]
    right: Callable[..., Float[Array, " conditions"]]
    above: np.ndarray
    border: np.ndarray
    same: np.ndarray
    different: np.ndarray
    used: np.ndarray

    @staticmethod
    def of(
        conditions: Sequence[Relational], triggers: Sequence[sympy.Basic], names: Sequence[Sequence[Name]]
    ) -> StateConditions:
        """`names` are those of states, parameters and switches."""
        symbols = [sympy.Symbol(f"condition {k}") for k in range(len(conditions))]
        return StateConditions(
            compile_vector(names, [c.lhs for c in conditions]),
            compile_vector(names, [c.rhs for c in conditions]),
            np.array([isinstance(c, _ABOVE) for c in conditions], bool),
            np.array([isinstance(c, _WITH_BORDER) for c in conditions], bool),
            np.array([isinstance(c, sympy.Equality) for c in conditions], bool),
            np.array([isinstance(c, sympy.Unequality) for c in conditions], bool),
            np.array([[s in t.free_symbols for s in symbols] for t in triggers], bool),
        )

    def satisfied(self, root: Float[Array, " conditions"]) -> Bool[Array, " conditions"]:
        """Which are satisfied if left − right is `root`."""
        side = jnp.where(self.above, root > 0, root < 0) & ~self.same
        return jnp.where(self.different, root != 0, side | (self.border & (root == 0)))


__all__ = ["ConditionReader", "StateConditions"]
