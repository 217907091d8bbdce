"""Antimony and the bundled networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from hexamer.models import Network, UnsupportedModelError
from hexamer.models.antimony_text import antimony_to_sbml


def test_errors_have_the_parsers_words(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"the Antimony text cannot be read as Antimony: .*line 2"):
        antimony_to_sbml("model m\n A -> B k*A;\nend\n")
    file = tmp_path / "torn.ant"
    file.write_text("model m\n J0: A -> ; k*;\nend\n")
    with pytest.raises(UnsupportedModelError, match=r"torn\.ant cannot be read as Antimony: .*line 2"):
        Network.load(file)
    with pytest.raises(FileNotFoundError, match=r"no Antimony file .*absent\.ant"):
        antimony_to_sbml("absent.ant")


def test_a_file_and_its_text_agree(tmp_path: Path) -> None:
    text = "model m\n species A = 2; k = 1; J0: A -> ; k*A;\nend\n"
    file = tmp_path / "m.ant"
    file.write_text(text)
    assert Network.load(file) == Network.from_antimony(text) == Network.from_antimony(str(file))


def test_one_text_leaves_nothing_for_the_next() -> None:
    antimony_to_sbml("model first\n species A = 2; J0: A -> ; A;\nend\n")
    second = Network.from_antimony("model second\n species B = 2; J0: B -> ; B;\nend\n")
    assert (second.name, set(second.species)) == ("second", {"B"})
