"""Networks in words: what is drawn and listed is what is solved."""

from __future__ import annotations

import itertools
import re
import runpy
from importlib.resources import files
from pathlib import Path

import pytest

from hexamer.models import Network, parse_infix, read_antimony
from hexamer.models.networks.markdown import describe, graph

pytestmark = pytest.mark.tier("test")

TEXT = """
model small
  compartment cell = 2; compartment outside = 3;
  species A in outside = 1, B in cell, C in cell = 0, $fixed in cell = 4;
  B = 2*k;
  drive := A/(1 + A);
  J1: A + B -> C; cell*(kon*A*B - koff*C);
  J2: -> B; cell*k*drive;
  J3: 2 C -> ; cell*k*C^2;
  J4: B -> A; cell*k*B;
  kon = 0.5; koff = 0.1; k = 3;
end
"""
DOCUMENT = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def small() -> Network:
    return read_antimony(TEXT)


def test_graph_has_every_reaction_and_no_other(small: Network) -> None:
    drawn = [line.strip() for line in graph(small).splitlines()]
    assert {"J1((J1))", "A <--> J1", "B <--> J1", "J1 <--> C"} <= set(drawn)
    assert {"J2([⌀ J2])", "J2 --> B", "drive -.-> J2", "drive{{drive}}"} <= set(drawn)
    assert {"J3([⌀ J3])", "C --> J3", "B -->|J4| A"} <= set(drawn)
    assert "fixed" not in drawn  # nothing happens to it


def test_reversible(small: Network) -> None:
    assert [r.reversible for r in small.reactions] == [True, False, False, False]


def test_lists_equations_and_numbers(small: Network) -> None:
    text = describe(small, notes={"kon": "a|b"})
    assert "| J1 | A + B ⇌ C |" in text
    assert "| J3 | 2 C → ∅ |" in text
    assert "drive = A/(1 + A)" in text.replace("A/(A + 1)", "A/(1 + A)")
    assert "outside d(A)/dt = - J1 + J4" in text
    assert "cell d(C)/dt = J1 - 2 J3" in text
    assert "| `kon` | 0.5 |  | a\\|b |" in text
    assert "| `B` at the start | `2*k` |" in text


def test_rates_in_the_table_are_those_solved(small: Network) -> None:
    rates = dict(re.findall(r"^\| (J\d) \| .* \| `(.*)` \|$", describe(small), re.MULTILINE))
    assert {r.name: r.rate for r in small.reactions} == {n: parse_infix(f) for n, f in rates.items()}


def test_the_document_is_of_these_networks() -> None:
    """`make docs` has nothing to change."""
    made = runpy.run_path(str(DOCUMENT / "make_models.py"))["document"]()
    assert (DOCUMENT / "models.md").read_text(encoding="utf-8") == made


@pytest.mark.parametrize("folder", ["modules", "drugs", "cores"])
def test_the_document_has_all_that_a_header_says(folder: str) -> None:
    said = (DOCUMENT / "models.md").read_text(encoding="utf-8").replace("example_drug", "DRUG")
    for file in (files("hexamer.models.library") / folder).iterdir():
        header = itertools.takewhile(lambda line: not line.startswith("model"), file.read_text().splitlines())
        for line in header:
            assert line.removeprefix("//").strip() in said, file.name
