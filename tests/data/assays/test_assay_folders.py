"""All assays in a folder: what their keys and cells mean, and what is said of bad ones, all at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy

from hexamer.data import Dataset, log10_expression, logit, parse_formula, read_folder
from support.data_folder import complaints

pytestmark = pytest.mark.tier("check")

MODEL = """
model bench()
  unit nM = 1e-9 mole/litre; unit pl = 1e-12 litre; unit zmol = 1e-21 mole; unit per_min = 1/(60 second)
  unit substance = 1e-21 mole; unit volume = 1e-12 litre; unit time_unit = 60 second
  compartment cell = 2 pl, medium = 1000 pl
  species L in medium, sR in medium, L_sR in medium
  species R in cell, L_R in cell, S in cell, pS in cell, m in cell, luc in cell
  k = 1 per_min; kon = 1
  J1: L + R -> L_R; medium*kon*L*R
  J2: L + sR -> L_sR; medium*kon*L*sR
  all := S + pS
  all has nM
end
"""
PROBLEM = """
name = "bench"
model = "model.ant"
[inputs.L]
unit = "nM"
[observables.band]
assay = "blot"
signal = "pS"
saturation = "K"
offset_group = "band"
sd_rel = "rel"
[observables.ratio]
assay = "blot_ratio"
signal = "pS"
total = "all"
sd = "sd_ratio"
left_over = 0.1
[observables.pulled]
assay = "coip"
bait = "L"
prey = "R"
sd_rel = "rel"
[observables.Ct]
assay = "qpcr_ct"
signal = "m"
sd = 0.1
reference_column = "Ct_ref"
reference_efficiency = 1.9
fold = true
[observables.light]
assay = "luciferase"
signal = "luc"
fold = true
sd = 0.2
[observables.IL6]
assay = "elisa"
analyte = "L"
where = "medium"
molar_mass = "21 kDa"
sd_between = "between"
[observables.plates]
assay = "elisa"
signal = "L"
molar_mass = "21 kDa"
scale_group = "plates"
sd_between = 0
standards = "standards.csv"
standards_unit = "pg/ml"
wells = 2
dilution = 5
[observables.cells]
assay = "flow_cytometry"
signal = "cell*R"
background = "auto"
[observables.beads]
assay = "luminex"
signal = "pS"
background_group = "beads"
sd = 0.1
[observables.degree]
assay = "phosphorylation_degree"
signal = "pS"
total = "all"
sd = 0.2
[observables.copies]
assay = "copy_number"
signal = "cell*R"
"""
PRIORS = """parameter,unit,distribution,location,scale
K,nM,lognormal,3,1
auto,zmol,lognormal,0,1
rel,1,half_normal,0,0.3
sd_ratio,1,half_normal,0,0.3
between,1,half_normal,0,0.3
scale_*[experiment],au,log10_normal,0,1
offset_*[experiment],au,log10_normal,0,1
background_*[experiment],au,log10_normal,0,1
"""
HEADER = "observable,time,value,unit,L,experiment,sd,Ct_ref\n"
ROWS = """band,30,2.5,au,10,gel,,
band,30,>60,au,20,gel,,
ratio,30,0.4,1,10,gel,,
pulled,30,1.5,au,10,ip,,
Ct,30,24.5,Ct,10,plate,,18
Ct,0,>40,Ct,0,plate,,18.5
light,30,12,1,10,plate,,
light,30,1,1,0,plate,,
IL6,30,<2.5,pg/ml,0,e,0.1,
IL6,30,2100,pg/ml,10,e,0.1,
plates,30,1.5,au,10,plate A,,
plates,30,0.01,au,0,plate A,,
plates,30,2.99,au,20,plate B,,
cells,30,400,au,10,facs,0.1,
beads,30,400,au,10,plex,,
degree,30,25,percent,10,ms,,
degree,0,<0.01,1,0,ms,,
copies,0,1204.428,molecules/cell,0,,600,
"""


def standards() -> str:
    """Two plates of one 4PL, 0.05 to 3 around 200 pg/ml, with 1% noise."""
    rng, lines = np.random.default_rng(0), ["experiment,concentration,response"]
    for plate in ("plate A", "plate B"):
        for x in np.repeat([0, 7.8, 31.2, 125, 500, 2000], 2):
            y = (3 - 2.95 / (1 + (x / 200) ** 1.2)) * math.exp(0.01 * rng.normal())
            lines.append(f"{plate},{x},{y:.6f}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def folder(tmp_path):
    def make(rows: str = ROWS, *, problem: str = PROBLEM, curves: str | None = None):
        texts = {"model.ant": MODEL, "problem.toml": problem, "priors.csv": PRIORS, "measurements.csv": HEADER + rows}
        texts["standards.csv"] = standards() if curves is None else curves
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
        return tmp_path

    return make


@pytest.fixture
def data(folder) -> Dataset:
    return read_folder(folder())


def rows_of(data: Dataset, observable: str):
    return [m for m in data.measurements if m.observable == observable]


def test_formulas(data: Dataset) -> None:
    o = data.observables
    assert o["band"].formula == parse_formula("scale*pS/(1 + pS/K) + offset")
    assert o["ratio"].formula == parse_formula("scale*pS/(all + 0.1*pS)")
    assert sympy.expand(o["pulled"].formula - parse_formula("scale*cell*L_R")) == 0
    assert o["cells"].formula == parse_formula("scale*(cell*R + auto)")
    assert o["beads"].formula == parse_formula("scale*(pS + offset)")
    assert o["degree"].formula == sympy.log(parse_formula("pS/S"))
    assert {str(s) for s in o["IL6"].formula.free_symbols} == {"L", "L_sR"}
    assert o["IL6"].noise_formula == sympy.sqrt(parse_formula("sd^2 + between^2"))


def test_limits_of_values(data: Dataset) -> None:
    assert [(m.value, m.censored) for m in rows_of(data, "band")] == [(2.5, ""), (60.0, "right")]
    low, high = rows_of(data, "IL6")
    assert (low.censored, high.censored) == ("left", "")
    assert low.value == pytest.approx(2.5e-3 / 21)  # pg/ml to nM
    assert high.value == pytest.approx(0.1)
    assert low.arguments == high.arguments == (0.1,)


def test_cycles_are_expression_and_limits_change_sides(data: Dataset) -> None:
    came, never = rows_of(data, "Ct")
    assert (came.censored, never.censored) == ("", "left")
    assert came.value == pytest.approx(float(log10_expression(24.5, 18, reference_efficiency=1.9)))
    assert never.value == pytest.approx(float(log10_expression(40, 18.5, reference_efficiency=1.9)))
    assert came.arguments == ("scale_Ct[plate]",)


def test_shares_are_logits(data: Dataset) -> None:
    seen, not_seen = rows_of(data, "degree")
    assert seen.value == pytest.approx(float(logit(0.25)))
    assert (not_seen.value, not_seen.censored) == (pytest.approx(float(logit(0.01))), "left")


def test_responses_are_read_off_their_plates_curve(data: Dataset) -> None:
    middle, low, high = rows_of(data, "plates")
    x = 200 * ((3 - 0.05) / (3 - 1.5) - 1) ** (1 / 1.2)
    assert middle.value == pytest.approx(5 * x * 1e-3 / 21, rel=0.04)
    assert middle.arguments[0] == "scale_plates[plate A]"
    assert 0.005 < float(middle.arguments[1]) < 0.03
    assert (low.censored, high.censored) == ("left", "right")
    assert high.value == pytest.approx(5 * 2000 * 1e-3 / 21)
    assert high.arguments[0] == "scale_plates[plate B]"


def test_each_experiments_own(data: Dataset) -> None:
    assert rows_of(data, "band")[0].arguments == ("scale_band[gel]", "offset_band[gel]")
    assert rows_of(data, "beads")[0].arguments == ("scale_beads[plex]", "background_beads[plex]")
    assert rows_of(data, "cells")[0].arguments == ("scale_cells[facs]", 0.1)
    assert rows_of(data, "copies")[0].value == pytest.approx(2.0, rel=1e-3)
    assert {"K", "auto", "background_beads[plex]", "offset_band[gel]", "between"} <= set(data.parameters)


BAD_ROWS = {
    "half a limit": ("IL6,0,<,pg/ml,0,e,0.1,", "'value' holds '<'; expected a finite number, or a limit of one"),
    "limit in words": (
        "IL6,0,<LOD,pg/ml,0,e,0.1,",
        "'value' holds '<LOD'; expected a finite number, or a limit of one",
    ),
    "two signs": ("IL6,0,<>3,pg/ml,0,e,0.1,", "expected a finite number, or a limit of one, such as <2.5 or >500"),
    "limit of zero": ("IL6,0,<0,pg/ml,0,e,0.1,", "'value' holds '<0'; expected a value above 0, since IL6"),
    "share of one": ("degree,0,1,1,0,ms,,", "'value' holds '1'; expected a share between 0 and 1, since degree"),
    "share in percent": ("degree,0,25,1,0,ms,,", "'value' holds '25'; expected a share between 0 and 1"),
    "no cycles": ("Ct,0,0,Ct,0,plate,,18", "expected cycles above 0, since Ct is read by them"),
    "no reference": ("Ct,0,20,Ct,0,plate,,", "'Ct_ref' holds nothing; expected a finite number"),
    "reference of zero": ("Ct,0,20,Ct,0,plate,,0", "'Ct_ref' holds '0'; expected cycles above 0"),
    "no untreated": (
        "light,0,12,1,10,p9,,",
        "'experiment' holds 'p9'; expected untreated rows of light on the same plate",
    ),
    "limit of a response": ("plates,0,<1,au,0,plate A,,", "expected a response; whether it is beyond the standards"),
    "unknown plate": (
        "plates,0,1,au,0,plate C,,",
        "expected the plate, by whose standards it is read; standards.csv has",
    ),
    "mass without": ("cells,0,1,pg/ml,0,facs,0.1,", "'unit' holds 'pg/ml'; expected 'au'"),
    "an sd too many": ("plates,0,1,au,0,plate A,0.1,", "'sd' holds '0.1'; expected an empty cell"),
}


@pytest.mark.tier("test")
@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows(case: str, folder) -> None:
    row, message = BAD_ROWS[case]
    assert message in complaints(folder(row + "\n"))


def test_bad_rows_are_told_at_once(folder) -> None:
    text = complaints(folder("\n".join(row for row, _ in BAD_ROWS.values()) + "\n"))
    assert all(message in text for _, message in BAD_ROWS.values())


def test_bad_standards(folder) -> None:
    lines = standards().splitlines()
    text = complaints(folder(curves="\n".join([*lines[:5], *lines[13:]]).replace("plate B,0.0,", "plate B,zero,")))
    assert (
        "standards.csv, 'experiment' holds 'plate A'; expected standards that make a curve; 4 parameters need" in text
    )
    assert "'concentration' holds 'zero'; expected a finite number" in text
    assert "measurements.csv" not in text  # rows that nobody can read are not told again
    text = complaints(folder(curves="plate,concentration\n1,2\n"))
    assert "standards.csv, 'response': the column is missing" in text
    assert "'plate': unknown column" in text


def test_standards_with_a_hook(folder) -> None:
    lines = [f"{line[: line.rindex(',')]},1.2" if ",2000.0," in line else line for line in standards().splitlines()]
    text = complaints(folder(curves="\n".join(lines)))
    assert "standards.csv, 'experiment' holds 'plate B'; expected standards that make a curve; a well of" in text
    assert "beyond a hook, where responses turn back" in text


BAD_KEYS = {
    "no bait": ("pulled", 'bait = "L"\n', "", "pulled.bait': the key is missing"),
    "unbound bait": (
        "pulled",
        'bait = "L"',
        'bait = "m"',
        "'observables.pulled': pulled: no species of bench holds m and R",
    ),
    "missing total": ("ratio", 'total = "all"\n', "", "ratio.total': the key is missing; expected a formula"),
    "two signals": (
        "IL6",
        'analyte = "L"',
        'analyte = "L"\nsignal = "L"',
        "IL6.signal' holds 'L'; expected either signal",
    ),
    "unknown cover": (
        "IL6",
        'where = "medium"',
        'where = "medium"\nhidden_by = ["sR", "tocilizumab_typo"]',
        "no species of bench holds tocilizumab_typo, which is to hide it; known parts: L, R, S, luc, m, pS, sR",
    ),
    "band of a rate": ("band", 'signal = "pS"', 'signal = "k"', "band: a blot sees molecules, by an amount (zmol) or"),
    "band of a sum": ("band", 'signal = "pS"', 'signal = "pS + cell"', "'pS + cell' is something else: cell + pS adds"),
    "message of a rate": ("Ct", 'signal = "m"', 'signal = "m + k"', "Ct: qPCR sees molecules, by an amount (zmol) or"),
    "light by volume": (
        "light",
        'signal = "luc"',
        'signal = "k/cell"',
        "light: luciferase sees molecules, by an amount",
    ),
    "share of light": (
        "light",
        'signal = "luc"',
        'signal = "luc"\nrenilla = "k"',
        "'k' is something else: it is in 1 / min",
    ),
    "no compartment": ("IL6", 'where = "medium"\n', "", "IL6.where': the key is missing"),
    "not there": (
        "IL6",
        'where = "medium"',
        'where = "moon"',
        "moon is not a compartment of bench; it has cell, medium",
    ),
    "unseen analyte": ("IL6", 'analyte = "L"', 'analyte = "Z"', "no species of bench holds Z"),
    "efficiency": (
        "Ct",
        "reference_efficiency = 1.9",
        "efficiency = 90",
        "Ct.efficiency' holds 90; expected the factor",
    ),
    "curve": ("plates", "wells = 2", "curve = 3", "plates.curve' holds 3; expected 4 or 5"),
    "wells": ("plates", "wells = 2", "wells = 0.5", "plates.wells' holds 0.5; expected a number, 1 or more"),
    "sd of a curve": ("plates", "wells = 2", "sd = 0.1", "plates.sd' holds 0.1; expected no such key beside"),
    "standards in other units": (
        "plates",
        '"pg/ml"',
        '"min"',
        "plates.standards_unit' holds 'min'; expected a unit that",
    ),
    "not a flag": ("light", "fold = true", 'fold = "yes"', "light.fold' holds 'yes'; expected true or false"),
    "no such key": ("band", 'saturation = "K"', 'saturated = "K"', "band.saturated': unknown key; known here are"),
    "concentration of molecules": ("copies", '"cell*R"', '"R"', "copies: sees an amount"),
    "more than all": ("degree", 'signal = "pS"', 'signal = "2*pS"', "degree: a degree of phosphorylation lies between"),
    "light of a rate": ("cells", '"cell*R"', '"k*R"', "cells: fluorescence sees molecules"),
    "parts": (
        "pulled",
        'prey = "R"',
        'prey = "R"\ncomposition = {m = 3}',
        "composition.m' holds 3; expected a list of parts",
    ),
}


def changed(cases) -> str:
    problem = PROBLEM
    for name, old, new, _ in cases:
        head, tail = problem.split(f"[observables.{name}]")
        assert old in tail
        problem = head + f"[observables.{name}]" + tail.replace(old, new, 1)
    return problem


@pytest.mark.tier("test")
@pytest.mark.parametrize("case", BAD_KEYS)
def test_bad_keys(case: str, folder) -> None:
    assert BAD_KEYS[case][3] in complaints(folder(problem=changed([BAD_KEYS[case]])))


def test_bad_keys_are_told_at_once(folder) -> None:
    cases = [BAD_KEYS[c] for c in ("missing total", "efficiency", "curve", "not a flag", "light of a rate")]
    text = complaints(folder(problem=changed(cases)))
    assert all(message in text for *_, message in cases)


def test_assays_that_need_the_network_say_that_it_cannot_be_read(folder) -> None:
    path = folder()
    (path / "model.ant").write_text("model broken( species")
    text = complaints(path)
    assert "observables.pulled.assay' holds 'coip'; expected a network that can be read" in text
    assert "observables.IL6.analyte' holds 'L'; expected a network that can be read" in text


def test_composition_can_be_stated(folder) -> None:
    stated = 'prey = "R"\ncomposition = {L_sR = {L = 1, R = 2}}'
    data = read_folder(folder(problem=changed([("pulled", 'prey = "R"', stated, "")])))
    assert sympy.expand(data.observables["pulled"].formula - parse_formula("scale*(cell*L_R + 2*medium*L_sR)")) == 0
