"""Parts of species: what a bait pulls down, what an antibody sees, and what cannot be told."""

from __future__ import annotations

import pytest
import sympy

from hexamer import Network
from hexamer.data import AssayError, coip, complexes, parse_formula, parts_by_species, total_concentration
from hexamer.models import load_network, read_antimony
from hexamer.models.library.builder import network as il6_network

pytestmark = pytest.mark.tier("check")

TEXT = """
model small()
  compartment cell = 2, medium = 100
  species A in cell, B in cell, A_B in cell, AB2 in cell, drug in medium, drug_A in cell, C in medium, C_drug in medium
  species pA in cell, mystery in cell, X_Y in cell
  k = 1
  R1: A + B -> A_B; k*A*B
  R2: A_B + B -> AB2; k*A_B*B
  R3: A + drug -> drug_A; k*A*drug
  R4: A -> pA; k*A
  R5: AB2 + C -> mystery; k*AB2*C
  R6: A_B + C -> mystery; k*A_B*C
  R7: C_drug -> C + drug; k*C_drug
end
"""


@pytest.fixture(scope="module")
def network() -> Network:
    return read_antimony(TEXT)


@pytest.fixture(scope="module")
def il6() -> Network:
    return load_network("il6_stat3")


def test_parts_follow_from_binding_and_from_names(network: Network) -> None:
    parts = parts_by_species(network)
    assert parts["A_B"] == {"A": 1, "B": 1}
    assert parts["AB2"] == {"A": 1, "B": 2}
    assert parts["drug_A"] == {"A": 1, "drug": 1}
    assert parts["C_drug"] == {"C": 1, "drug": 1}  # by its name: no reaction binds it
    # A conversion, two reactions that disagree, and pieces that are not species: nothing is guessed.
    for name in ("pA", "mystery", "X_Y"):
        assert parts[name] == {name: 1}
    assert parts_by_species(network, {"pA": ["A"], "X_Y": {"A": 3}})["X_Y"] == {"A": 3}


def test_the_il6_network_by_halves_of_hexamers(il6: Network) -> None:
    parts = parts_by_species(il6)
    for kind, receptor in (("C", "IL6R"), ("T", "sIL6R")):
        for state in ("tri", "hex", "act"):
            assert parts[state + kind] == {"IL6": 1, receptor: 1, "gp130": 1}
    assert parts["IL6_sIL6R_sgp130"] == {"IL6": 1, "sIL6R": 1, "sgp130": 1}
    assert parts["npSTAT3_2"] == {"STAT3": 2}
    assert parts["gp130_e"] == {"gp130": 1}


def test_a_bait_pulls_down_what_is_bound_to_it(network: Network, il6: Network) -> None:
    given = {"mystery": {"A": 1, "B": 1, "C": 1}, "pA": ["A"]}
    o = coip("ip", "A", "B", network, sd_rel=0.1, composition=given)
    a_b, ab2, mystery, cell, scale = sympy.symbols("A_B AB2 mystery cell scale")
    assert sympy.expand(o.formula - scale * cell * (a_b + 2 * ab2 + mystery)) == 0
    assert sympy.expand(coip("ip", "B", "A", network, sd_rel=0.1, scale=1, composition=given).formula) == sympy.expand(
        cell * (a_b + ab2 + mystery)
    )
    classic = coip("ip", "IL6R", "gp130", il6, sd_rel=0.1, scale=1).formula
    assert sympy.expand(classic - parse_formula("cytosol*(triC + hexC + actC)")) == 0


def test_only_the_lysates_compartments(il6: Network) -> None:
    both = coip("ip", "IL6", "IL6R", il6, sd_rel=0.1, scale=1).formula
    assert {str(s) for s in both.free_symbols} == {"cytosol", "IL6_IL6R", "triC", "hexC", "actC"}
    medium = coip("ip", "sIL6R", "IL6", il6, sd_rel=0.1, scale=1, where=["medium"]).formula
    assert {str(s) for s in medium.free_symbols} == {"medium", "IL6_sIL6R", "IL6_sIL6R_sgp130"}


