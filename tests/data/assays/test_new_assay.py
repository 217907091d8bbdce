"""An assay is declared once: one of a test's own, with keys and a conversion of its own, works in a folder."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sympy

from hexamer.data import Observable, TableError, parse_formula, read_folder
from hexamer.data.assays import ASSAYS
from hexamer.data.assays.assay import SD_OF_LOG, Assay, Key
from hexamer.data.assays.conversion import Conversion, NumberOrLimit
from hexamer.data.assays.row_values import RowValues

pytestmark = pytest.mark.tier("check")

ROOT = Path(__file__).parents[3]

PROBLEM = """
name = "quenching"
model = "model.ant"
[inputs.L]
unit = "nM"
[observables.quench]
assay = "quenching"
signal = "R"
quencher = "q"
steepness = 2
sd = "sd_quench"
"""
MODEL = "model m(); species L, R; k = 1; J: L -> R; k*L; end\n"
ROWS = "observable,L,time,value,unit,experiment\nquench,2,1,75,percent,a\nquench,2,2,50,percent,b\n"
PRIORS = (
    "parameter,unit,distribution,location,scale\nq,nM,half_normal,,1\nsd_quench,1,half_normal,,0.1\n"
    "scale_quench[experiment],1/nM,lognormal,0,1\n"
)


def quenching(
    name: str, signal: Any, *, scale: Any, quencher: Any, sd: Any, steepness: int, noise: Any, network: Any
) -> Observable:
    """Light that is lost by quenching."""
    del network
    u, s = parse_formula(signal), sympy.Symbol("scale") if scale is None else parse_formula(scale)
    formula = sympy.log(s * (u + parse_formula(quencher)) ** steepness)
    return Observable(name, formula, parse_formula(sd), ("scale",), noise=noise)


@dataclass(frozen=True)
class Lost(Conversion):
    """The measurement is ln of the share of light that is lost; a table states what is left, in percent."""

    sd_in_unit = False

    def outside(self, value: float, name: str) -> str | None:
        return None if 0 <= value < 100 else f"what is left of 100 percent of light, since {name} is read by it"

    def measured(self, cell: NumberOrLimit, reference: float) -> NumberOrLimit:
        del reference
        return cell._replace(value=math.log(1 - cell.value / 100))


class Quenching(Assay):
    def take_options(self, section: Any, values: RowValues) -> dict[str, Any]:
        del values
        return {"steepness": section.take("steepness", 1)}


QUENCHING = Quenching(
    "quenching",
    quenching,
    keys=(Key("quencher", "signal", prior="unless in the model"), SD_OF_LOG),
    unit="percent",
    scale="each",
    conversion=Lost(),
    takes_unit=False,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setitem(ASSAYS, "quenching", QUENCHING)
    for name, text in {
        "problem.toml": PROBLEM,
        "model.ant": MODEL,
        "measurements.csv": ROWS,
        "priors.csv": PRIORS,
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_it_is_read(folder) -> None:
    data = read_folder(folder)
    assert [m.value for m in data.measurements] == pytest.approx([math.log(0.25), math.log(0.5)])
    assert [m.arguments for m in data.measurements] == [("scale_quench[a]",), ("scale_quench[b]",)]
    assert {"q", "sd_quench", "scale_quench[a]", "scale_quench[b]"} == set(data.parameters)
    assert str(data.observables["quench"].formula) == "log(scale*(R + q)**2)"


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("measurements.csv", ",50,", ",150,", "'value' holds '150'; expected what is left of 100 percent of light"),
        ("problem.toml", "steepness", "steepnes", "unknown key; known here are assay, fold, noise, quencher"),
        ("problem.toml", '"sd_quench"', "-1", "'observables.quench.sd' holds -1; expected a standard deviation"),
        ("priors.csv", "q,nM", "q,min", "'min'; expected a unit that can become 'nM'"),
        ("priors.csv", "sd_quench,1", "sd_quench,nM", "'nM'; expected a unit that can become '1'"),
    ],
)
def test_it_is_checked(folder, file: str, old: str, new: str, said: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    with pytest.raises(TableError) as caught:
        read_folder(folder)
    assert said in str(caught.value)


def test_no_other_code_names_an_assay() -> None:
    """Outside `data/assays`, no text in the package is the name of an assay but in lists of what is public."""
    scripts = {ROOT / "data/bundled_problems/il6_demo/make.py"}
    named = []
    for path in (p for folder in ("models", "data", "infer", "src") for p in (ROOT / folder).rglob("*.py")):
        if path.is_relative_to(ROOT / "data/assays") or path.name == "__init__.py" or path in scripts:
            continue
        texts = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant))
        named += [f"{path}:{n.lineno} {n.value!r}" for n in texts if n.value in ASSAYS]
    assert not named


def test_the_readme_names_every_key() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (.*) \| .* \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    said = {name: keys for names, keys in rows for name in re.findall(r"`(\w+)`", names)}
    assert set(ASSAYS) <= set(said)
    for name, assay in ASSAYS.items():
        others = "".join(said[other] for other in re.findall(r"as `(\w+)`", said[name]))
        keys = {k.name for k in assay.keys} | set(assay.signals[1:])
        if assay.background is not None:
            keys |= {assay.background.name, f"{assay.background.name}_group"}
        unsaid = [k for k in sorted(keys) if f"`{k}`" not in said[name] + others]
        assert not unsaid, name
