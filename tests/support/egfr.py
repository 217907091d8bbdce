"""A problem of receptor and dose whose files a test edits, and its units."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from helpers import CASES

FOLDER = CASES / "own-receptor-problem"
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


COMPARTMENTS = ("compartment cell = 1, medium = 100\n", "compartment cell = 1, medium = 100\n")

IN_HOURS = [
    ("model egfr\n", f"model egfr\n{HOURS}\n"),
    ("kdeg = 0.01; R0 = 20; klys = 0.03", "kdeg = 0.6; R0 = 20; klys = 1.8"),
    ("kon_D = 0.1", "kon_D = 6"),
]
