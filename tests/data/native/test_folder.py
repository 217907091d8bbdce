"""The native form of a data set: what is read, and what is said of a bad one."""

import math

import pytest
import sympy

from hexamer.data import Dataset, TableError, load, read_folder
from hexamer.data.noise import Contaminated, StudentT
from support.data_folder import complaints, written

pytestmark = pytest.mark.tier("check")

PROBLEM = """
name = "demo"
model = "il6_stat3"
preequilibrate = true
[inputs.IL6]
kind = "add"
unit = "ng/ml"
molar_mass = "20 kDa"
[inputs.drug]
kind = "set"
target = "inhibitor"
unit = "uM"
[observables.pS]
assay = "blot"
signal = "pSTAT3"
scale_group = "STAT"
sd_rel = "rel"
[observables.mRNA]
assay = "qpcr"
signal = "m"
sd = 0.1
[observables.count]
assay = "copy_number"
signal = "Vc*R"
"""
PRIORS = """parameter,unit,distribution,location,scale,note
k,1/min,lognormal,0,1,
rel,1,half_normal,0,0.3,
scale_*[experiment],au,log10_normal,0,1,each gel
"""
HEADER = "observable,time,value,unit,IL6,drug,experiment,sd,replicate\n"
ROWS = """pS,0,1.5,au,0,0,gel 1,,
pS,30,2.5,au,10,0,gel 1,,1
pS,30,2.6,au,10,0,gel 1,,2
pS,30,2.5,au,0:10;15:0,1,gel 2,,
mRNA,60,100,au,10,-60:1,plate,,
count,0,6022.14076,molecules/cell,0,0,,602.214076,
"""


@pytest.fixture
def folder(tmp_path):
    def make(rows=ROWS, *, header=HEADER, problem=PROBLEM, priors=PRIORS):
        return written(tmp_path, problem=problem, measurements=header + rows, priors=priors)

    return make


def test_a_sound_folder(folder):
    data = load(folder())
    assert isinstance(data, Dataset)
    assert (data.name, data.model, len(data)) == ("demo", "il6_stat3", 6)
    assert [m.row for m in data.measurements] == [1, 2, 3, 4, 5, 6]
    assert data.measurements[1].arguments == ("scale_STAT[gel 1]",)
    assert data.measurements[3].arguments == ("scale_STAT[gel 2]",)
    assert data.measurements[4].arguments == ("scale_mRNA[plate]",)
    assert data.measurements[4].value == pytest.approx(2.0)  # log10 of 100
    assert data.measurements[5].value == pytest.approx(10.0, rel=1e-6)  # zmol
    assert data.measurements[5].arguments[0] == pytest.approx(1.0, rel=1e-6)
    assert data.notes == ()


def test_protocols_are_the_distinct_combinations(folder):
    data = load(folder())
    assert list(data.protocols) == [
        "untreated",
        "IL6 10 ng/ml",
        "IL6 10 ng/ml from 0 to 15 min, drug 1 uM",
        "IL6 10 ng/ml, drug 1 uM from -60 min",
    ]
    none, dose, pulse, before = data.protocols.values()
    assert none.preequilibration == {"IL6": 0.0, "inhibitor": 0.0}
    assert [(s.time, s.assign, s.add) for s in none.steps] == [(0, {"inhibitor": 0.0}, {})]
    assert dose.steps[0].add["IL6"] == pytest.approx(0.5)  # nM
    assert [s.time for s in pulse.steps] == [0, 15]
    assert pulse.steps[0].assign["inhibitor"] == pytest.approx(1000.0)  # nM
    assert pulse.steps[1].assign == {"IL6": 0.0}
    assert before.start == -60
    assert [(s.time, set(s.assign), set(s.add)) for s in before.steps] == [
        (-60, {"inhibitor"}, set()),
        (0, set(), {"IL6"}),
    ]


def test_parameters_are_those_of_the_priors_and_the_scales(folder):
    parameters = load(folder()).parameters
    assert list(parameters) == ["k", "rel", "scale_STAT[gel 1]", "scale_STAT[gel 2]", "scale_mRNA[plate]"]
    assert parameters["scale_mRNA[plate]"].unit == "au"


