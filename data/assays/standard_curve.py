r"""Standard curves of ELISA and beads: fitted to the standards, and read backwards with all their uncertainty.

The response to a concentration x is the logistic curve of four parameters, or of five with an asymmetry g,

    y(x) = d + (a − d) / (1 + (x/c)^b)^g,      b, c, g > 0; four parameters: g = 1

from a at x = 0 to d beyond all standards (a > d: a competitive assay). Sources: O'Connell, Belanger and Haaland
(1993), Chemom. Intell. Lab. Syst. 20, 97-114; Gottschalk and Dunn (2005), Anal. Biochem. 343, 54-65.

With η = (a, d, ln c, ln b, ln g), fitted by least squares with covariance Σ, a response y of variance σ_y² says

    ln x = ln x̂ ± sd,      sd² = (σ_y² + ∂_η y Σ ∂_η yᵀ) / (∂ y/∂ ln x)²        (the delta method)

Draws of η from N(η, Σ) would say less: along the ridge of the five-parameter curve they leave the standards behind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ...errors import HexamerError
from ...models.listing import listed
from ..dataset import Censored

CurveNoise = Literal["relative", "constant"]
_NAMES = ("lower plateau a", "upper plateau d", "midpoint ln c", "steepness ln b", "asymmetry ln g")
_DETECTED = 3.0  # standard deviations above the blank
_MISFIT = 0.1  # share of the range of responses; what lies nearer to the curve never makes it refused
_CHANCE = 0.01  # that wells which are as alike as those of other standards lie so far off
_LEAST_FREEDOM = 3  # wells beside the first of each standard, whose scatter says nothing yet
_WORST_CONDITION = 1e14  # of the scaled normal equations; beyond, a parameter is left open


class StandardCurveError(HexamerError, ValueError):
    """Standards that do not make a curve, or responses that cannot be read from one."""


@dataclass(frozen=True, eq=False)
class ReadBack:
    """Concentrations of samples, by row.

    Attributes
    ----------
    value : array, samples
        In the standards' unit; of a censored sample, the limit.
    sd : array, samples
        Standard deviation of ln value, dimensionless; of a censored sample, that of a reading at the limit.
    censored : tuple of str
        `"left"`, `"right"` or empty, by sample.
    """

    value: Float[np.ndarray, " samples"]
    sd: Float[np.ndarray, " samples"]
    censored: tuple[Censored, ...]

    def __repr__(self) -> str:
        return f"ReadBack([{listed(self.cells(), 6)}])"

    def cells(self) -> list[str]:
        """As in the column `value` of a table: `<2.5` below the limit of detection, `>500` above the top standard."""
        marks: dict[str, str] = {"": "", "left": "<", "right": ">"}
        return [f"{marks[c]}{v:.6g}" for v, c in zip(self.value, self.censored, strict=True)]


@dataclass(frozen=True, eq=False)
class StandardCurve:
    """A fitted standard curve.

    Attributes
    ----------
    parameters : array
        η = (a, d, ln c, ln b, ln g): a and d in the unit of responses, c in the unit of the standards.
    covariance : array, parameters × parameters
        Of η, in its units; 0 for a fixed g.
    spread : float
        Standard deviation of one well: of ln y (dimensionless) if `noise` is "relative", of y (in its unit) if
        "constant".
    noise : str
        `"relative"` or `"constant"`.
    lower, upper : float
        Concentrations between them can be read, in the unit of the standards.

    Other Parameters
    ----------------
    concentration : array
        x, not negative, in the unit of the standards.
    response : array
        y, in the unit of responses.
    """

    parameters: Float[np.ndarray, " parameters"]
    covariance: Float[np.ndarray, "parameters parameters"]
    spread: float
    noise: CurveNoise
    lower: float
    upper: float

    def __repr__(self) -> str:
        return f"StandardCurve({self.lower:.4g} to {self.upper:.4g}, spread {self.spread:.3g} {self.noise})"

    def response(self, concentration: ArrayLike) -> np.ndarray:
        """y(x), x not negative."""
        return _response(self.parameters, np.asarray(concentration, dtype=float))

    def concentration(self, response: ArrayLike) -> np.ndarray:
        """x(y); 0 or ∞ if y lies beyond the plateau on that side."""
        return _inverse(self.parameters, np.asarray(response, dtype=float))

    def read_back(self, response: ArrayLike, *, wells: int = 1, dilution: float = 1.0) -> ReadBack:
        """Concentrations of undiluted samples from responses.

        The error of the curve is common to all samples of the plate; a plate's `scale` in `elisa` stands for it.

        Parameters
        ----------
        response : array, samples
            In the unit of the standards' responses.
        wells : int
            Each response is the mean of so many wells.
        dilution : float
            How many times the sample was diluted before, dimensionless; 1: not at all.

        Raises
        ------
        StandardCurveError
            For responses that are not finite.
        ValueError
            For other bad input.
        """
        y = np.atleast_1d(np.asarray(response, dtype=float))
        if not np.all(np.isfinite(y)):
            raise StandardCurveError(f"responses must be finite numbers, not {response!r}")
        if isinstance(wells, bool) or not isinstance(wells, (int, np.integer)) or wells < 1:
            raise ValueError(f"wells must be a whole number, 1 or more, not {wells!r}")
        if not 1 <= dilution < math.inf:
            raise ValueError(f"dilution must be how many times a sample was diluted, 1 or more, not {dilution!r}")
        x = self.concentration(y)
        at = np.clip(x, self.lower, self.upper)
        sd = np.sqrt(self._variance(at, self._noise(self.response(at)) / math.sqrt(wells)))
        censored: tuple[Censored, ...] = tuple(
            "left" if v < self.lower else "right" if v > self.upper else "" for v in x
        )
        return ReadBack(at * dilution, sd, censored)

    def _noise(self, y: np.ndarray) -> np.ndarray:
        """Standard deviation of one well's response."""
        return self.spread * (np.abs(y) if self.noise == "relative" else np.ones_like(y))

    def _variance(self, x: np.ndarray, sd: np.ndarray) -> np.ndarray:
        """Of ln x, by the delta method."""
        slopes = _slopes(self.parameters, x)
        along = -slopes[:, 2]  # y depends on ln x − ln c
        return (sd**2 + np.einsum("ni,ij,nj->n", slopes, self.covariance, slopes)) / along**2


