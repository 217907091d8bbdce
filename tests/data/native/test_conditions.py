"""A table of conditions beside the measurements: schedules that start with `pre`, and what is said of bad ones."""

import pytest

from hexamer.data import load
from hexamer.data.schedules import ScheduleError, from_start, parse_schedule
from support.data_folder import complaints, written

pytestmark = pytest.mark.tier("check")

PROBLEM = """
name = "demo"
model = "il6_stat3"
preequilibrate = true
units = "observables"
replicates = "unchecked"
[schedules]
file = "treatments.csv"
column = "treatment"
ignore_columns = ["who"]
[inputs.IL6]
kind = "set"
unit = "nM"
[inputs.drug]
kind = "set"
target = "inhibitor"
unit = "nM"
[observables.R]
assay = "direct"
signal = "R"
unit = "nM"
sd = 0.1
"""
TREATMENTS = """treatment,IL6,drug,who
none,pre:0,pre:0,me
dose,pre:0;0:40,0,me
pulse,pre:40;20:0,pre:0,you
after drug,pre:0;0:40,pre:0;-60:5,you
early pulse,pre:40;20:0,pre:0;-60:5,you
"""
ROWS = "treatment,observable,time,value\nnone,R,0,1\ndose,R,5,1\ndose,R,5,1\npulse,R,5,2\nafter drug,R,5,2\n"


@pytest.fixture
def folder(tmp_path):
    def make(rows=ROWS, *, treatments=TREATMENTS, problem=PROBLEM):
        return written(tmp_path, problem=problem, measurements=rows, treatments=treatments)

    return make


def test_rows_name_their_condition(folder):
    data = load(folder(ROWS + "early pulse,R,5,2\n"))
    assert [m.protocol for m in data.measurements] == [
        "untreated",
        "IL6 40 nM",
        "IL6 40 nM",  # equal rows are replicates, where the description says so
        "IL6 40 nM from 0 to 20 min",
        "IL6 40 nM, drug 5 nM from -60 min",
        "IL6 40 nM from -60 to 20 min, drug 5 nM from -60 min",
    ]
    assert data.notes == ()
    pulse, early = (data.protocols[data.measurements[i].protocol] for i in (3, 5))
    rest = {"IL6": 0.0, "inhibitor": 0.0}
    assert (pulse.start, pulse.preequilibration, early.preequilibration) == (0.0, rest, rest)
    assert [(s.time, s.assign) for s in pulse.steps] == [(0.0, {"IL6": 40.0, "inhibitor": 0.0}), (20.0, {"IL6": 0.0})]
    assert [(s.time, s.assign) for s in early.steps] == [(-60.0, {"IL6": 40.0, "inhibitor": 5.0}), (20.0, {"IL6": 0.0})]


def test_conditions_that_no_row_names_are_noted(folder):
    assert load(folder()).notes == ("conditions without measurements: early pulse",)


def test_pre_is_the_start_and_comes_first():
    assert parse_schedule("pre:0") == ()
    assert parse_schedule("pre:0;0:40") == parse_schedule("40")
    assert from_start(parse_schedule("pre:40;20:0"), -60.0) == ((-60.0, 40.0), (20.0, 0.0))
    with pytest.raises(ScheduleError, match="a dose, 0 for none, or steps"):
        parse_schedule("0:1;pre:0")
    with pytest.raises(ScheduleError, match="belongs into `preequilibrate`"):
        from_start(parse_schedule("pre:40;0:10"), 0.0)


BAD = {
    "unknown condition": (
        {"rows": ROWS + "dosis,R,0,1\n"},
        "measurements.csv, row 6, 'treatment' holds 'dosis'; expected a condition of treatments.csv",
    ),
    "misspelt condition": (
        {"rows": ROWS + "dosse,R,0,1\n"},
        "'treatment' holds 'dosse'; expected a condition of treatments.csv; did you mean 'dose'?",
    ),
    "condition twice": (
        {"treatments": TREATMENTS + "dose,0,0,me\n"},
        "treatments.csv, row 6, 'treatment' holds 'dose'; expected each condition once",
    ),
    "condition without name": (
        {"treatments": TREATMENTS + ",0,0,me\n"},
        "treatments.csv, row 6, 'treatment' holds nothing; expected a name",
    ),
    "bad schedule": (
        {"treatments": TREATMENTS.replace("none,pre:0,", "none,pre:-1,")},
        "treatments.csv, row 1, 'IL6' holds 'pre:-1'; expected a dose of 0 or more",
    ),
    "pre that is never seen": (
        {"treatments": TREATMENTS.replace("pulse,pre:40;20:0,pre:0,", "pulse,pre:40;0:1,pre:0,", 1)},
        "treatments.csv, row 3, 'IL6' holds 'pre:40;0:1'; expected a value for 'pre' that lasts beyond the start at 0",
    ),
    "no column": (
        {"treatments": TREATMENTS.replace("drug", "agent")},
        "treatments.csv, 'drug': the column is missing",
    ),
    "no table": ({"problem": PROBLEM.replace("treatments.csv", "x.csv")}, "x.csv: there is no such file in"),
    "unknown column": ({"rows": ROWS.replace("time,", "time,IL6,")}, "measurements.csv, 'IL6': unknown column"),
    "unknown key": (
        {"problem": PROBLEM.replace('column = "tr', 'key = "tr')},
        "'schedules.key': unknown key; known here are column, file, ignore_columns",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_condition(folder, case):
    given, message = BAD[case]
    assert message in complaints(folder(**given))


def test_a_bad_condition_is_said_once(folder):
    text = complaints(folder(treatments=TREATMENTS.replace("dose,pre:0;0:40,0", "dose,high,low")))
    assert "has 2 problems" in text


def test_a_column_of_units_is_refused_where_observables_have_them(folder):
    rows = "treatment,observable,time,value,unit\nnone,R,0,1,nM\n"
    assert "'unit': unknown column" in complaints(folder(rows))
    assert "'unit': the column is missing" in complaints(folder(problem=PROBLEM.replace('"observables"', '"column"')))
