"""Solvers as objects: what they take, how they are shown, stored and found again, and their old words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import diffrax
import numpy as np
import pytest

from hexamer import Auto, Diffrax, Fused, Model, Protocol, Settings, Status, load_problem, simulate
from hexamer.infer import fit
from hexamer.infer.problem.identity import run_parts, with_layout_of
from hexamer.models import compile_network, read_antimony
from hexamer.models.solvers.diffrax_methods import method_names
from hexamer.models.solvers.solver import Solver, engine_options, in_doubles, with_resources_of
from hexamer.models.solvers.solver_words import diffrax_by_name, solver_by_words

pytestmark = pytest.mark.tier("check")

NEWTON = diffrax.Kvaerno5(root_finder=diffrax.VeryChord(rtol=1e-9, atol=1e-9))
SINGLE = Fused("float32", threads=2, record=7, memory=2**20)
FORWARD = Diffrax(derivative="forward")


def decay() -> Model:
    return compile_network(read_antimony("model decay; species A = 1; k = 0.5; J: A -> ; k*A; end"))


SHOWN: dict[str, object] = {
    "Fused()": Fused(),
    "Fused(precision='float32', threads=2, record=7, memory=1048576)": SINGLE,
    "Diffrax()": Diffrax(),
    "Diffrax(method=Tsit5(), derivative='forward')": Diffrax(diffrax.Tsit5(), "forward"),
    "Auto(fused=Fused(threads=2))": Auto(Fused(threads=2)),
}


@pytest.mark.parametrize("text", SHOWN)
def test_they_show_what_is_not_as_by_default(text: str) -> None:
    assert repr(SHOWN[text]) == text


def test_equal_solvers_are_one_key() -> None:
    """Settings are keys of what is compiled."""
    for a, b in [
        (Settings(Diffrax(diffrax.Kvaerno5())), Settings(Diffrax(diffrax.Kvaerno5()))),
        (Settings(Auto(Fused(record=3))), Settings(Auto(Fused(record=3)))),
        (Settings(rtol=np.float64(1e-3)), Settings(rtol=1e-3)),  # pyright: ignore[reportArgumentType]
    ]:
        assert a == b
        assert hash(a) == hash(b)
    assert len({Settings(), Settings(Fused()), Settings(Diffrax()), Settings(Diffrax(diffrax.Tsit5()))}) == 4


WRONG: dict[str, Callable[[], object]] = {
    "method must be a solver of diffrax, not a name: diffrax.Kvaerno3()": lambda: Diffrax("kvaerno3"),  # pyright: ignore
    "method must be a solver of diffrax, not a name: Diffrax() itself": lambda: Diffrax("rodas5p"),  # pyright: ignore
    "unknown solver 'Kvaerno6'; known: ": lambda: Diffrax("Kvaerno6"),  # pyright: ignore
    "method must be an object, not a class: diffrax.Tsit5()": lambda: Diffrax(diffrax.Tsit5),  # pyright: ignore
    "method must be a solver of diffrax, such as diffrax.Kvaerno5(), not int": lambda: Diffrax(5),  # pyright: ignore
    "diffrax.Euler does not estimate its error": lambda: Diffrax(diffrax.Euler()),  # pyright: ignore
    "diffrax.KenCarp4 splits the equations into several terms": lambda: Diffrax(diffrax.KenCarp4()),
    "Auto prefers the fused engine, which has no forward mode": lambda: Auto(diffrax=FORWARD),
    "solver must be Fused(...), Diffrax(...) or Auto(...) of hexamer, not Tsit5": lambda: Settings(diffrax.Tsit5()),  # pyright: ignore
    "unknown engine 'cuda'; known: auto, fused, diffrax": lambda: solver_by_words(engine="cuda"),
    "Rodas5P, in reverse mode: Tsit5 needs engine 'diffrax'": lambda: solver_by_words(engine="fused", solver="Tsit5"),
    "precision 'float32' is for the engine 'fused'": lambda: solver_by_words(engine="diffrax", precision="float32"),
}


@pytest.mark.parametrize("said", WRONG)
def test_what_they_do_not_take(said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        WRONG[said]()


def test_settings_name_what_they_do_not_have() -> None:
    with pytest.raises(TypeError, match=r"Settings has no 'rtoll': it has solver, rtol, .*; did you mean 'rtol'\?"):
        Settings(rtoll=1e-3)


OLD: list[tuple[dict[str, Any], Solver]] = [
    ({"engine": "fused"}, Fused()),
    ({"engine": "diffrax"}, Diffrax()),
    ({"engine": "diffrax", "solver": "kvaerno5"}, Diffrax(diffrax.Kvaerno5())),
    ({"solver": "tsit5"}, Diffrax(diffrax.Tsit5())),
    ({"solver": "rodas5p"}, Auto()),
    ({"derivative": "forward"}, FORWARD),
    ({"engine": "fused", "precision": "float32", "threads": 2, "record": 7, "memory": 2**20}, SINGLE),
    ({"threads": 2}, Auto(Fused(threads=2))),
]


@pytest.mark.parametrize(("words", "solver"), OLD)
def test_old_words_mean_what_they_did(words: dict[str, Any], solver: Solver) -> None:
    with pytest.warns(DeprecationWarning, match=re.escape(f"is now Settings({solver!r}); the old form goes")) as said:
        assert Settings(rtol=1e-4, **words) == Settings(solver, rtol=1e-4)
    assert said[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="the old form goes"):
        assert replace(Settings(rtol=1e-4), **words) == Settings(solver, rtol=1e-4)


@pytest.mark.parametrize("solver", [Fused(), SINGLE, Diffrax(), FORWARD, Diffrax(diffrax.Dopri8()), Auto(SINGLE)])
def test_settings_come_back_from_a_file(solver: Solver) -> None:
    settings = Settings(solver, rtol=1e-4, atol=1e-9, max_steps=77, longest_step=0.5, device="cpu")
    assert Settings.restored(json.loads(json.dumps(settings.stored()))) == settings


def test_settings_of_an_older_file() -> None:
    older = {"engine": "auto", "solver": "kvaerno3", "derivative": "reverse", "precision": "float64", "rtol": 1e-7}
    assert Settings.restored({**older, "threads": 0}) == Settings(Diffrax(diffrax.Kvaerno3()), rtol=1e-7)
    assert Settings.restored({}) == Settings()


def test_a_method_with_options_does_not_come_back() -> None:
    with pytest.raises(ValueError, match=r"the solver Kvaerno5\(.* has options of its own: give it again"):
        Settings.restored(Settings(Diffrax(NEWTON)).stored())


@pytest.mark.parametrize("solver", [Diffrax(NEWTON), Auto(SINGLE, Diffrax(NEWTON)), Diffrax(NEWTON, "forward")])
def test_a_method_with_options_comes_back_if_it_is_given(solver: Solver) -> None:
    settings = Settings(solver, rtol=1e-4)
    stored = json.loads(json.dumps(settings.stored()))
    assert Settings.restored(stored, solver) == settings
    assert Settings.restored(Settings(Diffrax()).stored(), solver) == Settings(Diffrax())


@pytest.mark.tier("test")
def test_how_work_is_shared_out_is_no_part_of_the_numbers() -> None:
    """Of a result that is taken up elsewhere, the numbers' part is kept."""
    settings, here = Settings(Auto(SINGLE), rtol=1e-4, device="gpu"), Settings(Fused(threads=5, record=9))
    taken = with_layout_of(settings, here)
    assert taken == Settings(Auto(Fused("float32", threads=5, record=9)), rtol=1e-4)
    assert with_resources_of(Diffrax(), Fused(threads=5)) == Diffrax()
    assert in_doubles(Auto(SINGLE)) == Auto(replace(SINGLE, precision="float64"))
    assert in_doubles(FORWARD) == FORWARD
    assert engine_options(FORWARD) == (Fused(), FORWARD)
    problem = load_problem("il6_demo")
    first = run_parts(problem)
    assert run_parts(problem.with_settings(solver=Auto(Fused(threads=1, record=3)))) == first
    assert run_parts(problem.with_settings(solver=Diffrax(diffrax.Tsit5()))) != first


