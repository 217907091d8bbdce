"""A reading whose logarithm is what is measured, above a background of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import sympy

from ...models.networks.network import Network
from ..dataset import Observable
from ..files.toml_section import Section
from ..formula import Formula
from ..noise import Noise
from ..quantities.units import is_share
from .assay import OFFSET_KEY, Assay
from .conversion import Conversion, Log10
from .parts import OFFSET, SCALE, SD, formula_or_placeholder, noise_needed, plain, sees_molecules
from .row_values import RowValues

_RESERVED = (SCALE, OFFSET, SD)


def log10_reading(
    name: str,
    signal: Formula,
    *,
    scale: Formula | None = None,
    offset: Formula | None = 0,
    sd: Formula | None = None,
    unit: str = "au",
    noise: Noise | str = "normal",
    network: Network | None = None,
) -> Observable:
    r"""An intensity or a concentration read in log10: $\log_{10} v = \log_{10}(s\,u + o) + \varepsilon$.

    Of blots, beads and PCR alike. The measurement is the logarithm itself, on a linear scale, and its density has no
    Jacobian: measurements of this observable must be given as log10 of v (a folder's reader does that).

    Parameters
    ----------
    name : str
        Of the observable.
    signal : formula
        u: the model's quantity, in the network's units.
    scale : formula, optional
        s, in `unit` per unit of the signal; None: each row names the parameter of its gel or plate.
    offset : formula, optional
        o, the background, in `unit`; None: each row names the parameter of its gel or plate.
    sd : formula, optional
        Standard deviation of ε, in log10 (dimensionless); None: each row gives it.
    unit : str
        Of v.
    noise : Noise or str
        Distribution of ε.
    network : Network, optional
        Declares units, which are then checked.

    Returns
    -------
    Observable
        On the linear scale, of log10 v.

    Raises
    ------
    FormulaError
        For a formula that takes a placeholder's name.
    AssayError
        If `network` declares units by which u is neither an amount nor a concentration, nor a share if `unit` is one of
        shares ("percent").
    """
    sees_molecules(name, "a reading in log10", signal, network, ("percent",) if is_share(unit) else ())
    s, of_scale = formula_or_placeholder(scale, SCALE, name, reserved=_RESERVED)
    o, of_offset = formula_or_placeholder(offset, OFFSET, name, reserved=_RESERVED)
    spread, row_sd = formula_or_placeholder(sd, SD, name, reserved=_RESERVED)
    noise_needed(name, spread)
    formula = sympy.log(s * plain(signal, name, reserved=_RESERVED) + o) / sympy.log(10)
    return Observable(name, formula, spread, of_scale + of_offset + row_sd, noise=noise, unit=f"log10({unit})")


@dataclass(frozen=True)
class _StatedAsLog10(Conversion):
    """A table value is log10 of the reading itself."""

    sd_in_unit = False

    def in_unit(self, value: float, factor: float) -> float:
        return value + math.log10(factor)

    def outside(self, value: float, name: str) -> str:
        del value, name
        return ""


class _Log10Reading(Assay):
    """Its `values` are readings, or their log10."""

    def take_values(self, section: Section, unit: str) -> RowValues:
        logarithmic = section.choice("values", ("linear", "log10")) == "log10"
        return RowValues(unit, _StatedAsLog10() if logarithmic else Log10())


LOG10_READING = _Log10Reading("log10_reading", log10_reading, scale="each", background=OFFSET_KEY)
