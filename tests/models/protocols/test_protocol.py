"""Protocols: how they are built, and every way in which they can be wrong."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from hexamer import Diffrax, Fused
from hexamer.models import Model, Protocol, Settings, Step, compile_function, simulate

pytestmark = pytest.mark.tier("check")


@pytest.fixture(scope="module")
def decay() -> Model:
    return compile_function(
        lambda t, y, p: -p["k"] * y, species=["A"], parameters={"k": 1.0}, initial=[1.0], name="decay"
    )


def test_builds_up() -> None:
    base = Protocol.equilibrated("mix", CHX=0.0)
    built = base.pulse("IL6", "dose", start=0, stop=15).set(at=15, CHX=1.0).add("sIL6R", 2.0, at=-0.0)
    assert base.steps == ()
    assert built.steps == (
        Step(0, add={"IL6": "dose", "sIL6R": 2.0}),
        Step(15, assign={"IL6": 0.0, "CHX": 1.0}),
    )
    assert built.references == {"dose"}
    assert built.targets == {"CHX", "IL6", "sIL6R"}


WRONG: dict[str, Callable[[], object]] = {
    "a step's time must be finite, not nan": lambda: Step(math.nan),
    "IL6 is both set and added to": lambda: Step(0, assign={"IL6": 1.0}, add={"IL6": 1.0}),
    "at time 3, IL6 is given as inf: it must be finite": lambda: Step(3, add={"IL6": math.inf}),
    "step at -1, before its start at 0": lambda: Protocol().add("IL6", 1.0, at=-1),
    "the times of its steps must increase": lambda: Protocol(steps=(Step(2), Step(1))),
    "already changes IL6 at time 0": lambda: Protocol().add("IL6", 1.0).add("IL6", 1.0),
    "stop, 5, must come after its start, 10": lambda: Protocol().pulse("IL6", 1.0, start=10, stop=5),
    "derivative must be 'reverse' or 'forward'": lambda: Diffrax(derivative="both"),  # pyright: ignore[reportArgumentType]
    "tolerances must be positive": lambda: Settings(atol=0.0),
    "max_steps must be at least 1": lambda: Settings(max_steps=0),
    "less than 2\\*\\*31": lambda: Settings(max_steps=2**31),
    "longest_step is a fraction": lambda: Settings(longest_step=2.0),
    "threads, record and memory cannot be negative": lambda: Fused(memory=-1),
}


@pytest.mark.parametrize("said", WRONG)
def test_wrong_when_made(said: str) -> None:
    with pytest.raises(ValueError, match=said):
        WRONG[said]()


UNFIT = {
    "changes 'B', which decay does not have": (Protocol("p").add("B", 1.0), [1.0]),
    "adds to 'k', which is a parameter of decay, not a species: set it instead": (Protocol("p").add("k", 1.0), [1.0]),
    "has an output time -1 before its start at 0": (Protocol("p"), [-1.0, 1.0]),
    "the output times of protocol 'p' do not increase": (Protocol("p"), [2.0, 1.0]),
    "has an output time that is not finite": (Protocol("p"), [1.0, np.inf]),
    "uses the parameter 'dose', which is not among those given": (Protocol("p").add("A", "dose"), [1.0]),
    "no protocol is given": ([], [1.0]),
    "times must be a non-empty vector, not of shape .0,.": (Protocol("p"), []),
}


@pytest.mark.parametrize("said", UNFIT)
def test_wrong_for_the_model(decay: Model, said: str) -> None:
    protocols, times = UNFIT[said]
    with pytest.raises(ValueError, match=said):
        simulate(decay, {}, protocols, times)


def test_all_that_is_wrong_at_once(decay: Model) -> None:
    with pytest.raises(ValueError, match="cannot simulate") as raised:
        simulate(decay, {}, [Protocol("p").add("B", 1.0), Protocol("q", start=5.0).add("k", 1.0, at=6)], [2.0])
    said = str(raised.value).splitlines()
    assert said == [
        "cannot simulate:",
        "  protocol 'p' changes 'B', which decay does not have",
        "  protocol 'q' adds to 'k', which is a parameter of decay, not a species: set it instead",
        "  protocol 'q' has an output time 2 before its start at 5",
    ]


def test_unknown_and_missing_values(decay: Model) -> None:
    with pytest.raises(ValueError, match="K: not among the parameters of decay; its parameters: k"):
        simulate(decay, {"K": 1.0}, Protocol(), [1.0])
    bare = compile_function(
        lambda t, y, p: -p["k"] * y, species=["A"], parameters={"k": math.nan}, initial=[1.0], name="bare"
    )
    with pytest.raises(ValueError, match="bare has no value for k: give one"):
        simulate(bare, {}, Protocol(), [1.0])
    with pytest.raises(ValueError, match="cannot observe 'A/B' in decay: unknown names in a formula: B"):
        simulate(decay, {}, Protocol(), [1.0], observe=["A/B"])


def test_rates_of_the_wrong_shape() -> None:
    model = compile_function(lambda t, y, p: y[:1], species=["A", "B"], parameters={}, initial=[1.0, 1.0], name="torn")
    with pytest.raises(ValueError, match=r"f of model 'torn' returned shape \(1,\); expected \(2,\)"):
        simulate(model, {}, Protocol(), [1.0])
    with pytest.raises(KeyError, match="'C' is not a species of torn; its species: A, B"):
        model.index("C")


def test_time_dependence_is_refused_before_anything_is_solved() -> None:
    model = compile_function(
        lambda t, y, p: -y * t, species=["A"], parameters={}, initial=[1.0], name="clock", depends_on_time=True
    )
    with pytest.raises(ValueError, match="'p' pre-equilibrates, but clock depends on time explicitly"):
        simulate(model, {}, Protocol.equilibrated("p"), [1.0])
