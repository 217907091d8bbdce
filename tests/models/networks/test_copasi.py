"""COPASI's files: read with the courses that COPASI itself computes, and refused with a way out."""

from __future__ import annotations

import sys
from pathlib import Path

import basico
import numpy as np
import pytest

from hexamer.models import Protocol, Settings, UnsupportedModelError, load_model, load_network, read_copasi, simulate

pytestmark = pytest.mark.tier("test")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Binding in a volume of 2, a decay by a formula of a global parameter, and a dose at time 5."""
    path = tmp_path_factory.mktemp("copasi") / "binding.cps"
    model = basico.new_model(name="binding", quantity_unit="nmol", time_unit="min", volume_unit="l")
    basico.add_compartment("cell", initial_size=2)
    for name, start in (("IL-6", 3.0), ("R", 2.0), ("C*", 0.0)):
        basico.add_species(name, initial_concentration=start, compartment_name="cell")
    basico.add_parameter("dose", initial_value=1.5)
    basico.add_parameter("half", initial_value=4)
    basico.add_parameter("lost", type="assignment", expression="log(2)/Values[half]")
    basico.add_reaction("bind", "IL-6 + R = C*")
    basico.set_reaction_parameters("(bind).k1", value=0.3)
    basico.set_reaction_parameters("(bind).k2", value=0.1)
    basico.add_reaction("decay", "C* -> ")
    basico.set_reaction_parameters("(decay).k1", mapped_to="lost")
    basico.add_event("give", "Time > 5", [["IL-6", "[IL-6] + Values[dose]"]])
    basico.save_model(str(path), model=model)
    basico.remove_datamodel(model)
    return path


def test_courses_are_those_of_copasi(file: Path) -> None:
    names = {"IL-6": "IL_6", "R": "R", "C*": "C"}
    model = load_model(file)
    assert set(model.species) == set(names.values())
    times = np.linspace(0, 20, 21)
    found = simulate(model, {}, Protocol(), times, observe=tuple(names.values()), settings=Settings(rtol=1e-9))
    loaded = basico.load_model(str(file))
    theirs = basico.run_time_course(20, 20, r_tol=1e-10, a_tol=1e-14, model=loaded)
    basico.remove_datamodel(loaded)
    assert theirs is not None
    for called, ours in names.items():
        right = theirs[called].to_numpy()
        # At time 5 we show the state after the event, COPASI that before it.
        same = times != 5
        np.testing.assert_allclose(np.asarray(found.observed[ours][0])[same], right[same], rtol=1e-6, atol=1e-9)


def test_names_and_values(file: Path) -> None:
    network = read_copasi(file)
    assert network.parameters["bind_k1"].value == 0.3
    assert network.compartments["cell"].value == 2
    assert len(network.events) == 1


def test_without_copasi_the_way_out_is_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "basico", None)
    with pytest.raises(ImportError, match=r"binding.cps .*pip install 'hexamer\[copasi\]', or export SBML in COPASI"):
        load_network(file)


def test_what_copasi_cannot_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no network file"):
        load_network(tmp_path / "missing.cps")
    broken = tmp_path / "broken.cps"
    broken.write_text("no model", encoding="utf-8")
    with pytest.raises(UnsupportedModelError, match=r"broken.cps cannot be read by COPASI"):
        load_network(broken)
