"""Rows of priors and of `[fixed]` that cover nothing, and noise that nobody stated, are errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from hexamer import load_problem
from hexamer.data import load
from support.data_folder import complaints
from support.egfr import changed

pytestmark = pytest.mark.tier("check")

END = "sd_elisa,1,half_normal,,0.3,biology between wells"

ROWS = {
    "a constant of each experiment": (
        "kint,1/min,lognormal,-3,0.7,",
        "kint[experiment],1/min,lognormal,-3,0.5,",
        "priors.csv, row 3, 'parameter' holds 'kint[experiment]'; expected 'kint': it is a constant of the model, one "
        "for all experiments; what differs",
    ),
    "and of all": (
        END,
        f"{END}\nkint[experiment],1/min,lognormal,-3,0.5,",
        "row 15, 'parameter' holds 'kint[experiment]'; expected 'kint'",
    ),
    "a species of each": (END, f"{END}\nERK[experiment],nM,lognormal,3,0.5,", "ERK is a species, a compartment or a"),
    "a compartment of each": (END, f"{END}\nmedium[experiment],1,lognormal,3,0.5,", "medium is a species, a compart"),
    "many constants": (
        END,
        f"{END}\nKd*,nM,lognormal,0,1,",
        "'Kd*'; expected a row for each constant of the model (Kd, Kd_D), as wildcards stand for scales",
    ),
    "any constants": (END, f"{END}\nk?,nM,lognormal,0,1,", "a row for each constant of the model (kp, kf), as wild"),
    "no such observable": (
        END,
        f"{END}\nscale_pSTAT[experiment],au/nM,lognormal,0,1,",
        "expected a scale, an offset or a noise of this data set; it has scale_pERK[experiment], sd_blot, sd_rel_blot",
    ),
    "a typo": (
        "scale_pERK[experiment]",
        "scale_pEKR[experiment]",
        "did you mean 'scale_pERK[experiment]'?",
    ),
    "a typo of one": ("sd_elisa,1", "sd_elias,1", "no row covers 'sd_elisa'; did you mean 'sd_elias'?"),
    "no offsets": (END, f"{END}\noffset_*,au,lognormal,0,1,", "row 15, 'parameter' holds 'offset_*'; expected a scale"),
    "behind another": (
        END,
        f"{END}\nscale_pERK*,au/nM,lognormal,0,1,",
        "expected this row above 'scale_pERK[experiment]', which covers all of it",
    ),
    "beside its own": (
        END,
        "\n".join([END, *(f"scale_pERK[gel{i}],au/nM,lognormal,0,1," for i in (1, 2, 3))]),
        "row 13, 'parameter' holds 'scale_pERK[experiment]'; expected no such row, as what it covers has rows or "
        "values of its own (scale_pERK[gel1], scale_pERK[gel2], scale_pERK[gel3]): remove it",
    ),
    "twice": (
        END,
        f"{END}\nkint,1/min,lognormal,-3,0.7,",
        "row 15, 'parameter' holds 'kint'; expected each parameter once",
    ),
}


@pytest.mark.tier("test")
@pytest.mark.parametrize("case", ROWS)
def test_rows_that_cover_nothing(case: str, tmp_path: Path) -> None:
    old, new, message = ROWS[case]
    assert message in complaints(changed(tmp_path, priors=[(old, new)]))


def test_a_row_beside_a_fixed_value(tmp_path: Path) -> None:
    text = complaints(changed(tmp_path, problem=[("[obs", "[fixed]\nkint = 0.08\n[obs")]))
    assert "problem.toml, 'fixed.kint' holds 0.08; expected no row for 'kint' in priors.csv beside it (row 3)" in text


def test_a_prior_of_an_input_that_the_table_sets(tmp_path: Path) -> None:
    folder = changed(
        tmp_path,
        model=[
            ("species EGF in medium, D in", "species D in"),
            ("EGF = 0; D = 0", "EGF = 0 ; D = 0"),
            ("EGF + R", "R"),
        ],
        problem=[("[inputs.EGF]", '[inputs.EGF]\nkind = "set"')],
        priors=[(END, f"{END}\nEGF,nM,lognormal,0,1,")],
    )
    text = complaints(folder)
    assert "row 15, 'parameter' holds 'EGF'; expected no row for the input 'EGF', which the column 'EGF'" in text


IDLE = {
    "a typo": ("kint,1/min", "kimt,1/min", r"kimt: remove .*\n  kimt \(priors\.csv, row 3\); did you mean 'kint'\?"),
    "a species": (
        END,
        f"{END}\nR,nM,lognormal,0,1,",
        r"R \(priors\.csv, row 15\) is a species of egfr: a prior",
    ),
    "a species that a signal uses": (
        END,
        f"{END}\npERK,nM,lognormal,-3,0.5,",
        r"uses pERK: remove .*\n  pERK \(priors\.csv, row 15\) is a species of egfr: a prior belongs to a",
    ),
    "nothing": (END, f"{END}\nzzz,nM,lognormal,0,1,", r"uses zzz: remove their priors"),
}


@pytest.mark.tier("test")
@pytest.mark.parametrize("case", IDLE)
def test_priors_that_nothing_uses(case: str, tmp_path: Path) -> None:
    old, new, message = IDLE[case]
    with pytest.raises(ValueError, match=message):
        load_problem(changed(tmp_path, priors=[(old, new)]))


def test_fixed_values_that_nothing_uses(tmp_path: Path) -> None:
    folder = changed(tmp_path, problem=[("[obs", "[fixed]\nkdge = 0.08\n[obs")])
    with pytest.raises(
        ValueError, match=r"\[fixed\] of problem.toml names what nothing uses: kdge\n.*did you mean 'kdeg'\?"
    ):
        load_problem(folder)


def test_a_prior_of_a_rule_that_a_signal_uses(tmp_path: Path) -> None:
    folder = changed(
        tmp_path,
        model=[("model egfr\n", "model egfr\n  shown := 2*pERK;\n")],
        problem=[('signal = "pERK"', 'signal = "shown"')],
        priors=[(END, f"{END}\nshown,nM,lognormal,-3,0.5,")],
    )
    with pytest.raises(ValueError, match=r"shown \(priors\.csv, row 15\) is a rule of egfr, which follows from"):
        load_problem(folder)


def test_a_fixed_value_of_a_species_that_a_signal_uses(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[fixed\] of problem.toml names what nothing uses: pERK"):
        load_problem(changed(tmp_path, problem=[("[obs", "[fixed]\npERK = 0.08\n[obs")]))


MEANING = "`sd_between`, the noise of ln v from culture to culture, such as sd_between = 'sd_elisa'"


def test_the_noise_of_an_elisa_with_standards(tmp_path: Path) -> None:
    """Refusing `sd` made a user delete the line: without noise among cultures the fit was far too certain."""
    text = complaints(changed(tmp_path / "sd", problem=[("sd_between", "sd")]))
    assert (
        "'observables.IL8.sd' holds 'sd_elisa'; expected no such key beside `standards`; the key is " + MEANING in text
    )
    text = complaints(changed(tmp_path / "none", problem=[('sd_between = "sd_elisa"\n', "")]))
    assert "'observables.IL8.sd_between': the key is missing; expected " + MEANING in text
    assert "or 0 if nothing but reading makes wells differ" in text
    without = [(f"\n{END}", "")]
    certain = changed(tmp_path / "0", problem=[('sd_between = "sd_elisa"', "sd_between = 0")], priors=without)
    assert "sd_elisa" not in load(certain).parameters


NOISE = {
    "blot": ('sd = "sd_blot"\nsd_rel = "sd_rel_blot"\n', "", "pERK: a blot needs `sd`, `sd_rel` or both"),
    "another assay's key": ('sd_rel = "sd_rel_blot"', 'sd_between = "sd_rel_blot"', "pERK.sd_between': unknown key"),
    "a misspelt key": ('sd_rel = "sd_rel_blot"', 'sd_rell = "sd_rel_blot"', "did you mean 'sd_rel'?"),
}


@pytest.mark.parametrize("case", NOISE)
def test_noise_of_other_assays(case: str, tmp_path: Path) -> None:
    old, new, message = NOISE[case]
    assert message in complaints(changed(tmp_path, problem=[(old, new)]))
