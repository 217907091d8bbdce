"""Rows of a folder with outliers, negative readings, limits and intervals: likelihood and replicates, against scipy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hexamer import load_problem
from hexamer.infer.posterior.datatree import to_datatree
from hexamer.infer.posterior.row_layout import of_rows
from support.data_folder import written

pytestmark = pytest.mark.tier("slow")

PROBLEM = """
model = "model.ant"
[inputs.D]
unit = "nM"
target = "A"
[observables.A_read]
assay = "direct"
signal = "A"
sd = 0.5
unit = "nM"
noise = "student_t(4)"
"""
ROWS = "observable,D,time,value,unit\nA_read,0,2,-0.4,nM\nA_read,0,3,<0.1,nM\nA_read,0,4,-0.2..0.6,nM\n"
PRIORS = "parameter,unit,distribution,location,scale\nk,1/min,lognormal,-0.7,0.5\n"


def test_from_the_file_to_replicates(tmp_path: Path) -> None:
    written(tmp_path, problem=PROBLEM, measurements=ROWS, priors=PRIORS)
    (tmp_path / "model.ant").write_text("model decay; k = 0.5; species A = 2; J: A -> ; k*A; end")
    problem = load_problem(tmp_path)
    mean = 2 * np.exp(-0.5 * np.array([2.0, 3.0, 4.0]))
    t: Any = stats.t(4)
    between = t.cdf((0.6 - mean[2]) / 0.5) - t.cdf((-0.2 - mean[2]) / 0.5)
    expected = t.logpdf((-0.4 - mean[0]) / 0.5) - np.log(0.5) + t.logcdf((0.1 - mean[1]) / 0.5) + np.log(between)
    assert problem.evaluate({"k": 0.5}).log_likelihood == pytest.approx(expected, abs=1e-5)

    z = np.tile(problem.space.unconstrain({"k": 0.5}), (1, 2000, 1))
    tree = to_datatree(problem, z, {}, seed=1, failures={})
    drawn = of_rows(tree, "posterior_predictive", "A_read").values[0]
    assert stats.kstest(drawn[:, 0], stats.t(4, mean[0], 0.5).cdf).pvalue > 1e-3
    assert drawn[:, 0].min() < 0
    below = t.cdf((0.1 - mean[1]) / 0.5)
    assert np.mean(drawn[:, 1] == 0.1) == pytest.approx(below, abs=0.04)
    assert np.mean(drawn[:, 2] == -0.2) == pytest.approx(between, abs=0.04)


SCORES = """
model = "model.ant"
[inputs.D]
unit = "nM"
target = "A"
[observables.stain]
assay = "score"
signal = "A"
levels = ["0", "+", "++"]
thresholds = [0.5, 2]
scale = "gain"
sd = 0.7
"""


def test_scores(tmp_path: Path) -> None:
    rows = "observable,D,time,value,unit\nstain,0,1,++,au\nstain,0,2,+,au\nstain,0,4,0,au\n"
    written(tmp_path, problem=SCORES, measurements=rows, priors=PRIORS + "gain,au/nM,lognormal,0,1\n")
    (tmp_path / "model.ant").write_text("model decay; k = 0.5; species A = 2; J: A -> ; k*A; end")
    problem = load_problem(tmp_path)
    m = np.log(1.3 * 2 * np.exp(-0.5 * np.array([1.0, 2.0, 4.0])))
    lower = stats.norm.cdf((np.log([2.0, 0.5, 1e-300]) - m) / 0.7)
    upper = stats.norm.cdf((np.log([1e300, 2.0, 0.5]) - m) / 0.7)
    expected = np.log(upper - lower).sum()
    assert problem.evaluate({"k": 0.5, "gain": 1.3}).log_likelihood == pytest.approx(expected, abs=1e-5)
