"""Every number that enters has a unit that is known and converted, or the load fails and says what to write."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from helpers import ENGINES, SOLVERS
from hexamer import load_problem
from hexamer.cli import main
from hexamer.data import Parameter, Prior, TableError, load, read_values
from hexamer.data.quantities.model_units import ModelUnits
from hexamer.infer.doses import dose_response
from hexamer.infer.doses.amounts import doses_of
from hexamer.models import load_model, load_network, write_sbml

pytestmark = pytest.mark.tier("test")

FOLDER = Path(__file__).parents[1] / "cases" / "own-receptor-problem"
TRUTH = {
    **{"kon": 0.1, "Kd": 2.0, "kint": 0.08, "kp": 0.05, "kdp": 0.3, "kf": 0.004, "kfd": 0.03, "KF": 5.0},
    **{"ksec": 4e-6, "kbas": 2e-5, "sd_blot": 1.5, "sd_rel_blot": 0.15, "sd_elisa": 0.2},
    **{f"scale_pERK[gel{i}]": s for i, s in ((1, 0.08), (2, 0.3), (3, 0.15))},
}
Edits = tuple[str, str] | Sequence[tuple[str, str]]


HOURS = "unit time_unit = 3600 second;"
PICOMOLES = "unit substance = 1e-12 mole; unit volume = 1 litre; unit time_unit = 60 second;"
EXACT = {"rtol": 1e-10, "atol": 1e-13}


def changed(folder: Path, *, problem: Edits = (), priors: Edits = (), model: Edits = ()) -> Path:
    """A copy of the case in `folder`, with texts of its files replaced."""
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    for name, edits in (("problem.toml", problem), ("priors.csv", priors), ("model.ant", model)):
        path = folder / name
        text = path.read_text()
        for old, new in [edits] if edits and isinstance(edits[0], str) else edits:
            assert old in text, f"{name} has no {old!r}"
            text = text.replace(old, new, 1)
        path.write_text(text)
    return folder


def complaints(folder: Path) -> str:
    """What the load of a folder says is wrong with it."""
    with pytest.raises(TableError) as error:
        load(folder)
    return str(error.value)


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


PRIORS = {
    "a wrong dimension": (
        "sd_elisa,1,",
        "sd_elisa,nM,",
        "row 14, 'unit' holds 'nM'; expected a unit that can become '1'",
    ),
    "a typo": (
        "kint,1/min",
        "kint,1/mim",
        "row 3, 'unit' holds '1/mim'; expected the unit of kint; unit '1/mim' is not",
    ),
    "a mass, where the model says nothing": (
        "kint,1/min",
        "kint,ng/ml/min",
        "row 3, 'unit' holds 'ng/ml/min'; expected a unit made of times and concentrations, as the model is in "
        "min and nM and declares no unit for kint: declare it in the model, or leave this one out",
    ),
    "a length": ("kint,1/min", "kint,furlong", "row 3, 'unit' holds 'furlong'; expected a unit made of times"),
    "a power without end": (
        "kint,1/min",
        "kint,min^9^9^9^9",
        "unit 'min^9^9^9^9' has a power that is not read: after ^ stands one number of at most two digits",
    ),
    "words": ("kint,1/min", "kint,per minute", "row 3, 'unit' holds 'per minute'; expected the unit of kint"),
}


@pytest.mark.parametrize("case", PRIORS)
def test_units_of_priors(case: str, tmp_path: Path) -> None:
    old, new, message = PRIORS[case]
    assert message in complaints(changed(tmp_path, priors=(old, new)))


def test_units_that_the_model_declares_for_its_constants(tmp_path: Path) -> None:
    declared = "unit per_s = 1/(1 second); kint = 0.05 per_s;"
    folder = changed(tmp_path, model=("kint = 0.05;", declared))
    kint = load(folder).parameters["kint"]
    assert (kint.unit, kint.prior and kint.prior.location) == ("1/s", pytest.approx(-3 - math.log(60)))
    text = complaints(changed(tmp_path, model=("kint = 0.05;", "unit nM = 1e-9 mole/litre; kint = 0.05 nM;")))
    assert (
        "priors.csv, row 3, 'unit' holds '1/min'; expected a unit that can become 'nM', which the model has kint in"
        in text
    )


def test_percent_are_hundredths(tmp_path: Path) -> None:
    kint = load(changed(tmp_path, priors=("kint,1/min", "kint,%/min"))).parameters["kint"]
    assert (kint.unit, kint.prior and kint.prior.location) == ("1/min", pytest.approx(-3 + math.log(0.01)))
    folder = changed(tmp_path, problem=("[obs", '[fixed]\nkdeg = "5 %/min"\n[obs'))
    assert load(folder).parameters["kdeg"].value == pytest.approx(0.05, rel=1e-12)


def test_a_scale_in_percent_stays_in_that_of_its_readings(tmp_path: Path) -> None:
    """Readings in percent, of a concentration in nM: 3 %/nM is not 0.03."""
    row = "sd_elisa,1,"
    signal = ('signal = "pERK"', 'signal = "share*pERK"')
    folder = changed(tmp_path, priors=(row, "share,%/nM,lognormal,1,0.5,\n" + row), problem=signal)
    share = load(folder).parameters["share"]
    assert (share.unit, share.prior and share.prior.location) == ("%/nM", 1.0)


@pytest.mark.parametrize("mass", ["9**9**9**9 kDa", "9^9^9^9 kDa", "1" * 300 + " kDa"])
def test_a_molar_mass_without_end(mass: str, tmp_path: Path) -> None:
    text = complaints(changed(tmp_path, problem=('molar_mass = "6 kDa"', f'molar_mass = "{mass}"')))
    assert "molar mass" in text


def test_a_value_that_is_fixed_in_its_own_unit(tmp_path: Path) -> None:
    folder = changed(tmp_path, problem=("[obs", '[fixed]\nkdeg = "0.6 1/h"\nklys = 0.03\n[obs'))
    parameters = load(folder).parameters
    assert parameters["kdeg"].value == pytest.approx(0.01, rel=1e-12)
    assert (parameters["kdeg"].unit, parameters["klys"].value) == ("1/min", 0.03)


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


@pytest.mark.parametrize("unit", ["dB", "dB/min", "Np", "decade", "octave", "dBm"])
def test_units_of_logarithms(unit: str, tmp_path: Path) -> None:
    """They ended in words of a library, without a file or key; as a prior's unit, dB was 1."""
    why = f"unit {unit!r} is that of a logarithm, which is not supported: write the numbers themselves"
    keys = {
        "inputs.EGF.unit": {"problem": ('unit = "ng/ml"', f'unit = "{unit}"')},
        "observables.IL8.standards_unit": {"problem": ('standards_unit = "pg/ml"', f'standards_unit = "{unit}"')},
        "time_unit": {"problem": ('name = "egfr"', f'name = "egfr"\ntime_unit = "{unit}"')},
        "fixed.kdeg": {"problem": ("[obs", f'[fixed]\nkdeg = "1 {unit}"\n[obs')},
        "unit": {"priors": ("Kd,nM", f"Kd,{unit}")},
    }
    for key, edits in keys.items():
        said = complaints(changed(tmp_path, **edits))
        assert f"{key!r} holds {unit!r}" in said
        assert why in said


