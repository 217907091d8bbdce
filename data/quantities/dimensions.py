"""What unit a formula over a network has, from the units that the network declares, or that are assumed of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sympy

from ...models.networks.formulas import TIME
from ...models.networks.network import Network, Species
from ..formula import Formula, parse_formula
from .units import UnitError, is_proportional, molar_mass_kda, registry

if TYPE_CHECKING:
    import pint

_MOLECULES = ("zmol", "nM", "ng", "ng/ml")
_SAME = 1e-9  # relative; two units that differ by less are one
_HAS = "_volume"  # libantimony's end of the name, nowhere defined, for the amount of a species that `has` a unit
_OF_SBML = frozenset({"substance", "volume", "area", "length", "time"})  # names that SBML's level 2 itself defines
_KINDS = {"dimensionless": "1", "radian": "1", "steradian": "1", "item": "molecules", "avogadro": "mole/molecules"}


@dataclass(frozen=True, eq=False)
class Assumed:
    """Units taken for what a network declares without one."""

    time: pint.Quantity
    concentration: pint.Quantity


def unit_of_formula(network: Network, formula: Formula, assumed: Assumed | None = None) -> pint.Quantity | None:
    """The unit of a formula; None if it uses a name without one, or a function that needs no unit.

    A plain number fits whatever it is added to. `assumed`: the units of time and of species that declare none.
    Raises `UnitError` if quantities of different units are added, unless a number in front converts them.
    """
    return _unit(network, parse_formula(formula), (), assumed)


def factor_to_unit(
    network: Network | None, formula: Formula, unit: str, molar_mass: str | float | None = None
) -> float:
    """The number that turns a formula's value into `unit`; 1 if the formula's unit is not known.

    A number in front of the formula is taken for the conversion if it is the right one, as in `100*pS/S` in percent.
    1 also without a network, and for arbitrary units. Species of a network without units are taken in nM, unless
    `unit` has no dimension. `molar_mass` joins mass and amount.

    Raises `UnitError` for a dimension that cannot become `unit`, for a number in front that is another one, and for
    text that is not a unit, such as 'percent of untreated', if the formula is known to be in another one.
    """
    if network is None:
        return 1.0
    known, declared = _known_unit(network, formula)
    expected = _named(unit)
    if expected is None and known is not None and declared:
        raise UnitError(
            f"it is in {_words(known)}, and {unit!r} is not a known unit; multiply it by a parameter that converts it"
        )
    if expected is None or known is None or "[arbitrary]" in expected.dimensionality:
        return 1.0
    quantity = registry().Quantity(1.0) * known
    if not declared and expected.dimensionless:
        return 1.0  # a model of relative quantities
    if not quantity.is_compatible_with(expected):
        return _through_mass(quantity, expected, unit, molar_mass)
    factor = float((quantity / expected).to_base_units().magnitude)
    number, _ = sympy.factor_terms(parse_formula(formula)).as_coeff_Mul()
    if abs(factor - 1) <= _SAME or abs(float(number) / factor - 1) <= _SAME:
        return 1.0
    if number != 1:
        raise UnitError(
            f"it is in {_words(quantity)}, not in {unit!r}, and the number in front of it, {float(number):g}, is not "
            f"the {factor:g} that would convert it; state its own unit as `unit`, or move the number into a rule"
        )
    return factor


def _known_unit(network: Network, formula: Formula) -> tuple[pint.Quantity | None, bool]:
    """The unit of a formula, and whether it follows from declared units alone."""
    unit = unit_of_formula(network, formula)
    if unit is not None:
        return unit, True
    try:
        return unit_of_formula(network, formula, assumed_of(network)), False
    except UnitError:
        return None, False  # an assumption never makes a formula wrong


def _through_mass(quantity: pint.Quantity, expected: pint.Quantity, unit: str, molar_mass: str | float | None) -> float:
    ratio = (quantity / expected).to_base_units()
    if ratio.check("[substance]/[mass]") or ratio.check("[mass]/[substance]"):
        if molar_mass is None:
            raise UnitError(
                f"it is in {_words(quantity)}, and needs a molar mass, such as '21 kDa', to become {unit!r}"
            )
        mass = registry().Quantity(molar_mass_kda(molar_mass), "kg/mol")
        whole = ratio * mass if ratio.check("[substance]/[mass]") else ratio / mass
        return float(whole.to_base_units().magnitude)
    raise UnitError(f"it is in {_words(quantity)}, not in {unit!r} or what can become it")


def assumed_of(network: Network) -> Assumed:
    """What is taken of a network where it declares nothing: time in min, concentrations in nM."""
    units = registry()
    time = _of_network(network, network.base_units.get("time", "")) or units.Quantity(1.0, "min")
    amount = _of_network(network, network.base_units.get("substance", network.base_units.get("extent", "")))
    if amount is None:
        return Assumed(time, _of_some_species(network) or units.Quantity(1.0, "nM"))
    volume = _of_network(network, network.base_units.get("volume", "")) or units.Quantity(1.0, "litre")
    return Assumed(time, amount / volume)


def _of_some_species(network: Network) -> pint.Quantity | None:
    """The concentration of all species that declare one, which the others then have too; None if they differ."""
    said = [n for n, s in network.species.items() if s.unit and not s.amount]
    known = [u for n in said if (u := _of_species(network, n, (), None) or unit_of_amount(network, n)) is not None]
    known = [u / registry().litre if u.check("[substance]") or u.check("[mass]") else u for u in known]
    alike = known and all(u.is_compatible_with(known[0]) for u in known)
    return known[0] if alike and _alike([(sympy.S.One, u) for u in known]) else None


def unit_of_amount(network: Network, name: str) -> pint.Quantity | None:
    """The unit that a species is counted in, its own or the network's; None if it is not known."""
    species = network.species[name]
    unit = species.unit or network.base_units.get("substance", "")
    quantity = _of_network(network, unit)
    volume = _of_symbol(network, species.compartment, (), None)
    volume = registry().Quantity(1.0, "litre") if volume is None else volume
    if quantity is None and (stated := _stated(network, species)) is not None:
        return stated if stated.check("[substance]") or stated.check("[mass]") else stated * volume
    if quantity is not None and not species.amount and (quantity / volume).check("[substance]"):
        return quantity / volume  # `has umol` in Antimony, which takes it for the unit of a concentration
    return quantity


