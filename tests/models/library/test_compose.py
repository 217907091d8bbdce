"""Composition by name: one owner a symbol, stand-ins dropped, contradictions named."""

from __future__ import annotations

import pytest

from hexamer.models import read_antimony
from hexamer.models.library.compose import merge

pytestmark = pytest.mark.tier("check")

SOURCE = """
model source(load)
  unit nM = 1e-9 mole/litre;
  compartment cell = 2;
  load = 0;  // borrowed
  species A in cell = 1;
  k = 3;
  J0: A -> ; cell*k*A*(1 + load);
  act := 2*A;
end
"""
SINK = """
model sink(act)
  unit nM = 1e-9 mole/litre;
  compartment cell = 2;
  act = 0;  // borrowed
  species B in cell = 5, load in cell = 7;
  J1: B -> load; cell*act*B;
end
"""


def test_joins_by_name() -> None:
    network = read_antimony(merge([SOURCE, SINK]))
    assert network.name == "source_sink"
    assert set(network.species) == {"A", "B", "load"}
    assert float(network.species["load"].initial) == 7  # its owner's value, not the stand-in
    assert set(network.rules) == {"act"}
    assert set(network.parameters) == {"k", "act"}
    assert {r.name for r in network.reactions} == {"J0", "J1"}


def test_order_does_not_matter() -> None:
    one, other = (read_antimony(merge(t)) for t in ([SOURCE, SINK], [SINK, SOURCE]))
    assert one.species == other.species
    assert one.rules == other.rules
    assert set(r.rate for r in one.reactions) == set(r.rate for r in other.reactions)


@pytest.mark.parametrize("text", [SOURCE, SINK])
def test_a_module_runs_alone(text: str) -> None:
    alone, merged = read_antimony(text), read_antimony(merge([text]))
    assert (alone.species, alone.parameters, alone.rules) == (merged.species, merged.parameters, merged.rules)


def test_a_composition_is_a_module() -> None:
    third = "model third(k)\n k = 1;\n extra := 2*k;\nend\n"
    network = read_antimony(merge([merge([SOURCE, SINK]), third]))
    assert network.parameters["k"].value == 3
    assert set(network.rules) == {"act", "extra"}
    left = merge([SOURCE])
    assert "model source(load)" in left


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([SOURCE, SINK.replace("load in cell", "A in cell")], "A is owned by source and by sink"),
        ([SOURCE, SINK.replace("cell = 2", "cell = 4")], "cell differs: `.*2` in source, `.*4` in sink"),
        ([SOURCE, SINK.replace("1e-9", "1e-6")], "unit nM differs"),
        ([SOURCE, SINK.replace("  act = 0;  // borrowed\n", "")], "sink borrows act but gives it no stand-in"),
        ([SOURCE, SOURCE], "give at least one, and each once"),
        ([], "give at least one"),
        (["species A = 1;\n"], "exactly one `model name"),
        ([SOURCE + SINK], "exactly one `model name.*not 2"),
    ],
)
def test_contradictions_are_named(texts: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        merge(texts)
