"""Hill curves and combinations of drugs: closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.optimize import least_squares

from hexamer.infer import DoseResponse, combination, plots
from hexamer.infer import doses as hexamer_doses
from hexamer.infer.doses.amounts import Doses
from hexamer.infer.doses.drug_pairs import Margin, loewe
from hexamer.infer.doses.hill import CurveStatus, HillFits, fit_curves, occupancy
from hexamer.infer.plots.dose_curves import describe_half_dose
from hexamer.infer.reports.dose_response import report_doses

pytestmark = pytest.mark.tier("test")

DOSES = np.geomspace(0.01, 100, 13)


def doses(name: str, values: np.ndarray) -> Doses:
    return Doses(name, values, "nM", "ng/ml", 0.5)


def responses(values: np.ndarray, ligand: np.ndarray, **drugs: np.ndarray) -> DoseResponse:
    """A result from an array of draws × doses of each drug × doses of the ligand."""
    given = tuple(doses(n, d) for n, d in drugs.items())
    dims = ("draw", "condition", *drugs, "dose")
    coords: dict = {"condition": ["c"]}
    for n, d in {"dose": ligand, **drugs}.items():
        coords |= {n: (n, d * 2, {"unit": "ng/ml"}), f"model_{n}": (n, d, {"unit": "nM"})}
    status = np.zeros(values[:, None].shape, int)
    data = xr.Dataset({"response": (dims, values[:, None]), "status": (dims, status)}, coords)
    return DoseResponse(data, "x", "x at 20 min", doses("L", ligand), given, 0.0)


@pytest.mark.parametrize("zero", [True, False])
def test_hill_curves_are_found_again(zero: bool) -> None:
    rng = np.random.default_rng(2)
    ec50, slope = np.exp(rng.normal(size=200)), np.exp(0.3 * rng.normal(size=200))
    bottom, span = rng.normal(size=200), 5 * rng.normal(size=200)  # rising and falling
    d = np.append(0.0, DOSES) if zero else DOSES
    e = bottom[:, None] + span[:, None] * occupancy(d, ec50[:, None], slope[:, None])
    curve, kind = fit_curves(d, e.reshape(20, 10, -1))
    assert kind.shape == (20, 10)
    ok = kind.ravel() == CurveStatus.OK
    assert ok.mean() > 0.8
    for found, true in zip(curve[:4], (ec50, slope, bottom, span), strict=True):
        np.testing.assert_allclose(found.ravel()[ok], true[ok], rtol=1e-8)
    assert curve.misfit.max() < 1e-8


def test_noisy_curves_fit_as_well_as_by_another_code() -> None:
    """No higher than scipy's bounded least squares from the true parameters."""
    rng = np.random.default_rng(5)
    truth = np.stack([rng.normal(size=20), 0.3 * rng.normal(size=20), rng.normal(size=20), 3 * rng.normal(size=20)], 1)
    log_ec50, log_slope, bottom, span = (c[:, None] for c in truth.T)
    e = bottom + span * occupancy(DOSES, np.exp(log_ec50), np.exp(log_slope))
    e = e + 0.03 * np.abs(span) * rng.normal(size=e.shape)
    curve, _ = fit_curves(DOSES, e)
    upper = np.array([np.log(1e4), np.log(10), np.inf, np.inf])
    for start, responses, misfit in zip(truth, e, curve.misfit, strict=True):

        def residual(x, responses=responses):
            return x[2] + x[3] * occupancy(DOSES, np.exp(x[0]), np.exp(x[1])) - responses

        found = least_squares(residual, start, bounds=(-upper, upper), xtol=1e-12, ftol=1e-12, gtol=1e-12)
        expected = np.sqrt(np.mean(found.fun**2)) / np.ptp(responses)
        assert misfit <= expected * (1 + 1e-6)


def test_curves_that_are_not_hill_s_are_said_to_miss() -> None:
    two = 0.5 * occupancy(DOSES, 0.05, 2.0) + 0.5 * occupancy(DOSES, 20.0, 2.0)
    curve, _ = fit_curves(DOSES, two)
    assert curve.misfit > 0.03


NOT_SIGMOID = {
    "bell": DOSES / (1 + DOSES) / (1 + DOSES / 10),
    "bell in the middle": DOSES / (1 + DOSES) / (1 + DOSES),
    "trough": 5 - DOSES / (1 + DOSES) / (1 + DOSES / 10),
    "two steps": 0.5 * occupancy(DOSES, 0.03, 4.0) + 0.5 * occupancy(DOSES, 30.0, 4.0),
}


