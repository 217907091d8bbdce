r"""Two drugs together: the effect expected by Bliss and by Loewe from each drug alone, and the excess of the pair.

The effect of a treatment is the share of the response to the ligand that it takes away, from 0 (none) to 1 (all):

    f = 1 − (R − R₀)/(R_c − R₀),    R₀: without ligand and drugs, R_c: with the ligand alone

Bliss (independent action; Bliss 1939, Ann Appl Biol 26, 585):  f_A + f_B − f_A f_B. It speaks of shares: an effect
above 1 (a drug that takes away more than the ligand brought) counts as 1 in it and in the excess over it.
Loewe (each drug a dilution of the other; Loewe 1953, Arzneimittelforschung 3, 285): the f at which

    a/D_A(f) + b/D_B(f) = 1,    D_A(f): dose of A alone with effect f, by its Hill curve; infinite above its plateau.

Excess is the effect minus the expected one: above 0 the pair does more (synergy), below it less (antagonism).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from ...models.listing import did_you_mean
from .hill import CurveStatus, fit_curves
from .response import DoseResponse

_BISECTIONS = 60
_LEAST = 0.01  # of the ligand's response to doses relative to R₀, below which there is nothing to take away


class Margin(NamedTuple):
    """A drug alone: f = most · d^h/(ic50^h + d^h); `most` is 0 for a drug without effect."""

    most: Float[np.ndarray, "*batch"]
    ic50: Float[np.ndarray, "*batch"]
    slope: Float[np.ndarray, "*batch"]


def loewe(
    a: Float[np.ndarray, "*#batch"], b: Float[np.ndarray, "*#batch"], first: Margin, second: Margin
) -> Float[np.ndarray, "*#batch"]:
    """The effect that Loewe additivity expects of doses a and b, by bisection: the sum falls as f rises."""
    top = np.maximum(np.maximum(first.most, second.most), 0.0) + np.zeros_like(a * b)
    low, high = np.zeros_like(top), top
    for _ in range(_BISECTIONS):
        f = 0.5 * (low + high)
        above = a * _per_dose(f, first) + b * _per_dose(f, second) > 1  # the doses do more than f
        low, high = np.where(above, f, low), np.where(above, high, f)
    return 0.5 * (low + high)


def _per_dose(f: np.ndarray, m: Margin) -> np.ndarray:
    """1/D(f) = ((most − f)/f)^(1/h)/ic50, and 0 where no dose of the drug does it."""
    possible = (f < m.most) & (f > 0)
    room = np.where(possible, m.most - f, 1.0) / np.where(possible, f, 1.0)
    return np.where(possible, room ** (1 / m.slope), 0.0) / m.ic50


def combination(result: DoseResponse, first: str, second: str, *, dose: float | None = None) -> xr.Dataset:
    """Effects of two drugs given together, for every draw and condition.

    Parameters
    ----------
    result : DoseResponse
        With doses of both drugs, 0 among them, and of the ligand, 0 among them too.
    first, second : str
        Names of the drugs.
    dose : float, optional
        At which dose of the ligand, if there are several, in the unit that doses were given in.

    Returns
    -------
    xarray.Dataset
        `effect`, `bliss`, `loewe`, `bliss_excess` and `loewe_excess` along draw × condition × doses of `first` × doses
        of `second`, all dimensionless, and the `misfit` (a fraction of its effect) and `kind` of the Hill curve of each
        drug alone, which Loewe uses: an excess of that size means nothing. NaN if the ligand does nothing; Loewe
        also if a drug alone has no foot or is not a sigmoid.

    Raises
    ------
    ValueError
        For drugs that were not varied, a drug with itself, time courses, several doses of the ligand without `dose`,
        fewer than 5 doses of a drug, and if dose 0 of the ligand or of a drug is missing.
    """
    response = result.response
    if "time" in response.dims:
        raise ValueError("a combination is of responses at one time or of a summary, not of courses")
    varied = [d.name for d in result.drugs if d.name in response.dims]
    if first == second or not {first, second} <= set(varied):
        drugs = ", ".join(varied) or "none"
        raise ValueError(
            f"a combination is of two drugs that were given at several doses ({drugs}), not of {first!r} and {second!r}"
            f"{did_you_mean([d for d in (first, second) if d not in varied], varied)}"
        )
    doses = {d: result.doses(d).values for d in (first, second, "dose")}
    if others := set(response.dims) - {"draw", "condition", first, second, "dose"}:
        raise ValueError(f"choose one dose of {', '.join(map(str, sorted(map(str, others))))} first")
    if missing := [n for n, v in doses.items() if not np.any(v == 0)]:
        raise ValueError(f"effects are relative to dose 0, which is missing of {', '.join(missing)}")
    for drug in (first, second):
        if len(doses[drug]) < 5:
            raise ValueError(f"the Hill curve of {drug} alone needs at least 5 doses")
    k = _position(result, dose)
    control = {first: 0, second: 0}
    base = response.isel({**control, "dose": 0}, drop=True)
    stimulated = response.isel(dose=k, drop=True)
    span = stimulated.isel(control, drop=True) - base
    # A cell that does not answer has nothing that a drug could take away.
    span = span.where(np.abs(span) > _LEAST * np.abs(base))
    effect = (1 - (stimulated - base) / span).transpose("draw", "condition", first, second)
    alone = [effect.isel({second: 0}, drop=True), effect.isel({first: 0}, drop=True)]
    fitted = [_margin(doses[d], x.values) for d, x in zip((first, second), alone, strict=True)]
    margins, misfit, kind = zip(*fitted, strict=True)
    a, b = doses[first], doses[second]
    spread = [Margin(*(v[..., None, None] for v in m)) for m in margins]
    expected = xr.zeros_like(effect).copy(data=loewe(a[:, None], b[None, :], *spread))
    shares = [x.clip(max=1.0) for x in alone]
    bliss = shares[0] + shares[1] - shares[0] * shares[1]
    over = ("draw", "condition", "drug")
    effects = xr.Dataset(
        {
            "effect": effect,
            "bliss": bliss.transpose(*effect.dims),
            "loewe": expected.where(np.isfinite(effect)),
            "misfit": (over, np.stack(misfit, -1)),
            "kind": (over, np.stack(kind, -1)),
        },
        {"drug": [first, second]},
    )
    effects["bliss_excess"] = effects["effect"].clip(max=1.0) - effects["bliss"]
    effects["loewe_excess"] = effects["effect"] - effects["loewe"]
    return effects.assign_attrs(first=first, second=second, reading=result.reading)


def _position(result: DoseResponse, dose: float | None) -> int:
    doses = result.ligand.stated
    if dose is None:
        if len(doses) != 2:
            raise ValueError("the ligand has several doses: say which one, dose=")
        return 1
    matches = np.flatnonzero(np.isclose(doses, dose, rtol=1e-9, atol=0))
    if not matches.size or dose == 0:
        choices = ", ".join(f"{g:g}" for g in doses if g > 0)
        raise ValueError(f"dose={dose:g} {result.ligand.unit} of {result.ligand.name} was not given; known: {choices}")
    return int(matches[0])


def _margin(doses: np.ndarray, effect: Float[np.ndarray, "draws conditions doses"]):
    """The Hill curve of a drug alone for every draw and condition, its misfit and its kind.

    The bottom of the curve is fixed at no effect; of a drug that does nothing (`FLAT`), no effect is expected.
    """

    curve, kind = fit_curves(doses, effect, fixed_bottom=0.0, reference=1.0)
    none, bad = (
        kind == CurveStatus.FLAT,
        np.isin(kind, (CurveStatus.FAILED, CurveStatus.NO_FOOT, CurveStatus.NOT_SIGMOID)),
    )
    most = np.where(none, 0.0, np.where(bad, np.nan, curve.span))
    margin = Margin(most, np.where(none, 1.0, curve.ec50), np.where(none, 1.0, curve.slope))
    return margin, np.where(none, 0.0, curve.misfit), kind


__all__ = ["Margin", "combination", "loewe"]
