"""What is wrong in a PEtab v2 problem is said with its file, row and column, all of it at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hexamer.data import load
from support.petab_problem import TABLES, YAML, write_problem

pytestmark = pytest.mark.tier("check")

SOUND = {
    "parameters": """
parameterId lowerBound upperBound nominalValue estimate priorDistribution priorParameters
k1          0          10         0.8          true     NaN               NaN
k2          0          10         0.6          true     log-normal        0;1
s           0          10         2            true     NaN               NaN
fixed       NaN        NaN        1            false    NaN               NaN
""",
    "observables": """
observableId observableFormula noiseFormula noiseDistribution observablePlaceholders noisePlaceholders
obs_a        factor*A+fixed    sd+0.1*obs_a normal            factor                 sd
obs_b        B                 0.5          log-laplace       NaN                    NaN
""",
    "measurements": """
observableId experimentId time measurement observableParameters noiseParameters
obs_a        e1           0    0.7         s                    0.2
obs_a        e1           9    0.1         2                    fixed
obs_b        NaN          4    0.1         NaN                  NaN
""",
    "conditions": """
conditionId targetId targetValue
c1          a0       2*k1
c1          B        1
c2          A        A+s
""",
    "experiments": """
experimentId time conditionId
e1           0    c1
e1           5    c2
""",
}


def refused(folder: Path, *edits: tuple[str, str, str], yaml: str = YAML) -> str:
    tables = {**TABLES, **SOUND}
    for name, old, new in edits:
        assert old in tables[name], (name, old)
        tables[name] = tables[name].replace(old, new, 1)
    path = write_problem(folder, tables, yaml=yaml)
    with pytest.raises(ValueError, match="cannot be read") as refusal:
        load(path)
    return str(refusal.value)


def test_the_problem_is_sound(tmp_path: Path) -> None:
    dataset = load(write_problem(tmp_path, SOUND))
    assert len(dataset) == 3
    assert [*dataset.protocols] == ["e1", "no experiment"]


WRONG = [
    ("parameters", "true     NaN", "1        NaN", "parameters.tsv, row 1, 'estimate' holds '1'; expected true for a"),
    ("parameters", "0          10         0.8", "10  0  0.8", "row 1, 'upperBound' holds '0'; expected a number above"),
    ("parameters", "0          10         0.8", "0  inf  0.8", "row 1, 'upperBound' holds 'inf'; expected a finite"),
    ("parameters", "0          10         0.8", "0  1,5  0.8", "row 1, 'upperBound' holds '1,5'; .* with a point"),
    (
        "parameters",
        "log-normal        0;1",
        "normal 0",
        "'priorParameters' holds '0'; expected 2 numbers .*standard dev",
    ),
    (
        "parameters",
        "log-normal        0;1",
        "gamma -1;1",
        "holds '-1;1'; expected shape; scale of 'gamma', shape above 0",
    ),
    ("parameters", "log-normal        0;1", "uniform 3;1", "holds '3;1'; expected an interval 'low;high'"),
    ("parameters", "log-normal        0;1", "uniform 20;30", "holds '20;30'; expected a prior that its bounds leave"),
    (
        "parameters",
        "log-normal",
        "logNormal",
        "'priorDistribution' holds 'logNormal'; expected one of cauchy, chisq.*; did you mean 'log-normal'",
    ),
    ("parameters", "log-normal", "NaN", "row 2, 'priorDistribution' holds nothing; expected the prior of these"),
    ("parameters", "fixed       NaN        NaN        1 ", "fixed NaN NaN NaN", "row 4, 'nominalValue' holds nothing"),
    (
        "parameters",
        "k2 ",
        "k3 ",
        "parameters.tsv, row 2, 'parameterId' holds 'k3'; expected a parameter that the model, a",
    ),
    ("parameters", "k2 ", "k1 ", "row 2, 'parameterId' holds 'k1'; expected each id once; row 1 of parameters.tsv"),
    ("parameters", "k2 ", "B ", "conditions.tsv, row 2, 'targetId' holds 'B'; expected a name that the parameter"),
    ("parameters", "k2 ", "a0 ", "conditions.tsv, row 1, 'targetId' holds 'a0'; expected a name that the parameter"),
    (
        "parameters",
        "estimate",
        "estimate parameterScale",
        "parameters.tsv, 'parameterScale': PEtab v2 has no such column",
    ),
    ("observables", "log-laplace", "log10-normal", "row 2, 'noiseDistribution' holds 'log10-normal'; expected one of"),
    ("observables", "factor*A+fixed", "factor*A+", "row 1, 'observableFormula': cannot read the formula"),
    ("observables", "factor*A+fixed", "factor*A+fixe", "row 1, 'observableFormula' .*neither has 'fixe'.*'fixed'"),
    ("observables", "sd+0.1*obs_a", "sd+0.1*obs_b", "row 1, 'noiseFormula' .*neither has 'obs_b'"),
    ("observables", "factor                 sd", "factor;k1 sd", "row 1, 'observablePlaceholders' .*they have k1"),
    (
        "observables",
        "factor                 sd",
        "factor;factor sd",
        "'observablePlaceholders' .*names separated by ';'",
    ),
    ("observables", "obs_b ", "B ", "row 2, 'observableId' holds 'B'; expected a name that the model does not have"),
    (
        "measurements",
        "s                    0.2",
        "s;2 0.2",
        "row 1, 'observableParameters' holds 's;2'; expected 1 value",
    ),
    ("measurements", "s                    0.2", "t 0.2", "row 1, 'observableParameters' holds 't'; .*it has no 't'"),
    ("measurements", "e1           0 ", "e2 0 ", "row 1, 'experimentId' holds 'e2'; expected an experiment that"),
    ("measurements", "0    0.7", "-1 0.7", "row 1, 'time' holds '-1'; expected a time from the start of its exp"),
    ("measurements", "0    0.7", "-inf 0.7", "row 1, 'time' holds '-inf'; expected a number, or inf"),
    (
        "measurements",
        "0    0.7",
        "0 NaN",
        "row 1, 'measurement' holds nothing; expected a finite number; delete the row",
    ),
    ("measurements", "4    0.1", "4 0", "row 3, 'measurement' holds '0'; .*obs_b is on a logarithmic scale"),
    ("measurements", "experimentId", "simulationConditionId", "'experimentId': the column is missing"),
    ("measurements", "obs_b ", "obs_c ", "row 3, 'observableId' holds 'obs_c'; expected one of obs_a, obs_b"),
    (
        "conditions",
        "c1          a0       2*k1",
        "c1 a1 2*k1",
        "row 1, 'targetId' holds 'a1'; expected the name of a para",
    ),
    ("conditions", "c1          a0       2*k1", "c1 a0 2*", r"row 1, 'targetValue': cannot read the formula '2\*'"),
    (
        "conditions",
        "c1          a0       2*k1",
        "c1 a0 2*kk",
        "row 1, 'targetValue' holds '2\\*kk'; .*neither has 'kk'",
    ),
    (
        "conditions",
        "c1          a0       2*k1",
        "c1 a0 NaN",
        "row 1, 'targetValue' holds nothing; expected a number or",
    ),
    (
        "conditions",
        "c1          a0       2*k1",
        "c1 a0 2*A",
        "row 1, 'targetValue' holds '2\\*A'; .*first period of e1; A is",
    ),
    ("conditions", "c1          B        1", "c1 a0 1", "row 2, 'targetId' holds 'a0'; expected each target once"),
    (
        "conditions",
        "A+s",
        "2*A",
        "experiments.tsv, row 1: e1: at time 5, A is set to 2\\*A, which depends on the state",
    ),
    (
        "experiments",
        "5    c2",
        "5    c3",
        "row 2, 'conditionId' holds 'c3'; expected a condition that the condition table",
    ),
    ("experiments", "5    c2", "inf  c2", "row 2, 'time' holds 'inf'; expected a number, or -inf for a period"),
    ("experiments", "5    c2", "0    c1", "row 2, 'conditionId' holds 'c1'; expected conditions that set different"),
    (
        "mapping",
        "modelEntityId",
        "modelEntityId\nx forward.k9",
        "mapping.tsv, row 1, 'modelEntityId' holds 'forward.k9'",
    ),
    (
        "mapping",
        "modelEntityId",
        "modelEntityId\nx k2",
        "row 1, 'modelEntityId' holds 'k2'; .*write k2 itself in place",
    ),
]


@pytest.mark.parametrize(("name", "old", "new", "message"), WRONG, ids=[f"{w[0]}: {w[2]}" for w in WRONG])
def test_cells(tmp_path: Path, name: str, old: str, new: str, message: str) -> None:

    said = refused(tmp_path, (name, old, new))
    assert re.search(message, said), said
    assert "{" not in said


def test_all_at_once(tmp_path: Path) -> None:
    said = refused(tmp_path, ("parameters", "k2 ", "k3 "), ("measurements", "e1           0 ", "e2 0 "))
    assert "parameters.tsv, row 2, 'parameterId' holds 'k3'" in said
    assert "measurements.tsv, row 1, 'experimentId' holds 'e2'" in said


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("parameter_files: [parameters.tsv]", "parameter_file: parameters.tsv", "PEtab v2 has a list, parameter_files"),
        ("parameter_files: [parameters.tsv]\n", "", "top level: missing key parameter_files"),
        ("measurement_files", "measurment_files", "unknown key 'measurment_files' .*did you mean 'measurement_files'"),
        ("[measurements.tsv]", "measurements.tsv", "measurement_files: expected a list"),
        ("[measurements.tsv]", "[]", "measurement_files names no file"),
        ("language: sbml", "language: bngl", "model 'tiny' in language 'bngl': only SBML is supported"),
        ("}}", "}, other: {location: m.xml, language: sbml}}", "it names 2 models, tiny, other: only one is supported"),
        (", language: sbml", "", "model_files/tiny: missing language"),
        ("mapping_files", "extensions: {sciml: {version: 1, required: true}}\nmapping_files", "not supported: sciml"),
    ],
)
def test_the_yaml_file(tmp_path: Path, old: str, new: str, message: str) -> None:

    assert old in YAML
    said = refused(tmp_path, yaml=YAML.replace(old, new))
    assert re.search(message, said), said


def test_an_extension_that_is_not_required_is_noted(tmp_path: Path) -> None:
    path = write_problem(tmp_path, SOUND, yaml=f"{YAML}\nextensions: {{select: {{version: 1, required: false}}}}\n")
    assert any("not read: select" in note for note in load(path).notes)