@pytest.mark.parametrize("case", NOT_SIGMOID)
def test_responses_that_are_no_sigmoid_have_no_ec50(case: str) -> None:
    """A curve that misses more than 5% of their range is not theirs; table, counts and words say so."""
    bad, good = NOT_SIGMOID[case], 1 + occupancy(DOSES, 1.0, 1.0)
    fits = responses(np.stack([bad, bad, good]), DOSES).hill()
    assert fits.kinds == {"ok": 1, "not_sigmoid": 2}
    assert fits.interval().sel(quantile=0.5).item() == pytest.approx(2.0)  # of the one that has it
    row = fits.table().iloc[0]
    assert (row["ok"], row["not_sigmoid"]) == (1, 2)
    assert describe_half_dose(fits, "EC50") == "no sigmoid in 2 of 3 draws"
    alone = responses(bad[None], DOSES)
    assert np.isnan(alone.hill().interval()).all()
    assert describe_half_dose(alone.hill(), "EC50") == "no sigmoid"
    assert plots.dose_response(alone).axes[0].get_legend_handles_labels()[1] == ["c: no sigmoid"]


def test_report_says_that_doses_are_too_few(tmp_path: Path) -> None:
    few = DOSES[::4]
    lines = report_doses(responses(few[None] / (1 + few[None]), few), tmp_path)
    assert lines == ["no EC50: a Hill curve has 4 parameters, and takes 5 doses or more"]
    assert not (tmp_path / "curves.csv").exists()


def test_report_says_what_is_no_sigmoid(tmp_path: Path) -> None:
    good = 1 + occupancy(DOSES, 1.0, 1.0)
    assert report_doses(responses(NOT_SIGMOID["bell"][None], DOSES), tmp_path) == ["c: no sigmoid"]
    lines = report_doses(responses(np.stack([good, good, NOT_SIGMOID["bell"]]), DOSES), tmp_path)
    assert lines == ["c: EC50 2 ng/ml [of 3 draws 1 not sigmoid]"]


def test_a_drug_that_is_no_sigmoid_has_no_loewe() -> None:
    effect = 0.9 * (A / (1 + A) / (1 + A / 5))[:, None] + 0.0 * B[None, :]
    found = combination(pair(effect), "a", "b")
    assert (found["kind"].sel(drug="a") == CurveStatus.NOT_SIGMOID).all()
    assert np.isnan(found["loewe"]).all()
    assert np.isfinite(found["bliss"]).all()


def test_tables_state_units(tmp_path: Path) -> None:
    """Every dose as it was given, with its unit; half-maximal doses of drugs are IC50."""
    ligand = np.append(0.0, DOSES[::2])
    e = 3 * occupancy(ligand, 1.0, 1.0)[None, None] * (1 - 0.9 * occupancy(A, 2.0, 1.0))[None, :, None]
    result = responses(e, ligand, a=A)
    report_doses(result, tmp_path)
    drug = pd.read_csv(tmp_path / "curves_a.csv")
    assert "ec50" not in drug
    row = drug[drug["dose"] == ligand[3] * 2].iloc[0]
    assert (row["dose_unit"], row["ic50_unit"]) == ("ng/ml", "ng/ml")
    assert row["ic50"] == pytest.approx(4.0)
    assert row["untreated"] == pytest.approx(3 * ligand[3] / (1 + ligand[3]))
    assert row["left"] == pytest.approx(0.1 * row["untreated"])
    assert not {"bottom", "emax"} & set(drug)
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert curves["a"].tolist() == pytest.approx(list(2 * A))
    assert {"bottom", "emax"} <= set(curves)
    assert not {"untreated", "left"} & set(curves)
    assert set(curves["a_unit"]) == set(curves["ec50_unit"]) == {"ng/ml"}
    given = pd.read_csv(tmp_path / "responses.csv")
    assert list(given.columns)[:5] == ["condition", "dose", "dose_unit", "a", "a_unit"]
    assert sorted(set(given["dose"])) == pytest.approx(list(2 * ligand))
    assert "IC50 in ng/ml" in repr(result.hill("a"))
    one = result.hill().data.isel(condition=0, a=2)
    assert HillFits(one, result.doses()).table()["a"].tolist() == [2 * A[2]]


def test_combination_table_states_units(tmp_path: Path) -> None:
    effect = 1 - (1 - 0.9 * occupancy(A, 1.0, 1.5))[:, None] * (1 - 0.7 * occupancy(B, 0.5, 1.0))[None, :]
    report_doses(pair(effect), tmp_path)
    table = pd.read_csv(tmp_path / "combination.csv")
    assert sorted(set(table["b"])) == pytest.approx(list(2 * B))
    assert set(table["a_unit"]) == set(table["b_unit"]) == {"ng/ml"}


