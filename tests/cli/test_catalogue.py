"""What `hexamer list` shows, and names that a misspelt one was meant to be."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import hexamer
from hexamer import Protocol, load_model, load_network, simulate
from hexamer.cli import app
from hexamer.cli.catalogue import Kind, inventory
from hexamer.data import Prior, TableError, load, read_priors
from hexamer.data.assays import ASSAYS
from hexamer.infer import load_problem
from hexamer.models import bundled, il6, read_antimony
from hexamer.models.library import MODULES, cells, drugs
from hexamer.models.solvers.solver_words import diffrax_by_name, solver_by_words

pytestmark = pytest.mark.tier("check")

NAMES = {
    Kind.models: bundled(),
    Kind.problems: hexamer.data.bundled(),
    Kind.modules: MODULES,
    Kind.drugs: drugs(),
    Kind.cells: cells(),
    Kind.assays: tuple(ASSAYS),
}


@pytest.mark.parametrize("kind", Kind)
def test_every_name_has_a_line(kind: Kind) -> None:
    found = inventory(kind)
    assert tuple(found) == NAMES[kind]
    for line in found.values():
        assert 8 < len(line) < 160
        assert not set("\n$\\`") & set(line.replace("`hepg2`", ""))
    shown = CliRunner().invoke(app, ["list", kind.value])
    assert shown.exit_code == 0
    assert [line.split()[0] for line in shown.stdout.splitlines()] == list(found)


def test_all_kinds_at_once() -> None:
    shown = CliRunner().invoke(app, ["list"])
    assert [line for line in shown.stdout.splitlines() if line.endswith(":")] == [f"{kind}:" for kind in Kind]


def test_an_unknown_kind_is_refused() -> None:
    shown = CliRunner().invoke(app, ["list", "drogs"])
    assert shown.exit_code == 2
    assert "'drogs' is not one of 'models'" in shown.output


def test_version() -> None:
    command = [sys.executable, "-m", "hexamer", "--version"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == f"hexamer {hexamer.__version__}\n"


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
}


@pytest.mark.parametrize("name", MISSPELT)
def test_the_name_that_was_meant(name: str, tmp_path) -> None:
    make, said = MISSPELT[name]
    with pytest.raises((ValueError, KeyError, FileNotFoundError, TableError)) as error:
        make(tmp_path)
    assert said in str(error.value)


def test_what_is_far_from_all_names_is_nothing() -> None:
    with pytest.raises(ValueError, match=r"\.xml or \.sbml$"):
        load_network("elephant")
