"""Readings of a quantity as it is."""

from __future__ import annotations

from ...models.networks.network import Network
from ..dataset import Observable
from ..formula import Formula
from ..noise import Noise
from ..scale import Scale
from .parts import SD, filled, in_unit, noise_needed, plain


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

    `sd` in `unit`, or of the logarithm where `scale` is "log" or "log10"; None: each row gives it.
    On a logarithmic scale the density is that of the value, with the Jacobian. Raises `AssayError` where
    `network` declares units by which the signal cannot be in `unit`.
    """
    spread, placeholders = filled(sd, SD, name)
    noise_needed(name, spread)
    signal = in_unit(name, f"a quantity in {unit!r}", signal, unit, network)
    return Observable(name, plain(signal, name), spread, placeholders, scale, noise, unit)