def test_time_is_converted(folder):
    data = load(folder("count,2,3,zmol/cell,1:5,0,,1,\n", problem='time_unit = "h"\n' + PROBLEM))
    assert data.measurements[0].time == 120.0
    (protocol,) = data.protocols.values()
    assert protocol.name == "IL6 5 ng/ml from 1 h"
    assert [s.time for s in protocol.steps] == [0, 60.0]


def test_one_scale_a_fixed_one_and_none_at_all(folder):
    problem = PROBLEM.replace('scale_group = "STAT"', 'scale = "s0"') + '[fixed]\ns0 = 2.0\n"scale_mRNA[plate]" = 1\n'
    assert "what it covers has rows or values of its own" in complaints(folder(problem=problem))
    data = load(
        folder(problem=problem, priors=PRIORS.replace("scale_*[experiment],au,log10_normal,0,1,each gel\n", ""))
    )
    assert data.measurements[0].arguments == ()
    assert sympy.Symbol("s0") in data.observables["pS"].formula.free_symbols
    assert not data.parameters["s0"].estimated
    assert data.parameters["scale_mRNA[plate]"].value == 1.0


def test_preequilibration_with_stated_values(folder):
    problem = PROBLEM.replace("preequilibrate = true", 'preequilibrate = {inhibitor = 5, basal = "k_basal"}')
    protocol = load(folder(problem=problem)).protocols["untreated"]
    assert protocol.preequilibration == {"IL6": 0.0, "inhibitor": 5.0, "basal": "k_basal"}
    assert load(folder(problem=PROBLEM.replace("true", "false"))).protocols["untreated"].preequilibration is None


def test_a_model_file_beside_the_description(folder):
    problem = PROBLEM.replace('model = "il6_stat3"', "")
    made = folder(problem=problem)
    assert "'model': the key is missing" in complaints(made)
    (made / "model.ant").write_text("model m; end")
    assert load(made).model == str(made / "model.ant")
    assert "'model' holds 'other.xml'; expected a bundled network, or a file in" in complaints(
        folder(problem=PROBLEM.replace("il6_stat3", "other.xml"))
    )


def test_what_covers_nothing(folder):
    """A row that no observable could use is refused; one whose observable has no measurements is noted."""
    text = complaints(folder(priors=PRIORS + "offset_*,au,normal,0,1,\n"))
    assert "priors.csv, row 4, 'parameter' holds 'offset_*'; expected a scale, an offset or a noise" in text
    unused = '[observables.unused]\nassay = "blot"\nsignal = "R"\nsd_rel = "rel"\n'
    made = folder(
        problem=PROBLEM + unused,
        priors=PRIORS.replace("scale_*", "scale_unused[experiment],au,log10_normal,0,1,\nscale_*"),
    )
    notes = load(made).notes
    assert any("the row 'scale_unused[experiment]' of priors.csv covers no parameter" in note for note in notes)
    assert "observable 'unused' has no measurements" in notes


