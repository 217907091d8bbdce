"""PEtab tables whose columns say more than v1 knows: limits are scored as limits, and nothing is dropped in silence."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from helpers import ENGINES, SOLVERS
from hexamer import Settings, load_problem
from hexamer.data.petab import read_petab

pytestmark = pytest.mark.tier("test")

CASES = Path(__file__).parents[1] / "cases"


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    """x = theta = 1, sd 1, without its rows."""
    shutil.copytree(CASES / "limits-in-a-petab-table", tmp_path / "limits")
    return tmp_path / "limits"


HEADER = "observableId\tsimulationConditionId\ttime\tmeasurement\tmeasurementType\tcensoringBounds"


def measured(folder: Path, *rows: str, header: str = HEADER) -> Path:
    """The problem with measurements `measurement|measurementType|censoringBounds|…`."""
    lines = ["\t".join(["obs_x", "c", "1", *row.split("|")]) for row in rows]
    (folder / "measurements.tsv").write_text("\n".join([header, *lines]) + "\n")
    return folder / "problem.yaml"


def changed(folder: Path, table: str, old: str, new: str) -> Path:
    path = folder / f"{table}.tsv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return folder / "problem.yaml"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_limit_is_scored_as_a_limit(engine) -> None:
    problem = load_problem(CASES / "limits-in-a-petab-table" / "problem.yaml", settings=Settings(SOLVERS[engine]))
    assert problem.evaluate().nllh == pytest.approx(9.091692, abs=1e-6)


N: Any = stats.norm(1.0, 1.0)


ROWS = {
    "|left-censored|0.5": N.logcdf(0.5),
    "0|right-censored|3": N.logsf(3.0),
    "|interval-censored|0.5;3": math.log(N.cdf(3.0) - N.cdf(0.5)),
    '|interval-censored|"0.5;3.0"': math.log(N.cdf(3.0) - N.cdf(0.5)),
    "|interval-censored|30;31": N.logsf(30.0) + math.log(-math.expm1(N.logsf(31.0) - N.logsf(30.0))),
    "|interval-censored|-31;-30": N.logcdf(-30.0) + math.log(-math.expm1(N.logcdf(-31.0) - N.logcdf(-30.0))),
    "|interval-censored|-inf;3": N.logcdf(3.0),
    "|interval-censored|0.5;inf": N.logsf(0.5),
    "0.7||": N.logpdf(0.7),
    "0.7": N.logpdf(0.7),  # pyPESTO's own example leaves trailing cells out
}


@pytest.mark.tier("slow")
def test_what_pypesto_writes(limits: Path) -> None:
    problem = load_problem(measured(limits, *ROWS))
    values = jnp.array([1.0])
    found = problem.row_densities(problem.read(values))
    np.testing.assert_allclose(np.asarray(found), list(ROWS.values()), rtol=1e-9)
    kinds = ["left", "right", "interval", "interval", "interval", "interval", "left", "right", "", ""]
    assert [m.censored for m in problem.dataset.measurements] == kinds


@pytest.mark.tier("slow")
@pytest.mark.parametrize("scale", ["log", "log10"])
def test_limits_on_a_logarithmic_scale(limits: Path, scale: str) -> None:
    """A probability does not depend on how the value is written: P(v ≤ L) = F((log L − log m)/σ)."""
    changed(limits, "observables", "lin", scale)
    path = measured(limits, "|left-censored|2", "|interval-censored|0.5;4", "|interval-censored|0;4")
    log = {"log": math.log, "log10": math.log10}[scale]
    below, between = stats.norm.logcdf(log(2)), math.log(stats.norm.cdf(log(4)) - stats.norm.cdf(log(0.5)))
    expected = below + between + stats.norm.logcdf(log(4))
    problem = load_problem(path)
    rows = problem.row_densities(problem.read(jnp.array([1.0])))
    assert float(jnp.sum(rows)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.tier("slow")
def test_the_gradient_of_an_interval(limits: Path) -> None:
    problem = load_problem(measured(limits, "|interval-censored|0.5;3", "1.2|none|"))
    z = jnp.asarray(problem.space.unconstrain({"theta": 1.3}))
    value, slope = problem.potential(z)
    steps = [float(problem.potential(z + h)[0]) for h in (1e-5, -1e-5)]
    assert float(slope[0]) == pytest.approx((steps[0] - steps[1]) / 2e-5, rel=1e-6)
    assert math.isfinite(float(value))


REFUSED = [
    ("1|ordinal|", r"row 1, 'measurementType' holds 'ordinal'"),
    ("1|nonlinear_monotone|", r"row 1, 'measurementType' holds 'nonlinear_monotone'"),
    ("1|semiquantitative|", r"'semiquantitative'"),
    ("1|leftcensored|2", r"'leftcensored'; expected one of none, left-censored"),
    ("|left-censored|", r"row 1, 'censoringBounds' holds nothing; expected the limit"),
    ("|left-censored|1;2", r"'1;2'; expected the limit"),
    ("|left-censored|1,5", r"'1,5'; .*write decimals with a point"),
    ("|left-censored|inf", r"'censoringBounds' holds 'inf'"),
    ("|interval-censored|2", r"'2'; expected an interval 'low;high'"),
    ("|interval-censored|3;2", r"'3;2'; expected an interval 'low;high', low below high"),
    ("|interval-censored|-inf;inf", r"at least one finite end"),
    ("1|none|2", r"'censoringBounds' holds '2'; expected an empty cell"),
    ("1||2", r"'censoringBounds' holds '2'; expected an empty cell"),
    ("||", r"row 1, 'measurement' holds nothing; expected a finite number; delete the row"),
    ("inf||", r"row 1, 'measurement' holds 'inf'; .*censoringBounds"),
    ("nan||", r"row 1, 'measurement' holds 'nan'"),
    ("1,5||", r"row 1, 'measurement' holds '1,5'; .*decimals with a point"),
    ("<2||", r"row 1, 'measurement' holds '<2'"),
    ("1_000||", r"'1_000'; expected a finite number"),
]


@pytest.mark.parametrize(("row", "message"), REFUSED)
def test_what_cannot_be_scored_is_refused(limits: Path, row: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"(?s)measurements.tsv.*{message}"):
        read_petab(measured(limits, row))


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("measurementGroup", "1", "unknown column, which may change"),
        ("measurementCategory", "2", "unknown column, which may change"),
        ("offset", "0.1", "unknown column, which may change"),
        ("lod", "0.1", "unknown column, which may change"),
        ("unit", "nM", "unknown column, which may change"),
        ("noiseParameter", "0.3", "is it 'noiseParameters'"),
        ("preequilibrationConditionID", "c", "is it 'preequilibrationConditionId'"),
        ("observableTransformation", "log10", "what the observable table says"),
        ("noiseDistribution", "laplace", "what the observable table says"),
    ],
)
def test_columns_that_change_what_a_row_means(limits: Path, column: str, cell: str, message: str) -> None:
    path = measured(limits, f"1|||{cell}", header=f"{HEADER}\t{column}")
    with pytest.raises(ValueError, match=rf"measurements.tsv.*{column}.*{message}"):
        read_petab(path)


def test_columns_that_change_nothing_are_noted(limits: Path) -> None:
    path = measured(limits, "1|||a\tlin", header=f"{HEADER}\tcomment\tobservableTransformation")
    assert "columns of measurements.tsv that are not read: comment" in read_petab(path).notes
    assert not any("offset" in note for note in read_petab(measured(limits, "1", header=f"{HEADER}\toffset")).notes)


def test_hierarchical_types_of_parameters(limits: Path) -> None:
    changed(limits, "parameters", "estimate", "estimate\tparameterType")
    path = changed(limits, "parameters", "1\t1\n", "1\t1\tscaling\n")
    assert any("parameterType is not read: theta" in note for note in read_petab(path).notes)
    changed(limits, "parameters", "scaling", "spline")
    with pytest.raises(ValueError, match=r"parameters.tsv, row 1, 'parameterType' holds 'spline'"):
        read_petab(path)


@pytest.mark.parametrize("again", ["measurements.tsv", "./measurements.tsv", "again.tsv"])
def test_a_table_that_is_listed_twice(limits: Path, again: str) -> None:
    """All its rows counted twice."""
    path = limits / "problem.yaml"
    (limits / "again.tsv").symlink_to("measurements.tsv")
    text = path.read_text()
    assert "measurements.tsv" in text
    lines = [
        f"  measurement_files: [measurements.tsv, {again}]" if "measurement_files" in x else x
        for x in text.splitlines()
    ]
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"lists the measurement table .* twice.*: keep it once"):
        read_petab(path)


NOMINAL = {
    "beyond the bounds": ("lin\t0.5\t2\t50", "holds 50: outside of its bounds, 0.5 to 2; it is evaluated as it is"),
    "below 0 on a log scale": ("log10\t0.5\t2\t-1", "holds -1: no search on a log10 scale reaches it"),
    "within": ("lin\t0.5\t2\t2", ""),
}


@pytest.mark.parametrize("case", NOMINAL)
def test_nominal_values_that_no_search_reaches(limits: Path, case: str) -> None:
    row, note = NOMINAL[case]
    notes = read_petab(changed(limits, "parameters", "lin\t0.5\t2\t1", row)).notes
    assert [n for n in notes if "nominalValue" in n] == [n for n in notes if note and note in n]
    assert bool(note) == any(f"parameters.tsv, row 1, 'nominalValue' {note}" in n for n in notes)


UNDERFLOW = {
    "measurement": ("measurements", "c\t1\t5\t", "c\t1\t1e-400\t"),
    "time": ("measurements", "c\t1\t5\t", "c\t1e-400\t5\t"),
    "nominalValue": ("parameters", "lin\t0.5\t2\t1", "lin\t0.5\t2\t1e-400"),
    "lowerBound": ("parameters", "lin\t0.5\t2\t1", "lin\t1e-400\t2\t1"),
}


@pytest.mark.parametrize("column", UNDERFLOW)
def test_numbers_that_floats_cannot_hold(limits: Path, column: str) -> None:
    """They became 0."""
    with pytest.raises(ValueError, match=rf"row 1, '{column}' holds '1e-400'; expected .*below the smallest"):
        read_petab(changed(limits, *UNDERFLOW[column]))


YAML = {
    "problems: [": "line 1: it cannot be read as YAML: a bracket that is not closed",
    "a: b: c": "line 1: it cannot be read as YAML: a colon too many, or indented unlike the lines above",
    "a: 'x": "line 1: it cannot be read as YAML: a quotation mark that is not closed",
    "a: 1\n\tb: 2": "line 2: it cannot be read as YAML: a tab; indent with blanks",
    "- a\nb: 1": "line 2: it cannot be read as YAML: a line that is indented unlike its neighbours",
    "a: @x": "line 1: it cannot be read as YAML: text that starts with a mark of YAML's own",
    "a: 1\na: 2": "the key 'a' stands twice",
}


@pytest.mark.parametrize("text", YAML)
def test_why_a_yaml_file_is_not_read(text: str, limits: Path) -> None:
    """In plain words, not in those of its parser."""
    (limits / "problem.yaml").write_text(text)
    with pytest.raises(ValueError, match=YAML[text]):
        read_petab(limits / "problem.yaml")


def test_a_volume_of_a_condition(tmp_path: Path) -> None:
    shutil.copytree(CASES / "resized-compartment" / "resized", tmp_path, dirs_exist_ok=True)
    path = changed(tmp_path, "conditions", "stim\t2", "stim\t0")
    with pytest.raises(
        ValueError, match="the table of conditions: protocol 'rest → stim' sets the volume of compartment V"
    ):
        load_problem(path)
