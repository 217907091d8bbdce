"""A message on an unknown name says which known one was meant, if one is near."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import sympy
import xarray as xr
from typer.testing import CliRunner

from helpers import network
from hexamer import Model, Protocol, load_model, load_network, simulate
from hexamer.cli import app
from hexamer.data import Prior, TableError, load, noise_of, read_priors
from hexamer.data.quantities.composition import complexes, parts_by_species
from hexamer.infer import Ensemble, Spread, arm_share, combination, dose_response, load_problem, plots, summarise
from hexamer.infer.prediction.assay_curves import with_dose
from hexamer.models import compile_network, il6, read_antimony
from hexamer.models.solvers.placement import VARIABLE
from hexamer.models.solvers.solver_words import diffrax_by_name, solver_by_words

pytestmark = pytest.mark.tier("check")


def _table(tmp_path):
    (tmp_path / "priors.csv").write_text("parameter,unit,distribution,location,scale,notes\nk,1/min,normal,0,1,\n")
    return read_priors(tmp_path / "priors.csv")


DECAY = "model decay; species A = 1; k = 0.4; J: A -> ; k*A; end"
MISSPELT = {
    "il6_stat4": (lambda _: load_network("il6_stat4"), "did you mean 'il6_stat3'?"),
    "IL6_STAT3": (lambda _: load_network("IL6_STAT3"), "did you mean 'il6_stat3'?"),
    "drug of a composition": (lambda _: load_network("il6_stat3+tocilizumap"), "did you mean 'tocilizumab'?"),
    "module": (lambda _: il6(["classik"]), "did you mean 'classic'?"),
    "cell": (lambda _: il6("il6_stat3", cell="HepG3"), "did you mean 'HepG2'?"),
    "problem": (lambda _: load_problem("hepg3"), "did you mean 'hepg2'?"),
    "data set": (lambda _: load("il6_dmeo"), "did you mean 'il6_demo'?"),
    "parameter": (
        lambda _: simulate(load_model(read_antimony(DECAY)), {"K": 1.0}, Protocol(), [1.0]),
        "did you mean 'k'?",
    ),
    "species": (lambda _: load_model(read_antimony(DECAY)).index("a"), "did you mean 'A'?"),
    "prior": (lambda _: Prior("gama", spread=1.0, shape=2.0), "did you mean 'gamma'?"),
    "scale": (lambda _: Prior("normal", "log_10"), "did you mean 'log10'?"),
    "engine": (lambda _: solver_by_words(engine="fusd"), "did you mean 'fused'?"),
    "solver": (lambda _: diffrax_by_name("Kvaerno6"), "did you mean 'Kvaerno5'?"),
    "column": (_table, "did you mean 'note'?"),
    "module to replace": (lambda _: il6("il6_classic", replace={"clasic": "a.ant"}), "did you mean 'classic'?"),
    "noise": (lambda _: noise_of("student_t"), "did you mean 'student_t(4)'?"),
    "parameter of a protocol": (
        lambda _: simulate(
            load_model(read_antimony(DECAY)),
            {"k": 1.0, "dose": 2.0},
            [Protocol("p").add("A", "dose"), Protocol("q").add("A", "dosee")],
            [1.0],
        ),
        "did you mean 'dose'?",
    ),
    "species of a composition": (
        lambda _: parts_by_species(load_network("il6_classic"), {"STAT3_": ["STAT3"]}),
        "did you mean 'STAT3'?",
    ),
    "compartment of a complex": (
        lambda _: complexes(load_network("il6_classic"), ["IL6"], where=["mediun"]),
        "did you mean 'medium'?",
    ),
    "input of a template": (lambda _: with_dose(Protocol().add("IL6", 1.0), "IL_6", 2.0), "did you mean 'IL6'?"),
}


@pytest.mark.parametrize("name", MISSPELT)
def test_the_name_that_was_meant(name: str, tmp_path) -> None:
    make, said = MISSPELT[name]
    with pytest.raises((ValueError, KeyError, FileNotFoundError, TableError)) as error:
        make(tmp_path)
    assert said in str(error.value)


def test_what_is_far_from_all_names_is_nothing() -> None:
    with pytest.raises(ValueError, match=r"\.sbml or \.cps$"):
        load_network("elephant")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["list", "modelz"], "models"),
        (["simulate", "il6_stat3", "--engine", "fusd"], "fused"),
        (["simulate", "il6_stat3", "--device", "gpuu"], "gpu"),
        (["map", "il6_demo", "--objective", "liklihood"], "likelihood"),
        (["map", "il6_demo", "--initial", "priors"], "prior"),
        (["dose-response", "--summary", "peaks"], "peak"),
    ],
)
def test_the_word_that_was_meant_on_the_command_line(words: list[str], meant: str) -> None:
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 2
    assert f"did you mean '{meant}'?" in " ".join(re.sub("[│\n]", " ", shown.output).split())


def test_the_device_that_was_meant(monkeypatch) -> None:
    from hexamer.models.solvers.placement import requested_device
    from hexamer.models.solvers.settings import Settings

    monkeypatch.setenv(VARIABLE, "gpuu")
    with pytest.raises(ValueError, match=r"is 'gpuu'; known: auto, cpu, gpu; did you mean 'gpu'\?"):
        requested_device(Settings())


@pytest.fixture(scope="module")
def binding() -> Model:
    """L, which drug_a and drug_b take away, makes R."""
    return network(
        "model binding; species L = 0, R = 0, drug_a = 0, drug_b = 0; k_on = 1\n"
        "L -> R; k_on*L/(1 + drug_a + drug_b); R -> ; R; end"
    )


MISSPELT_IN_DOSES = {
    "varies": (lambda m: Ensemble.from_model(m).vary({"k_onn": Spread(0.5)}), "did you mean 'k_on'?"),
    "correlation": (
        lambda m: Ensemble.from_model(m).vary({"k_on": Spread(0.5)}, correlation={("k_on", "kon"): 0.5}),
        "did you mean 'k_on'?",
    ),
    "condition": (lambda m: read(m, conditions={"c": {"drugA": 1.0}}), "did you mean 'drug_a'?"),
    "molar mass": (lambda m: read(m, molar_mass={"drug_aa": "1 kDa"}), "did you mean 'drug_a'?"),
    "doses along": (lambda m: read(m).doses("doses"), "did you mean 'dose'?"),
    "arm": (
        lambda m: arm_share(m, "L", [1.0], closed={"a": {"k_of": 0}, "b": {"k_on": 0}}, at=1.0, observe="R"),
        "did you mean 'k_on'?",
    ),
    "drug of a combination": (lambda m: combination(both(m), "drug_a", "drugb"), "did you mean 'drug_b'?"),
    "drug of a figure": (lambda m: plots.drug_response(both(m), "druga"), "did you mean 'drug_a'?"),
}


def read(model: Model, **options):
    return dose_response(model, "L", [0.0, 1.0], at=1.0, observe="R", preequilibrate=False, progress=False, **options)


def both(model: Model):
    return read(model, drugs={"drug_a": [0.0, 1.0], "drug_b": [0.0, 1.0]})


@pytest.mark.parametrize("name", MISSPELT_IN_DOSES)
def test_the_name_that_was_meant_in_doses(name: str, binding: Model) -> None:
    make, said = MISSPELT_IN_DOSES[name]
    with pytest.raises(ValueError, match=re.escape(said)):
        make(binding)


def test_the_parameter_of_a_posterior_that_was_meant() -> None:
    draws = xr.Dataset({"k_on": (("chain", "draw"), np.ones((2, 4)))})
    tree = xr.DataTree.from_dict({"posterior": draws})
    with pytest.raises(ValueError, match=r"truth names .* k_onn; did you mean 'k_on'\?"):
        summarise(tree, truth={"k_onn": 1.0})
    with pytest.raises(ValueError, match=r"does not have kon; did you mean 'k_on'\?"):
        plots.prior_posterior(tree, ["kon"])


def test_the_parameter_of_a_problem_that_was_meant() -> None:
    problem = load_problem("il6_demo")
    with pytest.raises(ValueError, match=r"did you mean 'k_deg_IL6R'\?"):
        problem.vector({"k_deg_IL6Rr": 1.0})


def test_the_names_of_a_network_that_were_meant() -> None:
    found = read_antimony("model m; species STAT3 = 1; rate = 0.4; J: STAT3 -> ; rate*STAT3; end")
    reaction = found.reactions[0]
    with pytest.raises(ValueError, match=r"changes 'STAT', which is not a species; did you mean 'STAT3'\?"):
        compile_network(replace(found, reactions=(replace(reaction, stoichiometry={"STAT": -1.0}),)))
    with pytest.raises(ValueError, match=r"does not define: rates; did you mean 'rate'\?"):
        compile_network(replace(found, reactions=(replace(reaction, rate=sympy.Symbol("rates")),)))