def test_an_elisa_sees_free_and_bound(il6: Network) -> None:
    assert total_concentration(il6, "IL6", where="medium") == parse_formula("IL6 + IL6_sIL6R + IL6_sIL6R_sgp130")
    assert total_concentration(il6, "IL6", where="medium", hidden_by=["sgp130"]) == parse_formula("IL6 + IL6_sIL6R")


def test_drugs_hold_what_they_bind() -> None:
    """An antibody's complexes, named by how many arms are taken, follow from their reactions."""
    network = il6_network(["classic", "trans", "stat3"], drugs=["siltuximab", "tocilizumab", "sgp130Fc"])
    parts = parts_by_species(network)
    assert parts["siltuximab_2"] == {"siltuximab": 1, "IL6": 2}
    assert parts["tocilizumab_sIL6R"] == {"tocilizumab": 1, "sIL6R": 1}
    assert parts["sgp130Fc_TT"] == {"sgp130Fc": 1, "IL6": 2, "sIL6R": 2}
    everything = total_concentration(network, "IL6", where="medium")
    assert everything.coeff(sympy.Symbol("siltuximab_2")) == 2
    with pytest.raises(AssayError, match=r"holds tocilizumab_typo, which is to hide it; known parts: .*siltuximab"):
        total_concentration(network, "IL6", where="medium", hidden_by=["siltuximab", "tocilizumab_typo"])
    free = total_concentration(network, "IL6", where="medium", hidden_by=["siltuximab"])
    assert "siltuximab" not in str(free)
    assert everything.coeff(sympy.Symbol("sgp130Fc_TT")) == free.coeff(sympy.Symbol("sgp130Fc_TT")) == 2
    pulled = coip("ip", "tocilizumab", "IL6R", network, sd_rel=0.1, scale=1).formula
    bound = parse_formula("tocilizumab_IL6R + 2*tocilizumab_IL6R_IL6R + tocilizumab_IL6R_sIL6R")
    assert sympy.expand(pulled - sympy.Symbol("cytosol") * bound) == 0


REFUSED = {
    "no such bait": ({"bait": "Z", "prey": "B"}, "ip: no species of small holds Z; known parts: A, B, C"),
    "bait in no complex": ({"bait": "pA", "prey": "B"}, "ip: no species of small holds pA and B together"),
    "bait is prey": ({"bait": "A", "prey": "A"}, "ip: bait and prey are both 'A'"),
    "never meet": ({"bait": "C", "prey": "B", "composition": {"mystery": ["C"]}}, "holds C and B together"),
    "unknown complex": (
        {"bait": "A", "prey": "B"},
        r"reaction R5 makes mystery of A \+ 2 B \+ C, and its name does not",
    ),
    "elsewhere": (
        {"bait": "A", "prey": "drug", "where": ["medium"], "composition": {"mystery": ["C"]}},
        "no species of small in medium holds A and drug",
    ),
    "no such compartment": (
        {"bait": "A", "prey": "B", "where": ["moon"]},
        "moon is not a compartment of small; it has cell",
    ),
    "no such species": (
        {"bait": "A", "prey": "B", "composition": {"Q": ["A"]}},
        "composition: Q is not a species of small",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_pulled_down(case: str, network: Network) -> None:
    options, message = REFUSED[case]
    with pytest.raises(AssayError, match=message):
        coip("ip", network=network, sd_rel=0.1, **options)


def test_what_is_made_of_a_part_must_be_told(network: Network) -> None:
    with pytest.raises(AssayError, match="ELISA of A: reaction R4 makes pA of A"):
        total_concentration(network, "A", where="cell")
    found = total_concentration(
        network, "A", where="cell", composition={"pA": ["pA"], "mystery": ["A"]}, hidden_by=["drug"]
    )
    assert found == parse_formula("A + A_B + AB2 + mystery")
    with pytest.raises(AssayError, match="every species that holds it in medium holds C, too"):
        total_concentration(network, "C", where="medium", composition={"mystery": ["C"]}, hidden_by=["C"])


def test_mixed_hexamers_hold_nothing_of_each_other(il6: Network) -> None:
    """The network counts halves, and says so instead of reading zero."""
    with pytest.raises(AssayError, match="no species of il6_stat3 holds IL6R and sIL6R together"):
        complexes(il6, ("IL6R", "sIL6R"))