def fit_standard_curve(
    concentration: ArrayLike,
    response: ArrayLike,
    *,
    parameters: Literal[4, 5] = 4,
    noise: CurveNoise = "relative",
    lower: float | None = None,
    upper: float | None = None,
) -> StandardCurve:
    """The curve through standards, one row per well.

    Parameters
    ----------
    concentration : array, wells
        Of the standards, in any unit; blanks have 0.
    response : array, wells
        Optical density or fluorescence, in any unit.
    parameters : int
        4 or 5.
    noise : str
        `"relative"`: ln y has a constant standard deviation, as optical densities and fluorescence do over most of
        their range; `"constant"`: y has.
    lower : float, optional
        Limit of detection, in the unit of the standards. None: the concentration whose response is three standard
        deviations of a well away from the blank's, and no less than the lowest standard if there is no blank.
    upper : float, optional
        Highest concentration to be read, in the unit of the standards; None: the top standard.

    Returns
    -------
    StandardCurve
        The curve, with the covariance of its parameters.

    Raises
    ------
    StandardCurveError
        If the standards cannot determine the curve, saying which parameter they leave open; and if a well lies off the
        curve by more than a tenth of the range of responses, as by a hook at the top or a bad well, unless the
        replicates of the other standards scatter so much, too (F test, 1%).
    """
    x, y = np.asarray(concentration, dtype=float), np.asarray(response, dtype=float)
    _check_standards(x, y, parameters, noise)
    eta, jacobian, residual = _fit(x, y, parameters, noise)
    scale = float(np.sqrt(np.sum(residual**2) / (len(x) - parameters)))
    covariance = np.zeros((5, 5))
    covariance[:parameters, :parameters] = scale**2 * _inverse_normal(jacobian)
    if abs(eta[1] - eta[0]) < _DETECTED * scale * (abs(eta[0]) if noise == "relative" else 1.0):
        raise StandardCurveError("the response does not change with concentration by more than the noise of a well")
    _check_fit(x, y, residual, _response(eta, x))
    spread = max(scale, float(np.finfo(float).tiny))
    curve = StandardCurve(eta, covariance, spread, noise, 0.0, math.inf)
    top = float(x.max()) if upper is None else float(upper)
    low = _detection(curve, x) if lower is None else float(lower)
    if not 0 < low < top < math.inf:
        raise StandardCurveError(f"the limits must be positive, one below the other, not {low:g} and {top:g}")
    return StandardCurve(eta, covariance, spread, noise, low, top)


