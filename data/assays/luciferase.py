"""Reporter genes read by their light."""

from __future__ import annotations

from ...models.networks.network import Network
from ..dataset import Observable
from ..formula import Formula
from ..noise import Noise
from .assay import BACKGROUND_KEY, SD_OF_LOG, Assay, Key
from .parts import SCALE, SD, filled, noise_needed, plain, sees_molecules


def luciferase(
    name: str,
    firefly: Formula,
    renilla: Formula = 1,
    *,
    scale: Formula | None = None,
    background: Formula = 0,
    sd: Formula | None = None,
    unit: str = "1",
    noise: Noise | str = "normal",
    network: Network | None = None,
) -> Observable:
    r"""Firefly over Renilla luciferase: $v = s\,(F + b)/R$ with ln v normal (or as `noise` says) about its model.

    `firefly` F: the reporter's protein, whose own kinetics the model has (module `reporter`: message and enzyme lag
    behind the transcription factor, and the enzyme stays for hours).
    `renilla` R: the constitutive control of transfection and cell number; 1 where the model holds it constant, so
    that s absorbs it. `background` b: light without enzyme, in the unit of F; above 0 where F may be 0.
    `scale` s, in `unit`: a formula, or None: each row names its plate's parameter.
    `sd` of ln v; None: each row gives it.

    Fold induction over unstimulated cells is read the same way: whoever divides by the untreated wells of the plate
    multiplies s, no more. Give the untreated wells as rows (they read about 1). Then the likelihood of the plate,
    s integrated out, is exactly that of the logarithms of the ratios, whose errors are correlated through their
    common divisor. To divide the model by its own untreated value instead, with s = 1, would take the divisor for
    free of error, and count it as many times as the plate has rows.

    Raises `AssayError` where `network` declares units by which F or R is neither an amount nor a concentration.
    """
    for enzyme in (firefly, renilla):
        sees_molecules(name, "luciferase", enzyme, network)
    s, placeholders = filled(scale, SCALE, name)
    spread, row_sd = filled(sd, SD, name)
    noise_needed(name, spread)
    formula = s * (plain(firefly, name) + plain(background, name)) / plain(renilla, name)
    return Observable(name, formula, spread, placeholders + row_sd, "log", noise, unit)


LUCIFERASE = Assay(
    "luciferase",
    luciferase,
    keys=(Key("renilla", prior="never"), BACKGROUND_KEY, SD_OF_LOG),
    unit="1",
    scale="each",
)
