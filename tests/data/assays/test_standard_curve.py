"""Standard curves: against scipy's own fit, known curves, and simulated plates read back."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from scipy.optimize import curve_fit

from hexamer.data import StandardCurve, StandardCurveError, fit_standard_curve
from hexamer.data.assays.standard_curve import CurveNoise, _inverse_normal

pytestmark = pytest.mark.tier("check")

STANDARDS = np.repeat([0.0, 7.8, 15.6, 31.2, 62.5, 125.0, 250.0, 500.0, 1000.0], 2)
TRUE = {"a": 0.05, "d": 3.0, "c": 200.0, "b": 1.2}
NOISE = 0.04


def logistic(x, a, d, c, b, g=1.0):
    return d + (a - d) / (1 + (x / c) ** b) ** g


def plate(seed: int, *, g: float = 1.0, noise: float = NOISE) -> np.ndarray:
    return logistic(STANDARDS, **TRUE, g=g) * np.exp(noise * np.random.default_rng(seed).normal(size=len(STANDARDS)))


@pytest.fixture(scope="module")
def curve() -> StandardCurve:
    return fit_standard_curve(STANDARDS, plate(0))


@pytest.mark.parametrize("noise", ["relative", "constant"])
def test_four_parameters_are_scipys(noise: CurveNoise) -> None:
    """Values and covariance of `scipy.optimize.curve_fit` of the same residuals, in the same coordinates."""
    y = plate(3)

    def response(x, a, d, ln_c, ln_b):
        f = logistic(x, a, d, np.exp(ln_c), np.exp(ln_b))
        return np.log(f) if noise == "relative" else f

    start = [0.06, 3.2, math.log(150.0), 0.1]
    expected, covariance = curve_fit(response, STANDARDS, np.log(y) if noise == "relative" else y, start)
    found = fit_standard_curve(STANDARDS, y, noise=noise)
    np.testing.assert_allclose(found.parameters[:4], expected, rtol=1e-5)
    np.testing.assert_allclose(found.covariance[:4, :4], covariance, rtol=1e-3, atol=1e-4 * np.abs(covariance).max())
    assert found.parameters[4] == 0.0
    assert not found.covariance[4].any()


def test_nearly_exact_standards_give_the_curve_back() -> None:
    y = plate(0, g=0.5, noise=1e-8)
    found = fit_standard_curve(STANDARDS, y, parameters=5)
    np.testing.assert_allclose(found.parameters, [0.05, 3.0, math.log(200), math.log(1.2), math.log(0.5)], rtol=1e-5)
    x = np.array([1.0, 20.0, 333.0, 999.0])
    np.testing.assert_allclose(found.response(x), logistic(x, **TRUE, g=0.5), rtol=1e-7)
    np.testing.assert_allclose(found.concentration(found.response(x)), x, rtol=1e-6)


def test_a_competitive_assay_falls() -> None:
    falling = {"a": 2.5, "d": 0.1, "c": 80.0, "b": 1.0}
    y = logistic(STANDARDS, **falling) * np.exp(0.02 * np.random.default_rng(1).normal(size=len(STANDARDS)))
    found = fit_standard_curve(STANDARDS, y)
    read = found.read_back(logistic(np.array([50.0, 0.1, 5000.0]), **falling))
    assert read.value[0] == pytest.approx(50.0, rel=0.08)
    assert read.censored == ("", "left", "right")


@pytest.mark.tier("slow")
@pytest.mark.parametrize(("parameters", "plates"), [(4, 120), (5, 40)])
def test_read_back_is_as_sure_as_it_says(parameters: Literal[4, 5], plates: int) -> None:
    """Over simulated plates, curve and samples drawn anew: ln x is off by its sd, on average not at all."""
    g = 1.0 if parameters == 4 else 0.7
    truth = np.array([5.0, 30.0, 150.0, 500.0])
    z = []
    for seed in range(plates):
        rng = np.random.default_rng(1000 + seed)
        sample = logistic(truth, **TRUE, g=g) * np.exp(NOISE / math.sqrt(2) * rng.normal(size=4))
        curve = fit_standard_curve(STANDARDS, plate(seed, g=g), parameters=parameters)
        read = curve.read_back(sample, wells=2)
        z += [(math.log(v / x)) / s for v, s, c, x in zip(*_columns(read), truth, strict=True) if not c]
    assert len(z) > 3.8 * plates
    assert abs(np.mean(z)) < 4 / math.sqrt(len(z) / 2)
    assert 0.85 < np.std(z) < 1.25
    assert 0.82 < np.mean(np.abs(z) < 1.645) < 0.96


def _columns(read):
    return read.value, read.sd, read.censored


def test_limits(curve: StandardCurve) -> None:
    """The limit of detection reads three standard deviations above the blank; the top standard is the last."""
    a = curve.parameters[0]
    assert curve.response(curve.lower) == pytest.approx(a * (1 + 3 * curve.spread))
    assert curve.upper == 1000.0
    read = curve.read_back([0.9 * a, a * (1 + 2 * curve.spread), 1.0, 2.99, 17.0], dilution=10.0)
    assert read.censored == ("left", "left", "", "right", "right")
    np.testing.assert_allclose(read.value[[0, 1, 3, 4]], [10 * curve.lower] * 2 + [10 * curve.upper] * 2)
    assert read.cells()[0] == f"<{10 * curve.lower:.6g}"
    assert read.cells()[3:] == [">10000", ">10000"]
    assert np.all(np.isfinite(read.sd) & (read.sd > 0))
    assert read.sd[0] > 5 * read.sd[2]  # a flat curve says little


def test_more_wells_say_more(curve: StandardCurve) -> None:
    one, four = (curve.read_back(1.0, wells=n).sd[0] for n in (1, 4))
    assert one**2 - four**2 == pytest.approx(0.75 * _slope(curve, 1.0) ** 2 * curve.spread**2, rel=1e-3)


def _slope(curve: StandardCurve, y: float) -> float:
    """∂ ln x/∂ ln y."""
    return float(np.log(curve.concentration(y * 1.0001) / curve.concentration(y / 1.0001)) / np.log(1.0001**2))


def test_without_a_blank_the_lowest_standard_is_the_limit() -> None:
    kept = STANDARDS > 0
    assert fit_standard_curve(STANDARDS[kept], plate(0)[kept]).lower == 7.8
    given = fit_standard_curve(STANDARDS, plate(0), lower=2.5, upper=500.0)
    assert (given.lower, given.upper) == (2.5, 500.0)


BAD = {
    "too few": ([0, 1, 10, 100], [0.1, 0.2, 0.8, 1.5], {}, "4 parameters need 4 distinct concentrations and 5 wells"),
    "not distinct": ([0, 0, 1, 1, 10], [0.1, 0.1, 0.5, 0.5, 2], {}, "there are 3 and 5"),
    "lengths": ([0, 1], [1, 2, 3], {}, "a response a standard"),
    "negative": ([-1, 1, 2, 3, 4], [1, 2, 3, 4, 5], {}, "0 or more, not -1"),
    "infinite": ([0, 1, 2, 3, math.inf], [1, 2, 3, 4, 5], {}, "finite numbers"),
    "subtracted": ([0, 1, 2, 3, 4], [-0.01, 2, 3, 4, 5], {}, "leave the blank in, or choose noise='constant'"),
    "parameters": ([0, 1, 2, 3, 4], [1, 2, 3, 4, 5], {"parameters": 3}, "4 or 5, not 3"),
    "noise": ([0, 1, 2, 3, 4], [1, 2, 3, 4, 5], {"noise": "poisson"}, "'relative' or 'constant', not 'poisson'"),
    "limits": (STANDARDS, plate(0), {"lower": 50.0, "upper": 20.0}, "one below the other, not 50 and 20"),
    "straight": ([0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6.1], {"parameters": 5}, "open|settled"),
    "flat": (STANDARDS, 1 + 0.1 * np.random.default_rng(0).normal(size=18), {}, "noise of a well|open|settled"),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("case", BAD)
def test_standards_that_make_no_curve(case: str) -> None:
    x, y, options, message = BAD[case]
    with pytest.raises(StandardCurveError, match=message):
        fit_standard_curve(x, y, **options)


def test_responses_that_cannot_be_read(curve: StandardCurve) -> None:
    with pytest.raises(StandardCurveError, match="must be finite numbers"):
        curve.read_back([1.0, math.nan])
    for wells in (0, 0.5, 1.5, True, math.nan):
        with pytest.raises(ValueError, match=f"wells must be a whole number, 1 or more, not {wells!r}"):
            curve.read_back(1.0, wells=wells)  # pyright: ignore[reportArgumentType]
    for dilution in (-1, 0.1, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"how many times a sample was diluted, 1 or more, not {dilution!r}"):
            curve.read_back(1.0, dilution=dilution)


def test_what_to_do_of_open_parameters() -> None:
    """Of four parameters there are no fewer to take."""
    for parameters, advice in ((4, "open; take standards that"), (5, "open; take 4 parameters, or standards that")):
        with pytest.raises(StandardCurveError, match=advice):
            _inverse_normal(np.ones((9, parameters)))


def hooked(y: np.ndarray) -> np.ndarray:
    """The top standard reads a quarter less than the one before."""
    return np.where(STANDARDS == 1000.0, 0.75 * y[-3], y)


def bad_well(y: np.ndarray) -> np.ndarray:
    return np.concatenate([y[:-1], [0.4 * y[-1]]])


@pytest.mark.tier("test")
@pytest.mark.parametrize("noise", ["relative", "constant"])
@pytest.mark.parametrize("spoil", [hooked, bad_well])
@pytest.mark.parametrize("wells", [1, 2])
def test_a_hook_and_a_bad_top_well_are_no_curve(noise: CurveNoise, spoil, wells: int) -> None:
    """With replicates they are judged by the others' spread, without by their share of the range."""
    every = slice(None) if wells == 2 else slice(1, None, 2)
    for seed in range(5):
        y = plate(seed, noise=0.02)
        assert fit_standard_curve(STANDARDS[every], y[every], noise=noise).upper == 1000.0
        with pytest.raises(StandardCurveError, match=r"standard (1000|500) reads .* of the range .* a hook"):
            fit_standard_curve(STANDARDS[every], spoil(y)[every], noise=noise)


def test_wells_that_scatter_much_are_no_misfit() -> None:
    """Readings off by more than a tenth of the range pass where replicates differ as much; single ones do not."""
    y = plate(2, noise=0.25)
    off = np.abs(y - fit_standard_curve(STANDARDS, y).response(STANDARDS)) / np.ptp(y)
    assert off.max() > 0.1
    with pytest.raises(StandardCurveError, match=r"off by [0-9]+% of the range"):
        fit_standard_curve(STANDARDS[1::2], y[1::2])
