"""Mistakes in inputs, standards and values of a folder are placed, said once, and come with the way out."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from hexamer import load_problem
from hexamer.data import TableError, load

pytestmark = pytest.mark.tier("test")

FOLDER = Path(__file__).parents[1] / "cases" / "own-receptor-problem"
UNIT = 'unit = "ng/ml"\nmolar_mass = "6 kDa"'


def changed(folder: Path, **edits: tuple[str, str]) -> Path:
    """A copy of the case in `folder`; `problem=` and `priors=` replace a text of problem.toml and priors.csv."""
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    files = {"problem": "problem.toml", "priors": "priors.csv", "rows": "measurements.csv", "model": "model.ant"}
    files |= {"standards": "standards.csv"}
    for key, (old, new) in edits.items():
        text = (folder / files[key]).read_text()
        assert old in text
        (folder / files[key]).write_text(text.replace(old, new, 1))
    return folder


REFUSED: dict[str, tuple[dict[str, tuple[str, str]], str]] = {
    **{
        f"a column that is taken: {column}": (
            {"problem": (UNIT, f'{UNIT}\ncolumn = "{column}"')},
            f"problem.toml, 'inputs.EGF.column' holds {column!r}; expected a column of doses; {column!r} is that "
            f"of each row's {column}",
        )
        for column in ("time", "value", "observable", "unit", "experiment")
    },
    "an input that is called as a column": (
        {"problem": ("[inputs.EGF]", '[inputs.time]\ntarget = "EGF"')},
        "problem.toml, 'inputs.time' holds 'time'; expected a column of doses",
    ),
    "an activity in a volume": (
        {"problem": (UNIT, 'unit = "IU/ml"\nmolar_mass = "6 kDa"\nactivity = "300 IU/ml"')},
        "'inputs.EGF.activity' holds '300 IU/ml'; expected units in a mass or an amount, such as '50 IU/ug'",
    ),
    "an activity upside down": (
        {"problem": (UNIT, 'unit = "IU/ml"\nmolar_mass = "6 kDa"\nactivity = "20 ng/IU"')},
        "expected units in a mass or an amount, such as '50 IU/ug'; turned over, this one is '0.05 IU/ng'",
    ),
    "an activity of a mass": (
        {"problem": (UNIT, f'{UNIT}\nactivity = "20 IU/ng"')},
        "problem.toml, 'inputs.EGF.activity' holds '20 IU/ng'; expected no such key, as 'ng/ml' has no IU: remove it",
    ),
    "a weight beside a mass": (
        {"problem": (UNIT, 'unit = "mg"\nmolar_mass = "6 kDa"\nweight = "70 kg"\nvolume = "3 l"')},
        "problem.toml, 'inputs.EGF.weight' holds '70 kg'; expected no such key, as 'mg' is not a dose per body weight",
    ),
    "a volume beside a concentration": (
        {"problem": (UNIT, f'{UNIT}\nvolume = "3 l"')},
        "problem.toml, 'inputs.EGF.volume' holds '3 l'; expected no such key, as 'ng/ml' is in a volume already",
    ),
    "units of an enzyme": (
        {"problem": ('unit = "ng/ml"', 'unit = "U/ml"')},
        "state 'IU/ml' and its activity if international units are meant",
    ),
    "doses of a species in amounts": (
        {
            "model": (
                "species EGF in medium, D",
                f"{'unit substance = 1e-6 mole'}; substanceOnly species EGF in medium; species D",
            )
        },
        "the model counts it in amounts: write the doses as amounts, such as 'nmol' or 'ng'",
    ),
    "a scale of all gels": (
        {"priors": ("scale_pERK[experiment]", "scale_pERK")},
        "covers 'scale_pERK[gel1]'; write 'scale_pERK[experiment]' in place of 'scale_pERK', for each experiment",
    ),
    "a folder of standards": (
        {"problem": ('"standards.csv"', '"."')},
        "problem.toml, 'observables.IL8.standards' holds '.'; expected a file in the folder of this description",
    ),
    "a negative standard": (
        {"standards": ("plate1,31.25,", "plate1,-31.25,")},
        "standards.csv, row 3, 'concentration' holds '-31.25'; expected a concentration of 0 or more",
    ),
    "no header": (
        {"rows": ("observable,EGF,time,value,unit,experiment\n", "")},
        "a header line with the names of the columns; the first line holds pERK, 0, 0, -0.05297, au, gel1",
    ),
    "no header, and nothing twice": (
        {"rows": ("observable,EGF,time,value,unit,experiment\npERK,0,0", "pERK,0,7")},
        "measurements.csv: a header line with the names of the columns; the first line holds pERK, 0, 7",
    ),
    "a response in another unit": (
        {"rows": (",OD,", ",au,")},
        "row 49, 'unit' holds 'au'; expected 'OD', the unit of IL8's values",
    ),
    "an unknown unit": (
        {"priors": ("kint,1/min", "kint,1/mim")},
        "unit '1/mim' is not known, for its part 'mim'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str, tmp_path: Path) -> None:
    edits, message = REFUSED[case]
    with pytest.raises(TableError) as error:
        load(changed(tmp_path, **edits))
    assert str(error.value).count(message) == 1
    assert " has 1 problem" in str(error.value) or case.startswith("doses of a species")


USES = {
    "no such target": (
        {"problem": (UNIT, f'{UNIT}\ntarget = "nope"')},
        "'inputs.EGF.target' holds 'nope'; expected a species or a parameter of egfr; its species are EGF",
    ),
    "a typo": (
        {"problem": (UNIT, f'{UNIT}\ntarget = "EFG"')},
        "problem.toml, 'inputs.EGF.target' holds 'EFG'; expected a species or a parameter of egfr; did you mean 'EGF'?",
    ),
    "a parameter": (
        {"problem": (UNIT, f'{UNIT}\ntarget = "kon"')},
        "EGF.target' holds 'kon'; expected a species, to which doses are added; it is a parameter: kind = 'set'",
    ),
    "a column without target": (
        {"problem": ("[inputs.EGF]", '[inputs.EGFR]\ncolumn = "EGF"')},
        "expected a species or a parameter of egfr, or the key `target` to name it; did you mean 'EGF'?",
    ),
    "a species that is fixed": (
        {"problem": ("[inputs", "[fixed]\nR = 20\n[inputs")},
        "R is a species of egfr: a value belongs to a parameter that its start value uses",
    ),
    "a name that nothing has": (
        {"problem": ("[inputs", "[fixed]\nnope = 20\n[inputs")},
        "[fixed] of problem.toml names what nothing uses: nope",
    ),
}


@pytest.mark.parametrize("case", USES)
def test_what_the_model_has_no_use_for(case: str, tmp_path: Path) -> None:
    """Inputs were told of once a dose, without file or key, when the first was simulated."""
    edits, message = USES[case]
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        load_problem(changed(tmp_path, **edits))
    assert str(error.value).count(message) == 1
    assert "nope\n" not in str(error.value)
