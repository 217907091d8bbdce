"""Formulas of observables, read safely; symbols are the same as those of a network."""

from __future__ import annotations

import math
from collections.abc import Collection

import sympy

from ..models.networks.formulas import FormulaError, check_result, parse_infix

Formula = str | float | sympy.Expr
"""Text such as `Vc*cpS`, a number, or a sympy expression over symbols without assumptions."""


def parse_formula(formula: Formula, names: Collection[str] = ()) -> sympy.Expr:
    """A formula as a sympy expression.

    Parameters
    ----------
    formula : str, float or sympy.Expr
        Text in SBML's infix notation (which is never evaluated), a number or an expression, in any unit.
    names : collection of str
        Those of a model; they are names even if they are constants elsewhere, such as `pi`.

    Returns
    -------
    sympy.Expr
        The expression.

    Raises
    ------
    FormulaError
        For text that cannot be read to its end, and for what is not a finite number; a `ValueError`.
    """
    if isinstance(formula, sympy.Expr):
        check_result(formula)
        return formula
    if isinstance(formula, str):
        if not formula.strip():
            raise FormulaError("a formula is empty")
        parsed = parse_infix(formula, names)
        if not isinstance(parsed, sympy.Expr):
            raise FormulaError(f"{formula!r} is a condition, not a number")
        return parsed
    if isinstance(formula, bool) or not isinstance(formula, (int, float)):
        raise FormulaError(f"expected a formula, that is text or a number, not {formula!r}")
    if not _is_finite(formula):
        raise FormulaError(f"expected a formula, that is text or a finite number, not {str(formula)[:40]}")
    return sympy.Integer(formula) if isinstance(formula, int) else sympy.Float(formula)


def _is_finite(x: float) -> bool:
    try:
        return math.isfinite(x)
    except OverflowError:  # an integer beyond the largest float
        return False


__all__ = ["Formula", "FormulaError", "parse_formula"]
