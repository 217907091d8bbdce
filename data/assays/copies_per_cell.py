"""Absolute amounts per cell."""

from __future__ import annotations

from ...models.networks.network import Network
from ..dataset import Observable
from ..files.toml_section import Section
from ..formula import Formula
from ..noise import Noise
from ..quantities.units import UnitError, conversion_factor
from .assay import SD_ON_SCALE, Assay
from .direct_reading import direct
from .parts import in_unit


def copy_number(
    name: str,
    signal: Formula,
    *,
    sd: Formula | None = None,
    unit: str = "zmol/cell",
    noise: Noise | str = "normal",
    network: Network | None = None,
) -> Observable:
    """An absolute amount per cell; tables may state it in zmol or molecules.

    Parameters
    ----------
    name : str
        Of the observable.
    signal : formula
        An amount, converted from the network's unit into `unit`; a concentration (nM) times a volume (pl) is zmol, and
        1 zmol = 602 molecules.
    sd : formula, optional
        Standard deviation, in `unit`; None: each row gives it.
    unit : str
        Of the values.
    noise : Noise or str
        Its distribution.
    network : Network, optional
        Declares units, which are then checked and converted.

    Returns
    -------
    Observable
        On the linear scale.

    Raises
    ------
    AssayError
        If `network` declares units by which the signal is anything else.
    """
    what = "an amount (a concentration times the volume of its compartment)"
    signal = in_unit(name, what, signal, unit.removesuffix("/cell"), network)
    return direct(name, signal, sd=sd, unit=unit, noise=noise)


class _CopyNumber(Assay):
    """Its unit is an amount per cell."""

    def check_unit(self, section: Section, unit: str) -> None:
        try:
            conversion_factor(unit, "zmol/cell")
        except UnitError as error:
            section.complain("unit", f"an amount per cell: {error}", unit)


COPY_NUMBER = _CopyNumber("copy_number", copy_number, keys=(SD_ON_SCALE,), unit="zmol/cell", absolute=True)
