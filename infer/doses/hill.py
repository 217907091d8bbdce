r"""Hill curves of every draw, with the reason where the doses do not determine one.

    E(d) = bottom + span · d^h / (EC50^h + d^h)

by least squares, EC50 and h bounded: the best of a grid, where bottom and span are linear, then Levenberg–Marquardt.
A response is a smooth function of dose without noise, so what the curve misses is misfit, and is reported.

Levenberg–Marquardt is hexamer's own: optimistix's (0.1.0, under `vmap`) has no bounds, compiles for 1.5 s, and takes,
of 4000 curves, 0.6 times as long for exact ones, but 2 times for noisy ones and 3.6 times for EC50s beyond the doses,
of which 3% end higher than here, by up to 5% of the range (7% lower, by up to 0.6%): `benchmarks/hill_fits.py`.

Source: Hill (1910), J. Physiol. 40, iv-vii; linear parameters apart: Golub and Pereyra (1973), SIAM J. Numer. Anal. 10.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy import special

from .amounts import Doses
from .quantiles import quantiles_over_draws
from .tables import as_table

if TYPE_CHECKING:
    import pandas as pd

SLOPES = (0.1, 10.0)
DECADES_BEYOND = 2.0  # the doses, where EC50 is looked for
PLATEAU = 0.9  # share of the span that the highest dose must reach, and the lowest may not exceed by 1 − PLATEAU
FLAT = 0.01  # of the response: a smaller change over all doses is none
MISFIT = 0.05  # of the range of the responses: a curve that misses more is not theirs
_ITERATIONS = 40


class CurveStatus(enum.IntEnum):
    """Whether the doses determine a curve; `sentence` says what to do where they do not."""

    OK = 0
    NO_PLATEAU = 1
    NO_FOOT = 2
    FLAT = 3
    FAILED = 4
    NOT_SIGMOID = 5

    @property
    def label(self) -> str:
        return self.name.lower()

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    CurveStatus.OK: "the doses determine the curve",
    CurveStatus.NO_PLATEAU: "the doses end before the plateau, so EC50 and plateau would be extrapolated: give higher "
    "doses",
    CurveStatus.NO_FOOT: "the lowest dose acts already, so EC50 and foot would be extrapolated: give lower doses",
    CurveStatus.FLAT: "the response does not depend on the dose, so there is no EC50",
    CurveStatus.FAILED: "a simulation failed, so the curve has a gap",
    CurveStatus.NOT_SIGMOID: "the response turns back or rises in steps over the doses, so there is no one EC50: look "
    "at the responses, or give doses of one flank",
}


class HillCurve(NamedTuple):
    """Parameters of Hill curves; `misfit` is the root mean square of what the curve misses, as a share of the
    responses' range.
    """

    ec50: Float[np.ndarray, "*batch"]
    slope: Float[np.ndarray, "*batch"]
    bottom: Float[np.ndarray, "*batch"]
    span: Float[np.ndarray, "*batch"]
    misfit: Float[np.ndarray, "*batch"]


def occupancy(
    d: Float[ArrayLike, "*batch"], ec50: Float[ArrayLike, "*batch"], slope: Float[ArrayLike, "*batch"]
) -> Float[np.ndarray, "*batch"]:
    """d^h/(EC50^h + d^h), in a form that neither overflows nor loses dose 0."""
    d = np.asarray(d, dtype=float)
    z = np.asarray(slope) * (np.log(np.where(d > 0, d, 1.0)) - np.log(ec50))
    return np.where(d > 0, special.expit(z), 0.0)


def fit_curves(
    doses: Float[np.ndarray, " doses"],
    e: Float[np.ndarray, "*batch doses"],
    *,
    fixed_bottom: float | None = None,
    reference: float = 0.0,
) -> tuple[HillCurve, Int[np.ndarray, "*batch"]]:
    """Hill curves of all responses `e`, and a `CurveStatus` for each: if that is not `OK`, a curve is but a guess.

    `fixed_bottom` keeps the bottom of each curve at that value. `reference` is added to the responses to tell which are
    flat.
    """
    flat = np.reshape(np.asarray(e, dtype=float), (-1, len(doses)))
    whole = np.where(np.all(np.isfinite(flat), axis=1)[:, None], flat, doses)
    curve = _least_squares(doses, whole, fixed_bottom)
    kind = _kinds(doses, flat + reference, curve)
    shape = np.shape(e)[:-1]
    return HillCurve(*(v.reshape(shape) for v in curve)), kind.reshape(shape)


def _least_squares(
    d: Float[np.ndarray, " doses"], e: Float[np.ndarray, "n doses"], fixed_bottom: float | None
) -> HillCurve:
    low, high = _bounds(d)
    offset = np.min(e, axis=1, keepdims=True) if fixed_bottom is None else np.full((len(e), 1), fixed_bottom)
    scale = np.maximum(np.max(e, axis=1) - np.min(e, axis=1), 1e-300)[:, None]
    y = (e - offset) / scale
    x = _best_of_grid(d, y, low, high, fixed_bottom is None)
    r, j = _residual(d, y, x, fixed_bottom is None)
    damping = np.full(len(y), 1e-3)
    for _ in range(_ITERATIONS):
        normal = np.einsum("nda,ndb->nab", j, j)
        slack = damping[:, None] * (np.einsum("naa->na", normal) + 1e-12)
        step = np.linalg.solve(normal + slack[:, :, None] * np.eye(4), -np.einsum("nda,nd->na", j, r)[..., None])
        tried = x + step[..., 0]
        tried[:, :2] = np.clip(tried[:, :2], low, high)
        r_tried, j_tried = _residual(d, y, tried, fixed_bottom is None)
        better = np.sum(r_tried**2, axis=1) < np.sum(r**2, axis=1)
        x, r = np.where(better[:, None], tried, x), np.where(better[:, None], r_tried, r)
        j = np.where(better[:, None, None], j_tried, j)
        damping = np.where(better, np.maximum(damping * 0.2, 1e-12), np.minimum(damping * 5.0, 1e8))
    missed = np.sqrt(np.mean(r**2, axis=1))
    bottom = offset[:, 0] + scale[:, 0] * x[:, 2]
    return HillCurve(np.exp(x[:, 0]), np.exp(x[:, 1]), bottom, scale[:, 0] * x[:, 3], missed)


def _bounds(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of ln EC50 and ln h."""
    log_d, beyond = np.log(d[d > 0]), DECADES_BEYOND * np.log(10)
    return np.array([log_d[0] - beyond, np.log(SLOPES[0])]), np.array([log_d[-1] + beyond, np.log(SLOPES[1])])


