"""Doses, molar masses and volumes have a unit that is known and converted, or the load fails and says what to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hexamer.data import load
from support.data_folder import complaints
from support.egfr import changed

pytestmark = pytest.mark.tier("test")

DOSES = {
    "mg/kg": "a unit that can become 'nM': unit 'mg/kg' .* state weight = \"70 kg\", of the body, and volume = \"3 l\"",
    "nmol/kg": 'state weight = "70 kg", of the body, and volume = "3 l"',
    "IU/ml": 'state activity = "50 IU/ug", the units in a mass of the substance, with its molar_mass',
    "%": "unit '%' .* write the doses as concentrations",
    "percent": "write the doses as concentrations",
    "mol": 'state volume = "3 l", in which the dose is distributed',
    "ng": 'state volume = "3 l"',
    "furlong": "unit 'furlong' .* cannot become 'nM'.* write the doses as concentrations",
    "1": "unit '1' .* write the doses as concentrations",
    "au": "unit 'au' .* write the doses as concentrations",
    "min": "unit 'min' .* cannot become 'nM'",
    "nm/l": "cannot become 'nM'",
    "nMM": "unit 'nMM' is not known.*did you mean 'nM'",
    "cells/ml": "cannot become 'nM'",
}


@pytest.mark.parametrize("unit", DOSES)
def test_a_dose_that_is_no_concentration(unit: str, tmp_path: Path) -> None:
    text = complaints(changed(tmp_path, problem=('unit = "ng/ml"', f'unit = "{unit}"')))
    assert f"problem.toml, 'inputs.EGF.unit' holds {unit!r}" in text
    assert_matches(DOSES[unit], text)


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text), f"{pattern!r} is not in {text}"


STATED = {
    "IU": ('unit = "IU/ml"\nactivity = "50 IU/ug"\nmolar_mass = "6 kDa"', 1e3 / 50 / 6 * 1e3 / 1e3),
    "body": ('unit = "mg/kg"\nweight = "70 kg"\nvolume = "3 l"\nmolar_mass = "6 kDa"', 70 / 3 / 6 * 1e3),
    "moles": ('unit = "nmol"\nvolume = "2 ml"', 500.0),
    "mass": ('unit = "ng"\nvolume = "2 ml"\nmolar_mass = "6 kDa"', 1 / 12),
}


@pytest.mark.parametrize("case", STATED)
def test_a_dose_with_its_volume_and_weight(case: str, tmp_path: Path) -> None:
    text, factor = STATED[case]
    folder = changed(tmp_path, problem=('unit = "ng/ml"\nmolar_mass = "6 kDa"', text))
    given = load(folder).protocols[next(n for n in load(folder).protocols if n.startswith("EGF 5 "))]
    assert given.steps[0].add["EGF"] == pytest.approx(5 * factor, rel=1e-9)


BAD_INPUTS = {
    "no unit": ('unit = "ng/ml"\n', "", "'inputs.EGF.unit': the key is missing"),
    "no mass": ('molar_mass = "6 kDa"\n\n[obs', "\n[obs", "needs a molar mass, such as '21 kDa'"),
    "mass in grams": ('molar_mass = "6 kDa"\n\n[obs', 'molar_mass = "6 g"\n\n[obs', "molar mass '6 g' cannot be read"),
    "model in furlongs": ('unit = "ng/ml"', 'unit = "furlong"\nmodel_unit = "furlong"', "inputs.EGF.model_unit' holds"),
    "model in mg/kg": ('unit = "ng/ml"', 'unit = "mg/kg"\nmodel_unit = "mg/kg"', "an amount or a concentration, since"),
    "volume without unit": (
        'unit = "ng/ml"',
        'unit = "nmol"\nvolume = 3',
        "the volume that the dose is in, a number with",
    ),
    "volume in kg": ('unit = "ng/ml"', 'unit = "nmol"\nvolume = "3 kg"', "EGF.volume' holds '3 kg'"),
    "time": ('name = "egfr"', 'name = "egfr"\ntime_unit = "furlong"', "'time_unit' holds 'furlong'"),
    "both times": (
        'name = "egfr"',
        'name = "egfr"\ntime_unit = "furlong"\nmodel_time_unit = "furlong"',
        "'model_time_unit' holds 'furlong'; expected a unit of time",
    ),
    "standards": ('standards_unit = "pg/ml"\n', "", "'observables.IL8.standards_unit': the key is missing"),
    "standards in min": ('"pg/ml"', '"min"', "IL8.standards_unit' holds 'min'; expected a unit that can become"),
    "keys of no standards": ('standards = "standards.csv"\n', "", "IL8.curve' holds 4; expected no such key without"),
    "response": ('response_unit = "OD"\n', "", "'unit' holds 'OD'; expected 'au'"),
    "an ELISA in IU": ("curve = 4", 'curve = 4\nunit = "IU/ml"', "IL8.unit' holds 'IU/ml'; expected a concentration"),
    "fixed in furlongs": ("[obs", '[fixed]\nkdeg = "0.01 furlong/mim"\n[obs', "'fixed.kdeg' holds 'furlong/mim'"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_what_is_refused(case: str, tmp_path: Path) -> None:
    old, new, message = BAD_INPUTS[case]
    assert message in complaints(changed(tmp_path, problem=(old, new)))


def test_values_without_a_column_of_units_need_one(tmp_path: Path) -> None:
    """No row says what an ELISA's numbers are in, and a default would take them for nM."""
    elisa = 'name = "egfr"\nunits = "observables"\nignore_columns = ["unit"]'
    folder = changed(tmp_path, problem=('name = "egfr"', elisa))
    assert "'observables.IL8.unit': the key is missing; expected the unit of its values" in complaints(folder)


