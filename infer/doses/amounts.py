"""Doses as they are written on the bench, 50 ug/ml or 0.48 nM, as numbers in the model's unit."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ...data.files.csv_table import NUMBER, hint_of, parse_number
from ...data.quantities.model_units import ModelUnit, ModelUnits
from ...data.quantities.units import UnitError, conversion_factor
from ...data.schedules import Input
from ...models.compiled.model import Model
from ...moved import rename_attribute

log = logging.getLogger(__name__)

_PART = re.compile(rf"\s*({NUMBER})(?::({NUMBER}):(\d+))?\s*([^\s\d,:;+.-].*?)?\s*", re.ASCII)
_DECIMAL_COMMA = re.compile(r"(?!\s*-)[^,]*?(\d+,\d+)[^,]*", re.ASCII)  # less than 0 is refused anyhow
_THOUSANDS = re.compile(r"(\d+,0\d+)", re.ASCII)
_MOST = 10**6  # doses of a range

_DIGITS = 12  # of doses as they were given

Masses = Mapping[str, str | float]
DosesLike = ArrayLike | str | Sequence[str]


@dataclass(frozen=True, eq=False)
class Doses:
    """Doses of one substance: in the model's unit, and the unit they were given in (`values = per_unit · given`)."""

    name: str
    values: Float[np.ndarray, " doses"]
    model_unit: str
    unit: str
    per_unit: float

    @property
    def stated(self) -> Float[np.ndarray, " doses"]:
        """The doses in the unit they were given in, free of the rounding of two conversions: 100 is 100 again."""
        return np.array([float(f"{x:.{_DIGITS}g}") for x in self.values / self.per_unit])


rename_attribute(Doses, "given", "stated")


def model_unit(model: Model, name: str) -> ModelUnit:
    """The unit of a species or parameter of `model`: that of its network; its concentrations', if it states none.

    A model without units has its concentrations in nM.
    """
    if model.network is None:
        return ModelUnit("nM")
    units = ModelUnits(model.network)
    return units.of(name) or units.concentration


def time_unit(model: Model) -> ModelUnit:
    """The unit of a model's time: that of its network; min, if it states none."""
    return ModelUnit("min") if model.network is None else ModelUnits(model.network).time


def known_mass(model: Model, name: str) -> str | None:
    """The molar mass of a species or parameter that the model's network knows, such as `21 kDa`."""
    return None if model.network is None else model.network.facts.molar_masses.get(name)


def doses_of(
    model: Model,
    name: str,
    doses: DosesLike,
    *,
    unit: str | None = None,
    molar_mass: str | float | None = None,
    known: Input | None = None,
) -> Doses:
    """Doses of `name` in the model's unit.

    `doses` are numbers, in `unit` or else the model's own; texts with a unit (`50 ug/ml`); or one text of numbers and
    ranges, `0, 0.01:100:64 ng/ml`: dose 0, and 64 doses from 0.01 to 100 at equal ratios. Mass concentrations become
    molar ones through `molar_mass` (kDa, or text with its unit), or what the network knows (`Network.facts`).
    `known` is what a problem says of the input: its unit, the factor to the model's unit, its molar mass.

    Raises `ValueError` for text without a unit where `known` has another than the model, and for doses that are
    negative, not finite, not increasing or none; `UnitError` for a unit that cannot become the model's, and a mass
    concentration without a molar mass.
    """
    native_unit = model_unit(model, name)
    wanted = (known and known.model_unit) or str(native_unit)
    numbers, written = _read(name, doses)
    if unit is not None and written not in (None, unit):
        raise ValueError(f"doses of {name} are given in {written!r} and unit={unit!r}: state one")
    stated = written or unit
    if stated is None and np.any(numbers) and _is_text(doses):
        _say_unit(name, wanted, known)
    mass = known_mass(model, name) if molar_mass is None else molar_mass
    factor = 1.0 if stated in (None, wanted) else _factor(name, stated, native_unit, mass, known)
    unit = stated or wanted
    if not numbers.size:
        raise ValueError(f"no doses of {name}: give at least one number")
    if not np.all(np.isfinite(numbers)):
        raise ValueError(f"doses of {name} must be finite, not {numbers[~np.isfinite(numbers)][0]:g}")
    if np.any(numbers < 0):
        raise ValueError(f"doses of {name} cannot be negative: {numbers[numbers < 0][0]:g} {unit}")
    if np.any(np.diff(numbers) <= 0):
        raise ValueError(f"doses of {name} must increase, each given once")
    return Doses(name, numbers * factor, wanted, unit, factor)


