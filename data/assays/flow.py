"""Fluorescence of cells and of beads."""

from __future__ import annotations

from ...models.networks.network import Network
from ..dataset import Observable
from ..formula import Formula
from ..noise import Noise
from .assay import BACKGROUND_KEY, Assay
from .parts import OFFSET, SCALE, SD, formula_or_placeholder, noise_needed, plain, sees_molecules


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

    Parameters
    ----------
    name : str
        Of the observable.
    molecules : formula
        n: of the stained epitope, an amount per cell (nM·pl = zmol), or a concentration, whose volume s absorbs.
    scale : formula, optional
        s, the gain, in `unit` per unit of n; None: each row names its experiment's.
    background : formula, optional
        b, in the unit of n: autofluorescence and what the isotype control binds. It is light that the detector
        amplifies alike, so that it is one for all gains; None: each row names its experiment's. It must be above 0 if n
        may be 0, as of a receptor that the cell lacks.
    sd : formula, optional
        Standard deviation of ln v from well to well, dimensionless; None: each row gives it. It is not the spread among
        the cells of a well.
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
        If `network` declares units by which n is neither an amount nor a concentration.
    """
    sees_molecules(name, "fluorescence", molecules, network)
    reserved = (SCALE, SD, OFFSET)
    s, placeholders = formula_or_placeholder(scale, SCALE, name, reserved=reserved)
    b, of_experiment = formula_or_placeholder(background, OFFSET, name, reserved=reserved)
    spread, row_sd = formula_or_placeholder(sd, SD, name, reserved=reserved)
    noise_needed(name, spread)
    formula = s * (plain(molecules, name, reserved=reserved) + b)
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

    The same as `flow_cytometry`. Phosphoproteins are measured so, as nobody sells standards for them. If there is a
    standard curve, read concentrations off it and use `elisa`.

    Parameters
    ----------
    name : str
        Of the observable.
    signal : formula
        The analyte, in the network's units.
    scale : formula, optional
        The gain, in `unit` per unit of the signal; None: each row names its plate's.
    background : formula, optional
        The blank beads, in the unit of the signal; None: each row names its plate's.
    sd : formula, optional
        Standard deviation of ln v from well to well, dimensionless; None: each row gives it.
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
    """
    options = {"scale": scale, "background": background, "sd": sd, "unit": unit, "noise": noise}
    return flow_cytometry(name, signal, network=network, **options)


FLOW_CYTOMETRY = Assay("flow_cytometry", flow_cytometry, scale="each", background=BACKGROUND_KEY)
LUMINEX = Assay("luminex", luminex, scale="each", background=BACKGROUND_KEY)