@pytest.mark.parametrize("mass", ["9**9**9**9 kDa", "9^9^9^9 kDa", "1" * 300 + " kDa"])
def test_a_molar_mass_without_end(mass: str, tmp_path: Path) -> None:
    text = complaints(changed(tmp_path, problem=('molar_mass = "6 kDa"', f'molar_mass = "{mass}"')))
    assert "molar mass" in text


NO_QUANTITIES = {
    **dict.fromkeys(("6.5.5 kDa", "6..5 kDa", "6e3.5 Da", "6 kDa 7", "6-7 kDa", "6000"), "one number, then its unit"),
    **dict.fromkeys(("6(2) kDa", "6.0(3) kDa", "6 ± 1 kDa", "6 +/- 1 kDa"), "one number, then its unit, such as"),
    **dict.fromkeys(("6 dB", "6 Np"), "is that of a logarithm, which is not supported"),
    "-6 kDa": "must be positive",
}


@pytest.mark.parametrize("text", NO_QUANTITIES)
def test_a_quantity_is_one_number_with_its_unit(text: str, tmp_path: Path) -> None:
    """Numbers beside each other were multiplied: 6.5.5 kDa was 3.25 kDa, and 6.0(3) kDa was 18 kDa."""
    said = complaints(changed(tmp_path, problem=('molar_mass = "6 kDa"', f'molar_mass = "{text}"')))
    assert f"problem.toml, 'inputs.EGF.molar_mass' holds {text!r}; expected" in said
    assert NO_QUANTITIES[text] in said
    assert ("without its uncertainty" in said) == any(mark in text for mark in "(±+")
    wrong = text.replace("kDa", "l").replace("Da", "l")
    folder = changed(tmp_path, problem=('unit = "ng/ml"', f'unit = "nmol"\nvolume = "{wrong}"'))
    assert f"problem.toml, 'inputs.EGF.volume' holds {wrong!r}; expected the volume" in complaints(folder)


def test_a_molar_mass_without_unit(tmp_path: Path) -> None:
    """6000 was 6000 kDa."""
    said = complaints(changed(tmp_path, problem=('molar_mass = "6 kDa"', "molar_mass = 6000")))
    assert "molar_mass' holds 6000; expected a number with its unit, in quotes: write '6000 Da' or '6000 kDa'" in said


@pytest.mark.parametrize("text", ["6kDa", "6 kDa", "6000 g/mol", "6e3 Da", "6*10^3 Da", "6 kg/mol"])
def test_ways_to_write_a_molar_mass(text: str, tmp_path: Path) -> None:
    folder = changed(tmp_path, problem=('molar_mass = "6 kDa"', f'molar_mass = "{text}"'))
    assert load(folder).inputs[0].factor == pytest.approx(1 / 6, rel=1e-8)
