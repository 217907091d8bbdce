"""Random formulas have the value that they say; random text is refused, or read whole."""

from __future__ import annotations

import math
import re
from typing import Any

import hypothesis.strategies as st
import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import HealthCheck, given, seed, settings

from helpers import little_work
from hexamer.models import FormulaError, parse_infix
from hexamer.models.networks.formulas import names_in, to_infix

pytestmark = pytest.mark.tier("slow")
NAMES = ("x", "y", "k", "exp", "E", "t", "PI")

_LEAVES = st.one_of(
    st.sampled_from(NAMES),
    st.integers(0, 99).map(str),
    st.floats(1e-6, 1e6).map(repr),
    st.sampled_from(["pi", "exponentiale", "time", "1e-9", "2.5e3"]),
)


def _conditions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    relation = st.tuples(inner, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), inner).map(" ".join)
    pair = st.tuples(relation, st.sampled_from(["&&", "||"]), relation).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})")
    return st.one_of(relation, pair, relation.map(lambda r: f"!({r})"), st.tuples(relation, relation).map(_xor))


def _xor(pair: tuple[str, str]) -> str:
    return f"xor({pair[0]}, {pair[1]})"


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.tuples(inner, st.sampled_from([" + ", "-", "*", "/", " - "]), inner)
    return st.one_of(
        binary.map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
        st.tuples(inner, st.integers(-3, 3)).map(lambda t: f"({t[0]})^({t[1]})"),
        st.tuples(inner, inner).map(lambda t: f"abs({t[0]})^({t[1]})"),
        st.tuples(st.sampled_from(["exp", "sin", "cos", "tanh", "abs", "floor", "ceil", "-"]), inner).map(
            lambda t: f"{t[0]}({t[1]})"
        ),
        inner.map(lambda t: f"ln(1 + abs({t}))"),
        inner.map(lambda t: f"sqrt(abs({t}))"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        st.tuples(inner, _conditions(inner), inner).map(lambda t: f"piecewise({', '.join(t)})"),
        st.tuples(_conditions(inner), inner).map(lambda t: f"(({t[0]})*{t[1]})"),
    )


FORMULAS = st.recursive(_LEAVES, _larger, max_leaves=12)
_ALPHABET = [*"xyk019.+-*/^()<>=!&|, \tE_e%#;'\"[]{}\\λ−²×\u00a0：١", "sin(", "piecewise(", "1e", "time", "e9", "&&"]
GARBAGE = st.one_of(
    st.lists(st.sampled_from(_ALPHABET), max_size=30).map("".join),
    st.text(max_size=40),
    st.tuples(FORMULAS, st.integers(0, 200), st.sampled_from(_ALPHABET)).map(
        lambda t: t[0][: t[1] % (len(t[0]) + 1)] + t[2] + t[0][t[1] % (len(t[0]) + 1) :]
    ),
)
VALUES = {n: v for n, v in zip((*NAMES, "time"), (1.3, -0.7, 2.1, 0.4, 3.7, -1.9, 0.05, 6.2), strict=True)}


def _value(expression: sympy.Basic) -> complex | None:
    """In plain Python floats, None where it overflows or is not defined."""
    names = sorted(names_in(expression))
    symbols = sympy.symbols(f"v:{len(names)}")
    plain = expression.xreplace({sympy.Symbol(n): s for n, s in zip(names, symbols, strict=True)})
    with np.errstate(all="ignore"):
        try:
            values = [VALUES.get(n, 0.3 * len(n)) for n in names]
            return complex(sympy.lambdify(symbols, plain, modules="numpy")(*values))
        except (OverflowError, ZeroDivisionError):
            return None


def _plain(text: str) -> str:
    """The formula in Python, for a reading that shares nothing with ours."""
    return text.replace("&&", " and ").replace("||", " or ").replace("!(", " not (").replace("^", "**")


# The tables for the two readings below: of Python's floats, and of numbers of 60 digits.
_FLOATS = {
    "exp": math.exp, "sin": math.sin, "cos": math.cos, "tanh": math.tanh, "floor": math.floor, "ceil": math.ceil,
    "ln": math.log, "sqrt": math.sqrt, "pi": math.pi, "exponentiale": math.e,
}  # fmt: skip
_DIGITS = {
    "exp": mpmath.exp, "sin": mpmath.sin, "cos": mpmath.cos, "tanh": mpmath.tanh, "floor": mpmath.floor,
    "ceil": mpmath.ceil, "ln": mpmath.log, "sqrt": mpmath.sqrt, "pi": mpmath.pi, "exponentiale": mpmath.e,
    "number": mpmath.mpf,
}  # fmt: skip
_ALIKE = {
    "abs": abs, "min": min, "max": max, "xor": lambda a, b: bool(a) != bool(b),
    "piecewise": lambda a, condition, b: a if condition else b,
}  # fmt: skip


def _read(plain: str, known: dict[str, Any]) -> complex | None:
    names = {n: v for n, v in VALUES.items() if n != "exp"}
    try:
        # `exp` is a name as well, where it is not called.
        return complex(eval(re.sub(r"\bexp\b(?!\()", "0.4", plain), {"__builtins__": {}}, known | _ALIKE | names))
    except (OverflowError, ZeroDivisionError, ValueError):
        return None


def _by_python(text: str) -> complex | None:
    return _read(_plain(text), _FLOATS)


def _by_digits(text: str) -> complex | None:
    """What it would be without rounding: `sqrt(abs(sin(pi)))` is 0 then, not 1e-8."""
    with mpmath.workdps(60):
        return _read(re.sub(r"(?<![\w.])\d+\.?\d*(?:e[-+]?\d+)?", r"number('\g<0>')", _plain(text)), _DIGITS)


def _same(value: complex, expected: complex | None) -> bool:
    return expected is not None and value == pytest.approx(expected, rel=1e-6, abs=1e-9)


def check_formula(text: str) -> None:
    """Read whole: the value is that of another reader, and what is printed reads back to the same."""
    try:
        with little_work():
            expression = parse_infix(text)
    except FormulaError as error:
        # The grammar is right, so a part is not finite, not real, or beyond floats.
        assert re.search("finite|real|beyond|below|divides|exponent", str(error)), text  # noqa: PT017
        return
    expected = _by_python(text)
    again = parse_infix(to_infix(expression))
    found, back = _value(expression), _value(again)
    for value in (found, back):
        if value is not None and expected is not None and np.isfinite(value) and np.isfinite(expected):
            # If rounding decides what it is, the value without rounding is right as well.
            assert _same(value, expected) or _same(value, _by_digits(text)), (text, value, expected)


def check_garbage(text: str) -> None:
    """Refused, or read whole: nothing is left out when it is printed."""
    try:
        with little_work():
            expression = parse_infix(text)
    except FormulaError as error:
        assert "cannot read the formula" in str(error)  # noqa: PT017
        return
    assert text.isascii()
    again = parse_infix(to_infix(expression))
    if to_infix(again) != to_infix(expression):  # sympy may turn a sign round
        assert _value(again) == pytest.approx(_value(expression), rel=1e-9, nan_ok=True), text


_QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


@seed(1)
@settings(max_examples=150, deadline=None, database=None, suppress_health_check=_QUIET)
@given(FORMULAS)
def test_random_formulas_have_the_value_that_they_say(text: str) -> None:
    check_formula(text)


@seed(2)
@settings(max_examples=250, deadline=None, database=None, suppress_health_check=_QUIET)
@given(GARBAGE)
def test_random_text_is_refused_or_read_whole(text: str) -> None:
    check_garbage(text)


@seed(3)
@settings(max_examples=5000, deadline=None, database=None, suppress_health_check=_QUIET)
@given(FORMULAS)
def test_five_thousand_formulas(text: str) -> None:
    check_formula(text)


@seed(4)
@settings(max_examples=5000, deadline=None, database=None, suppress_health_check=_QUIET)
@given(GARBAGE)
def test_five_thousand_texts(text: str) -> None:
    check_garbage(text)
