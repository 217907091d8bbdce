"""Absolute amounts a cell."""

from __future__ import annotations

from ...models.network import Network
from ..dataset import Noise, Observable
from ..dimensions import check_unit
from ..formula import Formula
from .direct import direct
from .parts import sees


def copy_number(
    name: str,
    signal: Formula,
    *,
    sd: Formula | None = None,
    unit: str = "zmol/cell",
    noise: Noise = "normal",
    network: Network | None = None,
) -> Observable:
    """An absolute amount a cell; tables may state it in zmol or molecules.

    `signal`: an amount in `unit`; a concentration (nM) times a volume (pl) is zmol, and 1 zmol = 602 molecules.
    `sd` in `unit`; None: each row gives it. Raises `AssayError` where `network` declares units by which the signal
    is anything else.
    """
    with sees(name, "an amount (a concentration times the volume of its compartment)", signal):
        check_unit(network, signal, unit.removesuffix("/cell"))
    return direct(name, signal, sd=sd, unit=unit, noise=noise)
