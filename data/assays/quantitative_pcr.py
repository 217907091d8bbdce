"""Quantitative PCR: expression on a plate's scale, and cycles of threshold as expression."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import ArrayLike

from ...models.networks.network import Network
from ..dataset import Censored, Observable
from ..files.toml_section import Section
from ..formula import Formula
from ..noise import Noise
from .assay import Assay
from .conversion import Conversion, Log10, NumberOrLimit
from .parts import SCALE, SD, formula_or_placeholder, plain, sees_molecules
from .row_values import RowValues

_OTHER_SIDE: dict[Censored, Censored] = {"": "", "left": "right", "right": "left"}


def qpcr(
    name: str,
    signal: Formula,
    *,
    scale: Formula | None = None,
    sd: Formula | None = None,
    unit: str = "au",
    noise: Noise | str = "normal",
    network: Network | None = None,
) -> Observable:
    r"""A quantitative PCR read in log10: $\log_{10} v = \log_{10}(s\,m) + \varepsilon$.

    The measurement is the logarithm itself, on a linear scale, and its density has no Jacobian: measurements
    of this observable must be given as log10 of the expression (a folder's reader does that).

    Parameters
    ----------
    name : str
        Of the observable.
    signal : formula
        m: the model's mRNA, in the network's units.
    scale : formula, optional
        s, in `unit` per unit of the signal; None: each row names its plate's parameter.
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
    AssayError
        If `network` declares units by which m is neither an amount nor a concentration.
    """
    sees_molecules(name, "qPCR", signal, network)
    s, placeholders = formula_or_placeholder(scale, SCALE, name)
    spread, row_sd = formula_or_placeholder(sd, SD, name)
    formula = sympy.log(s * plain(signal, name)) / sympy.log(10)
    return Observable(name, formula, spread, placeholders + row_sd, noise=noise, unit=f"log10({unit})")


def log10_expression(
    ct: ArrayLike, reference_ct: ArrayLike = 0.0, *, efficiency: float = 2.0, reference_efficiency: float = 2.0
) -> np.ndarray:
    r"""Cycles of threshold as log10 of expression: $\log_{10} v = C_{ref} \log_{10} E_{ref} - C_t \log_{10} E$.

    At efficiency 2 for both this is −ΔCt·log10 2.

    Parameters
    ----------
    ct : array
        C_t of the target, in cycles.
    reference_ct : array
        C_ref of the reference gene, in cycles, which corrects for the RNA in the well; it broadcasts against the
        target's. 0: none.
    efficiency, reference_efficiency : float
        E and E_ref, the factor per cycle, in (1, 2]; dimensionless.

    Returns
    -------
    array
        log10 v, dimensionless.

    Raises
    ------
    ValueError
        For an efficiency outside (1, 2] or cycles that are not positive.

    Notes
    -----
    The calibrator that ΔΔCt subtracts is left to the plate's scale s of `qpcr`: it would put the calibrator's own error
    into every row of the plate as if the rows erred independently, while s is estimated from all of them. Give the
    calibrator as rows of its own. Noise of σ cycles is σ·log10 E here. Sources: [1]_, [2]_.

    References
    ----------
    .. [1] Livak and Schmittgen (2001), Methods 25, 402-408.
    .. [2] Pfaffl (2001), Nucleic Acids Res. 29, e45.

    Examples
    --------
    >>> round(float(log10_expression(25.0, 20.0)), 4)
    -1.5051
    """
    for what, factor in (("efficiency", efficiency), ("reference_efficiency", reference_efficiency)):
        if not 1 < factor <= 2:
            raise ValueError(f"{what} must be the factor a cycle, above 1 and at most 2 (a doubling), not {factor!r}")
    target, reference = np.asarray(ct, dtype=float), np.asarray(reference_ct, dtype=float)
    if not (np.all(target > 0) and np.all(reference >= 0)):
        raise ValueError("cycles of threshold must be above 0; write `>40` in a table for what never came up")
    return reference * math.log10(reference_efficiency) - target * math.log10(efficiency)


@dataclass(frozen=True)
class _Cycles(Conversion):
    """The measurement is log10 of the expression that cycles of threshold stand for."""

    efficiency: float
    reference_efficiency: float
    sd_in_unit = False

    def outside(self, value: float, name: str) -> str | None:
        if value > 0:
            return None
        return f"cycles above 0, since {name} is read by them; a limit, such as >40, where it never came up"

    def measured(self, cell: NumberOrLimit, reference: float) -> NumberOrLimit:
        efficiencies = {"efficiency": self.efficiency, "reference_efficiency": self.reference_efficiency}
        value = float(log10_expression(cell.value, reference, **efficiencies))
        return NumberOrLimit(value, _OTHER_SIDE[cell.censored])  # more cycles, less of it


class _QPCRCycles(Assay):
    """Values are cycles of threshold; a column of the table may bring those of a reference gene."""

    def take_values(self, section: Section, unit: str) -> RowValues:
        cycles = _Cycles(_take_efficiency(section, "efficiency"), _take_efficiency(section, "reference_efficiency"))
        return RowValues(unit, cycles, reference_column=section.text("reference_column", "") or None)


def _take_efficiency(section: Section, key: str) -> float:
    """A PCR's factor a cycle, 2 by default."""
    value = section.take(key, 2.0)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 1 < value <= 2:
        return float(value)
    section.complain(key, "the factor a cycle, above 1 and at most 2", value)
    return 2.0


QPCR = Assay("qpcr", qpcr, scale="each", conversion=Log10())
QPCR_CT = _QPCRCycles(
    "qpcr_ct",
    qpcr,
    about="Cycles of threshold of a quantitative PCR, read as log10 of expression",
    unit="Ct",
    scale="each",
    takes_unit=False,
)
