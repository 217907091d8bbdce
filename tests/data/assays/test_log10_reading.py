"""Readings in log10 above a background: the formula, and rows in log10 or not."""

import math

import pytest
import sympy

from hexamer.data import FormulaError, load
from hexamer.data.assays.logarithmic_reading import log10_reading
from support.data_folder import complaints, written

pytestmark = pytest.mark.tier("check")

PROBLEM = """
name = "demo"
model = "il6_stat3"
[inputs.IL6]
unit = "nM"
[observables.bead]
assay = "log10_reading"
signal = "R"
offset_group = "bead"
[observables.blot]
assay = "log10_reading"
signal = "R"
scale = "s"
offset = "o"
sd = "noise"
values = "log10"
[observables.amount]
assay = "log10_reading"
signal = "R"
scale = 1
unit = "nM"
values = "log10"
"""
PRIORS = """parameter,unit,distribution,location,scale
s,1,lognormal,0,1
o,1,half_normal,,1
noise,1,half_normal,,1
scale_*[experiment],au,lognormal,0,1
offset_*[experiment],au,half_normal,,1
"""
HEADER = "observable,time,value,unit,IL6,experiment,sd\n"
ROWS = "bead,0,100,au,0,p1,0.1\nblot,0,-0.5,au,0,,\namount,0,2,pM,0,,0.2\n"


@pytest.fixture
def folder(tmp_path):
    def make(rows=ROWS, *, problem=PROBLEM, priors=PRIORS):
        return written(tmp_path, problem=problem, measurements=HEADER + rows, priors=priors)

    return make


def test_the_formula():
    full = log10_reading("x", "a*b", offset=None)
    assert full.placeholders == ("scale", "offset", "sd")
    names = sympy.symbols("a b scale offset sd")
    mean, sd = sympy.lambdify(names, [full.formula, full.noise_formula])(3.0, 5.0, 2.0, 70.0, 0.1)
    assert (mean, sd) == (pytest.approx(2.0), 0.1)
    assert (full.scale, full.unit) == ("lin", "log10(au)")
    plain = log10_reading("x", "a", scale=1, sd="noise", unit="nM")
    assert plain.placeholders == ()
    assert plain.formula == sympy.log(sympy.Symbol("a")) / sympy.log(10)
    assert plain.symbols == {"a", "noise"}


def test_what_it_refuses():
    for taken in ("scale", "offset", "sd"):
        with pytest.raises(FormulaError, match=f"x: {taken} in '2\\*{taken}' names a placeholder"):
            log10_reading("x", f"2*{taken}")
    with pytest.raises(ValueError, match="x: the standard deviation is 0"):
        log10_reading("x", "a", sd=0)


def test_rows_in_log10_and_not(folder):
    bead, blot, amount = load(folder()).measurements
    assert bead.value == pytest.approx(2.0)
    assert bead.arguments == ("scale_bead[p1]", "offset_bead[p1]", 0.1)
    assert (blot.value, blot.arguments) == (-0.5, ())
    # log10 of 100 pM, in nM; its standard deviation has no unit
    assert amount.value == pytest.approx(math.log10(0.1))
    assert amount.arguments == (0.2,)


def test_scales_and_offsets_have_priors(folder):
    parameters = load(folder()).parameters
    assert list(parameters) == ["s", "o", "noise", "scale_bead[p1]", "offset_bead[p1]"]
    assert "no row covers 'offset_bead[p1]'" in complaints(folder(priors=PRIORS.replace("offset_*[experiment]", "x")))
    assert "no row covers 'o'" in complaints(folder(priors=PRIORS.replace("\no,", "\nq,")))


def test_no_offset_unless_it_is_asked_for(folder):
    priors = PRIORS.replace("offset_*[experiment],au,half_normal,,1\n", "")
    data = load(folder(problem=PROBLEM.replace('offset_group = "bead"', ""), priors=priors))
    assert data.measurements[0].arguments == ("scale_bead[p1]", 0.1)


def test_an_offset_of_each_experiment_with_one_scale(folder):
    problem = PROBLEM.replace('offset_group = "bead"', 'scale = 2\noffset_group = "background"')
    priors = PRIORS.replace("scale_*[experiment],au,lognormal,0,1\n", "")
    assert load(folder(problem=problem, priors=priors)).measurements[0].arguments == ("offset_background[p1]", 0.1)
    text = complaints(folder(ROWS.replace("p1", ""), problem=problem))
    assert "'experiment' holds nothing; expected the gel or plate, since each has an offset of its own" in text


BAD = {
    "rate": (
        ROWS,
        PROBLEM.replace('signal = "R"', 'signal = "k_jak"', 1),
        "bead: a reading in log10 sees molecules, by an amount (zmol) or a concentration (nM), but 'k_jak' is",
    ),
    "log of zero": (ROWS.replace("100", "0"), PROBLEM, "holds '0'; expected a value above 0, since bead is read on a"),
    "both offsets": (
        ROWS,
        PROBLEM.replace('offset = "o"', 'offset = "o"\noffset_group = "b"'),
        "'observables.blot.offset_group' holds 'b'; expected either offset_group or offset, not both",
    ),
    "group in numbers": (
        ROWS,
        PROBLEM.replace('offset_group = "bead"', "offset_group = 3"),
        "'observables.bead.offset_group' holds 3; expected text in quotes",
    ),
    "scale of values": (
        ROWS,
        PROBLEM.replace('values = "log10"', 'values = "log2"', 1),
        "'observables.blot.values' holds 'log2'; expected one of linear, log10",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_said_of_bad_ones(folder, case):
    rows, problem, message = BAD[case]
    assert message in complaints(folder(rows, problem=problem))
