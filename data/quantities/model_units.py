"""Units of a model's time, concentrations and names: declared in its file, or assumed and said so.

A network is solved in its own units. What comes from a table, doses, times and priors, is converted into them here.
Where a network declares nothing, time is taken in min and concentrations in nM.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ...models.networks.network import Network
from .dimensions import (
    Assumed,
    assumed_of,
    declared_unit,
    undefined_unit,
    undefined_units,
    unit_of_amount,
    unit_of_symbol,
)
from .units import UnitError, conversion_factor, quantity_of, registry, unit_parts

if TYPE_CHECKING:
    import pint

SAME = 1e-9  # relative; units that differ by less are one
_NAMES = (
    *("min", "s", "h", "day", "week", "ms"),
    *("nM", "pM", "uM", "mM", "M", "fM", "aM", "zM"),
    *("zmol", "amol", "fmol", "pmol", "nmol", "umol", "mmol", "mol", "molecules"),
    *("pl", "fl", "nl", "ul", "ml", "l"),
    *("zmol/min", "nM/min", "nM/s", "nM/h", "ng/ml", "ug/ml", "1/min", "1/s", "1/h", "1"),
    *("1/(nM min)", "1/(nM s)", "1/(nM h)", "1/(M s)", "1/nM", "1/uM", "ml/ng/min", "1/min^2"),
)


class ModelUnit(NamedTuple):
    """A unit of a model: so many of a unit that has a name, such as 1 nM, or 90 s."""

    name: str
    number: float = 1.0

    def __str__(self) -> str:
        return self.name if self.number == 1 else f"{self.number:g} {self.name}"


def bench_unit(unit: pint.Quantity) -> ModelUnit:
    """A unit by the name it has on the bench, or as a multiple of one."""
    first = None
    for name in _NAMES:
        known = quantity_of(name)
        if not unit.is_compatible_with(known):
            continue
        ratio = float((unit / known).to_base_units().magnitude)
        if abs(ratio - 1) < SAME:
            return ModelUnit(name)
        first = first or ModelUnit(name, ratio)
    if first is not None:
        return first
    compact = (registry().Quantity(1.0) * unit).to_reduced_units()
    return ModelUnit(f"{compact.units:~}", float(compact.magnitude))


@dataclass(frozen=True, eq=False)
class ModelUnits:
    """Units of a network, and of a problem that says `model_time_unit` where the network does not declare its own.

    Raises `UnitError` if the network contradicts itself.
    """

    network: Network
    stated_time: str | None = None  # by `model_time_unit`

    def __post_init__(self) -> None:
        name = self.network.name
        if undefined := undefined_units(self.network):
            raise UnitError("; ".join(undefined[:3]))
        time, extent, substance = (declared_unit(self.network, w) for w in ("time", "extent", "substance"))
        if time is not None and not time.check("[time]"):
            raise UnitError(
                f"the model {name!r} declares its unit of time as {bench_unit(time)}, which is not one of time"
            )
        for what, unit in (("extent", extent), ("substance", substance)):
            if unit is not None and not (unit.dimensionless or unit.check("[substance]") or unit.check("[mass]")):
                raise UnitError(
                    f"the model {name!r} declares its unit of {what} as {bench_unit(unit)}, which is not one of amount"
                )
        volume = declared_unit(self.network, "volume")
        if volume is not None and not (volume.check("[volume]") or volume.dimensionless):
            raise UnitError(
                f"the model {name!r} declares its unit of volume as {bench_unit(volume)}, which is not one of volume"
            )
        self._check_extent(extent, substance)

    def _check_extent(self, extent: pint.Quantity | None, substance: pint.Quantity | None) -> None:
        """Reactions turn over amounts in the unit of extent, which must be that of the species."""
        if extent is None and substance is None:
            self._check_reactions()
            return
        turned = extent if extent is not None else substance
        for species in self.network.species.values():
            counted = unit_of_amount(self.network, species.name)
            moved = any(species.name in r.stoichiometry for r in self.network.reactions) and not species.fixed
            moved = moved and not species.conversion  # a factor with a unit of its own
            if counted is not None and turned is not None and moved and not _same(counted, turned):
                raise UnitError(
                    f"the model {self.network.name!r} counts the species {species.name} in {bench_unit(counted)}, "
                    f"but its reactions turn over {bench_unit(turned)}: declare one unit of substance and of extent"
                )

    def _check_reactions(self) -> None:
        """Species that one reaction turns over are counted in one unit."""
        for reaction in self.network.reactions:
            species = (self.network.species[n] for n in reaction.stoichiometry)
            moved = [s.name for s in species if not s.fixed and not s.conversion]
            known = {n: u for n in moved if (u := unit_of_amount(self.network, n)) is not None}
            first = next(iter(known), "")
            for name, unit in known.items():
                if not _same(unit, known[first]):
                    raise UnitError(
                        f"the model {self.network.name!r} counts the species {first} in {bench_unit(known[first])} "
                        f"and {name} in {bench_unit(unit)}, and the reaction {reaction.name} turns over both: declare "
                        "one unit"
                    )

    @cached_property
    def assumed(self) -> Assumed:
        assumption = assumed_of(self.network)
        if self.stated_time is not None and self.declared_time is None:
            assumption = replace(assumption, time=quantity_of(self.stated_time))
        volume = self._volume
        amount = self._declared_amount
        return assumption if amount is None or volume is None else replace(assumption, concentration=amount / volume)

    @cached_property
    def declared_time(self) -> pint.Quantity | None:
        return declared_unit(self.network, "time")

    @cached_property
    def _declared_amount(self) -> pint.Quantity | None:
        substance = declared_unit(self.network, "substance")
        return declared_unit(self.network, "extent") if substance is None else substance

    @cached_property
    def time(self) -> ModelUnit:
        return bench_unit(self.assumed.time)

    @cached_property
    def concentration(self) -> ModelUnit:
        return bench_unit(self.assumed.concentration)

    @cached_property
    def _volume(self) -> pint.Quantity | None:
        """Of all compartments; None if they declare none, or several."""
        known = self._volumes
        if known and all(_same(u, known[0]) for u in known):
            return known[0]
        return declared_unit(self.network, "volume")

    @cached_property
    def _volumes(self) -> list[pint.Quantity]:
        units = (unit_of_symbol(self.network, c) for c in self.network.compartments)
        return [u for u in units if u is not None]

    @cached_property
    def _amount(self) -> pint.Quantity | None:
        """The unit of amounts; None if neither it nor a volume is declared."""
        amount = self._declared_amount
        if amount is None and self._volume is not None:
            return self.assumed.concentration * self._volume
        return amount

    def of(self, name: str) -> ModelUnit | None:
        """The unit of a species, parameter or compartment; None for a parameter that declares none."""
        self._check_defined(name)
        unit = unit_of_symbol(self.network, name, self.assumed)
        return None if unit is None else bench_unit(unit)

    def declared(self, name: str) -> pint.Quantity | None:
        self._check_defined(name)
        return unit_of_symbol(self.network, name)

    def _check_defined(self, name: str) -> None:
        if undefined := undefined_unit(self.network, name):
            raise UnitError(undefined)

    @cached_property
    def _coherent(self) -> dict[tuple[str, bool], tuple[float, str]]:
        return {}

    def coherent(self, unit: str, *, numbers: bool = False) -> tuple[float, str]:
        """A unit made of the model's own time, amounts and volumes: the factor into it, and its name.

        Each part of `unit` that is a time, an amount, a volume or made of these becomes the model's: `1/(nM min)`
        becomes `1/(pM h)`; with `numbers`, percent become hundredths. What else it holds, such as au or ng/ml, stays.
        Raises `UnitError` for text that is not a unit.
        """
        if (unit, numbers) not in self._coherent:
            self._coherent[unit, numbers] = self._made_coherent(unit, numbers=numbers)
        return self._coherent[unit, numbers]

    def _made_coherent(self, unit: str, *, numbers: bool) -> tuple[float, str]:
        parts = _by_concentration(unit_parts(unit))
        mass = any("[mass]" in quantity_of(u).dimensionality for u in parts)
        factor, words = 1.0, []
        for part, exponent in parts.items():
            if numbers and quantity_of(part).dimensionless:
                factor *= conversion_factor(part, "1") ** exponent
                continue
            model_unit = self._model_unit(part, keeps_volume=mass)
            if model_unit is None:
                words.append((f"{registry().Unit(part):~}", exponent))
                continue
            factor *= conversion_factor(part, model_unit.name) ** exponent / model_unit.number**exponent
            words.append((str(model_unit) if model_unit.number == 1 else f"({model_unit})", exponent))
        return (1.0, unit) if abs(factor - 1) < SAME else (factor, _joined(words))

    def follows(self, unit: str, *, numbers: bool = False) -> bool:
        """True if all parts of a unit are times, amounts or volumes of the model; `numbers` allows parts such as %."""
        parts = [
            part for part in _by_concentration(unit_parts(unit)) if not (numbers and quantity_of(part).dimensionless)
        ]
        return (bool(parts) or numbers) and all(
            self._model_unit(part, keeps_volume=False) is not None for part in parts
        )

    def _model_unit(self, part: str, *, keeps_volume: bool) -> ModelUnit | None:
        """The model's unit for a part of a unit; None if it stays as it is."""
        kind = quantity_of(part)
        if kind.check("[time]"):
            return self.time
        if kind.check("1/[time]"):
            return bench_unit(1 / self.assumed.time)
        if kind.check("[substance]/[volume]"):
            if len({str(bench_unit(v)) for v in self._volumes}) > 1:
                raise UnitError(
                    "the model's compartments are in several units, so declare this one's unit in the model"
                )
            return self.concentration
        if kind.check("[substance]") and (amount := self._amount) is not None:
            return bench_unit(amount) if amount.check("[substance]") else None
        if kind.check("[volume]") and not keeps_volume and (self._volume is not None or self._amount is not None):
            volume = self._volume if self._volume is not None else registry().Quantity(1.0, "l")
            return bench_unit(volume) if volume.check("[volume]") else None
        return None

    def notes(self) -> list[str]:
        """A list with a sentence on the units that are assumed; empty if the model declares all."""
        network, missing, taken = self.network, [], []
        if self.declared_time is None and self.stated_time is None:
            missing.append("time")
            taken.append(f"time in {self.time}")
        if any(not s.amount and unit_of_symbol(network, n) is None for n, s in network.species.items()):
            missing += ["substance"] if self._declared_amount is None else []
            missing += ["volume"] if self._volume is None else []
            taken.append(f"concentrations in {self.concentration}")
        if not taken:
            return []
        return [
            f"the model {network.name!r} declares no unit of {_list(missing)}: hexamer takes {' and '.join(taken)} "
            "(in Antimony, `unit time_unit = 60 second; unit substance = 1e-9 mole; unit volume = 1 litre` says so)"
        ]


