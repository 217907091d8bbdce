"""Networks composed of modules, drugs and cells; their names, and what is refused."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from hexamer.models import Model, Network, Protocol, il6, load_model, load_network, simulate
from hexamer.models.library import COMPOSITIONS, CORES, MODULES, bundled, cells, drugs, network
from hexamer.models.library.constants import cell_constants, drug_constants

pytestmark = pytest.mark.tier("test")

LIBRARY = files("hexamer.models.library")


def value(made: Network | Model, name: str) -> float:
    if isinstance(made, Model):
        return float(made.defaults[made.parameters.index(name)])
    return made.parameters[name].value


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", bundled())
def test_bundled_names(name: str) -> None:
    assert load_network(name).name == name
    assert load_model(name).name == name


def test_bundled_are_these() -> None:
    assert set(bundled()) == {
        "il6_classic", "il6_stat3", "il6_full", "cytokine_release", "hepg2_core", "hepatocyte_core",
    }  # fmt: skip
    with pytest.raises(ValueError, match="unknown network 'il7'"):
        load_network("il7")


def test_modules_are_joined_in_any_order() -> None:
    one, other = network(["classic", "trans", "stat3"]), network(["stat3", "trans", "classic"])
    assert (one.species, one.rules) == (other.species, other.rules)
    assert {r.name for r in network("receptor").reactions} > {r.name for r in network("classic").reactions}


def test_a_composition_is_the_sum_of_its_modules() -> None:
    listed = network(COMPOSITIONS["il6_stat3"], name="il6_stat3")
    assert listed == load_network("il6_stat3")


def test_what_nobody_owns_is_a_constant_zero() -> None:
    classic, full = network("il6_classic"), network("il6_full")
    for name in ("triT", "actP", "JAK_inhibition", "CHX"):
        assert value(classic, name) == 0.0
    assert "triT" in full.species


@pytest.mark.tier("slow")
@pytest.mark.parametrize("cell", cells())
def test_cells_set_abundances(cell: str) -> None:
    made = network("il6_full", cell=cell)
    constants = cell_constants(cell).values
    assert {"IL6R_0"} <= set(constants) <= set(made.parameters)
    for name, constant in constants.items():
        assert value(made, name) == constant.value
        unit = made.parameters[name].unit
        assert unit.replace("per_min", "1/min") == constant.unit, name


def test_one_cell_is_the_nominal_one() -> None:
    assert network("il6_stat3", cell="HepG2") == network("il6_stat3")


@pytest.mark.tier("slow")
@pytest.mark.parametrize("drug", drugs())
def test_drugs_come_with_their_constants(drug: str) -> None:
    made = network("il6_stat3", drugs=drug)
    assert drug in made.species
    assert not any("DRUG" in name for name in (*made.species, *made.parameters, *made.rules))
    known = drug_constants(drug)
    own = {n for n in known.values if n in made.parameters}
    assert own
    for name in own:
        assert value(made, name) == known.values[name].value
    for constant in known.values.values():
        assert constant.grade in "ABC"
        assert constant.source


def test_drugs_of_one_mechanism_stand_side_by_side() -> None:
    made = network("il6_stat3", drugs=["tocilizumab", "sarilumab", "ruxolitinib", "baricitinib"])
    assert {"tocilizumab", "sarilumab", "ruxolitinib", "baricitinib"} <= set(made.species)
    assert str(made.rules["JAK_inhibition"]) == "inhibition_baricitinib + inhibition_ruxolitinib"
    assert value(made, "Kd_tocilizumab") != value(made, "Kd_sarilumab")
    assert made.name == "il6_stat3_tocilizumab_sarilumab_ruxolitinib_baricitinib"


def test_glue_comes_with_both_its_parts() -> None:
    def names(*modules: str) -> set[str]:
        return {s for s in network(modules, drugs="tocilizumab").species if "tocilizumab" in s}

    assert names("classic") < names("classic", "trans") < names("classic", "trans", "cluster")


def test_il6_compiles() -> None:
    model = il6(["classic", "stat3"], cell="IL6R_negative", drugs=["ruxolitinib"])
    assert value(model, "IL6R_0") == 0.0
    assert "ruxolitinib" in model.species
    assert il6(["classic", "stat3"], cell="IL6R_negative", drugs="ruxolitinib") is model


def test_a_module_of_ones_own(tmp_path: Path) -> None:
    """It takes the place of a bundled one, and is refused where it does not fit."""
    own = tmp_path / "fast_stat3.ant"
    own.write_text((LIBRARY / "modules" / "stat3.ant").read_text().replace("k_stat = 0.16", "k_stat = 1.6"))
    for made in (network("il6_stat3", replace={"stat3": own}), network(["classic", "trans", "hyper", own])):
        assert value(made, "k_stat") == 1.6
        assert set(made.species) == set(network("il6_stat3").species)
    own.write_text(own.read_text().replace("model stat3", "model mine"))
    with pytest.raises(ValueError, match="STAT3 is owned by stat3 and by"):
        network(["classic", "stat3", own])


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    own = tmp_path / "own.ant"
    text = (LIBRARY / "modules" / "stat3.ant").read_text()
    own.write_text(text)
    before = il6(["classic", own])
    assert il6(["classic", own]) is before
    own.write_text(text.replace("k_stat = 0.16", "k_stat = 1.6"))
    assert value(il6(["classic", own]), "k_stat") == 1.6
    assert value(il6("il6_classic", replace={"stat3": own}), "k_stat") == 1.6


def test_inhibitors_of_jak_reach_both_stats() -> None:
    """Without IL-6 too, where JAK phosphorylates a little of either."""
    model = il6(["classic", "stat3", "stat1"], drugs="ruxolitinib")
    protocol = Protocol.equilibrated().add("ruxolitinib", 1e5)
    out = simulate(model, {}, protocol, [0.0, 600.0], observe=["pSTAT3_total", "pSTAT1_total"])
    for course in out.observed.values():
        assert course[0, 1] < 0.01 * course[0, 0]


def test_a_name_composes() -> None:
    made = load_network("il6_stat3+tocilizumab+T_cell")
    assert made.name == "il6_stat3_tocilizumab"
    assert value(made, "IL6R_0") == cell_constants("T_cell").values["IL6R_0"].value
    assert load_network("tocilizumab + il6_stat3 + T_cell") == made
    assert set(load_network("classic+stat3").species) == set(load_network("il6_classic").species)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"modules": "stat5"}, r"unknown module 'stat5'; known: il6_classic, .*receptor, .*serum; or the path"),
        ({"modules": []}, r"unknown module \(none given\)"),
        ({"cell": "neuron"}, "unknown cell 'neuron'; known: HepG2, .*monocyte"),
        ({"drugs": "aspirin"}, "unknown drug 'aspirin'; known: siltuximab, .*"),
        (
            {"modules": "erk", "drugs": "tocilizumab"},
            "tocilizumab has no target here: it needs IL6R.*the modules are erk",
        ),
        (
            {"modules": "reporter", "drugs": "ruxolitinib"},
            "ruxolitinib has no target here: it needs a module that borrows JAK_inhibition",
        ),
        ({"modules": "il6_classic", "drugs": "sgp130Fc"}, "sgp130Fc has no target here: it needs .*IL6_sIL6R"),
        ({"modules": "il6_classic", "replace": {"erk": "a.ant"}}, "replace: erk is not among the modules classic"),
    ],
)
def test_refusals(arguments: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        il6(**arguments)


def test_refused_names() -> None:
    with pytest.raises(ValueError, match=r"unknown network 'il7': give one of il6_classic.*or a file ending"):
        load_network("il7")
    with pytest.raises(
        ValueError, match=r"unknown part 'neuron' of 'il6_stat3.neuron'; known modules:.*drugs:.*cells:"
    ):
        load_network("il6_stat3+neuron")
    with pytest.raises(ValueError, match="names several cell types: T_cell, monocyte"):
        load_network("il6_stat3+T_cell+monocyte")
    with pytest.raises(FileNotFoundError, match=r"no Antimony file mine\.ant"):
        network(["classic", "mine.ant"])


def test_every_file_is_listed() -> None:
    assert {f.name for f in (LIBRARY / "modules").iterdir() if "+" not in f.name} == {f"{m}.ant" for m in MODULES}
    assert {f.name for f in (LIBRARY / "cores").iterdir()} == {f"{c}.ant" for c in CORES}
    mechanisms = {drug_constants(d).kind for d in drugs()}
    assert {f.name.removesuffix(".ant").partition("+")[0] for f in (LIBRARY / "drugs").iterdir()} >= mechanisms