CONCENTRATIONS = {
    "nmol/l": 1.0,
    "nmol/L": 1.0,
    "umol/l": 1e3,
    "mol/m^3": 1e6,
    "molecules/pl": 1e15 / 6.02214076e23 * 1e6,
}


@pytest.mark.parametrize("unit", CONCENTRATIONS)
def test_amounts_in_a_volume_are_concentrations(unit: str, tmp_path: Path) -> None:
    """They were refused where the model declares nothing, while nM was not."""
    priors = [("Kd,nM", f"Kd,{unit}"), ("kbas,nM/min", f"kbas,{unit}/h"), ("kon,1/(nM min)", f"kon,1/({unit} s)")]
    folder = changed(tmp_path, priors=priors, problem=("[obs", f'[fixed]\nERK0 = "5e2 {unit}"\n[obs'))
    found = load(folder).parameters
    shifts = {"Kd": (0.69, 1.0, 1.0), "kbas": (-10.8, 1.0, 1 / 60), "kon": (-2.3, -1.0, 60.0)}
    for name, (stated, power, times) in shifts.items():
        prior = found[name].prior
        assert prior is not None
        assert prior.location == pytest.approx(stated + power * math.log(CONCENTRATIONS[unit]) + math.log(times))
    assert found["ERK0"].value == pytest.approx(500 * CONCENTRATIONS[unit])


@pytest.mark.parametrize("text", ["1.8/h", "1.8 /h", "1.8 1/h", "0.03/min"])
def test_a_fixed_value_needs_no_blank(text: str, tmp_path: Path) -> None:
    found = load(changed(tmp_path, problem=("[obs", f'[fixed]\nklys = "{text}"\nERK0 = "500nM"\n[obs'))).parameters
    assert (found["klys"].value, found["ERK0"].value) == (pytest.approx(0.03), 500.0)