BAD_ROWS = {
    "not a number": ("pS,0,abc,au,0,0,g,,", "row 1, 'value' holds 'abc'; expected a finite number"),
    "NaN": ("pS,0,NaN,au,0,0,g,,", "row 1, 'value' holds 'NaN'; expected a finite number"),
    "empty value": ("pS,0,,au,0,0,g,,", "row 1, 'value' holds nothing; expected a finite number"),
    "decimal comma": (
        'pS,0,"1,5",au,0,0,g,,',
        "holds '1,5'; expected a finite number; write decimals with a point",
    ),
    "time before 0": (
        "pS,-5,1,au,0,0,g,,",
        "row 1, 'time' holds '-5'; expected a time of 0 or later, in min",
    ),
    "infinite time": ("pS,inf,1,au,0,0,g,,", "row 1, 'time' holds 'inf'; expected a finite number"),
    "unknown observable": (
        "pX,0,1,au,0,0,g,,",
        "row 1, 'observable' holds 'pX'; expected one of pS, mRNA, count",
    ),
    "wrong unit": (
        "pS,0,1,nM,0,0,g,,",
        "row 1, 'unit' holds 'nM'; expected 'au' or a unit that can become it; unit 'nM'",
    ),
    "no unit": ("pS,0,1,,0,0,g,,", "row 1, 'unit' holds nothing; expected 'au' or a unit that can become it"),
    "negative dose": ("pS,0,1,au,-10,0,g,,", "row 1, 'IL6' holds '-10'; expected a dose of 0 or more"),
    "no dose": ("pS,0,1,au,,0,g,,", "row 1, 'IL6' holds nothing; expected a dose, 0 for none, or steps"),
    "dose in words": (
        "pS,0,1,au,high,0,g,,",
        "row 1, 'IL6' holds 'high'; expected a dose, 0 for none, or steps",
    ),
    "schedule out of order": ("pS,0,1,au,5:1;0:2,0,g,,", "holds '5:1;0:2'; expected steps in order of time"),
    "schedule not closed": ("pS,0,1,au,0:1;,0,g,,", "holds '0:1;'; expected a dose, 0 for none, or steps"),
    "log of zero": (
        "mRNA,0,0,au,0,0,p,,",
        "holds '0'; expected a value above 0, since mRNA is read on a log scale",
    ),
    "negative on a log scale": (
        "mRNA,0,-3,au,0,0,p,,",
        "holds '-3'; expected a value above 0, since mRNA is read on a log scale; state a reading at or below the "
        "background as a limit, such as <2.5, or read it on a linear scale, as `direct` without `transformation` does",
    ),
    "interval from zero on a log scale": (
        "mRNA,0,0..3,au,0,0,p,,",
        "row 1, 'value' holds '0..3'; expected a value above 0, since mRNA is read on a log scale",
    ),
    "interval out of order": (
        "count,0,5..3,zmol/cell,0,0,,1,",
        "row 1, 'value' holds '5..3'; expected an interval of two finite numbers, the lower one first, such as 2.5..5",
    ),
    "interval in words": ("count,0,3..b,zmol/cell,0,0,,1,", "holds '3..b'; expected an interval of two finite numbers"),
    "no gel": (
        "pS,0,1,au,0,0,,,",
        "row 1, 'experiment' holds nothing; expected the gel or plate, since each has a scale",
    ),
    "no sd": ("count,0,3,zmol/cell,0,0,,,", "row 1, 'sd' holds nothing; expected a finite number"),
    "sd of zero": (
        "count,0,3,zmol/cell,0,0,,0,",
        "row 1, 'sd' holds '0'; expected a standard deviation above 0",
    ),
    "sd that is not used": (
        "pS,0,1,au,0,0,g,0.1,",
        "row 1, 'sd' holds '0.1'; expected an empty cell, since the noise of pS is given by parameters",
    ),
    "duplicate": (
        "pS,0,1,au,0,0,g,,\npS,0,2,au,0:0,0,g,,",
        "row 2, 'observable' holds a duplicate; expected each measurement once, or a 'replicate' column that "
        "tells replicates apart; row 1 is the same in observable, inputs, time, experiment and replicate",
    ),
    "too few cells": ("pS,0,1", "row 1 holds 3 cells; expected 9 cells, as the header has"),
    "empty row": (",,,,,,,,", "row 1: all cells are empty; delete the row"),
    "no rows": ("", "measurements.csv: the table has a header but no rows"),
}


@pytest.mark.tier("test")
@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row(folder, case):
    rows, message = BAD_ROWS[case]
    assert message in complaints(folder(rows + "\n" if rows else ""))


def test_all_problems_of_both_tables_at_once(folder):
    rows = "pS,-1,x,nM,-1,a,,,\npX,0,y,au,0,0,g,,\ncount,0,1,zmol/cell,0,0,,-1,\n"
    text = complaints(folder(rows, priors=PRIORS + "k,1,normal,0,1,\nz,1,normal,,1,\n"))
    for row, column in [(1, "time"), (1, "value"), (1, "unit"), (1, "IL6"), (1, "drug"), (1, "experiment")]:
        assert f"row {row}, '{column}'" in text
    assert "row 2, 'observable'" in text
    assert "row 2, 'value'" in text
    assert "row 3, 'sd'" in text
    assert "priors.csv, row 4, 'parameter'" in text
    assert "priors.csv, row 5, 'location'" in text
    assert "has 11 problems" in text


