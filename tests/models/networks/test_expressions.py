"""Formulas: read, written, inlined, refused."""

from __future__ import annotations

import itertools

import pytest
import sympy

from hexamer.models import FormulaError, parse_infix
from hexamer.models.networks.formulas import inline, names_in, to_infix

pytestmark = pytest.mark.tier("check")

x, y, z, time = sympy.symbols("x y z time")

READ = {
    "-x^2": -(x**2),
    "(-x)^2": x**2,
    "2^-x": 2**-x,
    "x^y^z": x ** (y**z),
    "x/(y/z)": x * z / y,
    "x - (y - z)": x - y + z,
    "sqrt(x)": sympy.sqrt(x),
    "ln(x)": sympy.log(x),
    "log10(x)": sympy.log(x) / sympy.log(10),
    "min(x, y, 2) + max(x, 1)": sympy.Min(x, y, 2) + sympy.Max(x, 1),
    "abs(x) - ceil(y)*floor(z)": sympy.Abs(x) - sympy.ceiling(y) * sympy.floor(z),
    "exp(-x)/2 + exp(1)": sympy.exp(-x) / 2 + sympy.E,
    "time*x + pi": time * x + sympy.pi,
    "1e-9*x + 1.5e5": sympy.Float(1e-9) * x + 1.5e5,
    "(x + y)^-1.713": (x + y) ** sympy.Float(-1.713),
    "3/4*x": sympy.Rational(3, 4) * x,
    "sin(x) + cos(y) + tanh(z)": sympy.sin(x) + sympy.cos(y) + sympy.tanh(z),
    "piecewise(1, x < 1, 2, x <= 2 && y > 3, 0)": sympy.Piecewise((1, x < 1), (2, (x <= 2) & (y > 3)), (0, True)),
    "piecewise(x, !(x < 1) || y == 2, z)": sympy.Piecewise((x, (x >= 1) | sympy.Eq(y, 2)), (z, True)),
    "piecewise(1, 0 < x, 0) + 2": sympy.Piecewise((1, x > 0), (0, True)) + 2,
}


@pytest.mark.parametrize("text", READ)
def test_reads(text: str) -> None:
    assert parse_infix(text) == READ[text]


@pytest.mark.parametrize("text", READ)
def test_writes_what_it_reads(text: str) -> None:
    expression = parse_infix(text)
    assert parse_infix(to_infix(expression)) == expression


@pytest.mark.parametrize(
    ("text", "said"),
    {
        "log(x)": "log",  # natural to some, decimal to others
        "hill(x, 2)": "the function 'hill' is not supported",
        "delay(x, 3)": "not supported",
        "x +* y": "cannot read the formula",
        "": "cannot read the formula",
        "min(": "cannot read the formula",
    }.items(),
)
def test_refuses(text: str, said: str) -> None:
    with pytest.raises(FormulaError, match=said):
        parse_infix(text)


def test_inlines_in_any_order() -> None:
    rules = {"a": parse_infix("b + x"), "b": parse_infix("2*c"), "c": parse_infix("x^2")}
    assert inline(rules) == {"a": 2 * x**2 + x, "b": 2 * x**2, "c": x**2}


def test_circle_is_named() -> None:
    rules = {"p": parse_infix("a"), "a": parse_infix("b"), "b": parse_infix("1 + c"), "c": parse_infix("2*a")}
    with pytest.raises(FormulaError, match="circle: a → b → c → a"):
        inline(rules)


def test_names() -> None:
    assert names_in(parse_infix("x + y*x"), parse_infix("z")) == {"x", "y", "z"}
    assert names_in() == frozenset()


@pytest.mark.parametrize(
    "inner", ["xor(y < 0, y < 1)", "sin(y) < 0.5", "xor(y < 0, z < 1)", "y < 0 || z < 1", "!(y == z)"]
)
@pytest.mark.parametrize("outer", ["piecewise(1, {} < x, 2)", "1 + 2*({} < x)", "piecewise(1, xor({} < x, z < 1), 2)"])
def test_piecewise_within_a_condition(inner: str, outer: str) -> None:
    """The same whether it is written there or comes from a rule."""
    piecewise = f"piecewise(2, {inner}, y)"
    written = parse_infix(outer.format(piecewise))
    by_rule = inline({"k": parse_infix(piecewise), "f": parse_infix(outer.format("k"))})["f"]
    for point in itertools.product((-0.5, 2.5), (-0.3, 0.2, 0.7, 2.0), (-0.3, 0.5, 1.5)):
        at = dict(zip((x, y, z), point, strict=True))
        k = parse_infix(piecewise).subs(at)
        expected = parse_infix(outer.format("k")).subs({**at, sympy.Symbol("k"): k})
        assert written.subs(at) == by_rule.subs(at) == expected


def test_condition_of_a_piecewise_that_may_have_no_value() -> None:
    """False then, as any comparison with what is not a number."""
    read = parse_infix("piecewise(1, x < piecewise(2, y < 0, 3, y > 1), 0)")
    assert [read.subs({x: 0, y: at}) for at in (-1, 0.5, 2)] == [1, 0, 1]
