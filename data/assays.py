"""Named assays: what a blot, a qPCR, a count of copies or a direct reading measures, as formulas.

A scale that differs from gel to gel is the placeholder `scale`; each row names the parameter that fills it.
A standard deviation that each row brings along is the placeholder `sd`.
"""

from __future__ import annotations

import sympy

from .dataset import Noise, Observable
from .formula import Formula, FormulaError, parse_formula
from .parameter import Scale

SCALE = "scale"
SD = "sd"


def _plain(formula: Formula, name: str, *, may_use: tuple[str, ...] = ()) -> sympy.Expr:
    """A formula that does not take a placeholder's name for something of the model."""
    parsed = parse_formula(formula)
    taken = sorted({str(s) for s in parsed.free_symbols} & ({SCALE, SD} - set(may_use)))
    if taken:
        raise FormulaError(
            f"{name}: {', '.join(taken)} in {str(formula)!r} names a placeholder; rename it in the model"
        )
    return parsed


def _filled(formula: Formula | None, placeholder: str, name: str) -> tuple[sympy.Expr, tuple[str, ...]]:
    if formula is None:
        return sympy.Symbol(placeholder), (placeholder,)
    return _plain(formula, name), ()


def blot(
    name: str,
    signal: Formula,
    *,
    scale: Formula | None = None,
    sd: Formula = 0,
    sd_rel: Formula = 0,
    noise_of: Formula | None = None,
    unit: str = "au",
    noise: Noise = "normal",
) -> Observable:
    r"""A blot: $v = s\,u$ with standard deviation $s\sqrt{sd^2 + (sd_{rel}\,w)^2}$.

    `signal` u: the model's quantity that the band shows, such as a concentration in nM.
    `scale` s, in `unit` per unit of the signal: a formula, or None: each row names its gel's parameter.
    `sd`: background in the unit of w; `sd_rel`: relative, no unit; at least one of them.
    `noise_of` w: what the noise is relative to; the signal where it is None. It may use `scale`.
    """
    u = _plain(signal, name)
    s, placeholders = _filled(scale, SCALE, name)
    background, relative = _plain(sd, name), _plain(sd_rel, name)
    w = u if noise_of is None else _plain(noise_of, name, may_use=(SCALE,))
    if SCALE in {str(x) for x in w.free_symbols}:
        w = w.xreplace({sympy.Symbol(SCALE): s})
    if background == 0 and relative == 0:
        raise ValueError(f"{name}: a blot needs `sd`, `sd_rel` or both; without noise it has no likelihood")
    spread = background if relative == 0 else sympy.sqrt(background**2 + (relative * w) ** 2)
    return Observable(name, s * u, s * spread, placeholders, noise=noise, unit=unit)


def qpcr(
    name: str,
    signal: Formula,
    *,
    scale: Formula | None = None,
    sd: Formula | None = None,
    unit: str = "au",
    noise: Noise = "normal",
) -> Observable:
    r"""A quantitative PCR read in log10: $\log_{10} v = \log_{10}(s\,m) + \varepsilon$.

    The measurement is the logarithm itself, on a linear scale, and its density has no Jacobian: measurements
    of this observable must be given as log10 of the expression (a folder's reader does that).
    `signal` m: the model's mRNA. `scale` s: as for `blot`. `sd` of ε, in log10; None: each row gives it.
    """
    s, placeholders = _filled(scale, SCALE, name)
    spread, row_sd = _filled(sd, SD, name)
    formula = sympy.log(s * _plain(signal, name)) / sympy.log(10)
    return Observable(name, formula, spread, placeholders + row_sd, noise=noise, unit=f"log10({unit})")


def copy_number(
    name: str, signal: Formula, *, sd: Formula | None = None, unit: str = "zmol/cell", noise: Noise = "normal"
) -> Observable:
    """An absolute amount a cell; tables may state it in zmol or molecules.

    `signal`: an amount in zmol, that is a concentration (nM) times a volume (pl), so 1 zmol = 602 molecules.
    `sd` in `unit`; None: each row gives it.
    """
    return direct(name, signal, sd=sd, unit=unit, noise=noise)


def direct(
    name: str,
    signal: Formula,
    *,
    sd: Formula | None = None,
    unit: str = "1",
    scale: Scale = "lin",
    noise: Noise = "normal",
) -> Observable:
    """A quantity read as it is, `signal` in `unit`.

    `sd` in `unit`, or of the logarithm where `scale` is "log" or "log10"; None: each row gives it.
    On a logarithmic scale the density is that of the value, with the Jacobian.
    """
    spread, placeholders = _filled(sd, SD, name)
    if spread == 0:
        raise ValueError(f"{name}: the standard deviation is 0; without noise it has no likelihood")
    return Observable(name, _plain(signal, name), spread, placeholders, scale, noise, unit)