def test_every_method_that_is_named_is_taken() -> None:
    """So that a solver that comes to diffrax needs nothing here."""
    assert {"Rodas5P", "Tsit5", "Dopri5", "Dopri8", "Kvaerno3", "Kvaerno4", "Kvaerno5"} <= {*method_names()}
    for name in method_names():
        assert diffrax_by_name(name.upper()).name == name
    assert [diffrax_by_name(n).explicit for n in ("Rodas5P", "Kvaerno5", "Tsit5")] == [False, False, True]


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", method_names())
def test_every_method_solves(name: str) -> None:
    """Also one of first order, whose errors of the steps add up to 1e-3."""
    settings = Settings(diffrax_by_name(name), rtol=1e-6, max_steps=100_000)
    out = simulate(decay(), {}, Protocol(), [0.0, 1.0, 3.0], settings=settings)
    assert out.status[0] == Status.OK
    np.testing.assert_allclose(out.y[0, :, 0], np.exp(-0.5 * np.array([0.0, 1.0, 3.0])), rtol=3e-3)


@pytest.mark.tier("slow")
def test_a_method_with_options_solves() -> None:
    out = simulate(decay(), {}, Protocol(), [1.0], solver=Diffrax(NEWTON))
    np.testing.assert_allclose(out.y[0, 0, 0], np.exp(-0.5), rtol=1e-5)
    with pytest.warns(DeprecationWarning, match="engine='fused'"):
        old = simulate(decay(), {}, Protocol(), [1.0], engine="fused")
    np.testing.assert_allclose(old.y, simulate(decay(), {}, Protocol(), [1.0], solver=Fused()).y, rtol=0)


def test_a_fit_takes_solvers_alone(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"unknown solver 'tsit6'; known: .*; did you mean 'Tsit5'"):
        fit(load_problem("il6_demo"), tmp_path, solver="tsit6")  # pyright: ignore[reportArgumentType]
