"""Fluorescence of cells and of beads."""

from __future__ import annotations

from ...models.networks.network import Network
from ..dataset import Observable
from ..formula import Formula
from ..noise import Noise
from .assay import BACKGROUND_KEY, Assay
from .parts import OFFSET, SCALE, SD, filled, noise_needed, plain, sees_molecules


def flow_cytometry(
    name: str,
    molecules: Formula,
    *,
    scale: Formula | None = None,
    background: Formula | None = 0,
    sd: Formula | None = None,
    unit: str = "au",
    noise: Noise | str = "normal",
    network: Network | None = None,
) -> Observable:
    r"""Mean (or median) fluorescence of the cells in a well: $v = s\,(n + b)$ with ln v normal (or as `noise` says).

    `molecules` n: of the stained epitope, an amount a cell (nM·pl = zmol), or a concentration, whose volume s
    absorbs. `scale` s, the gain, in `unit` per unit of n: a formula, or None: each row names its experiment's.
    `background` b, as so much more of n: autofluorescence and what the isotype control binds. It is light that the
    detector amplifies alike, so that it is one for all gains; None: each row names its experiment's. It must be above
    0 where n may be 0, as of a receptor that the cell lacks.
    `sd` of ln v from well to well; None: each row gives it. It is no spread among the cells of a well.

    Raises `AssayError` where `network` declares units by which n is neither an amount nor a concentration.
    """
    sees_molecules(name, "fluorescence", molecules, network)
    held = (SCALE, SD, OFFSET)
    s, placeholders = filled(scale, SCALE, name, held=held)
    b, of_experiment = filled(background, OFFSET, name, held=held)
    spread, row_sd = filled(sd, SD, name, held=held)
    noise_needed(name, spread)
    formula = s * (plain(molecules, name, held=held) + b)
    return Observable(name, formula, spread, placeholders + of_experiment + row_sd, "log", noise, unit)


def luminex(
    name: str,
    signal: Formula,
    *,
    scale: Formula | None = None,
    background: Formula | None = 0,
    sd: Formula | None = None,
    unit: str = "au",
    noise: Noise | str = "normal",
    network: Network | None = None,
) -> Observable:
    """Median fluorescence of beads that captured the analyte of a lysate or a supernatant, without standards.

    The same as `flow_cytometry`, with the blank beads as `background`. Phosphoproteins come so, as nobody sells
    standards for them. Where there is a standard curve, read concentrations off it and use `elisa`.
    """
    options = {"scale": scale, "background": background, "sd": sd, "unit": unit, "noise": noise}
    return flow_cytometry(name, signal, network=network, **options)


FLOW_CYTOMETRY = Assay("flow_cytometry", flow_cytometry, scale="each", background=BACKGROUND_KEY)
LUMINEX = Assay("luminex", luminex, scale="each", background=BACKGROUND_KEY)
