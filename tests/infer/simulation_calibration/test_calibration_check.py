"""The result of a check: table, verdict, words and files, from replicates that are made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from hexamer.infer import CalibrationCheck, StoreError, report_ranks
from hexamer.infer.plots import ranks as draw_ranks
from hexamer.infer.simulation_calibration.calibration_check import check_of
from hexamer.infer.simulation_calibration.replicate import Replicate
from hexamer.infer.simulation_calibration.uniformity import envelope

pytestmark = pytest.mark.tier("check")

NAMES = ("k", "scale_1", "log likelihood")


def replicates(count: int = 100, *, spread: float = 1.0, ess: float = 60.0) -> list[Replicate]:
    """Truths of `k` have this standard deviation in a posterior that is a unit normal."""
    rng = np.random.default_rng(3)
    made = []
    for i in range(count):
        truth, draws = rng.normal(size=3) * [spread, 1, 1], rng.normal(size=(200, 3))
        seconds = np.array([0.1, 0.2, 2.0, 0.1]) if i else np.full(4, 50.0)
        made.append(Replicate(draws < truth, ess + i, 1.0 if i else 1.2, int(i == 3), {}, seconds))
    return made


@pytest.fixture(scope="module")
def narrow() -> CalibrationCheck:
    failed = [Replicate(reason="no best fit", redrawn={"too many steps": 2}) for _ in range(2)]
    return check_of("decay", NAMES, [*replicates(spread=2.0), *failed], level=0.01, complete=False)


def test_a_right_posterior() -> None:
    check = check_of("decay", NAMES, replicates(), level=0.01, complete=True)
    assert check.verdict == "calibrated"
    assert check.calibrated
    assert check.ranked == 64  # the 5% quantile of 60, 61, …, 159
    assert check.ranks.shape == (100, 3)
    assert check.ranks.max() <= 64
    assert check.cost == pytest.approx(1.2)
    assert "No ranks depart from uniform ones at the level 0.01" in check.words[0]
    assert "4 of 100 replicates have fewer independent draws than the 64 ranked (least 60)." in check.words
    assert str(check).endswith("a replicate takes 2.4 s, 1.20 times its sampling")


def test_a_posterior_that_is_too_narrow(narrow: CalibrationCheck) -> None:
    assert narrow.verdict == "not calibrated"
    table = narrow.table
    assert table.to_dict()["corrected"]["k"] < 1e-3
    assert table["shape"].tolist() == ["too narrow", "", ""]
    assert np.all(table["corrected"] >= table["p"])
    text = " ".join(narrow.words)
    for part in (
        "The posterior of k is too narrow",
        "The chains of 1 of 100 replicates disagree",
        "1 draws diverged",
        "Replicates without ranks: 2 (no best fit).",
        "drawn anew, as their simulation failed: 4 too many steps",
        "the same call resumes it",
    ):
        assert part in text
    assert "NOT CALIBRATED." in str(narrow)
    assert "NOT CALIBRATED." in narrow._repr_html_()
    assert repr(narrow) == (
        "CalibrationCheck('decay: 3 quantities, 100 replicates, ranks among 64 draws', 'not calibrated')"
    )


def test_slow_chains_are_told() -> None:
    check = check_of("decay", NAMES, replicates(ess=1.0), level=0.01, complete=True)
    assert check.ranked == 20
    assert any("19 of 100 replicates have fewer independent draws" in w and "take more draws" in w for w in check.words)


def test_one_chain_has_no_r_hat() -> None:
    alone = [Replicate(r.below, r.ess, np.nan, 0, {}, r.seconds) for r in replicates()]
    check = check_of("decay", NAMES, alone, level=0.01, complete=True)
    assert "disagree" not in " ".join(check.words)


def test_files(narrow: CalibrationCheck, tmp_path: Path) -> None:
    path = tmp_path / "sbc.npz"
    narrow.save(path)
    again = CalibrationCheck.read(path)
    assert str(again) == str(narrow)
    np.testing.assert_array_equal(again.ranks, narrow.ranks)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match=r"sbc.npz is damaged \(it is cut short.*run sbc again"):
        CalibrationCheck.read(path)


def test_replicates_as_arrays() -> None:
    for one in (replicates(2)[1], Replicate(reason="no best fit", redrawn={"too many steps": 3})):
        arrays = one.arrays()
        assert not any(a.dtype == object for a in arrays.values())
        again = Replicate.of_arrays(arrays)
        np.testing.assert_array_equal(again.below, one.below)
        assert (again.reason, dict(again.redrawn), again.diverging) == (one.reason, dict(one.redrawn), one.diverging)


@pytest.mark.tier("test")
def test_report_and_figure(narrow: CalibrationCheck, tmp_path: Path) -> None:
    """The curve of the figure is the share of ranks below each value, and leaves the envelope where p is small."""
    report_ranks(narrow, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"ranks.csv", "ranks.png", "summary.txt", "uniformity.csv"}
    (figure,) = draw_ranks(narrow)
    k, scale, _ = figure.axes
    x, y = _curve(k)
    at = (narrow.ranks[:, 0] + 0.5) / (narrow.ranked + 1)
    np.testing.assert_allclose(y, [np.mean(at <= v) - v for v in x], atol=1e-9)
    share = np.arange(1, narrow.ranked + 1) / (narrow.ranked + 1)
    edges = np.array(envelope(100, narrow.ranked, 0.01 / 3)) - share[None]
    (area,) = k.collections
    drawn = np.asarray(area.get_paths()[0].vertices)[:, 1]
    np.testing.assert_allclose([drawn.min(), drawn.max()], [edges.min(), edges.max()])
    low, high = (np.interp(x, share, edge) for edge in edges)
    beyond = [np.any((c < low) | (c > high), where=(x > 0.05) & (x < 0.95)) for c in (y, _curve(scale)[1])]
    assert beyond == [True, False]
    assert k.get_title(loc="left").startswith("k, p = ")


def _curve(ax: Axes) -> np.ndarray:
    """x and y of a panel's curve; its other line is at 0."""
    (line,) = (line for line in ax.lines if len(np.asarray(line.get_xdata())) > 2)
    return np.asarray(line.get_data(), dtype=float)
