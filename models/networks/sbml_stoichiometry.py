"""Stoichiometries of SBML's species references: numbers, formulas, and names that formulas may use."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false
from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import libsbml
import sympy

from .network import Quantity

Reader = Callable[[libsbml.SBase, str], sympy.Expr]
"""The formula of an element; the text is what messages call it."""


@cache  # a file holds the same few numbers many times, and finding one takes milliseconds
def rational(number: float | sympy.Expr) -> sympy.Expr:
    """The simple fraction that a stoichiometry means: 1/3 for 0.333333333333333."""
    return sympy.nsimplify(number, rational=True)


class Stoichiometries:
    """The stoichiometries of a model; those with a name are also parameters of the network.

    A name that a rule, an event or a formula at the start gives stays a name in its reaction; all others are numbers.
    """

    def __init__(self, model: libsbml.Model, read: Reader) -> None:
        self.model, self.read = model, read
        self.problems: list[str] = []
        self.without_number: list[str] = []  # as PySB writes them, which means 1
        self.parameters: dict[str, Quantity] = {}
        self.initial: dict[str, sympy.Expr] = {}
        self.rules: dict[str, sympy.Expr] = {}
        events = (e.getListOfEventAssignments() for e in model.getListOfEvents())
        self._given = {a.getVariable() for assignments in events for a in assignments}
        self._given |= {r.getVariable() for r in model.getListOfRules() if r.isSetMath()}

    def of(self, reaction: str, reference: libsbml.SpeciesReference) -> sympy.Expr:
        """What a reference counts: a number, or a formula over the network's names."""
        ident, what = reference.getId(), f"reaction {reaction}: the stoichiometry of {reference.getSpecies()}"
        if not ident:
            return self._value(reference, what)
        known = reference.isSetStoichiometry() or self.model.getLevel() < 3
        self.parameters[ident] = Quantity(reference.getStoichiometry() if known else math.nan, "dimensionless")
        assignment = self.model.getInitialAssignment(ident)
        assigned = assignment is not None and assignment.isSetMath()
        if ident in self._given:
            if assigned:
                self.initial[ident] = self.read(assignment, f"initial assignment of {ident}")
            return sympy.Symbol(ident)
        if assigned:
            value = self._checked(self.read(assignment, f"initial assignment of {ident}"), what)
            self.initial[ident] = value
        else:
            value = self._value(reference, what)
            (self.initial if value.is_number else self.rules)[ident] = value
        return value if value.is_number else sympy.Symbol(ident)

    def _value(self, reference: libsbml.SpeciesReference, what: str) -> sympy.Expr:
        if reference.isSetStoichiometryMath() and reference.getStoichiometryMath().isSetMath():
            return self._checked(self.read(reference.getStoichiometryMath(), what), what)
        if not reference.isSetStoichiometry() and self.model.getLevel() >= 3:
            if reference.isSetId():
                return self._checked(sympy.nan, what)
            self.without_number.append(what)
            return sympy.Integer(1)
        number = reference.getStoichiometry()
        return self._checked(rational(number) if math.isfinite(number) else sympy.nan, what)

    def _checked(self, value: sympy.Expr, what: str) -> sympy.Expr:
        if value.free_symbols:
            return value
        if value.is_finite is not True or value.is_real is not True:
            self.problems.append(f"{what} has no value; expected a number")
            return sympy.Integer(1)
        return rational(value)


__all__ = ["Stoichiometries", "rational"]