@pytest.mark.parametrize("text", ["0,03 1/min", "0.03", "0.0.3 1/min", "0.03(1) 1/min", "soon"])
def test_a_fixed_value_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    said = complaints(changed(tmp_path, problem=("[obs", f'[fixed]\nklys = "{text}"\n[obs')))
    assert "problem.toml, 'fixed.klys' holds" in said
    assert ("write decimals with a point" in said) == ("," in text)


NOISE = {"nM": 10.0, "pM": 0.01, "umol/l": 1e4}


@pytest.mark.parametrize("unit", NOISE)
def test_the_noise_of_a_blot_is_in_the_unit_of_its_signal(unit: str, tmp_path: Path) -> None:
    prior = load(changed(tmp_path, priors=("sd_blot,nM", f"sd_blot,{unit}"))).parameters["sd_blot"].prior
    assert prior is not None
    assert prior.spread == pytest.approx(NOISE[unit])


WRONG_KINDS = {
    **{
        f"sd_blot {unit}": (
            ("sd_blot,nM", f"sd_blot,{unit}"),
            f"row 11, 'unit' holds {unit!r}; expected a unit that can become 'nM', the unit of the signal of pERK, "
            "which it is added to before the scale",
        )
        for unit in ("au", "ng/ml", "%", "1", "min", "nM/min")
    },
    **{
        f"scale {unit}": (
            ("],au/nM", f"],{unit}"),
            f"row 13, 'unit' holds {unit!r}; expected a unit that can become 'au/nM', a reading of pERK in au over its",
        )
        for unit in ("nM", "au/(nM min)", "au/(ng/ml)", "min")
    },
    **{
        f"sd_rel {unit}": (
            ("sd_rel_blot,1", f"sd_rel_blot,{unit}"),
            f"row 12, 'unit' holds {unit!r}; expected a unit that can become '1', in which the assay has it",
        )
        for unit in ("au", "nM")
    },
}


@pytest.mark.parametrize("case", WRONG_KINDS)
def test_noise_and_scales_of_another_kind(case: str, tmp_path: Path) -> None:
    """They were read as they stood: 10 ng/ml of noise was 10 nM."""
    edit, message = WRONG_KINDS[case]
    said = complaints(changed(tmp_path, priors=edit))
    assert said.count(message) == 1
    assert "has 1 problem" in said


@pytest.mark.parametrize("unit", ["au", "1", "au/au"])
def test_a_signal_in_arbitrary_units(unit: str, tmp_path: Path) -> None:
    """Neither model nor scale says a unit, so that the noise may be in none."""
    folder = changed(tmp_path, priors=[("sd_blot,nM", f"sd_blot,{unit}"), ("],au/nM", "],au")])
    assert load(folder).parameters["sd_blot"].unit == unit
    declared = ("model egfr\n", "model egfr\nunit substance = 1e-9 mole; unit volume = 1 litre\n")
    said = complaints(
        changed(tmp_path, priors=[("sd_blot,nM", f"sd_blot,{unit}"), ("],au/nM", "],au")], model=declared)
    )
    assert "expected a unit that can become 'nM', the unit of the signal of pERK" in said


COMPARTMENTS = ("compartment cell = 1, medium = 100\n", "compartment cell = 1, medium = 100\n")


def test_noise_and_offset_behind_the_scale(tmp_path: Path) -> None:
    keys = ('sd = "sd_blot"', 'sd = "sd_blot"\nnoise_of = "scale*pERK"\noffset_group = "b"')
    rows = "sd_blot,au,half_normal,,10,\noffset_b[experiment],{},half_normal,,1,"
    edit = ("sd_blot,nM,half_normal,,10,", rows.format("au"))
    assert load(changed(tmp_path, priors=edit, problem=keys)).parameters["sd_blot"].unit == "au"
    said = complaints(changed(tmp_path, priors=(edit[0], rows.format("nM")), problem=keys))
    assert "row 12, 'unit' holds 'nM'; expected a unit that can become 'au', the unit that pERK is read in" in said
    said = complaints(
        changed(tmp_path, priors=("sd_rel_blot", "offset_b[experiment],au,half_normal,,1,\nsd_rel_blot"), problem=keys)
    )
    assert "row 11, 'unit' holds 'nM'; expected a unit that can become 'au', the unit that pERK is read in" in said