def _is_text(doses: DosesLike) -> bool:
    return any(isinstance(x, str) for x in np.ravel(np.asarray(doses, dtype=object)))


def _say_unit(name: str, wanted: str, known: Input | None) -> None:
    """Logs the unit that numbers are taken in; raises `ValueError` if the problem has that input in another one."""
    if known is not None and known.unit not in ("", "1", wanted):
        raise ValueError(
            f"doses of {name} have no unit: the problem that was fitted has them in {known.unit}, and the model has "
            f"{name} in {wanted}: write one of them behind the numbers, such as '10 {known.unit}'"
        )
    log.warning("note: doses of %s have no unit, and are taken in %s", name, wanted)


def _factor(name: str, unit: str, wanted: ModelUnit, mass: str | float | None, known: Input | None) -> float:
    """From `unit` to the model's; by way of a known input's unit and factor, where that can be."""
    if known is not None:
        with suppress(UnitError):
            return conversion_factor(unit, known.unit, mass) * known.factor
    try:
        return conversion_factor(unit, wanted.name, mass) / wanted.number
    except UnitError as error:
        way_out = "" if "molar mass" in str(error) else "; give them as concentrations, such as '10 nM' or '5 ng/ml'"
        raise UnitError(f"doses of {name}: {error}{way_out}") from None


def _read(name: str, doses: DosesLike) -> tuple[np.ndarray, str | None]:
    """Numbers, and the unit written beside them."""
    if isinstance(doses, str):
        _check_commas(name, doses)
        parts = doses.split(",")
        read = [_part(name, part) for part in parts]
        units = {unit for _, unit in read[:-1]} - {None, read[-1][1]}  # the last one's unit is that of all
        if units:
            raise ValueError(f"doses of {name} are given in several units: {doses!r}: use one")
        return np.concatenate([numbers for numbers, _ in read]), read[-1][1]
    items = list(np.asarray(doses, dtype=object).ravel())
    if not any(isinstance(x, str) for x in items):
        try:
            return np.asarray(doses, dtype=float).ravel(), None
        except (TypeError, ValueError):
            raise ValueError(f"doses of {name} must be numbers or texts such as '50 ug/ml', not {doses!r}") from None
    read = [_part(name, str(item)) for item in items]
    units = {unit for _, unit in read}
    if len(units) > 1:
        raise ValueError(f"doses of {name} are given in several units, {', '.join(map(str, units))}: use one")
    return np.concatenate([numbers for numbers, _ in read]), units.pop()


def _check_commas(name: str, text: str) -> None:
    """Raises `ValueError` if a comma may stand for a decimal point, or mark thousands."""
    if match := _DECIMAL_COMMA.fullmatch(text) or _THOUSANDS.search(text):
        written = match[1]
        raise ValueError(
            f"doses of {name}: {written!r} in {text!r} may be one number or several: write decimals with a point, "
            f"thousands without a mark, and several doses with a blank behind each comma, {written.replace(',', ', ')}"
        )


def _number(name: str, text: str) -> float:
    value = parse_number(text)
    if value is None:
        raise ValueError(f"cannot read {text!r} among the doses of {name}: expected a finite number{hint_of(text)}")
    return value


def _part(name: str, text: str) -> tuple[np.ndarray, str | None]:
    """A number or a range START:STOP:COUNT, and the unit behind it."""
    match = _PART.fullmatch(text)
    if match is None:
        raise ValueError(
            f"cannot read {text.strip()!r} among the doses of {name}: expected a number or START:STOP:COUNT, and a "
            "unit, such as '50 ug/ml' or '0.01:100:64 ng/ml'"
        )
    start, stop, count, unit = match.groups()
    if stop is None:
        return np.array([_number(name, start)]), unit
    low, high, number = _number(name, start), _number(name, stop), int(count)
    if number > _MOST:
        raise ValueError(f"the range {text.strip()!r} of {name} has {number:,} doses, at most {_MOST:,}: give fewer")
    if not 0 < low < high or number < 2:
        raise ValueError(
            f"cannot read the range {text.strip()!r} of {name}: START must be above 0 (list dose 0 apart: "
            "'0, 0.01:100:64 ng/ml'), STOP above START, COUNT at least 2"
        )
    return np.geomspace(low, high, number), unit


__all__ = ["Doses", "DosesLike", "Masses", "doses_of", "known_mass", "model_unit", "time_unit"]
