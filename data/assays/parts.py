"""What all assays are made of: formulas with placeholders, and the check that an assay can see what it is fed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sympy

from ...models.networks.network import Network
from ..errors import AssayError
from ..formula import Formula, FormulaError, parse_formula
from ..quantities.dimensions import check_molecules, factor_to_unit
from ..quantities.units import UnitError

SCALE = "scale"
OFFSET = "offset"
SD = "sd"


def plain(
    formula: Formula, name: str, *, may_use: tuple[str, ...] = (), reserved: tuple[str, ...] = (SCALE, SD)
) -> sympy.Expr:
    """A formula that does not take a placeholder's name for something of the model."""
    parsed = parse_formula(formula)
    taken = sorted({str(s) for s in parsed.free_symbols} & (set(reserved) - set(may_use)))
    if taken:
        raise FormulaError(
            f"{name}: {', '.join(taken)} in {str(formula)!r} names a placeholder; rename it in the model"
        )
    return parsed


def formula_or_placeholder(
    formula: Formula | None, placeholder: str, name: str, *, reserved: tuple[str, ...] = (SCALE, SD)
) -> tuple[sympy.Expr, tuple[str, ...]]:
    """A formula, or the placeholder if each row fills it, and the placeholders that remain."""
    if formula is None:
        return sympy.Symbol(placeholder), (placeholder,)
    return plain(formula, name, reserved=reserved), ()


def noise_needed(name: str, spread: sympy.Expr) -> None:
    if spread == 0:
        raise ValueError(f"{name}: the standard deviation is 0; without noise it has no likelihood")


def joined(spread: sympy.Expr, *parts: sympy.Expr) -> sympy.Expr:
    """A standard deviation that is made of the squares of `parts`; negative, so that there is no density, where one is.

    Names and numbers are checked when the problem is loaded; formulas have a sign only once they are evaluated.
    """
    for part in parts:
        if not (part.is_Symbol or part.is_number):
            spread = sympy.Piecewise((spread, part >= 0), (part, True))  # pyright: ignore[reportOperatorIssue]
    return spread


@contextmanager
def sees(name: str, what: str, formula: Formula, assay: str = "") -> Iterator[None]:
    """Turns a unit that does not fit into an error of the observable `name`, whose `assay` sees `what`."""
    try:
        yield
    except UnitError as error:
        subject = f"{assay} " if assay else ""
        raise AssayError(f"{name}: {subject}sees {what}, but {str(formula)!r} is something else: {error}") from None


def in_unit(
    name: str,
    what: str,
    formula: Formula,
    unit: str,
    network: Network | None,
    molar_mass: str | float | None = None,
) -> Formula:
    """A formula times the number that turns the network's unit into `unit`. Raises `AssayError` if none does."""
    with sees(name, what, formula):
        factor = factor_to_unit(network, formula, unit, molar_mass)
    return formula if factor == 1 else sympy.Float(factor) * plain(formula, name)


def sees_molecules(
    name: str, assay: str, formula: Formula, network: Network | None, also: tuple[str, ...] = ()
) -> None:
    """Raises `AssayError` if a formula is known to be neither an amount nor a concentration, nor of `also`."""
    with sees(name, "molecules, by an amount (zmol) or a concentration (nM)", formula, assay):
        check_molecules(network, formula, also)
