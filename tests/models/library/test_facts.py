"""What the library knows of names beside reactions, and which networks carry it."""

from __future__ import annotations

import csv
from importlib.resources import files

import pytest

from hexamer.data.quantities.units import molar_mass_kda
from hexamer.models import compile_network, load_network, read_antimony
from hexamer.models.library import MODULES, SERUM, network
from hexamer.models.load import model_with
from hexamer.models.networks.network import Facts

pytestmark = pytest.mark.tier("check")

OTHER = "model other\n species A = 1; k = 1;\n J: A -> ; k*A;\nend\n"


def test_a_network_carries_what_concerns_its_names() -> None:
    facts = load_network("il6_stat3+tocilizumab").facts
    assert facts.parts["triC"] == ("IL6", "IL6R", "gp130")
    assert facts.parts["npSTAT3_2"] == ("STAT3", "STAT3")
    assert (facts.molar_masses["IL6"], facts.molar_masses["tocilizumab"]) == ("21 kDa", "147.5 kDa")
    assert facts.arms == {"classic": {"kon2m": 0.0}, "trans": {"kon2": 0.0}}
    assert set(facts.besides) == {"HyperIL6"}
    assert facts.readout == "pSTAT3_total"


def test_one_arm_is_none() -> None:
    assert load_network("il6_classic").facts.arms == {}
    assert set(load_network("il6_full").facts.besides) == {"contact", "IL6R_P", "IL6_IL6R_P", "HyperIL6"}


def test_other_networks_carry_nothing(tmp_path) -> None:
    """But a file that names its species as the library does."""
    assert read_antimony(OTHER).facts == Facts()
    (tmp_path / "other.ant").write_text(OTHER)
    assert load_network(tmp_path / "other.ant").facts == Facts()
    (tmp_path / "il6.ant").write_text(OTHER.replace("A", "IL6"))
    assert load_network(tmp_path / "il6.ant").facts == Facts(molar_masses={"IL6": "21 kDa"})
    model = compile_network(load_network(tmp_path / "il6.ant"))
    assert model.network is not None
    assert model.network.facts.molar_masses == {"IL6": "21 kDa"}


def test_the_table_of_species_names_species_of_the_modules() -> None:
    """Each of its species is in a module, and so is each part; masses can be read."""
    known = {n for module in MODULES for n in network(module).species} | set(network("il6_full").species)
    rows = list(csv.DictReader((files("hexamer.models.library") / "species.csv").read_text().splitlines()))
    assert len({r["species"] for r in rows}) == len(rows)
    for row in rows:
        assert {row["species"], *row["parts"].split()} <= known
        assert bool(row["parts"]) != bool(row["molar_mass"])
        if row["molar_mass"]:
            assert molar_mass_kda(f"{row['molar_mass']} {row['unit']}") > 1


def test_serum_of_patients() -> None:
    assert SERUM["sIL6R"].mean == "161 ng/ml"
    assert (SERUM["sIL6R"].cv, SERUM["sgp130"].cv) == (46 / 161, 0.37)


def test_models_with_a_drug() -> None:
    assert model_with("aspirin") is None
    drug = model_with("ruxolitinib")
    assert drug is not None
    assert "ruxolitinib" in load_network(drug).species
