"""Priors, fixed values, scales and noise have a unit that fits the model, or the load fails and says what to write."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hexamer.data import load
from support.data_folder import complaints
from support.egfr import PICOMOLES, changed

pytestmark = pytest.mark.tier("test")

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


def test_a_value_that_is_fixed_in_its_own_unit(tmp_path: Path) -> None:
    folder = changed(tmp_path, problem=("[obs", '[fixed]\nkdeg = "0.6 1/h"\nklys = 0.03\n[obs'))
    parameters = load(folder).parameters
    assert parameters["kdeg"].value == pytest.approx(0.01, rel=1e-12)
    assert (parameters["kdeg"].unit, parameters["klys"].value) == ("1/min", 0.03)


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
