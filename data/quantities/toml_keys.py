"""Keys of `problem.toml` that hold a quantity or parts: molar masses, weights, volumes, activities, compositions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..files.toml_section import Section
from .composition import Parts
from .units import UnitError, molar_mass_kda, read_quantity

if TYPE_CHECKING:
    import pint


def take_molar_mass(section: Section) -> str | float | None:
    """The key `molar_mass`, whether or not a unit needs it; None if there is none, 1 if it cannot be read."""
    mass = section.text_or_number("molar_mass")
    if mass is None:
        return None
    if not isinstance(mass, str):
        ways = f"{mass:g} Da' or '{mass:g} kDa"
        section.complain("molar_mass", f"a number with its unit, in quotes: write '{ways}', whichever is meant", mass)
        return 1.0
    try:
        molar_mass_kda(mass)
    except UnitError as error:
        section.complain("molar_mass", f"such as '21 kDa'; {error}", mass)
        return 1.0
    return mass


def take_quantity(section: Section, key: str, what: str, example: str, dimension: str) -> pint.Quantity | None:
    """A number with its unit, such as `volume = "3 l"`; `dimension` is pint's, empty for any."""
    text = section.take(key)
    if text is None:
        return None
    if isinstance(text, str):
        try:
            quantity = read_quantity(text, key, example)
            if 0 < float(quantity.magnitude) < math.inf and (not dimension or quantity.check(dimension)):
                return quantity
        except UnitError as error:
            section.complain(key, f"{what}; {error}", text)
            return None
    section.complain(key, f"{what}, a number with its unit, such as {example!r}", text)
    return None


def take_composition(section: Section) -> Mapping[str, Parts]:
    """The key `composition`: parts by species, as a list or as copies by part."""
    composition: dict[str, Parts] = {}
    for species, parts in section.table("composition").items():
        listed = isinstance(parts, list) and all(isinstance(p, str) for p in parts)
        counted = isinstance(parts, dict) and all(type(n) is int and n > 0 for n in parts.values())
        if parts and (listed or counted):
            composition[species] = parts
        else:
            section.complain(f"composition.{species}", "a list of parts, or how many there are of each", parts)
    return composition


__all__ = ["take_composition", "take_molar_mass", "take_quantity"]
