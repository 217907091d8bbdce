"""Antimony and the bundled networks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hexamer.models import UnsupportedModelError, load_network, read_antimony
from hexamer.models.networks.antimony_read import antimony_to_sbml

pytestmark = pytest.mark.tier("check")


def test_errors_have_the_parsers_words(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"the Antimony text cannot be read as Antimony: .*line 2"):
        antimony_to_sbml("model m\n A -> B k*A;\nend\n")
    file = tmp_path / "torn.ant"
    file.write_text("model m\n J0: A -> ; k*;\nend\n")
    with pytest.raises(UnsupportedModelError, match=r"torn\.ant cannot be read as Antimony: .*line 2"):
        load_network(file)
    with pytest.raises(FileNotFoundError, match=r"no Antimony file .*absent\.ant"):
        antimony_to_sbml("absent.ant")


def test_a_file_and_its_text_agree(tmp_path: Path) -> None:
    text = "model m\n species A = 2; k = 1; J0: A -> ; k*A;\nend\n"
    file = tmp_path / "m.ant"
    file.write_text(text)
    assert load_network(file) == read_antimony(text) == read_antimony(str(file))


def test_one_text_leaves_nothing_for_the_next() -> None:
    antimony_to_sbml("model first\n species A = 2; J0: A -> ; A;\nend\n")
    second = read_antimony("model second\n species B = 2; J0: B -> ; B;\nend\n")
    assert (second.name, set(second.species)) == ("second", {"B"})


def test_threads_read_side_by_side() -> None:
    """libantimony is one for all; without turns it crashed."""
    texts = [f"model m{i}\n A = 1; k{i} = {i + 1}; J0: A -> ; k{i}*A;\nend\n" for i in range(60)]
    with ThreadPoolExecutor(8) as pool:
        networks = list(pool.map(read_antimony, texts))
    assert [(n.name, list(n.parameters)) for n in networks] == [(f"m{i}", [f"k{i}"]) for i in range(60)]


CALLS = {
    "too few": ("X' = f(X)", r"line 6, column 6: f takes 2 arguments \(x, y\), not 1"),
    "none": ("X' = f()", r"line 6, column 6: f takes 2 arguments \(x, y\), not 0"),
    "too many": ("X' = f(X, (2 + 3), max(4, 5))", "f takes 2 arguments .*, not 3"),
    "of another function": ("X' = g(X)", r"line 3, column 14: the function g calls itself"),
}


@pytest.mark.parametrize("kind", CALLS)
def test_calls_that_do_not_fit_their_function(kind: str) -> None:
    """libantimony takes an argument that is missing from the model: f(X) was X/y with the y of the model."""
    rate, expected = CALLS[kind]
    circle = "function g(x); h(x); end; function h(x); g(x); end" if kind == "of another function" else "// none"
    text = f"function f(x, y)\n x/y; end // f(1)\n{circle}\nmodel m\nX = 1; y = 7\n{rate}\nend\n"
    with pytest.raises(UnsupportedModelError, match=expected):
        read_antimony(text)


def test_calls_that_fit() -> None:
    text = "function f(x, y)\n x/y; end\nmodel m\nX = 1; y = 7; X' = f(f(X, 2), max(X, y)) # f(1)\nend\n"
    assert str(read_antimony(text).rates["X"]) == "X/(2*Max(X, y))"


def test_a_rule_and_a_reaction_for_one_species() -> None:
    expected = (
        r"line 2: X is given by a rule and changed by a reaction; remove one of the two, or write \$X in the reaction"
    )
    with pytest.raises(UnsupportedModelError, match=expected):
        read_antimony("model m\n species X, Y; X := 3\n X -> Y; 1*X\nend\n")


def test_several_models_in_one_file(caplog: pytest.LogCaptureFixture) -> None:
    two = "model {}a()\n X = 1; X' = 1\nend\nmodel b()\n {}Y = 2; Y' = 2\nend\n"
    for star, inner, name in (("", "A: a(); ", "b"), ("*", "", "a")):
        assert read_antimony(two.format(star, inner)).name == name
    assert not caplog.records
    assert read_antimony(two.format("", "")).name == "b"
    assert "holds several models: b, the last one, is read, and not a; write 'model *NAME()'" in caplog.text


@pytest.mark.parametrize("text", ["", "\n", "// model m\n"])
def test_a_file_without_a_model(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.ant").write_text(text)
    with pytest.raises(UnsupportedModelError, match=r"m\.ant holds no model: it is empty, or all of it is a comment"):
        load_network(tmp_path / "m.ant")