def test_figure_and_table_leave_out_the_same_draws() -> None:
    """A draw that failed at one dose still counts at the others."""
    e = np.array([1.0, 2.0, 9.0])[:, None] * occupancy(DOSES, 1.0, 1.0)
    e[2, 3] = np.nan
    result = responses(e, DOSES)
    drawn = np.asarray(plots.dose_response(result).axes[0].lines[0].get_ydata(), float)
    np.testing.assert_allclose(drawn, result.table()["median"])


KINDS = {  # EC50, doses, kind
    "within": (1.0, DOSES, CurveStatus.OK),
    "plateau beyond": (50.0, DOSES, CurveStatus.NO_PLATEAU),
    "plateau far beyond": (1e6, DOSES, CurveStatus.FLAT),
    "foot below": (0.02, DOSES, CurveStatus.NO_FOOT),
    "foot shown by dose 0": (0.02, np.append(0.0, DOSES), CurveStatus.OK),
    "all below the lowest but 0": (0.002, np.append(0.0, DOSES), CurveStatus.NO_FOOT),
}


@pytest.mark.parametrize("case", KINDS)
def test_what_the_doses_determine(case: str) -> None:
    ec50, d, kind = KINDS[case]
    assert fit_curves(d, 1 + 5 * occupancy(d, ec50, 1.0))[1] == kind
    assert CurveStatus(kind).sentence


def test_the_old_name_of_a_curve_s_status_warns() -> None:
    with pytest.warns(DeprecationWarning, match=r"Curve is now hexamer\.infer\.doses\.CurveStatus"):
        assert hexamer_doses.Curve is CurveStatus
    with pytest.raises(AttributeError, match="no attribute 'Curves'"):
        _ = hexamer_doses.Curves


def test_curves_with_gaps_fail_alone() -> None:
    e = np.tile(occupancy(DOSES, 1.0, 1.0), (2, 1))
    e[0, 3] = np.nan
    assert fit_curves(DOSES, e)[1].tolist() == [CurveStatus.FAILED, CurveStatus.OK]


def test_intervals_say_what_lies_beyond_the_doses() -> None:
    """Ten draws: six determined, four without plateau, which rank above them."""
    ec50 = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 60.0, 60.0, 60.0, 60.0])
    fits = responses(1 + occupancy(DOSES, ec50[:, None], 1.0), DOSES).hill()
    assert fits.kinds == {"ok": 6, "no_plateau": 4}
    low, middle, high = fits.interval("ec50", (0.0, 0.5, 0.95)).sel(condition="c").values
    assert (low, middle) == (pytest.approx(1.0), pytest.approx(1.8))  # in the unit given, half a nM each
    assert high == np.inf
    assert fits.interval("model_ec50", (0.0,)).item() == pytest.approx(0.5)
    assert (fits.data["ec50"].attrs["unit"], fits.data["model_ec50"].attrs["unit"]) == ("ng/ml", "nM")
    assert fits.interval("emax", (0.5,)).item() == pytest.approx(2.0)
    row = fits.table().iloc[0]
    assert (row["ok"], row["no_plateau"], row["ec50_upper"]) == (6, 4, np.inf)
    assert row["slope"] == pytest.approx(1.0)


def test_flat_curves_have_no_ec50() -> None:
    fits = responses(np.full((3, 13), 7.0), DOSES).hill()
    assert np.isnan(fits.interval().values).all()
    assert fits.table()["flat"].tolist() == [3]
    assert isinstance(fits, HillFits)


def test_ends_are_called_by_which_way_curves_go() -> None:
    """A ligand that inhibits is untreated and left, too; a drug that stimulates has bottom and emax."""
    rises = 1 + 4 * occupancy(DOSES, 1.0, 1.0)
    falls = responses((5 - rises / 2)[None], DOSES).hill()
    row = falls.table().iloc[0]
    assert falls.falls
    assert (row["untreated"], row["left"]) == (pytest.approx(4.5), pytest.approx(2.5))
    drug = responses(np.broadcast_to(rises[:, None], (1, 13, 2)), np.array([0.0, 1.0]), a=DOSES).hill("a")
    assert not drug.falls
    assert drug.table()["emax"].tolist() == pytest.approx([5.0, 5.0])
    flat = responses(np.full((1, 13, 2), 7.0), np.array([0.0, 1.0]), a=DOSES)
    assert {"untreated", "left"} <= set(flat.hill("a").table())
    assert {"bottom", "emax"} <= set(responses(np.full((1, 13), 7.0), DOSES).hill().table())


