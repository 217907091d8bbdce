"""Units of the bench to units of the model, by pint; mass concentrations through a molar mass."""

from __future__ import annotations

import functools
import math
import re
from typing import TYPE_CHECKING

from ...errors import HexamerError
from ..files.csv_table import NUMBER, parse_number

if TYPE_CHECKING:
    import pint

_DEFINITIONS = (
    "arbitrary_unit = [arbitrary] = au = AU",  # elsewhere `au` is the astronomical unit
    "cell = [cell] = cell = cells",
    "molecules = 1 / avogadro_number * mole = _ = molecule",
    "international_unit = [international_unit] = IU",
)


_LONGEST = 200  # characters of a unit
_POWER = re.compile(r"\^|\*\*")
_SEPARATED = re.compile(r",|\d['’_]\d|\d\s+[\d.]")  # a unit has no comma, and pint drops these, so that 6,4 is 64
_BRACKETED = re.compile(r"(?<![\^*])\(\s*[\d.]+\s*\)")
_EXPONENT = re.compile(r"\s*(\(\s*)?[+-]?\d{1,2}(\.\d{1,3})?(/\d)?(?(1)\s*\))\s*(?![\d.^eE]|\*\*)")
_AMOUNT = re.compile(rf"\s*({NUMBER})\s*(.*?)\s*", re.ASCII | re.DOTALL)
_TENS = re.compile(rf"\s*(?:({NUMBER})\s*[*x×]\s*)?10\s*(?:\^|\*\*)\s*([+-]?\d{{1,2}})(?![\d.])\s*(.*?)\s*", re.DOTALL)
_UNCERTAIN = re.compile(r"\d\(\d+\)|±|\+\s*/?\s*-")


class UnitError(HexamerError, ValueError):
    """A unit that is not known, or that cannot become the one expected."""


@functools.cache
def registry() -> pint.UnitRegistry:
    """The one registry of units; made at first use, since that takes a third of a second."""
    import pint

    units = pint.UnitRegistry(on_redefinition="ignore")
    for definition in _DEFINITIONS:
        units.define(definition)
    return units


def check_text(text: str, what: str) -> None:
    """Raises `UnitError` for text of a unit, or of a number with one, that pint would not end with or would misread.

    Its powers might never end: 9^9^9^9 is computed before anything can stop it. Of decimal commas and separators of
    thousands it drops the mark.
    """
    if len(text) > _LONGEST:
        raise UnitError(
            f"{what} {text[:40]!r}… is too long: {len(text)} characters, where a unit has {_LONGEST} at most"
        )
    if _SEPARATED.search(text):
        raise UnitError(
            f"{what} {text!r} cannot be read: write decimals with a point, such as 6.4, and thousands without a mark"
        )
    if _BRACKETED.search(text):
        raise UnitError(f"{what} {text!r} has a number in parentheses: leave it out; an uncertainty has no place here")
    if foreign := sorted({c for c in text if c.isdecimal() and not c.isascii()}):
        raise UnitError(f"{what} {text!r} cannot be read: it has digits beyond ASCII, {', '.join(map(ascii, foreign))}")
    for power in _POWER.finditer(text):
        if not _EXPONENT.match(text, power.end()):
            raise UnitError(
                f"{what} {text!r} has a power that is not read: after {power.group()} stands one number of at most two "
                "digits, as in min^-1"
            )


def _quantity(text: str, what: str) -> pint.Quantity:
    import pint

    check_text(text, what)
    try:
        quantity = registry().Quantity(1.0, text) if text not in ("", "1") else registry().Quantity(1.0)
    except pint.UndefinedUnitError as error:
        names = [error.unit_names] if isinstance(error.unit_names, str) else list(error.unit_names)
        part = "" if text in names else f", for its part {', '.join(map(repr, names))}"
        raise UnitError(f"{what} {text!r} is not known{part}") from None
    except Exception:  # pint's tokenizer raises many kinds for text that is not a unit
        raise UnitError(f"{what} {text!r} cannot be read as a unit, such as 'nM', 'ng/ml' or 'min'") from None
    if not (math.isfinite(quantity.magnitude) and quantity.magnitude > 0):
        raise UnitError(f"{what} {text!r} is {quantity.magnitude:g} times something, which is not a unit")
    if any(unit.check("[temperature]") for unit in _units_in(quantity)):
        raise UnitError(f"{what} {text!r} is a temperature, which may have an offset and is not supported")
    if not is_proportional(quantity):
        raise UnitError(f"{what} {text!r} is that of a logarithm, which is not supported: write the numbers themselves")
    return quantity


def _units_in(quantity: pint.Quantity) -> list[pint.Quantity]:
    return [registry().Quantity(1.0, name) for name in _names(quantity)]


def is_proportional(quantity: pint.Quantity) -> bool:
    """False for a unit in which 0 is an amount, such as dB."""
    try:
        none, one = (registry().Quantity(n, quantity.units).to_base_units().magnitude for n in (0.0, 1.0))
    except Exception:  # pint raises many kinds for what it cannot multiply
        return False
    return none == 0 and one > 0


def split_quantity(text: str) -> tuple[float, str] | None:
    """A finite number and its unit, which may be empty; None for other text, such as one with a second number.

    >>> split_quantity("500nM"), split_quantity("1.8/h"), split_quantity("6*10^3 Da")
    ((500.0, 'nM'), (1.8, '1/h'), (6000.0, 'Da'))
    """
    if tens := _TENS.fullmatch(text):
        number, unit = f"{tens[1] or '1'}e{tens[2]}", tens[3]  # 1.5e2 * 10^3 makes 1.5e2e3, which is not a number
    elif plain := _AMOUNT.fullmatch(text):
        number, unit = plain[1], plain[2]
    else:
        return None
    value = parse_number(number)
    if value is None or re.match(r"(?!1\s*/)[.,\d]", unit):
        return None
    return value, f"1{unit}" if unit.startswith("/") else unit


