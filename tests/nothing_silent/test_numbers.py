"""A number is read as it is written, or refused with what to write: in tables, in texts with a unit, in options."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from hexamer.cli import main
from hexamer.data import TableError, load
from hexamer.data.files.csv_table import hint_of, parse_number
from hexamer.data.quantities.units import UnitError, conversion_factor, molar_mass_kda
from hexamer.infer.doses import dose_response
from hexamer.infer.doses.amounts import doses_of
from hexamer.infer.doses.text import parse_conditions
from hexamer.models import Model, compile_network, read_antimony
from hexamer.models.protocols.text import parse_protocol

pytestmark = pytest.mark.tier("check")

FOLDER = Path(__file__).parents[1] / "cases" / "own-receptor-problem"
MODEL = "model decay; species A = 2; k = 0.5; J: A -> ; k*A; end"


@pytest.fixture(scope="module")
def decay() -> Model:
    return compile_network(read_antimony(MODEL))


MASSES = ["6,4 kDa", "6,000 Da", "6_000 Da", "6'000 Da", "6 000 Da", "6\u202f000 Da", "1.000,5 Da", "６ kDa", "6٫4 kDa"]


@pytest.mark.parametrize("text", MASSES)
def test_marks_in_a_molar_mass(text: str) -> None:
    with pytest.raises(UnitError, match=r"molar mass .* cannot be read"):
        molar_mass_kda(text)
    assert molar_mass_kda("6.4 kDa") == pytest.approx(6.4)
    assert molar_mass_kda("6.4e3 g/mol") == pytest.approx(6.4)


@pytest.mark.parametrize("unit", ["1,5 nM", "1_0 nM", "1 000 nM", "１0 nM"])
def test_marks_in_a_unit(unit: str) -> None:
    with pytest.raises(UnitError, match="cannot be read"):
        conversion_factor(unit, "nM")
    assert conversion_factor("min⁻¹", "1/h") == pytest.approx(60)


INPUT = 'unit = "ng/ml"\nmolar_mass = "6 kDa"'
KEYS = {
    "molar_mass": (INPUT, INPUT.replace("6 kDa", "6,4 kDa")),
    "a mass that no unit needs": (INPUT, 'unit = "nM"\nmolar_mass = "6,4 kDa"'),
    "volume": (INPUT, 'unit = "nmol"\nvolume = "0,5 l"'),
    "weight": (INPUT, INPUT.replace("ng/ml", "mg/kg") + '\nvolume = "3 l"\nweight = "70,5 kg"'),
    "activity": (INPUT, INPUT.replace("ng/ml", "IU/ml") + '\nactivity = "1,000 IU/ug"'),
    "standards": ('molar_mass = "8.4 kDa"', 'molar_mass = "8,4 kDa"'),
    "standards_unit": ('standards_unit = "pg/ml"', 'standards_unit = "1,5 pg/ml"'),
    "fixed": ("[obs", '[fixed]\nkdeg = "0,6 1/h"\n[obs'),
}


@pytest.mark.parametrize("key", KEYS)
def test_decimal_commas_in_a_description(key: str, tmp_path: Path) -> None:
    old, new = KEYS[key]
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "problem.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TableError) as error:
        load(tmp_path)
    assert "problem.toml, '" in str(error.value)
    assert str(error.value).count("\n") == 1, "one problem, told once"


def test_what_floats_cannot_hold() -> None:
    assert (parse_number("0e-999"), parse_number("1e-300"), parse_number("5e-324")) == (0.0, 1e-300, 5e-324)
    assert (parse_number("1e-400"), parse_number("-0.01e-400"), parse_number("1e400")) == (None, None, None)
    assert "below the smallest" in hint_of("1e-400")
    assert "beyond the largest" in hint_of("1e400")


DOSES = {
    "1,5 ng/ml": r"'1,5' in '1,5 ng/ml' may be one number or several: write decimals with a point.*, 1, 5",
    "0,1:100:4 ng/ml": "'0,1' in '0,1:100:4 ng/ml' may be one",
    "1,000,000 nM": "may be one number or several",
    "1_0 nM": "unit '_0 nM' is not known",
    "１0 nM": "cannot read",
    "1e-400 nM": "cannot read '1e-400' among the doses of A: expected a finite number; it is below",
    "0.1:10:1000000000000 nM": r"has 1,000,000,000,000 doses, at most 1,000,000",
}


@pytest.mark.parametrize("text", DOSES)
def test_doses(text: str, decay: Model) -> None:
    with pytest.raises(ValueError, match=DOSES[text]):
        doses_of(decay, "A", text, molar_mass="10 kDa")
    assert doses_of(decay, "A", "1, 5 nM").values.tolist() == [1, 5]
    assert doses_of(decay, "A", "0,5,10 nM").values.tolist() == [0, 5, 10]


@pytest.mark.parametrize("value", ["1_0", "１"])
def test_conditions(value: str, decay: Model) -> None:
    with pytest.raises(ValueError, match=f"condition 'x': k must be a number, not '{value}'"):
        dose_response(decay, "A", "1 nM", at=1, observe="A", conditions=parse_conditions([f"x: k={value}"]))
    with pytest.raises(ValueError, match="the condition 'x: k=1, k=2' gives k twice: keep one"):
        parse_conditions(["x: k=1, k=2"])


SIMULATE = {
    "--set k=1_0": r"--set takes NAME=VALUE with a number, not 'k=1_0'",
    "--set k=１": r"not 'k=１': a finite number; it has characters beyond ASCII",
    "--set k=0,5": "write decimals with a point",
    "--set k=1 --set k=2": "--set gives k twice, as 1 and as 2: keep one",
    "--times 1_0": r"--times takes START:STOP:STEP or numbers separated by commas, not '1_0'",
    "--times 0:１0:1": "--times takes START:STOP:STEP",
    "--times 0:1e9:1e-3": r"--times 0:1e9:1e-3 asks for 1e\+12 times, at most 10,000,000: take a larger STEP",
    "--times 0:nan:1": "--times takes",
    "--times 5:1:1": "STOP is not before START",
    "--rtol 1_0e-6": "'1_0e-6' is not a finite number",
    "--rtol 1": "1 is above 0.01",
}
DOSE_RESPONSE = {
    "--at 1_0": "'1_0' is not a finite number",
    "--at ５": "'５' is not a finite number",
    "--at nan": "'nan' is not a finite number",
    "--draws 1_0": "'1_0' is not a whole number",
    "--times 1_0": "--times takes",
    "--set k=1 --set k=2": "--set gives k twice",
    "--molar-mass A=1,5": r"A: molar mass '1,5' cannot be read: .*\(option --molar-mass\)",
    "--molar-mass A=1 --molar-mass A=2": "--molar-mass gives A twice",
}


def said(command: str, capfd, monkeypatch) -> tuple[int, str]:
    """Exit status and error, its lines joined, as the command line breaks them."""
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setattr("sys.argv", ["hexamer", *command.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), " ".join(capfd.readouterr().err.split())


@pytest.mark.tier("test")
@pytest.mark.parametrize("option", [*SIMULATE, *DOSE_RESPONSE])
def test_options(option: str, tmp_path: Path, capfd, monkeypatch) -> None:
    (tmp_path / "m.ant").write_text(MODEL)
    command = f"simulate {tmp_path}/m.ant --out {tmp_path}/out.csv"
    if option not in SIMULATE:
        command = f"dose-response {tmp_path}/m.ant --out {tmp_path}/out --ligand A --observe A --quiet"
    messages = [m[option] for m in (SIMULATE, DOSE_RESPONSE) if option in m]
    status, error = said(f"{command} {option}", capfd, monkeypatch)
    assert status == 2
    for message in messages[:1]:
        assert re.search(message, error), error


def test_times_that_may_be_one_number(tmp_path: Path, capfd, monkeypatch) -> None:
    (tmp_path / "m.ant").write_text(MODEL)
    command = f"simulate {tmp_path}/m.ant --out {tmp_path}/out.csv --times 0,5"
    status, error = said(f"{command} --set k=x", capfd, monkeypatch)
    assert status == 2
    status, error = said(command, capfd, monkeypatch)
    assert status == 0
    assert "note: --times 0,5 is read as two times, 0 and 5; write decimals with a point" in error


def test_what_a_protocol_gives_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'equilibrate A=1 A=2' in a protocol gives A twice"):
        parse_protocol("equilibrate A=1 A=2; add B 1")