def test_a_flood_is_shortened_but_kept(folder):
    rows = "".join(f"pS,{i},bad,au,0,0,g,,\n" for i in range(25))
    with pytest.raises(TableError) as caught:
        read_folder(folder(rows))
    assert len(caught.value.issues) == 25
    assert str(caught.value).count("'bad'") == 11
    assert "… and 15 more of this kind, the last \"measurements.csv, row 25, 'value' holds 'bad'" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            HEADER.replace("value", "signal"),
            "'value': the column is missing; the table has observable, time, signal",
        ),
        (HEADER.replace("value", "signal"), "'signal': unknown column; known are IL6, drug, experiment"),
        (HEADER.replace("drug", "agent"), "'drug': the column is missing"),
        (HEADER.replace("experiment", "gel"), "'experiment': the column is missing"),
        (HEADER.replace("drug", "IL6"), "column 'IL6' appears twice"),
        (HEADER.replace("drug", ""), "a column has no name"),
    ],
)
def test_a_bad_header(folder, header, message):
    assert message in complaints(folder(header=header))


def test_files_that_are_missing_or_empty(folder, tmp_path):
    assert "problem.toml: there is no such file in" in complaints(tmp_path)
    made = folder(priors=None)
    assert "priors.csv: there is no such file in" in complaints(made)
    (made / "measurements.csv").write_text("")
    assert "measurements.csv: the file is empty; expected a header line and rows" in complaints(made)
    (made / "measurements.csv").unlink()
    assert "measurements.csv: there is no such file in" in complaints(made)


def test_a_parameter_of_scale_or_noise_without_prior(folder):
    text = complaints(folder(priors=PRIORS.replace("rel,1,", "r,1,").replace("scale_*", "scale_STAT")))
    assert "'parameter': each parameter of scale and noise needs a prior; no row covers 'rel'" in text
    assert "no row covers 'scale_mRNA[plate]'" in text


def test_fixed_parameters_that_are_no_scale_or_stated_twice(folder):
    text = complaints(folder(problem=PROBLEM + '[fixed]\nk = 1\n"scale_STAT[gel 7]" = 1\n'))
    assert "'fixed.k' holds 1; expected no row for 'k' in priors.csv beside it" in text
    assert "'scale_STAT[gel 7]'; expected a scale that a row uses; there are scale_STAT[gel 1]" in text


def test_unnumbered_replicates(folder):
    problem = 'replicates = "unnumbered"\n' + PROBLEM
    assert len(load(folder("pS,0,1,au,0,0,g,,\npS,0,2,au,0,0,g,,\n", problem=problem))) == 2
    text = complaints(folder("pS,0,1,au,0,0,g,,\npS,0,1,au,0,0,g,,\n", problem=problem))
    assert "row 2, 'observable' holds a duplicate; expected each measurement once; row 1 is the same in every" in text


def test_own_column_names_and_ignored_columns(folder):
    problem = 'ignore_columns = ["who"]\n' + PROBLEM + '[columns]\ntime = "minutes"\nexperiment = "gel"\n'
    header = HEADER.replace("time", "minutes").replace("experiment", "gel").replace("\n", ",who\n")
    assert load(folder("pS,7,1,au,0,0,g,,,me\n", header=header, problem=problem)).measurements[0].time == 7


