"""`[inputs.NAME]` of `problem.toml`: what a column of doses changes in the model, and the number that converts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...models.listing import did_you_mean
from ..files.toml_section import Section
from ..quantities.model_units import SAME, ModelUnit, ModelUnits, bench_unit
from ..quantities.toml_keys import take_molar_mass, take_quantity
from ..quantities.units import (
    UnitError,
    conversion_factor,
    known_quantity,
    molar_mass_kda,
    quantity_of,
    registry,
    unit_parts,
)
from ..schedules import Input

if TYPE_CHECKING:
    import pint

_SAY = {
    "weight": ("a body weight", "70 kg", "[mass]"),
    "volume": ("the volume that the dose is in", "3 l", "[volume]"),
    "activity": ("units in a mass or an amount of the substance", "50 IU/ug", ""),
}


def take_inputs(top: Section, units: ModelUnits) -> tuple[Input, ...]:
    """All inputs of a description; what is wrong becomes a problem of its key."""
    inputs = tuple(_input(s, n, units) for n, s in top.sections("inputs").items())
    for what in ("target", "column"):
        taken: dict[str, str] = {}
        for item in inputs:
            value = getattr(item, what)
            if value in taken:
                top.complain(f"inputs.{item.name}.{what}", f"another {what} than that of {taken[value]!r}", value)
            taken.setdefault(value, item.name)
    return inputs


def _input(section: Section, name: str, units: ModelUnits) -> Input:
    unit, target = section.required("unit"), section.text("target", name)
    kind = "add" if section.choice("kind", ("add", "set")) == "add" else "set"
    stated = section.take("model_unit")
    if stated is not None and (not isinstance(stated, str) or not stated):
        section.complain("model_unit", "text in quotes", stated)
        stated = None
    mass = take_molar_mass(section)
    quantities = {key: take_quantity(section, key, *texts) for key, texts in _SAY.items()}
    dose = {key: value for key, value in quantities.items() if value is not None}
    unread = [key for key in _SAY if key not in dose and section.take(key) is not None]
    column = section.text("column", name)
    section.done()
    factor, wanted = 1.0, unit
    if unit and not unread and _check_dose(section, unit, dose):
        try:
            model_unit = _unit_in_model(unit, stated, target, kind, units)
            factor, wanted = _factor(unit, model_unit, mass, dose), str(model_unit)
        except _UnitOfModelError as error:
            section.complain("model_unit", str(error), stated)
        except UnitError as error:
            section.complain("unit", str(error), unit)
    return Input(name, target, kind, unit, factor, column, wanted, mass)


def _check_dose(section: Section, unit: str, dose: dict[str, pint.Quantity]) -> bool:
    """False, with a problem of the key, if weight, volume or activity is of no use to doses in `unit`."""
    quantity = known_quantity(unit)
    if quantity is None:
        return True  # the unit itself is refused later
    before = section.faults
    if "weight" in dose and not _per_weight(unit):
        section.complain(
            "weight", f"no such key, as {unit!r} is not a dose per body weight: remove it", _text(dose["weight"])
        )
    concentration = (quantity.check(f"{kind}/[volume]") for kind in ("[substance]", "[mass]", "[international_unit]"))
    if "volume" in dose and any(concentration):
        section.complain("volume", f"no such key, as {unit!r} is in a volume already: remove it", _text(dose["volume"]))
    if "activity" in dose and "[international_unit]" not in quantity.dimensionality:
        section.complain("activity", f"no such key, as {unit!r} has no IU: remove it", _text(dose["activity"]))
    elif "activity" in dose and not _is_activity(dose["activity"]):
        over = 1 / dose["activity"]
        turned = f"; turned over, this one is {_text(over)!r}" if _is_activity(over) else ""
        section.complain(
            "activity", f"units in a mass or an amount, such as '50 IU/ug'{turned}", _text(dose["activity"])
        )
    return section.faults == before


def _is_activity(quantity: pint.Quantity) -> bool:
    return quantity.check("[international_unit]/[mass]") or quantity.check("[international_unit]/[substance]")


def _text(quantity: pint.Quantity) -> str:
    return f"{quantity:.6g~}".replace(" / ", "/")


class _UnitOfModelError(UnitError):
    """`model_unit` contradicts the model."""


def _unit_in_model(unit: str, stated: str | None, target: str, kind: str, units: ModelUnits) -> ModelUnit:
    """The unit that the model has `target` in."""
    declared = units.declared(target)
    if stated is not None:
        _check_stated(unit, stated, target, kind, declared)
        return ModelUnit(stated)
    declared_or_assumed = units.of(target)
    if declared_or_assumed is not None:
        return declared_or_assumed
    if unit in ("", "1"):
        return ModelUnit("1")
    quantity = quantity_of(unit)
    if quantity.check("[substance]/[volume]") or quantity.check("[mass]/[volume]"):
        return units.concentration
    if not units.follows(unit):
        raise UnitError(
            f"a unit that can become the model's, but the model declares none for {target}: declare it there, or state "
            f"model_unit = {unit!r} if the model's numbers are in that"
        )
    factor, word = units.coherent(unit)
    return ModelUnit(word if factor != 1 else unit)


def _check_stated(unit: str, stated: str, target: str, kind: str, declared: pint.Quantity | None) -> None:
    """`model_unit` may say what the model does not declare; it cannot be another one."""
    try:
        said = quantity_of(stated)
    except UnitError:
        said = None
    if declared is not None:
        if said is None or not said.is_compatible_with(declared) or _ratio(said, declared) > SAME:
            raise _UnitOfModelError(
                f"{str(bench_unit(declared))!r}, as the model declares {target}; or leave the key out"
            )
    elif said is None and stated != unit:
        raise _UnitOfModelError("a unit that is known, or the text of `unit`")
    elif said is not None and kind == "add" and not _countable(said, stated):
        raise _UnitOfModelError(f"an amount or a concentration, since doses are added to {target}")


def _ratio(one: pint.Quantity, other: pint.Quantity) -> float:
    return abs(float((one / other).to_base_units().magnitude) - 1)


def _countable(unit: pint.Quantity, text: str) -> bool:
    """Whether a species can be in this unit."""
    if _per_weight(text):
        return False
    kinds = ("[substance]/[volume]", "[mass]/[volume]", "[substance]", "[mass]")
    whole = "[arbitrary]" in unit.dimensionality or "[international_unit]" in unit.dimensionality
    return unit.dimensionless or whole or any(unit.check(k) for k in kinds)


def _per_weight(unit: str) -> bool:
    """Whether a unit is a dose per body weight, such as mg/kg or nmol/kg."""
    try:
        parts = unit_parts(unit)
    except UnitError:
        return False
    kinds = {u: quantity_of(u) for u in parts}
    dosed = [u for u, k in kinds.items() if "[international_unit]" in k.dimensionality or k.check("[substance]")]
    weighed = [u for u, k in kinds.items() if k.check("[mass]")]
    return any(parts[u] < 0 for u in weighed) and any(parts[u] > 0 for u in (*dosed, *weighed))


def _factor(unit: str, wanted: ModelUnit, mass: str | float | None, dose: dict[str, pint.Quantity]) -> float:
    """What turns a number of the table into one of the model. Raises `UnitError` with what to write."""
    expected = f"a unit that can become {str(wanted)!r}"
    try:
        if not dose:
            return conversion_factor(unit, wanted.name, mass) / wanted.number
        quantity = quantity_of(unit)
        quantity = quantity * dose["weight"] if "weight" in dose else quantity
        quantity = quantity / dose["activity"] if "activity" in dose else quantity
        quantity = quantity / dose["volume"] if "volume" in dose else quantity
        return _through_mass(quantity, quantity_of(wanted.name), mass) / wanted.number
    except UnitError as error:
        raise UnitError(f"{expected}: {error}{_way_out(unit, dose, quantity_of(wanted.name), error)}") from None


def _through_mass(quantity: pint.Quantity, wanted: pint.Quantity, mass: str | float | None) -> float:
    ratio = (quantity / wanted).to_base_units()
    if ratio.dimensionless:
        return float(ratio.magnitude)
    over = ratio.check("[mass]/[substance]")
    if not (over or ratio.check("[substance]/[mass]")):
        raise UnitError(f"it is then in {quantity.units:~}")
    if mass is None:
        raise UnitError("it needs a molar mass, such as molar_mass = '21 kDa'")
    molar = registry().Quantity(molar_mass_kda(mass), "kg/mol")
    return float((ratio / molar if over else ratio * molar).to_base_units().magnitude)


def _way_out(unit: str, dose: dict[str, pint.Quantity], wanted: pint.Quantity, error: UnitError) -> str:
    """What to write for a dose that is not a concentration yet."""
    lacking = []
    try:
        quantity = quantity_of(unit)
    except UnitError:
        meant = did_you_mean(unit, ("nM", "uM", "pM", "mM", "ng/ml", "ug/ml", "pg/ml", "mg/l", "IU/ml"))
        return meant or "; write the doses as concentrations, such as 'nM' or 'ng/ml'"
    if "[international_unit]" in quantity.dimensionality and "activity" not in dose:
        lacking.append('activity = "50 IU/ug", the units in a mass of the substance, with its molar_mass')
    if any(part == "enzyme_unit" for part in unit_parts(unit)):
        lacking.append(f"{unit.replace('U', 'IU')!r} and its activity if international units are meant")
    if _per_weight(unit) and "weight" not in dose:
        lacking.append('weight = "70 kg", of the body')
    spread = (
        quantity.check("[substance]") or quantity.check("[mass]") or unit in ("IU", "kIU", "MIU") or _per_weight(unit)
    )
    if spread and "volume" not in dose:
        lacking.append('volume = "3 l", in which the dose is distributed')
    if wanted.check("[substance]") and not wanted.check("[substance]/[volume]") and "activity" not in dose:
        return "; the model counts it in amounts: write the doses as amounts, such as 'nmol' or 'ng'"
    if lacking:
        return "; state " + ", and ".join(lacking) + "; or write the doses as concentrations"
    if "needs a molar mass" in str(error):
        return "; state molar_mass beside the unit, that of the substance, or write the doses as 'nM'"
    return "; write the doses as concentrations, such as 'nM' or 'ng/ml'"


__all__ = ["take_inputs"]