def _by_concentration(parts: dict[str, float]) -> dict[str, float]:
    """Parts of a unit, amounts in a volume taken together: nmol/l is a concentration, whatever amounts are in."""
    kinds = {part: quantity_of(part) for part in parts}
    if any("[mass]" in kind.dimensionality for kind in kinds.values()):
        return parts
    amounts = {p: e for p, e in parts.items() if kinds[p].check("[substance]")}
    spaces = {p: e for p, e in parts.items() if kinds[p].check("[volume]") or kinds[p].check("[length]")}
    power = sum(amounts.values())
    if not power or sum(e * (3 if kinds[p].check("[volume]") else 1) for p, e in spaces.items()) != -3 * power:
        return parts
    whole = _joined([(p, e / power) for p, e in (amounts | spaces).items()])
    return {whole: power} | {p: e for p, e in parts.items() if p not in amounts and p not in spaces}


def _same(one: pint.Quantity, other: pint.Quantity) -> bool:
    if not one.is_compatible_with(other):
        return False
    return abs(float((one / other).to_base_units().magnitude) - 1) < SAME


def _list(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def _joined(words: list[tuple[str, float]]) -> str:
    """Units with exponents as one text, such as `au/(nM min)`."""

    def power(word: str, exponent: float) -> str:
        return word if exponent == 1 else f"{word}^{exponent:g}"

    above = " ".join(power(w, e) for w, e in words if e > 0) or "1"
    below = [power(w, -e) for w, e in words if e < 0]
    if not below:
        return above
    return f"{above}/{below[0]}" if len(below) == 1 else f"{above}/({' '.join(below)})"


__all__ = ["ModelUnit", "ModelUnits", "bench_unit"]
