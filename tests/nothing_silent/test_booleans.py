"""SBML level 3 version 2: a Boolean may stand for a number, 1 or 0, and a number for a Boolean, true unless 0."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sympy

from helpers import ENGINES, SOLVERS
from hexamer.models import (
    Model,
    Protocol,
    compile_network,
    load_model,
    parse_infix,
    read_antimony,
    read_sbml,
    simulate,
)
from hexamer.models.networks.formulas import inline
from hexamer.models.solvers.settings import Settings

pytestmark = pytest.mark.tier("check")

CASES = Path(__file__).parents[1] / "cases"


def course(model: Model, times: list[float], engine: str, observe: tuple[str, ...] = ()) -> dict[str, list[float]]:
    settings = Settings(SOLVERS[engine], rtol=1e-8, atol=1e-10)
    result = simulate(model, {}, Protocol("p"), times, observe=observe, settings=settings)
    assert np.all(np.asarray(result.status) == 0)
    found = {n: np.asarray(result.y)[0, :, i].tolist() for i, n in enumerate(model.species)}
    return found | {n: np.asarray(v)[0].tolist() for n, v in result.observed.items()}


@pytest.mark.parametrize("engine", ENGINES)
def test_rate_that_is_true(engine: str) -> None:
    expected = json.loads((CASES / "boolean-as-number" / "expected.json").read_text())
    model = load_model(CASES / "boolean-as-number" / "model.xml")
    assert course(model, expected["times"], engine)["S"] == pytest.approx(expected["S"], rel=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_comparison_in_a_product(engine: str) -> None:
    model = load_model(CASES / "messages-that-do-not-place-the-fault" / "boolean_as_number.xml")
    assert course(model, [1.0, 2.0, 5.0], engine)["X2"] == pytest.approx([0, 0, 9], abs=1e-6)


RULES = """model rules
  b := time > 2; n := 0.5*time; c := b && (n > 2); k = 1;
  X = 0; X' = 3*b;
  Y = 0; Y' = piecewise(1, b, 0) + k*(time >= 1 && time < 2);
  Z = 0; Z' = piecewise(1, n, 2);
  W = 0; W' = (X > 1) + (!b)*2;
  V = 0; V' = c;
  U = 0; U' = (b == (time > 3)) + (b != (time > 3))*10;
  T = 0; T' = xor(time > 1, time > 2, time > 3) + implies(time > 1, time > 2)*10;
end
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_rules_that_are_conditions_and_conditions_that_are_rules(engine: str) -> None:
    model = compile_network(read_antimony(RULES))
    found = course(model, [1.0, 3.0, 6.0], engine, ("b", "c", "3*(time >= 2)", "b + c"))
    expected = {
        "X": [0, 3, 12],
        "Y": [0, 2, 5],
        "Z": [1, 3, 6],  # 0.5 t is 0, and so false, at 0 alone
        "W": [2, 4 + 2 / 3, 7 + 2 / 3],
        "V": [0, 0, 2],
        "U": [1, 2 + 10, 15],
        "T": [10, 10 + 1 + 10, 1 + 3 + 50],
        "b": [0, 1, 1],
        "c": [0, 0, 1],
        "3*(time >= 2)": [0, 3, 3],
        "b + c": [0, 1, 2],
    }
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-6), name


def test_conditions_stay_conditions_when_they_are_written_out() -> None:
    """So that others find the times at which a model switches."""
    t = sympy.Symbol("time")
    found = inline({"b": parse_infix("time > 2"), "x": parse_infix("3*b"), "y": parse_infix("piecewise(1, b, 0)")})
    switch = sympy.Piecewise((1, t > 2), (0, True))
    assert found == {"b": switch, "x": 3 * switch, "y": switch}
    rules = {"b": parse_infix("time > 2"), "c": parse_infix("!b && x < 3"), "d": parse_infix("piecewise(1, c, 2)")}
    assert inline(rules)["d"] == sympy.Piecewise((1, (t <= 2) & (sympy.Symbol("x") < 3)), (2, True))


@pytest.mark.parametrize("relation", ["!=", "=="])
def test_conditions_whose_brackets_antimony_drops_are_refused(relation: str) -> None:
    """It writes a chain, in which a number stands beside a condition; xor says what is meant."""
    text = "model m\nx = 0; a = 1; b = 3; x' = piecewise(1, {}, 0)\nend"
    with pytest.raises(ValueError, match=r"line 2, column \d+: a comparison in brackets is compared .*xor"):
        read_antimony(text.format(f"(time >= a) {relation} (time >= b)"))
    model = compile_network(read_antimony(text.format("xor(time >= a, time >= b)")))
    assert course(model, [0.5, 2.0, 5.0], "fused")["x"] == pytest.approx([0, 1, 2], abs=1e-7)


@pytest.mark.parametrize("zero", ["0", " 0 ", "0.0", "0e0", "-0"])
def test_a_zero_is_no_number_that_is_too_small(zero: str) -> None:
    text = (CASES / "boolean-as-number" / "model.xml").read_text()
    condition = "<apply><gt/><ci>S</ci><cn>1</cn></apply>"
    law = f"<piecewise><piece><cn>1</cn>{condition}</piece><otherwise><cn>{zero}</cn></otherwise></piecewise>"
    assert "<true/>" in text
    model = compile_network(read_sbml(text.replace("<true/>", law)))
    assert len(model.species) == 1