def _stated(network: Network, species: Species) -> pint.Quantity | None:
    """The unit that `has` in an Antimony text gives to a species: of a concentration or of an amount."""
    unit = species.unit
    return None if unit in network.units or not unit.endswith(_HAS) else _of_network(network, unit.removesuffix(_HAS))


def undefined_units(network: Network) -> list[str]:
    """Sentences on the units that a network has its species, compartments and base units in and does not define."""
    examples = {"time": "60 second", "volume": "1 litre"}
    sentences = [_undefined(network, f"its {what}", u, examples.get(what)) for what, u in network.base_units.items()]
    sentences += [
        _undefined(network, f"the compartment {n}", c.unit, "1 litre") for n, c in network.compartments.items()
    ]
    unread = {n: s.unit for n, s in network.species.items() if _stated(network, s) is None}
    sentences += [_undefined(network, f"the species {n}", unit) for n, unit in unread.items()]
    return [sentence for sentence in sentences if sentence]


def undefined_unit(network: Network, name: str) -> str:
    """A sentence on the unit of a parameter if the network does not define it, else empty."""
    unit = network.parameters[name].unit if name in network.parameters else ""
    return _undefined(network, name, unit)


def _undefined(network: Network, what: str, unit: str, example: str | None = None) -> str:
    known = not unit or _of_network(network, unit) is not None
    if known or (unit in _OF_SBML and unit not in network.units):
        return ""
    shown = unit.removesuffix(_HAS)
    return (
        f"the model {network.name!r} has {what} in the unit {shown!r}, which it does not define: define it, such as "
        f"`unit {shown} = {example or '1e-9 mole'}` in Antimony, or leave it out"
    )


