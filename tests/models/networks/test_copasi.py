"""COPASI's files: read with the courses that COPASI itself computes, and refused with a way out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hexamer.models import (
    Protocol,
    Settings,
    UnsupportedModelError,
    load_model,
    load_network,
    read_copasi,
    read_sbml,
    simulate,
)
from hexamer.models.networks.copasi import kept_locale

pytestmark = pytest.mark.tier("test")

with kept_locale():
    import basico


@pytest.fixture(autouse=True, scope="module")
def _locale() -> Iterator[None]:
    with kept_locale():
        yield


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


def test_units_are_those_of_the_file(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """COPASI 4.48 writes a minute as 60 milliseconds in its SBML."""
    network = read_copasi(file)
    for name, kind, scale, multiplier in (("time", "second", 0, 60.0), ("substance", "mole", -9, 1.0)):
        (factor,) = network.units[network.base_units[name]]
        assert (factor.kind, factor.scale, factor.multiplier) == (kind, scale, multiplier)
    assert "60 milliseconds in the units time, and means a minute" in caplog.text


def test_milliseconds_of_others_stay(file: Path) -> None:
    """60 ms may be meant in a file that COPASI did not write."""
    loaded = basico.load_model(str(file))
    text = basico.save_model_to_string(type="sbml", model=loaded)
    basico.remove_datamodel(loaded)
    assert text is not None
    assert read_sbml(text).units["time"][0].scale == 0
    assert read_sbml(text.replace("copasi.org", "example.org")).units["time"][0].scale == -3


@pytest.mark.tier("slow")
def test_events_that_do_not_persist_fire_at_the_start_or_have_priorities(tmp_path: Path) -> None:
    """COPASI's SBML has the first two in level 3 alone, and the events' priorities in no level."""
    path = tmp_path / "events.cps"
    model = basico.new_model(name="events")
    basico.add_species("S", initial_concentration=1.0)
    basico.add_species("R", initial_concentration=1.0)
    basico.add_reaction("decay", "S -> ")
    basico.set_reaction_parameters("(decay).k1", value=0.6)
    basico.add_event("first", "Time > 5.2", [["S", "[S] + 2"]])
    basico.add_event("low", "[S] < 0.05", [["S", "1"]], delay="1.5")  # taken back at time 5.2
    basico.add_event("start", "Time < 3", [["R", "[R] + 4"]], fire_at_initial_time=True)
    basico.add_event("later", "Time > 6.3", [["R", "[R]*2"]], priority="1")
    basico.add_event("sooner", "Time > 6.3", [["R", "[R] + 3"]], priority="2")
    basico.save_model(str(path), model=model)
    basico.remove_datamodel(model)
    loaded = basico.load_model(str(path))
    theirs = basico.run_time_course(10, 10, r_tol=1e-10, a_tol=1e-14, model=loaded)
    basico.remove_datamodel(loaded)
    assert theirs is not None
    found = simulate(load_model(path), {}, Protocol(), range(11), observe=("S", "R"), settings=Settings(rtol=1e-9))
    later = slice(1, None)  # at time 0 COPASI shows the state before the event
    for name in ("S", "R"):
        right = theirs[name].to_numpy()
        np.testing.assert_allclose(np.asarray(found.observed[name][0])[later], right[later], rtol=1e-6)
    assert found.observed["R"][0][-1] == pytest.approx(16.0)


def test_priorities_that_are_formulas_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "priority.cps"
    model = basico.new_model(name="priority")
    basico.add_species("R", initial_concentration=1.0)
    basico.add_event("later", "Time > 6.3", [["R", "[R]*2"]], priority="2*[R]")
    basico.save_model(str(path), model=model)
    basico.remove_datamodel(model)
    with pytest.raises(UnsupportedModelError, match=r"the event later has the priority .*make it a number"):
        read_copasi(path)


def test_amounts_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of species in a volume that follows from a formula, COPASI writes amounts and shows concentrations."""
    path = tmp_path / "grows.cps"
    model = basico.new_model(name="grows")
    basico.add_compartment("cell", type="assignment", expression="2 + 0.2*Time")
    basico.add_species("X", compartment_name="cell", initial_concentration=3.0)
    basico.add_reaction("decay", "X -> ")
    basico.set_reaction_parameters("(decay).k1", value=0.2)
    basico.save_model(str(path), model=model)
    theirs = basico.run_time_course(10, 10, r_tol=1e-10, a_tol=1e-14, model=model)
    basico.remove_datamodel(model)
    assert theirs is not None
    found = simulate(load_model(path), {}, Protocol(), range(11), observe=("X", "X/cell"))
    np.testing.assert_allclose(np.asarray(found.observed["X/cell"][0]), theirs["X"].to_numpy(), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(found.observed["X"][0]), 6 * np.exp(-0.2 * np.arange(11)), rtol=1e-6)
    assert "COPASI writes X as amounts here, not concentrations: the concentration of X is X/cell" in caplog.text


def test_random_numbers_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In COPASI's SBML, `uniform(0, 1)` is a function with the formula of the mean, and an annotation."""
    path = tmp_path / "random.cps"
    model = basico.new_model(name="random")
    basico.add_parameter("x", type="assignment", expression="uniform(0, 1)")
    basico.save_model(str(path), model=model)
    basico.remove_datamodel(model)
    assert float(load_network(path).rules["x"]) == 0.5
    assert "the functions RUNIFORM mean random numbers" in caplog.text


def test_what_copasi_cannot_write_says_why(tmp_path: Path) -> None:
    path = tmp_path / "initial.cps"
    model = basico.new_model(name="initial")
    basico.add_parameter("k in", initial_value=0.3)
    basico.add_parameter("I", initial_expression="Values[k in]*3")
    basico.save_model(str(path), model=model)
    basico.remove_datamodel(model)
    with pytest.raises(UnsupportedModelError, match=r"cannot write this model as SBML.*says:\n.*parameter \"k in\""):
        read_copasi(path)


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


@pytest.mark.tier("slow")
def test_the_locale_stays_as_it_is(file: Path) -> None:
    """COPASI sets the locale C, after which Python reads files as ASCII."""
    script = f"""
import locale
locale.setlocale(locale.LC_ALL, "C.UTF-8")
before = locale.setlocale(locale.LC_ALL), locale.getencoding()
from hexamer.models import read_copasi
read_copasi({str(file)!r})
assert (locale.setlocale(locale.LC_ALL), locale.getencoding()) == before, locale.setlocale(locale.LC_ALL)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