def _check_standards(x: np.ndarray, y: np.ndarray, parameters: int, noise: str) -> None:
    if parameters not in (4, 5):
        raise StandardCurveError(f"parameters must be 4 or 5, not {parameters!r}")
    if noise not in ("relative", "constant"):
        raise StandardCurveError(f"noise must be 'relative' or 'constant', not {noise!r}")
    if x.ndim != 1 or x.shape != y.shape:
        raise StandardCurveError(f"a response a standard, in one column each; got shapes {x.shape} and {y.shape}")
    if not (np.all(np.isfinite(x)) and np.all(np.isfinite(y))):
        raise StandardCurveError("concentrations and responses of standards must be finite numbers")
    if np.any(x < 0):
        raise StandardCurveError(f"a standard's concentration is 0 or more, not {x.min():g}")
    if noise == "relative" and np.any(y <= 0):
        raise StandardCurveError(
            f"a response of {y.min():g} has no relative noise; leave the blank in, or choose noise='constant'"
        )
    if len(np.unique(x)) < parameters or len(x) <= parameters:
        raise StandardCurveError(
            f"{parameters} parameters need {parameters} distinct concentrations and {parameters + 1} wells at least; "
            f"there are {len(np.unique(x))} and {len(x)}"
        )


def _check_fit(x: np.ndarray, y: np.ndarray, residual: np.ndarray, fitted: np.ndarray) -> None:
    """Raises `StandardCurveError` for the standard that lies farthest off, where that is too far."""
    off = (y - fitted) / np.ptp(y)
    for at in np.argsort(-np.abs(off)):
        if abs(off[at]) <= _MISFIT:
            return
        if not _by_chance(x, residual, float(x[at])):
            raise StandardCurveError(
                f"a well of the standard {x[at]:g} reads {y[at]:.4g} where the curve has {fitted[at]:.4g}, off by "
                f"{abs(off[at]):.0%} of the range of responses (at most {_MISFIT:.0%}, unless other replicates scatter "
                "so much); leave out a bad well, and standards beyond a hook, where responses turn back"
            )


def _by_chance(x: np.ndarray, residual: np.ndarray, standard: float) -> bool:
    """Whether replicates of the other standards scatter enough for this one's wells; False if there are too few."""
    from scipy.special import fdtrc

    others = [residual[x == v] for v in np.unique(x[x != standard])]
    freedom = sum(len(r) - 1 for r in others)
    if freedom < _LEAST_FREEDOM:
        return False
    variance = sum(float(np.sum((r - r.mean()) ** 2)) for r in others) / freedom
    residual_here = residual[x == standard]
    return bool(fdtrc(len(residual_here), freedom, np.mean(residual_here**2) / max(variance, 1e-300)) > _CHANCE)


def _powers(eta: np.ndarray) -> tuple[float, float, float, float, float]:
    """a, d, ln c, b and g; the powers within what floats hold, wherever a fit may stray."""
    a, d, ln_c, ln_b, ln_g = map(float, eta)
    return a, d, ln_c, math.exp(min(max(ln_b, -50.0), 50.0)), math.exp(min(max(ln_g, -50.0), 50.0))


def _response(eta: np.ndarray, x: np.ndarray) -> np.ndarray:
    a, d, ln_c, b, g = _powers(eta)
    with np.errstate(divide="ignore"):
        t = b * (np.log(x) - ln_c)
    # (1 + e^t)^−g, for any t
    return d + (a - d) * np.exp(-g * np.logaddexp(0.0, t))


def _inverse(eta: np.ndarray, y: np.ndarray) -> np.ndarray:
    a, d, ln_c, b, g = _powers(eta)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = (y - d) / (a - d)  # 1 at x = 0, 0 at infinity
        w = np.expm1(-np.log(share) / g)
        x = np.exp(ln_c + np.log(w) / b)
    return np.where(share >= 1, 0.0, np.where(share <= 0, np.inf, x))


