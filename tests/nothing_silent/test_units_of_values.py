"""Times, values and doses that are handed to functions and commands are in their own units, or refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from hexamer.cli import main
from hexamer.data import TableError, read_values
from hexamer.data.quantities.model_units import ModelUnits
from hexamer.infer.doses import dose_response
from hexamer.models import load_model, load_network
from support.egfr import FOLDER, IN_HOURS, changed

pytestmark = pytest.mark.tier("test")


def test_a_dose_response_in_hours(tmp_path: Path) -> None:
    from hexamer.models import Protocol

    arguments = {"observe": "pERK", "molar_mass": "6 kDa", "conditions": {"": Protocol()}, "progress": False}
    plain = load_model(changed(tmp_path / "min") / "model.ant")
    hours = load_model(changed(tmp_path / "h", model=[*IN_HOURS, *RATES_BY_HOUR]) / "model.ant")
    one = dose_response(plain, "EGF", ["5 ng/ml"], at=5.0, **arguments)
    other = dose_response(hours, "EGF", ["5 ng/ml"], at=5.0 / 60, **arguments)
    assert np.asarray(other.response) == pytest.approx(np.asarray(one.response), rel=1e-5)
    assert other.reading == "pERK at 0.0833333 h"
    course = dose_response(hours, "EGF", ["5 ng/ml"], summary="peak", **arguments)
    assert np.asarray(course.response) == pytest.approx(
        np.asarray(dose_response(plain, "EGF", ["5 ng/ml"], summary="peak", **arguments).response), rel=1e-5
    )


RATES_BY_HOUR = [
    ("kon = 0.1; Kd = 2; kint = 0.05;", "kon = 6; Kd = 2; kint = 3;"),
    (
        "kp = 0.05; kdp = 0.3; ERK0 = 500; kf = 0.004; kfd = 0.03;",
        "kp = 3; kdp = 18; ERK0 = 500; kf = 0.24; kfd = 1.8;",
    ),
    ("ksec = 0.000004; kbas = 0.00002;", "ksec = 0.00024; kbas = 0.0012;"),
]


def test_texts_of_times(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from hexamer.models import Protocol

    arguments = {"observe": "pERK", "molar_mass": "6 kDa", "conditions": {"": Protocol()}, "progress": False}
    hours = load_model(changed(tmp_path / "h", model=[*IN_HOURS, *RATES_BY_HOUR]) / "model.ant")
    with caplog.at_level("WARNING"):
        assert dose_response(hours, "EGF", ["5 ng/ml"], at="30 min", **arguments).reading == "pERK at 0.5 h"
    assert "note: the model 'egfr' declares no unit of substance or volume: hexamer takes concentrations" in caplog.text
    with pytest.raises(ValueError, match="at= takes a number, or text such as '20 min', not 'soon'"):
        dose_response(hours, "EGF", ["5 ng/ml"], at="soon", **arguments)


def test_values_with_a_unit(tmp_path: Path) -> None:
    path = tmp_path / "values.csv"
    path.write_text("parameter,value,unit\nkint,6,1/h\nKd,2,nM\nplain,3,\n")
    assert read_values(path, {"kint": "1/min", "Kd": "nM", "plain": "nM"}) == {
        "kint": pytest.approx(0.1),
        "Kd": 2.0,
        "plain": 3.0,
    }
    with pytest.raises(TableError, match=r"values\.csv, row 1, 'unit' holds '1/h'; expected 'nM', the unit of kint"):
        read_values(path, {"kint": "nM"})


def test_values_of_a_model_without_units(tmp_path: Path) -> None:
    """A unit is converted into what is assumed of the model, or refused where there is nothing to convert into."""
    path = tmp_path / "values.csv"
    path.write_text("parameter,value,unit\nkint,6,1/h\nKd,2000,pM\nelsewhere,3,nM\n")
    units = ModelUnits(load_network(FOLDER / "model.ant"))
    found = read_values(path, {}, units)
    assert found == {"kint": pytest.approx(0.1), "Kd": pytest.approx(2.0), "elsewhere": 3.0}
    with pytest.raises(TableError, match=r"row 3, 'unit' holds 'nM'; expected an empty cell, as nothing"):
        read_values(path, {"elsewhere": ""}, units)
    path.write_text("parameter,value,unit\nkint,6,1/furlongs/mim\n")
    with pytest.raises(TableError, match=r"row 1, 'unit' holds '1/furlongs/mim'; expected a unit of kint; "):
        read_values(path, {}, units)


def test_units_of_values_on_the_command_line(tmp_path: Path, capfd, monkeypatch) -> None:
    """They were taken 1:1 where the model declares none, and what is assumed of the model was not said."""

    def run(*command: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["hexamer", *map(str, command)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capfd.readouterr()

    (tmp_path / "m.ant").write_text("model decay; species A = 2; k = 0.5; J: A -> ; k*A; end")
    (tmp_path / "at.csv").write_text("parameter,value,unit\nk,60,1/h\n")
    out = tmp_path / "out.csv"
    command = ("simulate", tmp_path / "m.ant", "--times", "0:1:1", "--out", out)
    status, _, err = run(*command, "--at", tmp_path / "at.csv")
    assert status == 0
    assert "note: the model 'decay' declares no unit of time, substance or volume: hexamer takes time in min" in err
    assert float(out.read_text().splitlines()[-1].split(",")[3]) == pytest.approx(2 * math.exp(-1), rel=1e-4)
    (tmp_path / "at.csv").write_text("parameter,value,unit\ndose,60,pM\n")
    status, _, err = run(*command, "--at", tmp_path / "at.csv", "--protocol", "add A dose")
    assert status == 2
    assert "expected an empty cell, as nothing says what unit dose is in; write the number that is meant" in err
    path = FOLDER.parent / "limits-in-a-petab-table" / "problem.yaml"
    (tmp_path / "at.csv").write_text("parameter,value,unit\ntheta,1,nM\n")
    status, _, err = run("evaluate", path, "--at", tmp_path / "at.csv")
    assert status == 2
    assert "as nothing says what unit theta is in" in err
