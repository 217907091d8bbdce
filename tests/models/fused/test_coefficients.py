"""The parts of an expression that depend on parameters alone; nothing is lost by computing them once."""

# sympy reads text into whatever it says.
# pyright: reportCallIssue=false, reportReturnType=false, reportArgumentType=false
import re

import pytest
import sympy

from hexamer.models import load_model
from hexamer.models.compiled.codegen import guard
from hexamer.models.solvers.fused.codegen.coefficients import Coefficients

pytestmark = pytest.mark.tier("check")

EXCESS = "Excess(Largest(q[1]*LogSize(A), q[4]))"  # of the larger of K^n and A^n


def taken(text: str, *state: str) -> tuple[str, list[str]]:
    """What is left of an expression over `state`, and its coefficients."""
    names = {n: sympy.Symbol(n) for n in ("A", "B", "k", "K", "V", "n", "x")}
    found = Coefficients(state)
    left = found.split(sympy.sympify(text, locals=names))
    return str(left), list(map(str, found.parts))


@pytest.mark.parametrize(
    ("text", "left", "parts"),
    [
        ("V*k*A/V", "A*q[0]", ["k"]),  # the volume cancels
        ("k*V*A*B", "A*B*q[0]", ["V*k"]),
        ("-k*A", "-A*q[0]", ["k"]),  # so that k and -k are one
        ("k*A/(K + A)", "A*q[0]/(A + q[1])", ["k", "K"]),
        (
            "k*A^n/(K^n + A^n)",
            f"q[0]*Power(A, q[1], {EXCESS})/(q[2]*exp(q[3] - {EXCESS}) + Power(A, q[1], {EXCESS}))",
            ["k", "n", "Power(K, n, n*GuardedLog(K))", "n*GuardedLog(K)", "n*LogSize(K)"],
        ),
        ("2*A", "2*A", []),
        ("k", "q[0]", ["k"]),
        ("A", "A", []),
        ("Piecewise((k, K > 1), (n, True))*A", "A*q[0]", ["Piecewise((k, K > 1), (n, True))"]),
        ("Piecewise((k, A > K + 1), (n, True))", "Piecewise((q[0], A > q[1] + 1), (q[2], True))", ["k", "K", "n"]),
        ("exp(k*x)*exp(A)", "q[0]*exp(A)", ["exp(k*x)"]),
    ],
)
def test_split(text: str, left: str, parts: list[str]) -> None:
    found, coefficients = taken(text, "A", "B")
    assert sorted(coefficients) == sorted(parts)
    expected = {f"q[{parts.index(p)}]": f"q[{coefficients.index(p)}]" for p in parts}
    assert _read(found) == _read(re.sub(r"q\[\d+\]", lambda m: expected[m[0]], left))


def _read(text: str) -> sympy.Expr:
    return sympy.sympify(re.sub(r"q\[(\d+)\]", r"q_\1", text))


def test_a_sum_gives_what_its_parts_share() -> None:
    a, b, kf, kr, v = sympy.symbols("A B kf kr V")
    factor, rest = Coefficients(["A", "B"]).factor(v * kf * a - v * kr * b)
    assert factor == v
    assert rest == kf * a - kr * b


@pytest.mark.tier("test")
@pytest.mark.parametrize("name", ["il6_stat3", "hepg2_core"])
def test_nothing_is_lost(name: str) -> None:
    """Coefficients put back give the rate laws of a model."""
    model = load_model(name)
    assert model.kinetics is not None
    coefficients = Coefficients(model.species)
    factored = [coefficients.factor(rate) for rate in model.kinetics.rates]
    split = [(coefficients.split(factor), coefficients.split(rest)) for factor, rest in factored]
    back = dict(zip(map(sympy.Symbol, coefficients.names), coefficients.parts, strict=True))
    parameters = set(map(sympy.Symbol, model.parameters))
    for (factor, rest), rate in zip(split, model.kinetics.rates, strict=True):
        assert sympy.simplify((factor * rest).xreplace(back) - guard(rate)) == 0
        assert not rest.free_symbols & parameters
