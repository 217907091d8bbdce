"""Cells of the column `value`: negative readings, limits and intervals."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hexamer.data import Dataset, load
from support.data_folder import written

pytestmark = pytest.mark.tier("check")

PROBLEM = """
model = "il6_stat3"
[inputs.IL6]
unit = "ng/ml"
molar_mass = "20 kDa"
[observables.pS]
assay = "blot"
signal = "pSTAT3"
sd_rel = "rel"
[observables.mRNA]
assay = "qpcr"
signal = "m"
sd = 0.1
[observables.count]
assay = "copy_number"
signal = "Vc*R"
"""
PRIORS = """parameter,unit,distribution,location,scale
rel,1,half_normal,0,0.3
scale_*[experiment],au,log10_normal,0,1
"""


def read(folder: Path, rows: str, problem: str = PROBLEM) -> Dataset:
    rows = "observable,time,value,unit,IL6,experiment,sd\n" + rows
    return load(written(folder, problem=problem, measurements=rows, priors=PRIORS))


@pytest.mark.parametrize("noise", ["normal", "laplace", "student_t(4)", "contaminated(0.05, 10)"])
def test_background_subtracted_readings_may_be_negative(tmp_path: Path, noise: str) -> None:
    direct = PROBLEM.replace('assay = "copy_number"', f'assay = "direct"\nunit = "zmol"\nnoise = "{noise}"')
    for problem, unit in ((direct, "zmol"), (PROBLEM + f'noise = "{noise}"\n', "zmol/cell")):
        rows = "count,0,-3,UNIT,0,,1\ncount,1,<-1,UNIT,0,,1\ncount,2,-2..1,UNIT,0,,1\n"
        data = read(tmp_path, rows.replace("UNIT", unit) + "pS,0,-0.5,au,0,gel,\n", problem)
        assert [(m.value, m.censored, m.upper) for m in data.measurements] == [
            (-3.0, "", None),
            (-1.0, "left", None),
            (-2.0, "interval", 1.0),
            (-0.5, "", None),
        ]


def test_intervals_are_converted_at_both_ends(tmp_path: Path) -> None:
    cycles = PROBLEM.replace('assay = "qpcr"', 'assay = "qpcr_ct"')
    (row,) = read(tmp_path, "mRNA,0,20 .. 30,Ct,0,p,\n", cycles).measurements
    assert (row.value, row.upper) == pytest.approx((-30 * math.log10(2), -20 * math.log10(2)))  # more cycles, less
    (row,) = read(tmp_path, "mRNA,0,1..100,au,0,p,\n").measurements
    assert (row.value, row.upper, row.censored) == (0.0, 2.0, "interval")
    (row,) = read(tmp_path, "count,0,602.214076..6022.14076,molecules/cell,0,,602.214076\n").measurements
    assert (row.value, row.upper) == pytest.approx((1.0, 10.0))
