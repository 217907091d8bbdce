"""Western blots: bands on a gel's own scale, with background and saturation; phosphorylated over total protein."""

from __future__ import annotations

import sympy

from ...models.networks.network import Network
from ..dataset import Observable
from ..formula import Formula
from ..noise import Noise
from ..quantities.dimensions import check_same
from .assay import BACKGROUND_KEY, OFFSET_KEY, SD_OF_LOG, SD_OF_SIGNAL, SD_REL, Assay, Key
from .parts import OFFSET, SCALE, SD, filled, joined, noise_needed, plain, sees, sees_molecules


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

    `signal` u: the model's quantity that the band shows, such as a concentration in nM.
    `scale` s, in `unit` per unit of the signal: a formula, or None: each row names its gel's parameter.
    `offset` o, in `unit`: what an empty lane reads; None: each row names its gel's parameter.
    `saturation` K: the signal whose band is half of the highest, s K. None: no limit, g = u. In units of the signal
    it is one for all gels, as where membrane or antibody run out; where the film or the camera does, at M in
    `unit`, it is `M/scale`, another for each exposure. Bands follow such a hyperbola in the protein loaded, on
    film, chemiluminescence and infrared fluorescence: Butler et al. (2019), BioMed Res. Int. 5214821.
    `sd`: background noise in the unit of w; `sd_rel`: relative, no unit; at least one of them.
    `noise_of` w: what the noise is relative to; g where it is None.

    `saturation` and `noise_of` may use `scale`. Raises `AssayError` where `network` declares units by which u is
    neither an amount nor a concentration.
    """
    sees_molecules(name, "a blot", signal, network)
    u = plain(signal, name)
    s, placeholders = filled(scale, SCALE, name)
    o, of_gel = filled(offset, OFFSET, name)
    background, relative = plain(sd, name), plain(sd_rel, name)

    def with_scale(formula: Formula) -> sympy.Expr:
        return plain(formula, name, may_use=(SCALE,)).xreplace({sympy.Symbol(SCALE): s})  # pyright: ignore[reportReturnType]

    g = u if saturation is None else u / (1 + u / with_scale(saturation))
    w = g if noise_of is None else with_scale(noise_of)
    if background == 0 and relative == 0:
        raise ValueError(f"{name}: a blot needs `sd`, `sd_rel` or both; without noise it has no likelihood")
    spread = background if relative == 0 else sympy.sqrt(background**2 + (relative * w) ** 2)
    spread = joined(spread, background, relative)
    return Observable(name, s * g + o, s * spread, placeholders + of_gel, noise=noise, unit=unit)


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

    Loading and transfer of the lane cancel, and so does the share of protein that stripping takes, which s
    absorbs. What remains is each band's own relative noise, so that ln v is normal (or as `noise` says): the noise of a
    ratio is neither normal nor that of the first band. As the noise does not depend on s, a gel's scale can be
    integrated out.

    `signal` u: phosphorylated protein; `total` t: all of it, in the same unit.
    `scale` s, in `unit`: a formula, or None: each row names its gel's parameter.
    `background` b: what the first antibody shows without phosphorylation, in the unit of u; above 0 where u may be 0.
    `left_over` r: share of the first antibody that stripping leaves, to be seen again with the second, relative to
    the second's own signal of the same protein; 0: stripped to the end.
    `sd` of ln v; None: each row gives it. Values must be positive; their density is that of v.

    Raises `AssayError` where `network` declares units by which u and t differ.
    """
    u, t = plain(signal, name), plain(total, name)
    with sees(name, "two amounts or concentrations of one protein", signal):
        check_same(network, {"signal": u, "total": t})
    s, placeholders = filled(scale, SCALE, name)
    spread, row_sd = filled(sd, SD, name)
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