def _slopes(eta: np.ndarray, x: np.ndarray) -> Float[np.ndarray, "samples 5"]:
    """∂y/∂η."""
    a, d, ln_c, b, g = _powers(eta)
    with np.errstate(divide="ignore"):
        t = b * (np.log(x) - ln_c)
    soft = np.logaddexp(0.0, t)
    power = np.exp(-g * soft)
    by_t = -(a - d) * g * power * np.exp(np.minimum(t - soft, 0.0))
    finite = np.where(np.isfinite(t), t, 0.0)  # by_t is 0 there
    return np.stack([power, 1 - power, -b * by_t, by_t * finite, -(a - d) * power * g * soft], axis=1)


def _fit(x: np.ndarray, y: np.ndarray, parameters: int, noise: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Best of a few starts: η, and the residuals with their slopes there."""
    from scipy.optimize import least_squares  # a quarter of a second to import

    def full(p: np.ndarray) -> np.ndarray:
        return p if parameters == 5 else np.append(p, 0.0)

    def residual(p: np.ndarray) -> np.ndarray:
        f = _response(full(p), x)
        return np.log(np.maximum(f, 1e-300)) - np.log(y) if noise == "relative" else f - y

    def jacobian(p: np.ndarray) -> np.ndarray:
        slopes = _slopes(full(p), x)[:, :parameters]
        return slopes / np.maximum(_response(full(p), x), 1e-300)[:, None] if noise == "relative" else slopes

    best = None
    for start in _starts(x, y, parameters, noise):
        size = np.maximum(np.abs(start), 1.0)
        size[:2] = np.abs(y).max()
        options = {"jac": jacobian, "x_scale": size, "method": "lm", "max_nfev": 4000, "xtol": 1e-12, "ftol": 1e-12}
        solution = least_squares(residual, start, **options)
        if solution.success and (best is None or solution.cost < best.cost):
            best = solution
    if best is None:
        fewer = ", and take 4 parameters if they are" if parameters == 5 else ""
        raise StandardCurveError(f"no curve settled; see whether the standards are one dilution series{fewer}")
    return full(best.x), jacobian(best.x), residual(best.x)


def _starts(x: np.ndarray, y: np.ndarray, parameters: int, noise: str) -> list[np.ndarray]:
    """Where to begin: plateaus by the outermost standards; for five parameters the best curve of four."""
    if parameters == 5:
        four = _fit(x, y, 4, noise)[0]
        return [np.append(four[:4], ln_g) for ln_g in (0.0, -1.0, 1.0)]
    first, last = (float(np.mean(y[x == v])) for v in (x.min(), x.max()))
    middle = float(np.mean(np.log(x[x > 0])))
    starts = [
        np.array([first, first + over * (last - first), middle + math.log(shift), 0.0])
        for shift in (0.3, 1.0, 3.0, 20.0)
        for over in (1.05, 2.0)
    ]
    return [s for s in starts if noise == "constant" or s[:2].min() > 0]


def _inverse_normal(jacobian: np.ndarray) -> np.ndarray:
    """(JᵀJ)⁻¹, of columns scaled to one length. Raises `StandardCurveError` if a parameter is left open."""
    length = np.linalg.norm(jacobian, axis=0)
    if np.all(length > 0):
        values, vectors = np.linalg.eigh((jacobian / length).T @ (jacobian / length))
        if values[0] * _WORST_CONDITION > values[-1]:
            return (vectors / values) @ vectors.T / np.outer(length, length)
        length = 1 / np.maximum(np.abs(vectors[:, 0]), 1e-300)
    left = _NAMES[int(np.argmin(length))]
    fewer = "take 4 parameters, or " if jacobian.shape[1] == 5 else "take "
    raise StandardCurveError(f"the standards leave the {left} open; {fewer}standards that reach further")


def _detection(curve: StandardCurve, x: np.ndarray) -> float:
    a, d = curve.parameters[:2]
    away = _DETECTED * float(curve._noise(np.array(a)))
    limit = float(curve.concentration(a + math.copysign(away, d - a)))
    return limit if x.min() == 0 else max(limit, float(x.min()))


__all__ = ["ReadBack", "StandardCurve", "StandardCurveError", "fit_standard_curve"]