def unit_of_symbol(network: Network, name: str, assumed: Assumed | None = None) -> pint.Quantity | None:
    """The unit of a species, parameter, compartment or rule; None if it is not known."""
    return _of_symbol(network, name, (), assumed)


def declared_unit(network: Network, what: str) -> pint.Quantity | None:
    """The network's unit of substance, extent, volume or time; None if it declares none that is known."""
    return _of_network(network, network.base_units.get(what, ""))


def check_kind(network: Network | None, formula: Formula, units: tuple[str, ...]) -> None:
    """Raises `UnitError` if a formula's dimension is known and is that of none of `units`."""
    quantity = None if network is None else unit_of_formula(network, formula)
    if quantity is not None and not any(quantity.is_compatible_with(registry().Quantity(1.0, u)) for u in units):
        known = " or ".join(filter(None, (", ".join(units[:-1]), units[-1])))
        raise UnitError(f"it is in {_words(quantity)}, which cannot become {known}")


def check_molecules(network: Network | None, formula: Formula, also: tuple[str, ...] = ()) -> None:
    """Raises `UnitError` if a formula is known to be neither an amount nor a concentration, nor of `also`.

    Amounts are moles, mass, and whatever else the network counts its species in. A plain number fits.
    """
    if network is None or parse_formula(formula).is_number:
        return
    quantity = unit_of_formula(network, formula)
    if quantity is None or any(quantity.is_compatible_with(u) for u in _of_all_species(network)):
        return
    check_kind(network, formula, (*_MOLECULES, *also))


def check_same(network: Network | None, formulas: dict[str, Formula]) -> None:
    """Raises `UnitError` if formulas, by what they are called, are known to differ in dimension."""
    if network is None:
        return
    known = {n: u for n, f in formulas.items() if (u := unit_of_formula(network, f)) is not None}
    said = "; ".join(f"{n} is in {_words(u)}" for n, u in known.items())
    if len({str(u.dimensionality) for u in known.values()}) > 1:
        raise UnitError(f"{said}: they must be of one kind")
    if not _alike([(parse_formula(formulas[n]), u) for n, u in known.items()]):
        raise UnitError(f"{said}: they must be in one unit; multiply one of them")


def _words(unit: pint.Quantity) -> str:
    quantity = registry().Quantity(1.0) * unit
    times = registry().minute ** quantity.dimensionality.get("[time]", 0)
    quantity = (quantity / times).to_reduced_units().to_compact() * times  # by the minute, as the models are
    text = f"{quantity:.4g~}"
    return "no unit" if text == "1" else text if text.startswith("1 /") else text.removeprefix("1 ")


def _named(unit: str) -> pint.Quantity | None:
    """Text as a quantity, None if it is not one."""
    try:
        quantity = registry().Quantity(1.0, unit) if unit not in ("", "1") else registry().Quantity(1.0)
    except Exception:  # pint's tokenizer raises many kinds for text that is not a unit
        return None
    return quantity if is_proportional(quantity) else None


def _of_network(network: Network, unit: str):
    """A unit's name in a network: defined there, or one of SBML's."""
    if not unit:
        return None
    if unit in network.base_units and unit not in network.units and network.base_units[unit] != unit:
        return _of_network(network, network.base_units[unit])
    if not network.units.get(unit):  # Antimony lists a name that it was never told of, without factors
        return _named(_KINDS.get(unit, unit))
    result = registry().Quantity(1.0)
    for factor in network.units[unit]:
        kind = _named(_KINDS.get(factor.kind, factor.kind))
        if kind is None:
            return None
        result = result * (factor.multiplier * 10.0**factor.scale * kind) ** factor.exponent
    return result


