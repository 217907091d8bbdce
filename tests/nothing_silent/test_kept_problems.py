"""Networks and data sets are kept in a posterior exactly; a message about them names no option of the command line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import jax.numpy as jnp
import pytest

import hexamer
from helpers import CASES
from hexamer import load_problem
from hexamer.infer.posterior.content import ContentError, from_text, to_text
from hexamer.models import compile_network, load_network
from hexamer.models.compiled.identity import model_digest
from hexamer.models.library import bundled

pytestmark = pytest.mark.tier("test")


@pytest.mark.parametrize("name", bundled())
def test_networks_are_kept_exactly(name: str) -> None:
    """Formula by formula, and as compiled."""
    network = load_network(name)
    text = to_text(network)
    again = from_text(text)
    assert to_text(again) == text
    for part in ("reactions", "rules", "rates", "initial", "species", "compartments", "units"):
        assert getattr(again, part) == getattr(network, part)
    if name == "il6_stat3":
        assert model_digest(compile_network(again)) == model_digest(compile_network(network))


def test_data_sets_are_kept_exactly() -> None:
    """Limits, formulas with placeholders, protocols and priors."""
    for load in (
        lambda: load_problem(CASES / "own-receptor-problem").dataset,
        lambda: hexamer.data.load("il6_demo"),
        lambda: hexamer.data.load(next((CASES / "resized-compartment").rglob("*.yaml"))),
    ):
        data = load()
        assert from_text(to_text(data)) == data


@pytest.mark.parametrize(
    "text", ["{", '{"os": {}}', '{"formula": ["eval", "x"]}', '{"Species": {"volume": 1}}', "[[[{}]]]"]
)
def test_text_that_is_no_content_is_refused(text: str) -> None:
    with pytest.raises(ContentError, match="damaged, or of another version"):
        from_text(text)
    with pytest.raises(ContentError):
        to_text({"a": jnp.zeros(1)})


def _texts(file: Path) -> list[str]:
    """String constants of a module but its docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    documents = {
        id(n.body[0].value) for n in ast.walk(tree) if isinstance(n, documented) and isinstance(n.body[0], ast.Expr)
    }
    found = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return [str(n.value) for n in found if id(n) not in documents]


def test_no_library_message_speaks_of_the_command_line() -> None:
    """The library is called from programs, too; options belong to the command line's own words."""
    root = Path(hexamer.__file__).parent
    files = [f for package in ("infer", "models", "data") for f in (root / package).resolve().rglob("*.py")]
    assert len(files) > 100
    flags = {f.name: [t for t in _texts(f) if re.search(r"(^|[\s(`'\"])--[a-z]", t)] for f in files}
    assert {n: t for n, t in flags.items() if t} == {}
