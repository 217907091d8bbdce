"""Scores of few levels: rows of a folder, the probability of each level against scipy, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hexamer.data import load
from hexamer.data.noise import Normal
from hexamer.infer.problem.censoring import tails, uppers, with_censored
from hexamer.infer.problem.row_noise import RowNoise
from support.data_folder import complaints, written

pytestmark = pytest.mark.tier("check")

PROBLEM = """
model = "model.ant"
[inputs.D]
unit = "nM"
target = "A"
[observables.stain]
assay = "score"
signal = "A"
levels = ["0", "+", "++", "+++"]
thresholds = [0.5, 2, 8]
scale = "gain"
sd = "sd_stain"
"""
ROWS = "observable,D,time,value,unit\n" + "".join(
    f"stain,0,{t},{level},au\n" for t, level in enumerate(["0", "+", "++", "+++"])
)
PRIORS = """parameter,unit,distribution,location,scale
gain,au/nM,lognormal,0,1
sd_stain,1,half_normal,,1
"""


def folder(place: Path, problem: str = PROBLEM, rows: str = ROWS, priors: str = PRIORS) -> Path:
    (place / "model.ant").write_text("model decay; k = 0.5; species A = 2; J: A -> ; k*A; end")
    return written(place, problem=problem, measurements=rows, priors=priors)


def test_levels_are_limits_and_intervals(tmp_path: Path) -> None:
    data = load(folder(tmp_path))
    assert [(m.value, m.censored, m.upper) for m in data.measurements] == [
        (0.5, "left", None),
        (0.5, "interval", 2.0),
        (2.0, "interval", 8.0),
        (8.0, "right", None),
    ]
    observable = data.observables["stain"]
    assert (str(observable.formula), observable.scale) == ("A*gain", "log")


def test_probabilities_are_those_of_an_ordered_probit(tmp_path: Path) -> None:
    """Of each level at one reading, by scipy; they sum to one."""
    data, mean, sd = load(folder(tmp_path)), np.log(1.3), 0.7
    values, upper = (np.log(x) for x in (np.array([m.value for m in data.measurements]), uppers(data)))
    noise = RowNoise((Normal(),), np.zeros(4, int))
    r, width = jnp.asarray((values - mean) / sd), jnp.asarray((upper - values) / sd)
    found = np.exp(np.asarray(with_censored(jnp.zeros(4), r, tails(data), noise, width)))
    cumulative = stats.norm.cdf((np.log([0.5, 2.0, 8.0]) - mean) / sd)
    np.testing.assert_allclose(found, np.diff([0.0, *cumulative, 1.0]), rtol=1e-9)
    assert found.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "rows",
            ",0,au",
            ",1,au",
            "measurements.csv, row 1, 'value' holds '1'; expected a level, one of 0, +, ++, +++",
        ),
        (
            "problem",
            '"++", "+++"]',
            '"+", "+++"]',
            "'observables.stain.levels' holds ['0', '+', '+', '+++']; expected two",
        ),
        (
            "problem",
            "[0.5, 2, 8]",
            "[0.5, 8, 2]",
            "'observables.stain.thresholds' holds [0.5, 8, 2]; expected 3 increasing",
        ),
        (
            "problem",
            "[0.5, 2, 8]",
            "[2, 8]",
            "expected 3 increasing numbers, one between each two of the 4 levels; a para",
        ),
        (
            "problem",
            "[0.5, 2, 8]",
            '["c", 2, 8]',
            "'observables.stain.thresholds' holds ['c', 2, 8]; expected 3 increasing",
        ),
        ("problem", "thresholds = [0.5, 2, 8]\n", "", "'observables.stain.thresholds' holds []; expected 3 increasing"),
        ("problem", "[0.5,", "[0,", "'observables.stain.thresholds' holds 0.0; expected thresholds above 0, since the"),
    ],
)
def test_bad_scores(tmp_path: Path, file: str, old: str, new: str, said: str) -> None:
    text = {"problem": PROBLEM, "rows": ROWS}[file]
    assert old in text
    assert said in complaints(folder(tmp_path, **{file: text.replace(old, new, 1)}))


def test_thresholds_may_be_negative_on_the_linear_scale(tmp_path: Path) -> None:
    problem = PROBLEM.replace("[0.5, 2, 8]", "[-0.5, 2, 8]\ntransformation = 'lin'")
    data = load(folder(tmp_path, problem, priors=PRIORS.replace("sd_stain,1,", "sd_stain,au,")))
    assert (data.measurements[0].value, data.observables["stain"].scale) == (-0.5, "lin")