def test_too_few_doses_for_a_curve() -> None:
    result = responses(np.ones((1, 4)), DOSES[:4])
    with pytest.raises(ValueError, match="at least 5 doses of L"):
        result.hill()
    with pytest.raises(ValueError, match="no doses along 'drug'; known: dose"):
        result.hill("drug")


A, B = np.append(0.0, np.geomspace(0.05, 50, 9)), np.append(0.0, np.geomspace(0.02, 20, 8))


def pair(effect: np.ndarray) -> DoseResponse:
    """Two draws, with other scales, of an effect over doses of a and b on a response of 3 above 2."""
    stimulated = 2 + 3 * (1 - effect)
    both = np.stack([np.full_like(stimulated, 2.0), stimulated], -1)
    return responses(np.stack([both, 4 * both]), np.array([0.0, 1.0]), a=A, b=B)


def test_independent_drugs_have_no_bliss_excess() -> None:
    a, b = 0.9 * occupancy(A, 1.0, 1.5), 0.7 * occupancy(B, 0.5, 1.0)
    effect = 1 - (1 - a[:, None]) * (1 - b[None, :])
    found = combination(pair(effect), "a", "b")
    np.testing.assert_allclose(found["effect"].isel(draw=1, condition=0), effect, atol=1e-12)
    np.testing.assert_allclose(found["bliss_excess"], 0, atol=1e-12)


def test_what_lies_below_the_untreated_level_is_no_synergy() -> None:
    """Regression: a drug that takes the basal response away too has effects above 1, of which Bliss made an excess."""
    a, b = 1.1 * occupancy(A, 1.0, 1.5), 0.7 * occupancy(B, 0.5, 1.0)
    effect = np.maximum(np.maximum(a[:, None], b[None, :]), np.minimum(a[:, None] + b[None, :], 1.1))
    found = combination(pair(effect), "a", "b")
    whole = a >= 1
    assert whole.any()
    np.testing.assert_allclose(found["bliss_excess"].isel(a=whole), 0, atol=1e-12)
    np.testing.assert_allclose(found["effect"].isel(draw=0, condition=0), effect, atol=1e-12)


def test_a_drug_with_itself_has_no_loewe_excess() -> None:
    """The sham combination, b at four times the potency; Bliss does not see through it."""
    effect = 0.95 * occupancy(A[:, None] + 4 * B[None, :], 1.0, 2.0)
    found = combination(pair(effect), "a", "b")
    np.testing.assert_allclose(found["loewe_excess"], 0, atol=1e-7)
    assert float(np.abs(found["bliss_excess"]).max()) > 0.1
    assert float(found["misfit"].max()) < 1e-7


def test_loewe_beyond_the_weaker_drug() -> None:
    """Above the plateau of one drug the other one's dose alone counts; where neither does anything, nothing is due."""
    strong, weak = Margin(*map(np.array, (1.0, 1.0, 1.0))), Margin(*map(np.array, (0.3, 1.0, 2.0)))
    none = Margin(*map(np.array, (0.0, 1.0, 1.0)))
    a = np.array([0.0, 3.0])
    np.testing.assert_allclose(loewe(a, np.full(2, 10.0), strong, weak), [0.3 * 100 / 101, 0.75], rtol=1e-9)
    np.testing.assert_allclose(loewe(a, np.full(2, 10.0), strong, none), [0.0, 0.75], atol=1e-12)
    np.testing.assert_allclose(loewe(a, np.full(2, 10.0), none, none), 0.0, atol=1e-12)


def test_combination_that_cannot_be_had() -> None:
    values = np.ones((1, 9, 10, 2))
    with pytest.raises(ValueError, match="missing of dose"):
        combination(responses(values, np.array([1.0, 2.0]), a=A[:9], b=A), "a", "b")
    with pytest.raises(ValueError, match="missing of a"):
        combination(responses(values, np.array([0.0, 2.0]), a=A[1:], b=A), "a", "b")
    with pytest.raises(ValueError, match="at least 5 doses"):
        combination(responses(values[:, :4], np.array([0.0, 2.0]), a=A[:4], b=A), "a", "b")
    several = responses(np.ones((1, 9, 10, 3)), np.array([0.0, 1.0, 2.0]), a=A[:9], b=A)
    with pytest.raises(ValueError, match="several doses: say which"):
        combination(several, "a", "b")
    with pytest.raises(ValueError, match="known: 2, 4"):
        combination(several, "a", "b", dose=3.0)
    silent = combination(several, "a", "b", dose=4.0)  # the ligand does nothing, so nothing can be taken away
    assert np.isnan(silent["effect"]).all()
    for other in ("a", "c", "dose"):
        with pytest.raises(ValueError, match=rf"two drugs .* \(a, b\), not of 'a' and '{other}'"):
            combination(several, "a", other)
