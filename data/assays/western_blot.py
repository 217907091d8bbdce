"""Western blots: bands on a gel's own scale, with background and saturation; phosphorylated over total protein."""

from __future__ import annotations

import sympy

from ...models.networks.network import Network
from ..dataset import Observable
from ..formula import Formula
from ..noise import Noise
from ..quantities.dimensions import check_same
from .assay import BACKGROUND_KEY, OFFSET_KEY, SD_OF_LOG, SD_OF_SIGNAL, SD_REL, Assay, Key
from .parts import OFFSET, SCALE, SD, formula_or_placeholder, joined, noise_needed, plain, sees, sees_molecules


def blot(
    name: str,
    signal: Formula,
    *,
    scale: Formula | None = None,
    offset: Formula | None = 0,
    saturation: Formula | None = None,
    sd: Formula = 0,
    sd_rel: Formula = 0,
    noise_of: Formula | None = None,
    unit: str = "au",
    noise: Noise | str = "normal",
    network: Network | None = None,
) -> Observable:
    r"""Bands of a blot, with a scale for each gel: $v = s\,g + o$ with $g = u/(1 + u/K)$.

    The standard deviation is $s\sqrt{sd^2 + (sd_{rel}\,w)^2}$.

    Parameters
    ----------
    name : str
        Of the observable.
    signal : formula
        u: the model's quantity that the band shows, such as a concentration in nM.
    scale : formula, optional
        s, in `unit` per unit of the signal; None: each row names its gel's parameter.
    offset : formula, optional
        o, in `unit`: what an empty lane reads; None: each row names its gel's parameter.
    saturation : formula, optional
        K: the signal whose band is half of the highest, s K; may use `scale`. None: no limit, g = u. In units of the
        signal it is one for all gels, as if membrane or antibody run out; if the film or the camera does, at M in
        `unit`, it is `M/scale`, another for each exposure.
    sd : formula
        Background noise, in the unit of w.
    sd_rel : formula
        Relative noise, dimensionless; at least one of the two is needed.
    noise_of : formula, optional
        w: what the noise is relative to, in the unit of g; may use `scale`. None: g.
    unit : str
        Of the values.
    noise : Noise or str
        Its distribution.
    network : Network, optional
        Declares units, which are then checked.

    Returns
    -------
    Observable
        On the linear scale.

    Raises
    ------
    AssayError
        If `network` declares units by which u is neither an amount nor a concentration.
    ValueError
        Without `sd` and `sd_rel`.

    Notes
    -----
    Bands follow such a hyperbola in the protein loaded, on film, chemiluminescence and infrared fluorescence [1]_.

    References
    ----------
    .. [1] Butler et al. (2019), BioMed Res. Int. 5214821.
    """
    sees_molecules(name, "a blot", signal, network)
    u = plain(signal, name)
    s, placeholders = formula_or_placeholder(scale, SCALE, name)
    o, of_run = formula_or_placeholder(offset, OFFSET, name)
    background, relative = plain(sd, name), plain(sd_rel, name)

    def with_scale(formula: Formula) -> sympy.Expr:
        return plain(formula, name, may_use=(SCALE,)).xreplace({sympy.Symbol(SCALE): s})  # pyright: ignore[reportReturnType]

    g = u if saturation is None else u / (1 + u / with_scale(saturation))
    w = g if noise_of is None else with_scale(noise_of)
    if background == 0 and relative == 0:
        raise ValueError(f"{name}: a blot needs `sd`, `sd_rel` or both; without noise it has no likelihood")
    spread = background if relative == 0 else sympy.sqrt(background**2 + (relative * w) ** 2)
    spread = joined(spread, background, relative)
    return Observable(name, s * g + o, s * spread, placeholders + of_run, noise=noise, unit=unit)


def blot_ratio(
    name: str,
    signal: Formula,
    total: Formula,
    *,
    scale: Formula | None = None,
    background: Formula = 0,
    left_over: Formula = 0,
    sd: Formula | None = None,
    unit: str = "au",
    noise: Noise | str = "normal",
    network: Network | None = None,
) -> Observable:
    r"""Two bands of one lane, the second after stripping and re-probing: $v = s\,(u + b)/(t + r\,u)$.

    Parameters
    ----------
    name : str
        Of the observable.
    signal : formula
        u: phosphorylated protein, in the network's units.
    total : formula
        t: all of the protein, in the same unit.
    scale : formula, optional
        s, in `unit`; None: each row names its gel's parameter.
    background : formula
        b: what the first antibody shows without phosphorylation, in the unit of u; above 0 if u may be 0.
    left_over : formula
        r, dimensionless: share of the first antibody that stripping leaves, to be seen again with the second, relative
        to the second's own signal of the same protein; 0: stripped to the end.
    sd : formula, optional
        Standard deviation of ln v, dimensionless; None: each row gives it.
    unit : str
        Of the values, which must be positive; their density is that of v.
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
        If `network` declares units by which u and t differ.

    Notes
    -----
    Loading and transfer of the lane cancel, and so does the share of protein that stripping takes, which s absorbs.
    What remains is each band's own relative noise, so that ln v is normal (or as `noise` says): the noise of a ratio is
    neither normal nor that of the first band. As the noise does not depend on s, a gel's scale can be integrated out.
    """
    u, t = plain(signal, name), plain(total, name)
    with sees(name, "two amounts or concentrations of one protein", signal):
        check_same(network, {"signal": u, "total": t})
    s, placeholders = formula_or_placeholder(scale, SCALE, name)
    spread, row_sd = formula_or_placeholder(sd, SD, name)
    noise_needed(name, spread)
    ratio = s * (u + plain(background, name)) / (t + plain(left_over, name) * u)
    return Observable(name, ratio, spread, placeholders + row_sd, "log", noise, unit)


BAND_KEYS = (Key("saturation", prior="unless in the model"), SD_OF_SIGNAL, SD_REL)

BLOT = Assay(
    "blot",
    blot,
    keys=(*BAND_KEYS, Key("noise_of", prior="never")),
    scale="each",
    background=OFFSET_KEY,
    row_sd=False,
)

BLOT_RATIO = Assay(
    "blot_ratio",
    blot_ratio,
    signals=("signal", "total"),
    keys=(BACKGROUND_KEY, Key("left_over", unit="1", prior="unless in the model"), SD_OF_LOG),
    unit="1",
    scale="each",
)