def _residual(d: np.ndarray, y: Float[np.ndarray, "n doses"], x: Float[np.ndarray, "n 4"], free: bool):
    """What is left, and its derivatives with respect to x = (ln EC50, ln h, bottom, span)."""
    h = np.exp(x[:, 1:2])
    log_d = np.log(np.where(d > 0, d, 1.0))
    z = np.where(d > 0, h * (log_d - x[:, :1]), 0.0)
    w = np.where(d > 0, special.expit(z), 0.0)
    slope = x[:, 3:] * w * (1 - w)
    j = np.stack([slope * h, -slope * z, np.full_like(w, -float(free)), -w], axis=-1)
    return y - x[:, 2:3] - x[:, 3:] * w, j


def _best_of_grid(d: np.ndarray, y: Float[np.ndarray, "n doses"], low, high, free: bool) -> Float[np.ndarray, "n 4"]:
    """The best start of a grid over EC50 and h, with the bottom and span that fit best there, which are linear."""
    q = np.stack(np.meshgrid(np.linspace(low[0], high[0], 32), np.linspace(low[1], high[1], 12)), -1).reshape(-1, 2)
    w = occupancy(d, np.exp(q[:, :1]), np.exp(q[:, 1:]))
    mean_w, mean_y = w.mean(axis=1) * free, y.mean(axis=1) * free
    centred = w - mean_w[:, None]
    square = np.maximum(np.sum(centred**2, axis=1), 1e-12)
    with_y = y @ centred.T
    k = np.argmax(with_y**2 / square, axis=1)  # what the curve explains
    span = with_y[np.arange(len(y)), k] / square[k]
    return np.stack([q[k, 0], q[k, 1], mean_y - span * mean_w[k], span], axis=1)


def _kinds(d: np.ndarray, e: Float[np.ndarray, "n doses"], curve: HillCurve) -> Int[np.ndarray, " n"]:
    least = d[d > 0].min()
    at_ends = occupancy(d[[0, -1]], curve.ec50[:, None], curve.slope[:, None])
    # Dose 0 shows the bottom, but an EC50 below all other doses is still a guess.
    shows_bottom = curve.ec50 >= least if d[0] == 0 else at_ends[:, 0] <= 1 - PLATEAU
    finite = np.all(np.isfinite(e), axis=1)
    change = np.max(e, axis=1) - np.min(e, axis=1)
    flat = change <= FLAT * np.max(np.abs(e), axis=1)
    return np.select(
        [~finite, flat, curve.misfit > MISFIT, at_ends[:, 1] < PLATEAU, ~shows_bottom],
        [CurveStatus.FAILED, CurveStatus.FLAT, CurveStatus.NOT_SIGMOID, CurveStatus.NO_PLATEAU, CurveStatus.NO_FOOT],
        CurveStatus.OK,
    )


