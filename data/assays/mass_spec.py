"""Degrees of phosphorylation by mass spectrometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import ArrayLike

from ...models.networks.formulas import inline
from ...models.networks.network import Network
from ..dataset import Observable
from ..formula import Formula
from ..noise import Noise
from ..quantities.dimensions import check_same
from .assay import Assay
from .conversion import Conversion, NumberOrLimit
from .parts import SCALE, SD, AssayError, formula_or_placeholder, noise_needed, plain, sees


def phosphorylation_degree(
    name: str,
    phospho: Formula,
    total: Formula,
    *,
    scale: Formula | None = 1,
    sd: Formula | None = None,
    noise: Noise | str = "normal",
    network: Network | None = None,
) -> Observable:
    r"""A share that is phosphorylated, read in logits: $\mathrm{logit}\,v = \ln(s\,p/(t - p)) + \varepsilon$.

    The measurement is the logit itself, on a linear scale, without a Jacobian: give measurements as `logit(v)`, as a
    folder's reader does. A share of 0 or 1 has no logit: state the limit of detection, as `<0.01`.

    Parameters
    ----------
    name : str
        Of the observable.
    phospho, total : formula
        p and t, in one unit; p above 0 and below t at every state that is measured.
    scale : formula, optional
        s, dimensionless: how much better the phosphorylated peptide flies than its twin; 1 with spiked-in standards of
        both; None: each row names its experiment's parameter.
    sd : formula, optional
        Standard deviation of ε, in logits (dimensionless); None: each row gives it.
    noise : Noise or str
        Distribution of ε.
    network : Network, optional
        Its rules are looked through, and the units that it declares are checked. Without it a name may stand for
        anything, and only what cannot lie within 0 and 1 is refused.

    Returns
    -------
    Observable
        On the linear scale, of logit v.

    Raises
    ------
    AssayError
        If p exceeds t by construction, such as a dimer counted twice in p and once in t, or if `network` declares units
        by which they differ.

    Notes
    -----
    The instrument sees two peptides, with and without phosphate, each with its relative error, and v follows from their
    ratio: v/(1 − v) is that ratio, and its logarithm is normal (or as `noise` says). So v keeps within 0 and 1, and its
    error shrinks towards both ends, as counts of peptides do; a normal v would leave the interval, and a beta would say
    nothing of the two intensities. Absolute degrees from the two ion currents are due to [1]_.

    References
    ----------
    .. [1] Steen et al. (2005), PNAS 102, 3948-3953.
    """
    p, t = plain(phospho, name), plain(total, name)
    with sees(name, "two amounts or concentrations of one protein", phospho):
        check_same(network, {"phospho": p, "total": t})
    without = _unphosphorylated(name, p, t, network)
    s, placeholders = formula_or_placeholder(scale, SCALE, name)
    spread, row_sd = formula_or_placeholder(sd, SD, name)
    noise_needed(name, spread)
    return Observable(name, sympy.log(s * p / without), spread, placeholders + row_sd, noise=noise, unit="logit")


def _unphosphorylated(name: str, p: sympy.Expr, t: sympy.Expr, network: Network | None) -> sympy.Expr:
    """t − p, all of whose terms must be positive where species and constants are.

    Written as a sum: the difference of two numbers would lose its digits where nearly all is phosphorylated.
    """
    rules = dict(network.rules) if network is not None else {}
    written = inline({**rules, "_p": p, "_t": t})
    p, t = written["_p"], written["_t"]
    positive = {s: sympy.Symbol(str(s), positive=True) for s in p.free_symbols | t.free_symbols}
    numerator, denominator = sympy.fraction(sympy.together((t - p).xreplace(positive)))
    terms = sympy.Add.make_args(sympy.expand(numerator))
    wrong = [a for a in terms if not a.is_nonnegative]
    possible = len(wrong) < len(terms) if network is None else not wrong
    if numerator == 0 or not denominator.is_positive or not possible:
        back = {v: k for k, v in positive.items()}
        left = " + ".join(str(a.xreplace(back)) for a in terms)
        raise AssayError(
            f"{name}: a degree of phosphorylation lies between 0 and 1, but total − phospho = {left}"
            + (f" (over {denominator.xreplace(back)})" if denominator != 1 else "")
            + ", which is not above 0 whatever the state; count each molecule alike in both"
        )
    result = sympy.Add(*terms) / denominator
    return result.xreplace({v: k for k, v in positive.items()})  # pyright: ignore[reportReturnType]


def logit(share: ArrayLike) -> np.ndarray:
    """The logit ln(v/(1 − v)) of shares.

    Parameters
    ----------
    share : array
        v, between 0 and 1, dimensionless.

    Returns
    -------
    array
        Logits, dimensionless.

    Raises
    ------
    ValueError
        For shares that are not between 0 and 1.

    Examples
    --------
    >>> float(logit(0.5))
    0.0
    """
    v = np.asarray(share, dtype=float)
    if not np.all((v > 0) & (v < 1)):
        raise ValueError(f"a share must lie strictly between 0 and 1 to have a logit, not {share!r}; state its limit")
    return np.log(v) - np.log1p(-v)


@dataclass(frozen=True)
class _Logit(Conversion):
    """The measurement is the logit of a share."""

    sd_in_unit = False

    def outside(self, value: float, name: str) -> str | None:
        if 0 < value < 1:
            return None
        return f"a share between 0 and 1, since {name} is read in logits; a limit, such as <0.01, where none is seen"

    def measured(self, cell: NumberOrLimit, reference: float) -> NumberOrLimit:
        del reference
        return cell._replace(value=float(logit(cell.value)))


PHOSPHORYLATION_DEGREE = Assay(
    "phosphorylation_degree",
    phosphorylation_degree,
    signals=("signal", "total"),
    unit="1",
    scale="one",
    conversion=_Logit(),
    takes_unit=False,
)
