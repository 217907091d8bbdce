"""Readings of a quantity as it is."""

from __future__ import annotations

from typing import Any

from ...models.networks.network import Network
from ..dataset import Observable
from ..files.toml_section import Section
from ..formula import Formula
from ..noise import Noise
from ..scale import Scale
from .assay import SD_ON_SCALE, Assay
from .parts import SD, formula_or_placeholder, in_unit, noise_needed, plain
from .row_values import RowValues


def direct(
    name: str,
    signal: Formula,
    *,
    sd: Formula | None = None,
    unit: str = "1",
    scale: Scale | str = "lin",
    noise: Noise | str = "normal",
    network: Network | None = None,
) -> Observable:
    """A quantity read as it is: `signal`, converted from the network's unit into `unit`.

    Parameters
    ----------
    name : str
        Of the observable.
    signal : formula
        The quantity, in the network's unit.
    sd : formula, optional
        Standard deviation, in `unit`, or of the logarithm (dimensionless) if `scale` is "log" or "log10"; None: each
        row gives it.
    unit : str
        Of the values.
    scale : Scale or str
        On a logarithmic scale the density is that of the value, with the Jacobian.
    noise : Noise or str
        Its distribution.
    network : Network, optional
        Declares units, which are then checked and converted.

    Returns
    -------
    Observable
        On the given scale.

    Raises
    ------
    AssayError
        If `network` declares units by which the signal cannot be in `unit`.
    """
    spread, placeholders = formula_or_placeholder(sd, SD, name)
    noise_needed(name, spread)
    signal = in_unit(name, f"a quantity in {unit!r}", signal, unit, network)
    return Observable(name, plain(signal, name), spread, placeholders, scale, noise, unit)


class _Direct(Assay):
    """Takes the scale on which its noise is normal under `transformation`."""

    def take_options(self, section: Section, values: RowValues) -> dict[str, Any]:
        del values
        return {"scale": section.choice("transformation", tuple(Scale))}


DIRECT = _Direct("direct", direct, keys=(SD_ON_SCALE,), unit=None)