@dataclass(frozen=True, eq=False)
class HillFits:
    """Hill curves of every draw (and condition, and doses of what else is varied).

    `data` holds `ec50` (in the unit that doses were given in), `model_ec50` (in the model's), `emax` (the plateau),
    `bottom`, `slope`, `misfit` and `kind`, a `CurveStatus`. If the doses do not determine a curve, all but
    `kind` are NaN. `name` is what tables call `ec50`: EC50, or IC50 along doses of a drug.
    """

    data: xr.Dataset
    doses: Doses
    name: str = "EC50"

    def __repr__(self) -> str:
        kinds = ", ".join(f"{n} {label}" for label, n in self.kinds.items())
        half = self.name.lower()
        over = self.table()
        over = over[[n for n in self.data["kind"].dims if n != "draw"] + [f"{half}_lower", half, f"{half}_upper"]]
        head = f"Hill curves along {self.doses.name}: {kinds}; {self.name} in {self.doses.unit}, 90% interval"
        return f"{head}\n{over.to_string(index=False)}"

    @property
    def kinds(self) -> dict[str, int]:
        """How many curves are of each kind."""
        counts = Counter(self.data["kind"].values.ravel().tolist())
        return {CurveStatus(k).label: n for k, n in sorted(counts.items())}

    @property
    def falls(self) -> bool:
        """True if curves fall with the dose: their median does, or, if none is determined, they are along a drug's."""
        spans = (self.data["emax"] - self.data["bottom"]).values
        finite_spans = spans[np.isfinite(spans)]
        return bool(np.median(finite_spans) < 0) if finite_spans.size else self.name == "IC50"

    def interval(self, name: str = "ec50", probabilities: Sequence[float] = (0.05, 0.5, 0.95)) -> xr.DataArray:
        """Quantiles over draws of `ec50`, `model_ec50`, `emax`, `bottom`, `slope` or `misfit`.

        For `ec50` a curve without plateau ranks above all others, one without foot below, so that a quantile that
        falls among them is +inf or −inf: beyond what the doses show. Flat and failed curves, and those that are no
        sigmoid, are left out. The other names have quantiles over the curves that are determined.
        """
        values, kind = self.data[name], self.data["kind"]
        if name not in ("ec50", "model_ec50"):
            return quantiles_over_draws(values, probabilities)
        values = values.where(kind != CurveStatus.NO_PLATEAU, np.inf).where(kind != CurveStatus.NO_FOOT, -np.inf)
        # Ranks, not interpolation, which has no meaning between a number and infinity.
        quantiles: list[xr.DataArray] = [
            xr.apply_ufunc(_ranked, values, input_core_dims=[["draw"]], kwargs={"probability": p}, vectorize=True)
            for p in probabilities
        ]
        return xr.concat(quantiles, xr.DataArray(list(probabilities), dims="quantile", name="quantile"))

    def table(self, interval: float = 0.9) -> pd.DataFrame:
        """By condition: EC50, both ends of the curve and slope with intervals, the median misfit, and counts by kind.

        EC50 (`ec50`, and `ic50` along doses of a drug) is in the unit of the column `ec50_unit`, doses of what else is
        varied are as they were given, in `dose_unit` and the like. The ends are `bottom`, at dose 0, and `emax`, at a
        saturating one; of curves that fall with the dose, as those of an inhibitor, `untreated` and `left`.
        """
        edges = ((1 - interval) / 2, 0.5, (1 + interval) / 2)
        columns: dict[str, xr.DataArray] = {}
        half = self.name.lower()
        ends = {"bottom": "untreated", "emax": "left"} if self.falls else {"emax": "emax", "bottom": "bottom"}
        for name, label in {"ec50": half, **ends, "slope": "slope"}.items():
            quantiles = self.interval(name, edges)
            labels = (f"{label}_lower", label, f"{label}_upper")
            columns |= {n: quantiles.isel(quantile=i, drop=True) for i, n in enumerate(labels)}
        columns["misfit"] = self.interval("misfit", [0.5]).isel(quantile=0, drop=True)
        for kind in CurveStatus:
            columns[kind.label] = (self.data["kind"] == kind).sum("draw")
        frame = as_table(xr.Dataset(columns), self.data)
        frame.insert(list(frame.columns).index(f"{half}_upper") + 1, f"{half}_unit", self.doses.unit)
        return frame


def _ranked(x: np.ndarray, probability: float) -> float:
    """The value at the nearest rank; infinities rank, NaN are left out."""
    ordered = np.sort(x[~np.isnan(x)])
    return float(ordered[round(probability * (len(ordered) - 1))]) if len(ordered) else np.nan


def fit_hill(response: xr.DataArray, doses: Doses, along: str = "dose") -> HillFits:
    """Hill curves of `response` along `doses` of the ligand (`dose`) or of a drug (its name), for all draws at once.

    Raises `ValueError` for fewer than 5 doses: a curve has 4 parameters.
    """
    if len(doses.values) < 5:
        raise ValueError(f"a Hill curve has 4 parameters: give at least 5 doses of {doses.name}")
    response = response.transpose(..., along)
    curve, kind = fit_curves(doses.values, response.values)
    determined = kind == CurveStatus.OK
    columns = {n: np.where(determined, v, np.nan) for n, v in curve._asdict().items()}
    columns["emax"] = columns["bottom"] + columns.pop("span")
    columns["model_ec50"] = columns["ec50"]
    columns["ec50"] = columns["ec50"] / doses.per_unit
    over = response.dims[:-1]
    coords = {n: c for n, c in response.coords.items() if along not in c.dims}
    variables = {n: (over, v) for n, v in {**columns, "kind": kind}.items()}
    data = xr.Dataset(variables, coords)
    data["ec50"].attrs["unit"], data["model_ec50"].attrs["unit"] = doses.unit, doses.model_unit
    return HillFits(data, doses, "EC50" if along == "dose" else "IC50")