def _of_all_species(network: Network) -> list[pint.Quantity]:
    """Of their amounts and of their concentrations, as far as known."""
    quantities = []
    kinds = {(s.unit, s.compartment, s.amount): s for s in network.species.values()}
    for species in kinds.values():
        amount = unit_of_amount(network, species.name)
        volume = _of_symbol(network, species.compartment, (), None)
        if amount is not None:
            quantities += [amount] if volume is None else [amount, amount / volume]
    return quantities


def _of_symbol(network: Network, name: str, seen: tuple[str, ...], assumed: Assumed | None):
    base = network.base_units
    if name in network.compartments:
        return _of_network(network, network.compartments[name].unit or base.get("volume", ""))
    if name in network.species:
        return _of_species(network, name, seen, assumed)
    if name in network.parameters and network.parameters[name].unit:
        return _of_network(network, network.parameters[name].unit)
    if name in network.rules and name not in seen:
        return _unit(network, network.rules[name], (*seen, name), assumed)
    if name == TIME.name or (name == "time" and name not in network.parameters.keys() | network.rules.keys()):
        declared = _of_network(network, base.get("time", ""))
        return declared if declared is not None or assumed is None else assumed.time
    return None


def _of_species(network: Network, name: str, seen: tuple[str, ...], assumed: Assumed | None):
    species = network.species[name]
    amount = unit_of_amount(network, name)
    if species.amount:
        return amount
    stated = _stated(network, species)
    if stated is not None and not (stated.check("[substance]") or stated.check("[mass]")):
        return stated
    volume = _of_symbol(network, species.compartment, seen, assumed)
    if amount is not None and volume is not None:
        return amount / volume
    if assumed is None:
        return None
    return assumed.concentration if amount is None or not species.unit else amount / registry().litre


def _alike(parts: Sequence[tuple[sympy.Basic, pint.Quantity]]) -> bool:
    """Whether quantities of one dimension are of one size; those with a number in front are taken for converted."""
    plain = [u for e, u in parts if sympy.factor_terms(e).as_coeff_Mul()[0] == 1]  # pyright: ignore[reportArgumentType]
    sizes = [float((registry().Quantity(1.0) * u).to_base_units().magnitude) for u in plain]
    return not sizes or max(sizes) - min(sizes) <= _SAME * max(sizes)


def _unit(network: Network, e: sympy.Basic, seen: tuple[str, ...], assumed: Assumed | None):
    if isinstance(e, sympy.Symbol):
        return _of_symbol(network, str(e), seen, assumed)
    if e.is_number:
        return registry().Quantity(1.0)
    if isinstance(e, sympy.Add):
        return _of_sum(network, e, seen, assumed)
    if isinstance(e, sympy.Mul):
        units = [_unit(network, a, seen, assumed) for a in e.args]  # all, for a wrong sum beside an unknown name
        return None if any(u is None for u in units) else math.prod(units, start=registry().Quantity(1.0))
    if isinstance(e, sympy.Pow) and e.exp.is_number:
        base = _unit(network, e.base, seen, assumed)
        return None if base is None else base ** float(e.exp)
    return None


def _of_sum(network: Network, e: sympy.Add, seen: tuple[str, ...], assumed: Assumed | None):
    known = [(a, u) for a in e.args if not a.is_number and (u := _unit(network, a, seen, assumed)) is not None]
    dimensions = {str(u.dimensionality) for _, u in known}
    if len(dimensions) > 1 or not _alike(known):
        words = " to ".join(dict.fromkeys(_words(u) for _, u in known))
        raise UnitError(f"{e} adds {words}" + ("" if len(dimensions) > 1 else "; multiply one of them"))
    return known[0][1] if known else None


__all__ = [
    "Assumed",
    "assumed_of",
    "check_kind",
    "check_molecules",
    "check_same",
    "declared_unit",
    "factor_to_unit",
    "undefined_unit",
    "undefined_units",
    "unit_of_amount",
    "unit_of_formula",
    "unit_of_symbol",
]
