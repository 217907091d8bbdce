"""Co-immunoprecipitation: the prey that comes down with the bait."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ...models.networks.network import Network
from ..dataset import Observable
from ..formula import Formula
from ..noise import Noise
from ..quantities.composition import Parts, amount_of, complexes
from .blot import blot
from .parts import AssayError


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
    """Blot of `prey` after pulling down `bait`: prey in all complexes that hold both, as an amount a cell.

    A complex counts with its copies of the prey and the volume of its compartment. What species hold follows from
    their names and `composition`, see `hexamer.data.composition`; the lysate is made of the compartments `where`,
    all by default. The other options are those of `blot`.

    Where the network counts a complex by halves (IL-6's hexamers), a half's partner is not known: prey in the other
    half of a mixed hexamer is not counted.

    Raises `AssayError` where no complex holds both, or a species made of them is of unknown composition.
    """
    if bait == prey:
        raise AssayError(f"{name}: bait and prey are both {bait!r}; a bait pulls itself down without any complex")
    holding = complexes(network, (bait, prey), composition, where=where, name=name)
    signal = amount_of(network, prey, holding)
    options = {"scale": scale, "offset": offset, "saturation": saturation, "sd": sd, "sd_rel": sd_rel}
    return blot(name, signal, unit=unit, noise=noise, **options)
