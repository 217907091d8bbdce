"""Reporter genes read by their light."""

from __future__ import annotations

from ...models.networks.network import Network
from ..dataset import Observable
from ..formula import Formula
from ..noise import Noise
from .assay import BACKGROUND_KEY, SD_OF_LOG, Assay, Key
from .parts import SCALE, SD, formula_or_placeholder, noise_needed, plain, sees_molecules


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

    Parameters
    ----------
    name : str
        Of the observable.
    firefly : formula
        F: the reporter's protein, in the network's units, whose own kinetics the model has (module `reporter`: message
        and enzyme lag behind the transcription factor, and the enzyme stays for hours).
    renilla : formula
        R: the constitutive control of transfection and cell number, in the network's units; 1 if the model holds it
        constant, so that s absorbs it.
    scale : formula, optional
        s, in `unit`; None: each row names its plate's parameter.
    background : formula
        b: light without enzyme, in the unit of F; above 0 if F may be 0.
    sd : formula, optional
        Standard deviation of ln v, dimensionless; None: each row gives it.
    unit : str
        Of the values.
    noise : Noise or str
        Its distribution.
    network : Network, optional
        Declares units, which are then checked.

    Returns
    -------
    Observable
        On the natural logarithm's scale.

    Raises
    ------
    AssayError
        If `network` declares units by which F or R is neither an amount nor a concentration.

    Notes
    -----
    Fold induction over unstimulated cells is read the same way: to divide by the untreated wells of the plate only
    multiplies s. Give the untreated wells as rows (they read about 1). Then the likelihood of the plate, s integrated
    out, is exactly that of the logarithms of the ratios, whose errors are correlated through their common divisor. To
    divide the model by its own untreated value instead, with s = 1, would take the divisor for free of error, and count
    it as many times as the plate has rows.
    """
    for enzyme in (firefly, renilla):
        sees_molecules(name, "luciferase", enzyme, network)
    s, placeholders = formula_or_placeholder(scale, SCALE, name)
    spread, row_sd = formula_or_placeholder(sd, SD, name)
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
