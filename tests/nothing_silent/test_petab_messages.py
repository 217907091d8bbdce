"""What is wrong in a PEtab problem is said with its file, row and column, and never in another library's words."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hexamer.data import load

pytestmark = pytest.mark.tier("check")

CASES = Path(__file__).parents[1] / "cases"
PARAMETERS = "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate"
PRIORS = f"{PARAMETERS}\tobjectivePriorType\tobjectivePriorParameters"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(CASES / "two-modes", tmp_path / "petab")
    return tmp_path / "petab"


def refused(folder: Path, *edits: tuple[str, str, str]) -> str:
    """The message that the problem is refused with after edits of files, each of all places."""
    for file, old, new in edits:
        text = (folder / file).read_text()
        assert old in text, (file, old)
        (folder / file).write_text(text.replace(old, new))
    with pytest.raises(ValueError, match="cannot be read") as refusal:
        load(folder / "problem.yaml")
    return str(refusal.value)


def with_prior(folder: Path, scale: str, low: str, high: str, kind: str = "", given: str = "") -> str:
    rows = [f"k1\t{scale}\t{low}\t{high}\t1\t1\t{kind}\t{given}"]
    rows += ["k2\tlog10\t0.01\t10\t0.2\t1\t\t", "scale_b\tlog10\t0.001\t1000\t2\t1\t\t"]
    (folder / "parameters.tsv").write_text("\n".join([PRIORS, *rows, ""]))
    return refused(folder)


def test_placeholders_that_no_formula_has(folder: Path) -> None:
    said = refused(folder, ("observables.tsv", "observableParameter1_obs_b*B", "B"))
    expected = (
        "measurements.tsv, row 1, 'observableParameters' holds 'scale_b'; expected an empty cell, as the formulas of "
        "obs_b have no placeholder; write observableParameter1_obs_b there for what the cell holds; so too in 9 more "
        "rows of obs_b"
    )
    assert expected in said
    assert said.count("observableParameters") == 1


def test_placeholders_that_no_row_fills(folder: Path) -> None:
    said = refused(folder, ("observables.tsv", "0.02", "noiseParameter1_obs_b + noiseParameter2_obs_b"))
    expected = "'noiseParameters' holds nothing; expected 2 values separated by ';', for noiseParameter1_obs_b, noise"
    assert expected in said
    assert said.count("'noiseParameters'") == 1


def test_a_formula_is_named_beside_its_placeholders(folder: Path) -> None:
    said = refused(folder, ("observables.tsv", "observableParameter1_obs_b*B", "2 B"))
    assert "observables.tsv, row 1, 'observableFormula': cannot read the formula '2 B'" in said
    assert "row 1, 'observableParameters' holds 'scale_b'; expected an empty cell" in said


def test_placeholders_with_a_gap(folder: Path) -> None:
    said = refused(folder, ("observables.tsv", "observableParameter1", "observableParameter2"))
    assert said.count("observableParameter2_obs_b*B") == 1
    assert "observables.tsv, row 1, 'observableFormula' holds" in said
    assert "expected placeholders numbered from 1 on: observableParameter1_obs_b" in said


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            ("parameters.tsv", "k2\t", "kk2\t"),
            "parameters.tsv, row 2, 'parameterId' holds 'kk2'; expected a parameter that the model, a formula or a "
            "measurement uses: correct its name, or delete the row; did you mean 'k2'?",
        ),
        (
            ("parameters.tsv", "scale_b\t", "scale_c\t"),
            "measurements.tsv, row 1, 'observableParameters' holds 'scale_b'; expected parameters that the parameter "
            "table has; it has no 'scale_b'; did you mean 'scale_c'?",
        ),
        (("parameters.tsv", "k1\tlog10", "k1\t"), "row 1, 'parameterScale' holds nothing; expected one of lin, log"),
        (
            ("conditions.tsv", "conditionId\nc", "conditionId\tzz\nc\t1"),
            "conditions.tsv, 'zz': a column must have the name of a parameter, species or compartment of the model",
        ),
        (
            ("conditions.tsv", "conditionId\nc", "conditionId\tk1\nc\t1"),
            "parameters.tsv, row 1, 'parameterId' holds 'k1'; expected a parameter that no condition sets; "
            "conditions.tsv has a column of this name",
        ),
        (
            ("conditions.tsv", "conditionId\nc", "conditionId\tA\nc\tB"),
            "conditions.tsv, row 1, 'A' holds 'B'; expected a number, or a parameter of the parameter table",
        ),
        (
            ("measurements.tsv", "\tc\t1.5", "\td\t1.5"),
            "measurements.tsv, row 4, 'simulationConditionId' holds 'd'; expected a condition that the condition table",
        ),
        (
            ("observables.tsv", "0.02", "sd_b"),
            "observables.tsv, row 1, 'noiseFormula' holds 'sd_b'; expected names of parameters that the",
        ),
    ],
)
def test_what_petab_finds_has_its_place(folder: Path, edit: tuple[str, str, str], message: str) -> None:
    said = refused(folder, edit)
    assert message in said
    assert "{" not in said
    assert "petab's checks" not in said


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (("log10", "1", "1"), "row 1, 'upperBound' holds '1'; expected a number above the lower bound, 1; set"),
        (("lin", "10", "1"), "row 1, 'upperBound' holds '1'; expected a number above the lower bound, 10"),
        (("log10", "-1", "1"), "row 1, 'lowerBound' holds '-1'; expected a number above 0, as the parameter is on"),
        (("log", "0", "1"), "row 1, 'lowerBound' holds '0'; expected a number above 0, as the parameter is on log"),
        (
            ("log10", "0.01", "10", "uniform", "20;30"),
            "row 1, 'objectivePriorParameters' holds '20;30'; expected an interval that overlaps with the bounds of "
            "its row, from 0.01 to 10",
        ),
        (
            ("log10", "0.01", "10", "parameterScaleUniform", "2;3"),
            "holds '2;3'; expected an interval that overlaps with the bounds of its row, from -2 to 1 on its scale",
        ),
        (("lin", "0", "9", "uniform", "3;2"), "holds '3;2'; expected an interval 'low;high', low below high"),
        (("lin", "0", "9", "normal", "3;-2"), "holds '3;-2'; expected a second number above 0, the width of 'normal'"),
        (("lin", "0", "9", "normal", ""), "holds nothing; expected two numbers separated by ';', which 'normal' needs"),
        (("lin", "0", "9", "gauss", "1;1"), "'objectivePriorType' holds 'gauss'; expected one of uniform, normal"),
    ],
)
def test_bounds_and_priors_that_cannot_be(folder: Path, prior: tuple[str, ...], message: str) -> None:
    said = with_prior(folder, *prior)
    assert message in said
    assert "parameters.tsv, row 1" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  measurement_files",
            "  measurment_files",
            "unknown key 'measurment_files' at problems/0/; known there are sbml_files, measurement_files, "
            "condition_files, observable_files, visualization_files; did you mean 'measurement_files'?",
        ),
        ("parameter_file", "paramter_file", "unknown key 'paramter_file' at the top level; known there are "),
        ("format_version", "format_verson", "unknown key 'format_verson' at the top level; known there are "),
        ("[measurements.tsv]", "measurements.tsv", "problems/0/measurement_files: expected a list, such as"),
        ("  measurement_files: [measurements.tsv]\n", "", "problems/0: missing key measurement_files"),
    ],
)
def test_keys_of_the_yaml_file(folder: Path, old: str, new: str, message: str) -> None:
    (folder / "problem.yaml").write_text((folder / "problem.yaml").read_text().rstrip() + "\n")
    said = refused(folder, ("problem.yaml", old, new))
    assert message in said
    assert "is a required" not in said


@pytest.mark.parametrize("separator", [":", ",", ";", "\t"])
def test_nothing_of_a_foreign_file_is_quoted(folder: Path, separator: str) -> None:
    """One that is no table, wherever it lies."""
    secret = separator.join(["root", "secret", "0"])
    (folder.parent / "passwd").write_text(f"{secret}\n{secret}\n")
    said = refused(folder, ("problem.yaml", "[measurements.tsv]", f"[{folder.parent}/passwd]"))
    assert "passwd" in said
    assert "secret" not in said
    (folder / "notes.txt").write_text("secret words\n")
    assert "secret" not in refused(folder, ("problem.yaml", f"{folder.parent}/passwd", "notes.txt"))


def test_cells_outside_the_folder_are_not_quoted(folder: Path) -> None:
    shutil.move(folder / "measurements.tsv", folder.parent / "measurements.tsv")
    said = refused(
        folder,
        ("problem.yaml", "[measurements.tsv]", "[../measurements.tsv]"),
        ("../measurements.tsv", "0.4719", "secret"),
    )
    assert "measurements.tsv, row 1, 'measurement' holds what is not quoted here; expected a finite number" in said
    assert "secret" not in said
