"""Units of scales, offsets and noise: they follow from the unit of an observable's signal and that of its readings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import sympy

from ..formula import Formula, parse_formula
from ..parameter import Parameter
from ..quantities.dimensions import unit_of_formula
from ..quantities.model_units import SAME, ModelUnits, bench_unit
from ..quantities.units import UnitError, known_quantity, quantity_of
from .observables import ObservableEntry

if TYPE_CHECKING:
    import pint


@dataclass(frozen=True, eq=False)
class Wanted:
    """A unit that the unit of a parameter must be able to become, and why."""

    unit: pint.Quantity
    why: str
    scale: bool = False
    relative: bool = False  # the scale has an arbitrary unit alone, so that this may be arbitrary, too
    plain: bool = True  # whether no number stands in front of the signal


class SignalUnits:
    """Units that follow from signals, by the parameter's name; none if a signal's unit is not known."""

    def __init__(
        self, entries: Mapping[str, ObservableEntry], units: ModelUnits, stated: Mapping[str, Parameter]
    ) -> None:
        self._named: dict[str, Wanted] = {}
        self._families: dict[str, Wanted] = {}
        for name, entry in entries.items():
            for key, wanted in _of_entry(name, entry, units, stated):
                (self._families if key.endswith("[") else self._named).setdefault(key, wanted)

    def of(self, name: str) -> Wanted | None:
        family = name.split("[")[0] + "["
        return self._named.get(name) or (self._families.get(family) if name.endswith("]") else None)


def _of_entry(
    name: str, entry: ObservableEntry, units: ModelUnits, stated: Mapping[str, Parameter]
) -> Iterator[tuple[str, Wanted]]:
    """Names of parameters, or the starts of families of them up to the bracket, each with what its unit must become."""
    read = known_quantity(entry.values.unit)
    signal = _signal(entry.signal, units)
    scales = [n for n, role in entry.roles.items() if role == "scale"]
    scales += [] if entry.scale_group is None else [f"scale_{entry.scale_group}["]
    relative = all(is_arbitrary(p.unit) for n, p in stated.items() if any(_covers(s, n) for s in scales))
    if read is not None:
        offsets = [n for n, role in entry.roles.items() if role == "reading"]
        if entry.offset_group and entry.offset_key == "offset":
            offsets.append(f"offset_{entry.offset_group}[")
        yield from ((n, Wanted(read, f"the unit that {name} is read in")) for n in offsets)
    if signal.unit is not None:
        why = f"a reading of {name} in {entry.values.unit} over its signal in {bench_unit(signal.unit)}"
        unit = (quantity_of("au") if read is None else read) / signal.unit
        yield from ((n, Wanted(unit, why, scale=True)) for n in scales)
    why = f"the unit of the signal of {name}, which it is added to before the scale"
    noise = signal if entry.noise_of is None else _signal(entry.noise_of, units)
    for parameter, role in entry.roles.items():
        if role == "signal" and signal.unit is not None:
            yield parameter, Wanted(signal.unit, why, relative=relative, plain=signal.plain)
        if role == "noise" and noise.unit is not None:
            yield parameter, Wanted(noise.unit, why, relative=relative and not noise.declared, plain=noise.plain)
    if signal.unit is not None and entry.offset_group and entry.offset_key == "background":
        yield f"background_{entry.offset_group}[", Wanted(signal.unit, why, relative=relative, plain=signal.plain)


def _covers(key: str, name: str) -> bool:
    return name == key or (key.endswith("[") and name.startswith(key))


class _Signal(NamedTuple):
    unit: pint.Quantity | None
    declared: bool = False  # whether the unit follows from what the model declares
    plain: bool = True  # whether no number stands in front


def _signal(formula: Formula | None, units: ModelUnits) -> _Signal:
    if formula is None:
        return _Signal(None)
    expression = parse_formula(formula)
    plain = sympy.factor_terms(expression).as_coeff_Mul()[0] == 1
    try:
        declared = unit_of_formula(units.network, formula)
        unit = unit_of_formula(units.network, formula, units.assumed) if declared is None else declared
    except UnitError:
        return _Signal(None, plain=plain)
    return _Signal(None if expression.is_number else unit, declared is not None, plain)


def is_arbitrary(unit: str) -> bool:
    """True for `au`, `1`, nothing, and what is made of them."""
    known = known_quantity(unit)
    return known is not None and not _without_arbitrary(known)


def _without_arbitrary(unit: pint.Quantity) -> dict[str, float]:
    powers = {str(d): float(e) for d, e in unit.dimensionality.items()}  # pyright: ignore[reportArgumentType]
    return {d: e for d, e in powers.items() if d != "[arbitrary]" and abs(e) > SAME}


def conversion(stated: str, wanted: Wanted, units: ModelUnits) -> tuple[float, str]:
    """The factor from a stated unit to the wanted one, and the name of the latter. Raises `UnitError`."""
    quantity = quantity_of(stated)
    expected = f"a unit that can become {_text(wanted.unit)!r}, {wanted.why}"
    if wanted.scale:
        if not is_arbitrary(stated) and _without_arbitrary(quantity / wanted.unit):
            raise UnitError(expected)
        return units.coherent(stated)
    if quantity.is_compatible_with(wanted.unit):
        factor = float((quantity / wanted.unit).to_base_units().magnitude)
        same = abs(factor - 1) < SAME or (quantity.dimensionless and not wanted.plain)
        return (1.0, stated) if same else (factor, _text(wanted.unit))
    arbitrary = "[arbitrary]" in wanted.unit.dimensionality and not _without_arbitrary(wanted.unit)
    if is_arbitrary(stated) and (wanted.relative or arbitrary):
        return 1.0, stated
    raise UnitError(expected)


def _text(unit: pint.Quantity) -> str:
    parts = f"{unit.units:~}".replace(" ", "")
    return parts if "au" in parts and float(unit.magnitude) == 1 else str(bench_unit(unit))


__all__ = ["SignalUnits", "Wanted", "conversion", "is_arbitrary"]
