"""What unit a formula over a network has, from the units that the network declares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import sympy

from ..models.expressions import TIME
from ..models.network import Network
from .formula import Formula, parse_formula
from .units import UnitError, registry

if TYPE_CHECKING:
    import pint

_MOLECULES = ("zmol", "nM", "ng", "ng/ml")
_SAME = 1e-9  # relative; two units that differ by less are one


def unit_of_formula(network: Network, formula: Formula) -> pint.Quantity | None:
    """The unit of a formula; None where it uses a name without one, or a function that needs no unit.

    A plain number fits whatever it is added to. Raises `UnitError` where quantities of different dimensions are
    added.
    """
    return _unit(network, parse_formula(formula), ())


def check_unit(network: Network | None, formula: Formula, unit: str) -> None:
    """Raises `UnitError` where a formula's unit is known and is not `unit`.

    A number in front of it is taken for the conversion, as in `100*pS/S` in percent: then only the dimension counts.
    Nothing is checked without a network, or where `unit` is no unit of a model's quantities: text such as
    'percent of untreated', or arbitrary units.
    """
    if network is None:
        return
    expected = _named(unit)
    found = unit_of_formula(network, formula)
    if expected is None or found is None or "[arbitrary]" in expected.dimensionality:
        return
    given = registry().Quantity(1.0) * found
    if not given.is_compatible_with(expected):
        raise UnitError(f"it is in {_words(given)}, not in {unit!r} or what can become it")
    factor = float(given.to(expected.units).magnitude) / float(expected.magnitude)
    own, _ = sympy.factor_terms(parse_formula(formula)).as_coeff_Mul()
    if abs(factor - 1) > _SAME and own == 1:
        raise UnitError(f"it is in {_words(given)}, not in {unit!r}; multiply it by {factor:g}")


def check_kind(network: Network | None, formula: Formula, units: tuple[str, ...]) -> None:
    """Raises `UnitError` where a formula's dimension is known and is that of none of `units`."""
    found = None if network is None else unit_of_formula(network, formula)
    if found is not None and not any(found.is_compatible_with(registry().Quantity(1.0, u)) for u in units):
        known = " or ".join(filter(None, (", ".join(units[:-1]), units[-1])))
        raise UnitError(f"it is in {_words(found)}, which cannot become {known}")


def check_molecules(network: Network | None, formula: Formula, also: tuple[str, ...] = ()) -> None:
    """Raises `UnitError` where a formula is known to be neither an amount nor a concentration, nor of `also`.

    Amounts are moles, mass, and whatever else the network counts its species in. A plain number fits.
    """
    if network is None or parse_formula(formula).is_number:
        return
    found = unit_of_formula(network, formula)
    if found is None or any(found.is_compatible_with(u) for u in _of_all_species(network)):
        return
    check_kind(network, formula, (*_MOLECULES, *also))


def check_same(network: Network | None, formulas: dict[str, Formula]) -> None:
    """Raises `UnitError` where formulas, by what they are called, are known to differ in dimension."""
    if network is None:
        return
    known = {n: u for n, f in formulas.items() if (u := unit_of_formula(network, f)) is not None}
    if len({str(u.dimensionality) for u in known.values()}) > 1:
        raise UnitError("; ".join(f"{n} is in {_words(u)}" for n, u in known.items()) + ": they must be of one kind")


def _words(unit: pint.Quantity) -> str:
    quantity = registry().Quantity(1.0) * unit
    times = registry().minute ** quantity.dimensionality.get("[time]", 0)
    quantity = (quantity / times).to_reduced_units().to_compact() * times  # by the minute, as the models are
    text = f"{quantity:.4g~}"
    return "no unit" if text == "1" else text if text.startswith("1 /") else text.removeprefix("1 ")


def _named(unit: str) -> pint.Quantity | None:
    """Text as a quantity, None where it is none."""
    try:
        return registry().Quantity(1.0, unit) if unit not in ("", "1") else registry().Quantity(1.0)
    except Exception:  # pint's tokenizer raises many kinds for text that is no unit
        return None


def _of_network(network: Network, unit: str):
    """A unit's name in a network: defined there, or one of SBML's."""
    if not unit:
        return None
    if unit in network.base_units and unit not in network.units:
        return _of_network(network, network.base_units[unit])
    if unit not in network.units:
        return _named("1" if unit in ("dimensionless", "item", "radian") else unit)
    result = registry().Quantity(1.0)
    for factor in network.units[unit]:
        kind = _named("1" if factor.kind in ("dimensionless", "item", "radian") else factor.kind)
        if kind is None:
            return None
        result = result * (factor.multiplier * 10.0**factor.scale * kind) ** factor.exponent
    return result


def _of_all_species(network: Network) -> list[pint.Quantity]:
    """Of their amounts and of their concentrations, as far as known."""
    found = []
    for unit, compartment in dict.fromkeys((s.unit, s.compartment) for s in network.species.values()):
        amount = _of_network(network, unit or network.base_units.get("substance", ""))
        volume = _of_symbol(network, compartment, ())
        if amount is not None:
            found += [amount] if volume is None else [amount, amount / volume]
    return found


def _of_symbol(network: Network, name: str, seen: tuple[str, ...]):
    base = network.base_units
    if name in network.compartments:
        return _of_network(network, network.compartments[name].unit or base.get("volume", ""))
    if name in network.species:
        species = network.species[name]
        amount = _of_network(network, species.unit or base.get("substance", ""))
        volume = _of_symbol(network, species.compartment, seen)
        if amount is None or species.amount:
            return amount
        return None if volume is None else amount / volume
    if name in network.parameters and network.parameters[name].unit:
        return _of_network(network, network.parameters[name].unit)
    if name in network.rules and name not in seen:
        return _unit(network, network.rules[name], (*seen, name))
    if name == TIME.name or (name == "time" and name not in network.parameters.keys() | network.rules.keys()):
        return _of_network(network, base.get("time", ""))
    return None


def _unit(network: Network, e: sympy.Basic, seen: tuple[str, ...]):
    if isinstance(e, sympy.Symbol):
        return _of_symbol(network, str(e), seen)
    if e.is_number:
        return registry().Quantity(1.0)
    if isinstance(e, sympy.Add):
        units = [u for a in e.args if not a.is_number and (u := _unit(network, a, seen)) is not None]
        if len({str(u.dimensionality) for u in units}) > 1:
            raise UnitError(f"{e} adds {' to '.join(dict.fromkeys(map(_words, units)))}")
        return units[0] if units else None
    if isinstance(e, sympy.Mul):
        units = [_unit(network, a, seen) for a in e.args]  # all, for a wrong sum beside an unknown name
        return None if any(u is None for u in units) else math.prod(units, start=registry().Quantity(1.0))
    if isinstance(e, sympy.Pow) and e.exp.is_number:
        base = _unit(network, e.base, seen)
        return None if base is None else base ** float(e.exp)
    return None


__all__ = ["check_kind", "check_molecules", "check_same", "check_unit", "unit_of_formula"]
