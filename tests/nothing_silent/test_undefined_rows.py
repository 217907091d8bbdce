"""A row that has no likelihood though its simulation succeeded is named, with its observable, place and reason."""

from __future__ import annotations

import re
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from hexamer import Problem, load_problem
from hexamer.cli import main
from hexamer.infer import find_map

pytestmark = pytest.mark.tier("check")

CASES = Path(__file__).parents[1] / "cases"
AT = {"k1": 1.0, "k2": 0.2, "scale_b": 2.0}


@pytest.fixture
def two_modes(tmp_path: Path) -> Path:
    """A PEtab problem with B = 0 at time 0, where row 1 is measured."""
    shutil.copytree(CASES / "two-modes", tmp_path / "petab")
    table = tmp_path / "petab" / "measurements.tsv"
    table.write_text(table.read_text().replace("c\t0.25\t", "c\t0\t"))
    return tmp_path / "petab"


def edited(folder: Path, old: str, new: str) -> Problem:
    path = folder / "observables.tsv"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return load_problem(folder / "problem.yaml")


REASONS = [
    (
        "\t0.02\t",
        "\t0.02*B\t",
        r"^observable 'obs_b', measurements.tsv, row 1: its standard deviation, .*, is 0, u",
    ),
    ("\t0.02\t", "\t0.01 - B\t", r"row 2 and 8 more rows of it: its standard deviation, .*, is -0\.\d+; it must"),
    ("\t0.02\t", "\t0.02/B\t", r"row 1: its standard deviation, .*, is infinite"),
    ("\t0.02\t", "\tsqrt(0.001 - B)\t", r"row 2 and 8 more rows of it: its standard deviation, .*, is not a number"),
    ("\tlin\t", "\tlog10\t", r"row 1: its reading, .*B.*, is 0, which has no log10: add what"),
    ("_obs_b*B\t", "_obs_b*sqrt(-B)\t", r"row 2 and 8 more rows of it: its reading, .*, is not a number: look"),
    ("_obs_b*B\t", "_obs_b/B\t", r"row 1: its reading, .*, is infinite: look"),
    ("\t0.02\t", "\t1e-200\t", r"row 1 and 9 more rows of it: the value 0\.\d+ lies too far"),
]


@pytest.mark.tier("test")
@pytest.mark.parametrize(("old", "new", "message"), REASONS)
def test_the_row_and_what_is_wrong_with_it(two_modes: Path, old: str, new: str, message: str) -> None:
    problem = edited(two_modes, old, new)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = problem.evaluate(AT)
    assert not np.isfinite(found.nllh)
    (said,) = found.undefined
    assert re.search(message, said), said


def test_rows_of_the_second_file_are_counted_there(two_modes: Path) -> None:
    lines = (two_modes / "measurements.tsv").read_text().splitlines(keepends=True)
    (two_modes / "first.tsv").write_text("".join([lines[0], *lines[2:5], "\n", *lines[5:]]))
    (two_modes / "second.tsv").write_text("".join([lines[0], lines[6].replace("\t3\t", "\t2.5\t"), "\n", lines[1]]))
    yaml = two_modes / "problem.yaml"
    yaml.write_text(yaml.read_text().replace("[measurements.tsv]", "[first.tsv, second.tsv]"))
    (said,) = edited(two_modes, "\t0.02\t", "\t0.02*B\t").evaluate(AT).undefined
    assert "second.tsv, row 3:" in said


def test_the_command_line_names_the_row(
    two_modes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edited(two_modes, "\tlin\t", "\tlog10\t")
    monkeypatch.setattr(sys, "argv", ["hexamer", "evaluate", str(two_modes / "problem.yaml")])
    with pytest.raises(SystemExit, match="2"):
        main()
    out, err = capsys.readouterr()
    assert '"nllh": null' in out
    assert "failed solves" not in err
    assert "does not exist at these values: observable 'obs_b', measurements.tsv, row 1: its reading" in err


@pytest.mark.tier("test")
def test_starts_that_all_fail_name_the_row(two_modes: Path) -> None:
    problem = edited(two_modes, "\t0.02\t", "\t0.02*B\t")
    with pytest.raises(FloatingPointError, match=r"(?s)all 1 starts fail.*measurements.tsv, row 1: its standard dev"):
        find_map(problem, starts=1, progress=False)