BAD_DESCRIPTIONS = {
    "no TOML": ("name = ", "problem.toml: cannot be read as TOML"),
    "unknown key": ('colour = "red"\n' + PROBLEM, "'colour': unknown key; known here are columns, fixed"),
    "unknown key of an observable": (
        PROBLEM + "scal = 1\n",
        "'observables.count.scal': unknown key; known here are",
    ),
    "unknown assay": (
        PROBLEM.replace("blot", "blott"),
        "'observables.pS.assay' holds 'blott'; expected one of blot, qpcr",
    ),
    "bad formula": (PROBLEM.replace('"m"', '"m*"'), "cannot read the formula 'm*'"),
    "empty formula": (
        PROBLEM.replace('"m"', '""'),
        "'observables.mRNA.signal' holds ''; expected a formula; a formula is empty",
    ),
    "no noise": (PROBLEM.replace("sd_rel", "# sd_rel"), "pS: a blot needs `sd`, `sd_rel` or both"),
    "no molar mass": (
        PROBLEM.replace("molar_mass", "# molar_mass"),
        "'inputs.IL6.unit' holds 'ng/ml'; expected a unit that can become 'nM': unit 'ng/ml' needs",
    ),
    "unknown kind": (
        PROBLEM.replace('"set"', '"hold"'),
        "'inputs.drug.kind' holds 'hold'; expected one of add, set",
    ),
    "time unit": (
        'time_unit = "kg"\n' + PROBLEM,
        "'time_unit' holds 'kg'; expected a unit that can become 'min'",
    ),
    "wrong type": (PROBLEM.replace('"demo"', "7"), "'name' holds 7; expected text in quotes"),
    "target twice": (
        PROBLEM.replace("inhibitor", "IL6"),
        "'inputs.drug.target' holds 'IL6'; expected another target",
    ),
    "both scales": (
        PROBLEM.replace("sd_rel", "scale = 1\nsd_rel"),
        "'observables.pS.scale_group' holds 'STAT'; expected either",
    ),
    "no observables": (PROBLEM.split("[observables")[0], "'observables': the table is missing"),
    "column": (
        PROBLEM + '[columns]\nwhen = "t"\n',
        "'columns.when' holds 't'; expected a column's name, under one of",
    ),
    "copies in nM": (
        PROBLEM + 'unit = "nM"\n',
        "'observables.count.unit' holds 'nM'; expected an amount per cell",
    ),
    "fixed in words": (PROBLEM + '[fixed]\ns = "one"\n', "'fixed.s' holds 'one'; expected a finite number"),
    "unknown noise": (
        PROBLEM + 'noise = "gauss"\n',
        "'observables.count.noise' holds 'gauss'; expected one of normal, laplace, student_t(N) with N degrees of",
    ),
    "no degrees of freedom": (
        PROBLEM + 'noise = "student_t(0)"\n',
        "'observables.count.noise' holds 'student_t(0)'; expected one of normal",
    ),
    "preequilibrate": (
        PROBLEM.replace("= true", '= "yes"'),
        "'preequilibrate' holds 'yes'; expected true, false, or",
    ),
}


@pytest.mark.parametrize("case", BAD_DESCRIPTIONS)
def test_a_bad_description(folder, case):
    problem, message = BAD_DESCRIPTIONS[case]
    assert message in complaints(folder(problem=problem))


def test_noise_of_an_observable(folder):
    observables = load(folder(problem=PROBLEM + 'noise = "student_t(4)"\n')).observables
    assert {n: o.noise for n, o in observables.items()} == {"pS": "normal", "mRNA": "normal", "count": StudentT(4)}
    observables = load(folder(problem=PROBLEM + 'noise = "contaminated(0.05, 10)"\n')).observables
    assert observables["count"].noise == Contaminated(0.05, 10)


def test_problems_of_a_description_come_together(folder):
    problem = PROBLEM.replace("blot", "blott").replace('"set"', '"hold"').replace('"m"', '"m*"')
    assert "has 3 problems" in complaints(folder(problem=problem))


def test_values_on_a_logarithmic_scale_keep_their_own_unit(folder):
    problem = PROBLEM.replace('assay = "copy_number"', 'assay = "direct"\nunit = "nM"\ntransformation = "log"')
    data = load(folder("count,0,3000,pM,0,0,,0.2,\n", problem=problem))
    (row,) = data.measurements
    assert row.value == pytest.approx(3.0)
    assert row.arguments == (0.2,)  # of the logarithm, so it has no unit
    assert data.observables["count"].scale == "log"
    assert not math.isnan(row.value)
