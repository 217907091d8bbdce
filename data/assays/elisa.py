"""Concentrations read off a standard curve."""

from __future__ import annotations

import sympy

from ...models.networks.network import Network
from ..dataset import Observable
from ..formula import Formula
from ..noise import Noise
from .parts import SCALE, SD, filled, in_unit, joined, noise_needed, plain

BACKGROUND = 1e-9


def elisa(
    name: str,
    signal: Formula,
    *,
    scale: Formula | None = 1,
    background: Formula = BACKGROUND,
    sd: Formula | None = None,
    sd_between: Formula = 0,
    unit: str = "nM",
    molar_mass: str | float | None = None,
    noise: Noise | str = "normal",
    network: Network | None = None,
) -> Observable:
    r"""A concentration by ELISA or by beads with standards (Luminex): ln v normal (or as `noise` says) about
    ln(s (c + b)).

    `signal` c: what the antibodies see: `hexamer.data.seen` sums up all species that hold the analyte, as complexes
    with drugs or soluble receptors often count, too. It is converted from the network's unit into `unit`, nM into
    ng/ml through `molar_mass`.
    `scale` s: an error that all wells of a plate share, as by its standards, with a prior about 1; None: each row
    names its plate's parameter, and it is integrated out where no row of the plate is censored. 1: none.
    `background` b, in `unit`: what a blank reads. It keeps ln v finite where the model has none of the analyte, as
    before stimulation; by default far below all that an ELISA sees, in nM as in ng/ml.
    `sd` of ln v: the error of reading, as `StandardCurve.read_back` gives it; None: each row gives it.
    `sd_between`: noise of ln v from culture to culture, which adds to that: σ² = sd² + sd_between².

    Values below the limit of detection or above the top standard are rows with `censored` "left" or "right", whose
    value is the limit. Raises `AssayError` where `network` declares units by which the signal cannot be in `unit`.
    """
    signal = in_unit(name, f"a concentration in {unit!r}", signal, unit, network, molar_mass)
    s, placeholders = filled(scale, SCALE, name)
    reading, row_sd = filled(sd, SD, name)
    between = plain(sd_between, name)
    spread = reading if between == 0 else sympy.sqrt(reading**2 + between**2)
    noise_needed(name, spread)
    spread = joined(spread, reading, between)
    formula = s * (plain(signal, name) + plain(background, name))
    return Observable(name, formula, spread, placeholders + row_sd, "log", noise, unit)
