"""Co-immunoprecipitation: the prey that comes down with the bait."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sympy

from ...models.networks.network import Network
from ..dataset import Observable
from ..files.toml_section import Section
from ..formula import Formula
from ..noise import Noise
from ..quantities.composition import Parts, amount_of, complexes
from ..quantities.toml_keys import take_composition
from .assay import OFFSET_KEY, Assay
from .parts import OFFSET, SCALE, AssayError
from .row_values import RowValues
from .western_blot import BAND_KEYS, blot


def coip(
    name: str,
    bait: str,
    prey: str,
    network: Network,
    *,
    composition: Mapping[str, Parts] | None = None,
    where: Collection[str] | None = None,
    scale: Formula | None = None,
    offset: Formula | None = 0,
    saturation: Formula | None = None,
    sd: Formula = 0,
    sd_rel: Formula = 0,
    unit: str = "au",
    noise: Noise | str = "normal",
) -> Observable:
    """Blot of `prey` after pulling down `bait`: prey in all complexes that hold both, as an amount per cell.

    A complex counts with its copies of the prey and the volume of its compartment.

    Parameters
    ----------
    name : str
        Of the observable.
    bait, prey : str
        Parts of species.
    network : Network
        Whose species are meant.
    composition : dict, optional
        Parts by species, beside what follows from their names; see `hexamer.data.composition`.
    where : collection of str, optional
        The compartments that the lysate is made of; None: all.
    scale, offset, saturation, sd, sd_rel : formula, optional
        As for `blot`, in the same units.
    unit : str
        Of the values.
    noise : Noise or str
        Its distribution.

    Returns
    -------
    Observable
        On the linear scale.

    Raises
    ------
    AssayError
        If no complex holds both, or a species made of them is of unknown composition.

    Notes
    -----
    If the network counts a complex by halves (IL-6's hexamers), a half's partner is not known: prey in the other half
    of a mixed hexamer is not counted.
    """
    if bait == prey:
        raise AssayError(f"{name}: bait and prey are both {bait!r}; a bait pulls itself down without any complex")
    holding = complexes(network, (bait, prey), composition, where=where, name=name)
    signal = amount_of(network, prey, holding)
    options = {"scale": scale, "offset": offset, "saturation": saturation, "sd": sd, "sd_rel": sd_rel}
    return blot(name, signal, unit=unit, noise=noise, **options)


class _CoIP(Assay):
    """Fed with a bait and a prey, which the network's complexes hold."""

    def take_signals(self, section: Section, network: Network | None) -> Sequence[Formula] | None:
        bait, prey = section.required("bait"), section.required("prey")
        if network is None:
            section.complain("assay", "a network that can be read, to find the complexes in", self.name)
        return [bait, prey] if bait and prey and network is not None else None

    def take_options(self, section: Section, values: RowValues) -> dict[str, Any]:
        del values
        return {"composition": take_composition(section), "where": section.texts("where") or None}

    def signal(self, observable: Observable, signals: Sequence[Formula]) -> Formula:
        """The formula of the reading without its scale and offset."""
        del signals
        return observable.formula.xreplace({sympy.Symbol(SCALE): sympy.S.One, sympy.Symbol(OFFSET): sympy.S.Zero})  # pyright: ignore[reportReturnType]


COIP = _CoIP("coip", coip, signals=(), keys=BAND_KEYS, scale="each", background=OFFSET_KEY, row_sd=False)
