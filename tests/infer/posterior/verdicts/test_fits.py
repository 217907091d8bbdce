"""Whether the model fits, of quantiles made up so that the answer is known."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from hexamer.infer.posterior.verdicts.fits import judge_fits
from hexamer.infer.posterior.verdicts.misfit import count_runs, coverage_p, location_p, longest_run, runs_p
from support.quantiles import spread_quantiles, tree_of_quantiles

pytestmark = pytest.mark.tier("check")


def test_a_good_fit() -> None:
    verdict = judge_fits(tree_of_quantiles(spread_quantiles(40)))
    assert (verdict.answer, verdict.sentences) == ("yes", ())
    assert str(verdict) == "fits: yes"


@pytest.mark.tier("slow")
def test_uniform_quantiles_raise_few_alarms() -> None:
    """Three observables under two protocols, 200 times: 1% for each of the four kinds of test, at most."""
    rng = np.random.default_rng(2)
    places = {"observable": np.repeat(["A", "B", "C"], 24), "protocol": np.tile(["P", "Q"], 36)}
    answers = [judge_fits(tree_of_quantiles(rng.random(72), **places)).answer for _ in range(200)]
    assert answers.count("yes") >= 0.95 * len(answers)


@pytest.mark.parametrize("side", [1e-9, 1 - 1e-9])
def test_outliers_are_named_by_line(side: float) -> None:
    quantiles = spread_quantiles(40)
    quantiles[[7, 21]] = side
    verdict = judge_fits(tree_of_quantiles(quantiles, run="gel-2", protocol="dose_100"))
    assert verdict.answer == "yes, but 2 outliers"
    assert verdict.sentences[0].startswith(
        "2 rows lie far from what the other rows predict: line 9 (A under dose_100 in gel-2 at time 3.5: measured 17 "
        "nM, predicted 15.2 to 18.8); line 23 (A under dose_100 in gel-2 at time 10.5: measured 31 nM"
    )
    assert "student_t(4)" in verdict.sentences[0]


def test_many_rows_far_out_are_no_outliers() -> None:
    quantiles = spread_quantiles(40)
    quantiles[::4] = 1e-9
    verdict = judge_fits(tree_of_quantiles(quantiles))
    assert verdict.answer == "not A"
    assert verdict.sentences[0].startswith("The model does not fit A: 10 of 40 rows lie far outside")


def test_a_limit_that_was_not_to_be_expected() -> None:
    """The quantile of a censored row is its probability; the other tests leave it out."""
    quantiles, censored = spread_quantiles(30), np.full(30, "")
    censored[3:9] = "left"
    quantiles[3:9] = 0.9
    assert judge_fits(tree_of_quantiles(quantiles, censored=censored)).answer == "yes"
    quantiles[5] = 1e-8
    verdict = judge_fits(tree_of_quantiles(quantiles, censored=censored))
    assert verdict.answer == "yes, but 1 outlier"
    assert "line 7 (A under P at time 2.5: limit 15 nM, predicted" in verdict.sentences[0]


def test_runs_of_one_side_along_time() -> None:
    quantiles = spread_quantiles(32)
    high = np.sin(np.arange(32) / 3) > 0
    quantiles = np.where(high, np.maximum(quantiles, 1 - quantiles), np.minimum(quantiles, 1 - quantiles))
    order = np.random.default_rng(1).permutation(32)  # the table need not be in the order of time
    verdict = judge_fits(tree_of_quantiles(quantiles[order], time=np.arange(32.0)[order]))
    assert verdict.answer == "not A"
    assert "follow each other along time, such as 10 above it from time 19 to 28" in verdict.sentences[0]


def test_rows_on_one_side_under_one_protocol() -> None:
    quantiles = spread_quantiles(48)
    at = np.repeat(["dose_0", "dose_10", "dose_100", "dose_1000"], 12)
    mine = at == "dose_100"
    quantiles[mine] = 0.75 + 0.25 * spread_quantiles(12)
    quantiles[~mine] = spread_quantiles(36)
    verdict = judge_fits(tree_of_quantiles(quantiles, protocol=at))
    assert verdict.answer == "not A under dose_100"
    assert "The model does not fit A under dose_100: " in verdict.sentences[0]
    assert "12 of 12 rows lie above the model" in verdict.sentences[0]


def test_noise_that_is_stated_wrongly() -> None:
    large = judge_fits(tree_of_quantiles(stats.norm.cdf(3 * stats.norm.ppf(spread_quantiles(40)))))
    assert large.answer == "not A"
    assert "hold 16 of 40 rows" in large.sentences[0]
    assert "State more noise" in large.sentences[0]
    small = judge_fits(tree_of_quantiles(stats.norm.cdf(0.3 * stats.norm.ppf(spread_quantiles(40)))))
    assert small.answer == "yes, but the noise of A is smaller than stated"


def test_what_cannot_be_judged() -> None:
    assert judge_fits(xr.DataTree()).answer.startswith("not judged: it takes a posterior with predictions")
    assert judge_fits(tree_of_quantiles(spread_quantiles(4))).answer.startswith("not judged: 4 measured rows for what")
    many = judge_fits(tree_of_quantiles(spread_quantiles(30), parameters=29.0))
    assert many.answer.startswith("not judged: 30 measured rows")


def test_constant_data() -> None:
    verdict = judge_fits(tree_of_quantiles(spread_quantiles(12), value=3.0))
    assert "All 12 rows of A have the value 3: constant data cannot show" in " ".join(verdict.sentences)


def test_rough_predictions_and_coverage_by_chance_are_said() -> None:
    k = np.where(np.arange(30) < 5, 0.9, 0.1)
    said = " ".join(judge_fits(tree_of_quantiles(0.06 + 0.88 * spread_quantiles(30), k=k)).sentences)
    assert "The predictions of 5 of 30 rows from the others are rough" in said
    assert "Coverage of A: the 90% intervals of rows that are left out hold 30 of 30 rows" in said


def test_the_distribution_of_runs() -> None:
    """Against a count of all orders of three signs and five others."""
    counts: Counter[int] = Counter()
    known: dict[int, float] = {}
    for places in combinations(range(8), 3):
        signs = np.isin(np.arange(8), places)
        counts[count_runs(signs)] += 1
        known[count_runs(signs)] = runs_p([signs])
    assert {n: sum(counts[m] for m in counts if m <= n) / 56 for n in counts} == pytest.approx(known)
    assert runs_p([np.ones(4, bool)]) == 1.0
    two = np.repeat([True, False], 4)
    assert runs_p([two, two]) == pytest.approx((2 / 70) ** 2)
    assert longest_run(np.array([True, False, False, True])) == slice(1, 3)


def test_p_values() -> None:
    assert coverage_p(18, 20, 0.9, 1.0) == 1.0
    assert coverage_p(10, 20, 0.9, 1.0) == pytest.approx(2 * stats.binom.cdf(10, 20, 0.9))
    assert coverage_p(10, 20, 0.9, 0.5) == pytest.approx(2 * stats.binom.cdf(5, 10, 0.9))
    assert location_p(np.full(4, stats.norm.cdf(1.0)), 1.0) == pytest.approx(2 * stats.norm.sf(2.0))
    assert location_p(np.full(4, stats.norm.cdf(1.0)), 0.25) == pytest.approx(2 * stats.norm.sf(1.0))