def test_units_that_cannot_be_checked_are_named(tmp_path: Path) -> None:
    """A rate in nM passes where the model declares nothing, as nobody knows that it is a rate."""
    priors = ("kint,1/min", "kint,nM")
    notes = [n for n in load(changed(tmp_path, priors=priors)).notes if "cannot be checked" in n]
    assert len(notes) == 1
    assert "the model 'egfr' says no unit of kon, Kd, kint, kp, kdp, kf and 4 more: whether the units in" in notes[0]
    assert not [n for n in load("il6_demo").notes if "cannot be checked" in n]


def test_what_is_assumed_is_said(tmp_path: Path) -> None:
    notes = [n for n in load(changed(tmp_path)).notes if "declares no unit" in n]
    assert len(notes) == 1
    assert "the model 'egfr' declares no unit of time, substance or volume: hexamer takes time in min and" in notes[0]
    said = changed(tmp_path, model=("model egfr\n", "model egfr\n" + PICOMOLES.replace("e-12", "e-9")))
    assert not [n for n in load(said).notes if "declares no unit" in n]
    assert not [n for n in load("il6_demo").notes if "declares no unit" in n]


@pytest.fixture(scope="module")
def nllh(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Of the case as it is, at its true values."""
    problem = load_problem(changed(tmp_path_factory.mktemp("min"))).with_settings(**EXACT)
    return problem.evaluate(TRUTH).nllh


def by_hour(values: dict[str, float]) -> dict[str, float]:
    rates = ("kon", "kint", "kp", "kdp", "kf", "kfd", "ksec", "kbas")
    return {n: v * 60 if n in rates else v for n, v in values.items()}


def in_picomolar(values: dict[str, float]) -> dict[str, float]:
    powers = {"kon": -1, "Kd": 1, "kp": -1, "KF": 1, "kbas": 1, "sd_blot": 1}
    powers |= {n: -1 for n in values if n.startswith("scale_pERK")}
    return {n: v * 1000.0 ** powers.get(n, 0) for n, v in values.items()}


IN_HOURS = [
    ("model egfr\n", f"model egfr\n{HOURS}\n"),
    ("kdeg = 0.01; R0 = 20; klys = 0.03", "kdeg = 0.6; R0 = 20; klys = 1.8"),
    ("kon_D = 0.1", "kon_D = 6"),
]
IN_PICOMOLAR = [
    ("model egfr\n", f"model egfr\n{PICOMOLES}\n"),
    ("R0 = 20;", "R0 = 20000;"),
    ("ERK0 = 500;", "ERK0 = 500000;"),
    ("kon_D = 0.1; Kd_D = 1", "kon_D = 1e-4; Kd_D = 1000"),
]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_in_hours(engine: str, nllh: float, tmp_path: Path) -> None:
    folder = changed(tmp_path, model=IN_HOURS, problem=('name = "egfr"', 'name = "egfr"\ntime_unit = "min"'))
    problem = load_problem(folder).with_settings(solver=SOLVERS[engine], **EXACT)
    assert problem.dataset.time_unit == "h"
    assert max(m.time for m in problem.dataset.measurements) == pytest.approx(6)
    assert problem.evaluate(by_hour(TRUTH)).nllh == pytest.approx(nllh, rel=1e-9)
    kint = problem.parameters["kint"]
    assert (kint.unit, kint.prior and kint.prior.location) == ("1/h", pytest.approx(-3 + math.log(60)))
    assert problem.parameters["kon"].unit == "1/(nM h)"


def test_a_model_in_seconds(nllh: float, tmp_path: Path) -> None:
    seconds = [
        ("model egfr\n", "model egfr\nunit time_unit = second;\n"),
        ("kdeg = 0.01; R0 = 20; klys = 0.03", f"kdeg = {0.01 / 60!r}; R0 = 20; klys = {0.03 / 60!r}"),
    ]
    folder = changed(tmp_path, model=seconds, problem=('name = "egfr"', 'name = "egfr"\ntime_unit = "min"'))
    values = {n: v * (by_hour(TRUTH)[n] / v) ** -1 if v else v for n, v in TRUTH.items()}
    problem = load_problem(folder).with_settings(**EXACT)
    assert problem.evaluate(values).nllh == pytest.approx(nllh, rel=1e-9)
    assert problem.parameters["kint"].unit == "1/s"


def test_a_model_in_picomoles(nllh: float, tmp_path: Path) -> None:
    problem = load_problem(changed(tmp_path, model=IN_PICOMOLAR)).with_settings(rtol=1e-10, atol=1e-10)
    assert problem.evaluate(in_picomolar(TRUTH)).nllh == pytest.approx(nllh, rel=1e-9)
    assert problem.parameters["Kd"].unit == "pM"
    assert problem.parameters["scale_pERK[gel1]"].unit == "au/pM"
    prior = problem.parameters["sd_blot"].prior
    assert prior is not None
    assert prior.spread == pytest.approx(1e4)


def test_the_same_units_in_sbml(nllh: float, tmp_path: Path) -> None:
    folder = changed(
        tmp_path, model=IN_HOURS, problem=('model = "model.ant"', 'model = "model.xml"\ntime_unit = "min"')
    )
    (folder / "model.xml").write_text(write_sbml(load_network(folder / "model.ant")))
    problem = load_problem(folder).with_settings(**EXACT)
    assert problem.evaluate(by_hour(TRUTH)).nllh == pytest.approx(nllh, rel=1e-9)


CONTRADICTIONS = {
    "a unit of the table": (
        IN_HOURS,
        "",
        "'time_unit': the key is missing; the model's times are in h: state the unit",
    ),
    "model_time_unit": (
        IN_HOURS,
        'time_unit = "min"\nmodel_time_unit = "min"',
        "'model_time_unit' holds 'min'; expected 'h', as the model declares",
    ),
    "extent": (
        [("model egfr\n", "model egfr\nunit substance = 1e-9 mole; unit extent = 1e-12 mole;\n")],
        "",
        "the model 'egfr' counts the species EGF in nmol, but its reactions turn over pmol",
    ),
    "time": (
        [("model egfr\n", "model egfr\nunit time_unit = 1e-9 mole;\n")],
        "",
        "declares its unit of time as nmol, which is not a time",
    ),
}


UNITS_OF_SPECIES = {
    "a concentration": ("unit uM = 1e-6 mole/litre; EGF has uM", "uM", 1 / 6e3),
    "an amount": ("unit u = 1e-6 mole; EGF has u", "uM", 1 / 6e3),
    "an amount beside a volume": ("unit u = 1e-6 mole; unit ml = 1e-3 litre; medium has ml; EGF has u", "mM", 1 / 6e6),
    "a concentration beside a volume": ("unit uM = 1e-6 mole/litre; medium has litre; EGF has uM", "uM", 1 / 6e3),
    "a name that is known": ("EGF has pM", "pM", 1e3 / 6),
    "of another species": ("unit uM = 1e-6 mole/litre; D has uM", "uM", 1 / 6e3),
}


@pytest.mark.parametrize("case", UNITS_OF_SPECIES)
def test_the_unit_that_a_model_says_of_a_species(case: str, tmp_path: Path) -> None:
    """Antimony writes `X has u` by a name that it defines nowhere, which was dropped, and the model taken in nM."""
    text, unit, factor = UNITS_OF_SPECIES[case]
    folder = changed(tmp_path, model=("kon = 0.1;", f"{text}; kon = 0.1;"))
    given = load(folder).inputs[0]
    assert (given.model_unit, given.factor) == (unit, pytest.approx(factor, rel=1e-9))
    path = folder / "model.xml"
    path.write_text(write_sbml(load_network(folder / "model.ant")))
    units = ModelUnits(load_network(path))
    assert (str(units.of("EGF")), str(units.concentration)) == (unit, unit)


UNDEFINED_UNITS = {
    "EGF has nope": "has the species EGF in the unit 'nope', which it does not define: define it, such as `unit nope =",
    "medium has nope": "has the compartment medium in the unit 'nope', which it does not define",
    "unit substance = uM": "has its substance in the unit 'substance', which it does not define",
    "unit extent = uM": "has its extent in the unit 'extent', which it does not define",
    "unit time_unit = h": "which it does not define: define it, such as `unit time_unit = 60 second` in Antimony",
    "unit volume = ml": "which it does not define: define it, such as `unit volume = 1 litre` in Antimony",
    "kint has nope": "priors.csv, row 3, 'unit' holds '1/min'; expected the unit of kint; the model 'egfr' has kint in",
    "unit uM = 1e-6 mole/litre; EGF has uM; unit nM = 1e-9 mole/litre; C has nM": "counts the species EGF in umol and "
    "C in nmol, and the reaction bind turns over both: declare one unit",
}


@pytest.mark.parametrize("text", UNDEFINED_UNITS)
def test_a_unit_that_the_model_does_not_define(text: str, tmp_path: Path) -> None:
    folder = changed(tmp_path, model=("kon = 0.1;", f"{text}; kon = 0.1;"))
    assert UNDEFINED_UNITS[text] in complaints(folder)


def test_an_undefined_unit_in_sbml(tmp_path: Path) -> None:
    folder = changed(tmp_path, problem=('model = "model.ant"', 'model = "model.xml"'))
    text = write_sbml(load_network(folder / "model.ant")).replace('id="EGF"', 'id="EGF" substanceUnits="nope"')
    (folder / "model.xml").write_text(text)
    assert "has the species EGF in the unit 'nope', which it does not define" in complaints(folder)


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradictions_of_model_and_tables(case: str, tmp_path: Path) -> None:
    model, keys, message = CONTRADICTIONS[case]
    folder = changed(tmp_path, model=model, problem=('name = "egfr"', f'name = "egfr"\n{keys}'))
    assert message in complaints(folder)


def test_a_model_whose_unit_of_time_the_problem_states(nllh: float, tmp_path: Path) -> None:
    stated = 'name = "egfr"\ntime_unit = "min"\nmodel_time_unit = "h"'
    folder = changed(tmp_path, model=IN_HOURS[1:], problem=('name = "egfr"', stated))
    problem = load_problem(folder).with_settings(**EXACT)
    assert problem.evaluate(by_hour(TRUTH)).nllh == pytest.approx(nllh, rel=1e-9)
    assert not [n for n in problem.dataset.notes if "time in" in n]


def test_another_network_in_other_units(tmp_path: Path) -> None:
    folder = changed(tmp_path)
    other = tmp_path / "hours.ant"
    other.write_text((folder / "model.ant").read_text().replace("model egfr\n", f"model egfr\n{HOURS}\n"))
    with pytest.raises(ValueError, match="egfr has its times in h, and the network egfr of the data has them in min"):
        load_problem(folder, model=other)


def test_labels(tmp_path: Path) -> None:
    from hexamer.infer import plots

    folder = changed(tmp_path, model=IN_HOURS, problem=('name = "egfr"', 'name = "egfr"\ntime_unit = "min"'))
    problem = load_problem(folder)
    figures = plots.evaluation(problem, problem.evaluate(by_hour(TRUTH)))
    assert "time [h]" in {ax.get_xlabel() for figure in figures for ax in figure.axes}


def test_doses_over_a_model_in_its_own_units(tmp_path: Path) -> None:
    plain, hours, picomolar = (
        load_model(changed(tmp_path / name, model=edits) / "model.ant")
        for name, edits in (("min", []), ("h", IN_HOURS), ("pM", IN_PICOMOLAR))
    )
    for model, factor, unit in ((plain, 1, "nM"), (hours, 1, "nM"), (picomolar, 1000, "pM")):
        found = doses_of(model, "EGF", "6 ng/ml", molar_mass="6 kDa")
        assert (found.values[0], found.model_unit) == (pytest.approx(factor), unit)
    for unit in ("mg/kg", "IU/ml", "%", "mol", "furlong"):
        with pytest.raises(ValueError, match=r"doses of EGF: unit .*give them as concentrations"):
            doses_of(plain, "EGF", f"6 {unit}", molar_mass="6 kDa")


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


def test_priors_from_python(tmp_path: Path) -> None:
    given = {"kdeg": Parameter("kdeg", Prior("normal", "log", -4.6, 1.0), unit="1/min")}
    keys = ('name = "egfr"', 'name = "egfr"\ntime_unit = "min"')
    problem = load_problem(changed(tmp_path, model=IN_HOURS, problem=keys), priors=given)
    prior = problem.parameters["kdeg"].prior
    assert prior is not None
    assert (prior.location, problem.parameters["kdeg"].unit) == (pytest.approx(-4.6 + math.log(60)), "1/h")
    with pytest.raises(ValueError, match="the prior of kdeg is in '1/mim'; expected unit '1/mim' is not known"):
        load_problem(tmp_path, priors={"kdeg": Parameter("kdeg", Prior("normal", "log"), unit="1/mim")})


def test_a_petab_problem_is_in_its_models_units() -> None:
    """PEtab states no units, so nothing is converted or assumed, and figures say none."""
    path = next((FOLDER.parent / "resized-compartment").glob("**/*.yaml"))
    data = load(path)
    assert data.time_unit == ""
    assert not [n for n in data.notes if "declares no unit" in n]