def read_quantity(text: str, what: str, example: str) -> pint.Quantity:
    """One number, then its unit. Raises `UnitError`, which says so, for all else."""
    expected = f"{what} {text!r} cannot be read; expected one number, then its unit, such as {example!r}"
    if _UNCERTAIN.search(text):
        raise UnitError(f"{expected}, without its uncertainty")
    check_text(text, what)
    split = split_quantity(text)
    if split is None or not split[1]:
        raise UnitError(expected)
    try:
        return split[0] * _quantity(split[1], "unit")
    except UnitError as error:
        raise UnitError(f"{expected}: {error}") from None


@functools.cache
def quantity_of(unit: str) -> pint.Quantity:
    """1 of a unit. Raises `UnitError` for text that is not a unit."""
    return _quantity(unit, "unit")


@functools.cache
def unit_parts(unit: str) -> dict[str, float]:
    """The named units that a unit is made of, with their exponents: `1/(nM min)` is {nanomolar: -1, minute: -1}."""
    return {str(name): float(exponent) for name, exponent in quantity_of(unit).unit_items()}  # pyright: ignore


def _names(quantity: pint.Quantity) -> list[str]:
    return [str(name) for name, _ in quantity.unit_items()]


def molar_mass_kda(text: str | float) -> float:
    """A molar mass in kDa from a number of kDa, or from text such as `21 kDa`, `21000 g/mol`.

    Raises `UnitError` for another dimension, zero or less.
    """
    if isinstance(text, str):
        quantity = read_quantity(text, "molar mass", "21 kDa")
        if quantity.check("[mass]/[substance]"):
            # 1 Da is 1 g/mol to 3e-10 (CODATA 2018)
            value = float(quantity.to("kg/mol").magnitude)
        elif quantity.check("[mass]") and any("dalton" in n or "atomic_mass" in n for n in _names(quantity)):
            value = float(quantity.to("kDa").magnitude)
        else:  # a mass in grams is not that of one molecule
            raise UnitError(f"molar mass {text!r} cannot be read; expected such as '21 kDa' or '21000 g/mol'")
    else:
        value = float(text)
    if not 0 < value < float("inf"):
        raise UnitError(f"molar mass {text!r} must be positive and finite")
    return value


@functools.cache
def conversion_factor(unit: str, target_unit: str, molar_mass: str | float | None = None) -> float:
    """What a number in `unit` is multiplied with to be in `target_unit`.

    `molar_mass` (kDa, or text with its unit) joins mass and amount: c [mol/l] = ρ [g/l] / M [g/mol].
    Raises `UnitError`, which names both units and, where that is what is missing, the molar mass.
    """
    unit, target_unit = " ".join(unit.split()), " ".join(target_unit.split())
    if unit == target_unit:
        return 1.0  # so that any text serves as a unit of its own, such as 'percent of untreated'
    quantity = _quantity(unit, "unit")
    wanted = _quantity(target_unit, "unit")
    if quantity.is_compatible_with(wanted):
        return float(quantity.to(wanted.units).magnitude)
    ratio = (quantity / wanted).to_base_units()
    mass_to_amount, amount_to_mass = ratio.check("[mass]/[substance]"), ratio.check("[substance]/[mass]")
    if not (mass_to_amount or amount_to_mass):
        raise UnitError(
            f"unit {unit!r} ({quantity.dimensionality}) cannot become {target_unit!r} ({wanted.dimensionality})"
        )
    if molar_mass is None:
        raise UnitError(f"unit {unit!r} needs a molar mass, such as '21 kDa', to become {target_unit!r}")
    mass = registry().Quantity(molar_mass_kda(molar_mass), "kg/mol")
    converted = quantity / mass if mass_to_amount else quantity * mass
    return float(converted.to(wanted.units).magnitude)


def to_model(value: float, unit: str, target_unit: str, molar_mass: str | float | None = None) -> float:
    """A number in another unit.

    Parameters
    ----------
    value : float
        In the unit `unit`.
    unit, target_unit : str
        As pint writes them, such as `ng/ml`.
    molar_mass : str or float, optional
        In kDa, or text with its unit; joins mass and amount.

    Returns
    -------
    float
        The number in the unit `target_unit`.

    Raises
    ------
    UnitError
        If that is impossible, or if a molar mass is missing.

    Examples
    --------
    >>> round(to_model(10, "ng/ml", "nM", "21 kDa"), 4)
    0.4762
    >>> to_model(2, "h", "min")
    120.0
    """
    return value * conversion_factor(unit, target_unit, molar_mass)


def known_quantity(unit: str) -> pint.Quantity | None:
    """1 of a unit; None for text that is not a unit."""
    try:
        return quantity_of(unit)
    except UnitError:
        return None


def is_share(unit: str) -> bool:
    """Whether `unit` is without dimension, as `1` and `percent`; False for text that is not a unit."""
    try:
        return _quantity(unit, "unit").dimensionless
    except UnitError:
        return False


def is_concentration(unit: str) -> bool:
    """Whether `unit` is an amount or a mass in a volume; False for text that is not a unit."""
    try:
        quantity = _quantity(unit, "unit")
    except UnitError:
        return False
    return quantity.check("[substance]/[volume]") or quantity.check("[mass]/[volume]")
