"""Formulas are read whole or refused with the place, and none takes long."""

from __future__ import annotations

import math
import re
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import sympy
from hypothesis import HealthCheck, given, seed, settings

from helpers import ENGINES, SOLVERS, little_work
from hexamer.data import TableError, parse_formula, read_folder
from hexamer.data.petab.v1 import read_petab
from hexamer.infer.doses.text import parse_conditions
from hexamer.models import (
    FormulaError,
    UnsupportedModelError,
    compile_network,
    load_network,
    parse_infix,
    read_antimony,
    read_sbml,
    simulate,
)
from hexamer.models.networks.dialects import PETAB
from hexamer.models.networks.formulas import inline, names_in, to_infix
from hexamer.models.networks.infix import LONGEST, read_number
from hexamer.models.protocols.protocol import Protocol
from hexamer.models.protocols.text import parse_protocol
from hexamer.models.solvers.settings import Settings

pytestmark = pytest.mark.tier("test")

CASES = Path(__file__).parents[1] / "cases"
MIDDLE = CASES / "formula-read-to-its-middle"
BUNDLED = Path(__file__).parents[2] / "data" / "bundled_problems" / "il6_demo"
NAMES = ("x", "y", "k", "exp", "E", "t", "PI")

# ---------------------------------------------------------------- what is refused, and what is said of it

REFUSED = {
    "x − 1": "column 3, '−' .U.2212, minus sign. .*write -",
    "x\u00a0+ 1": "column 2, .*no-break space.*a plain space",
    "µ + 1": "column 1, .*micro sign",
    "ехр(x)": "column 1, .*cyrillic",
    "x²": r"write \^2",
    "２*x": "fullwidth digit two.*write 2",
    "x\u200b + 1": "zero width space",
    "2 x": r"column 3, 'x' follows the number 2; write 2\*x",
    "3 x + 2 y": "column 3",
    "x + 5 nM": "a number has no unit here",
    "2(x)": r"column 2, an operator is missing before '\('",
    "(x) y": "column 5, an operator is missing",
    "x(2)": "the function 'x' is not supported; a product is written with",
    "2x": "'2x' is neither a number nor a name",
    "0x10": "'0x10' is neither",
    "1_000": "'1_000' is neither",
    "3e": "'3e' is neither",
    "1e+": "column 3|'1e' is neither",
    "1.2.3": "'1.2.3' is neither",
    "1,5": "column 2",
    "x, y": "an operator was expected, not ','",
    "1e400": "beyond the largest",
    "1e-400*x": "below the smallest",
    "1" * 400: "beyond the largest",
    "1e300*x*1e300": "beyond the largest",
    "9^9^9^9": "column 4, .*beyond",
    "2^-2000": "below 5e-324",
    "exp(1000)": "beyond",
    "exp(exp(exp(100)))": "beyond",
    "x^1e308": "exponent",
    "x/0": "column 2, it divides 1 by 0",
    "x/(y - y)": "by 0",
    "1/(x*0)": "by 0",
    "0^-1": "divides by 0",
    "ln(0)": "not a real number",
    "sqrt(-1)*x": "column 1, .*not a real number",
    "(-8)^(1/3)": "not a real number",
    "ln(-2)": "not a real number",
    "inf": "not a finite number",
    "x*nan": "column 3",
    "tan(pi/2)": "not a finite number",
    "log(x)": "ambiguous",
    "x % 2": "'%' has no meaning",
    "x = 1": "write ==",
    "x < 1 & y": "write &&",
    "a && b || c": "say with brackets",
    "x[0]": r"write \(",
    "x; y": "';' has no meaning",
    "x**2": r"at column 2, '\*\*' has no meaning; write \^ for a power",
    "piecewise(1, x > 2, 2": "column 22",
    "min()": "min takes 1 or more arguments, not 0",
    "sqrt(x, y)": "sqrt takes 1 argument, not 2",
    "__import__('os').system('true')": "has no meaning",
    "lambda: x": "':' has no meaning",
    "sin(" * 300 + "x" + ")" * 300: "nested too deeply",
    "(" * 10_000 + "x" + ")" * 10_000: "too long|nested too deeply",
    "x^" * 300 + "x": "nested too deeply",
    "abs(piecewise(0, x < x, 11))^(sqrt(abs(abs(pi)^10)))": "beyond the largest",
    "(x/1e-3)^150": "of 1000.0.x to the power of 150 a factor is beyond .* give the number in it a name",
    "rem(x, 2)": r"'rem' is not supported; write x - y\*floor\(x/y\)",
    "arccos(x)": r"the function 'arccos' is not supported$",
    "+".join(["x"] * LONGEST): "too long",
    "": "empty",
    " ": "empty",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda t: ascii(t[:24]))
def test_is_refused_with_the_formula_and_the_place(text: str) -> None:
    with little_work(), pytest.raises(FormulaError, match=REFUSED[text]) as error:
        parse_infix(text)
    assert repr(text[:20])[1:-1] in str(error.value) or "…" in str(error.value)


@pytest.mark.parametrize("text", (MIDDLE / "formulas.txt").read_text(encoding="utf-8").splitlines(), ids=ascii)
def test_every_formula_of_the_case_is_refused(text: str) -> None:
    for read in (parse_formula, parse_infix, lambda t: parse_infix(t, dialect=PETAB)):
        with pytest.raises(FormulaError, match="at column"):
            read(text)


@pytest.mark.parametrize(("file", "said"), [("minus.toml", "U.2212"), ("times.toml", "follows the number 2")])
def test_problem_with_such_a_signal_is_refused(tmp_path: Path, file: str, said: str) -> None:
    for source in BUNDLED.glob("*.csv"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    (tmp_path / "problem.toml").write_bytes((MIDDLE / file).read_bytes())
    with pytest.raises(TableError, match=rf"problem.toml, 'observables.pSTAT3_cytoplasm.signal' holds .*{said}"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("A − 1", "0.1"), "observables.tsv, row 1, 'observableFormula': .*U.2212"),
        (("2 A", "0.1"), "'observableFormula': .*follows the number 2"),
        (("A", "0.1 + 9^9^9^9"), "'noiseFormula': .*beyond"),
        (("A", "0.1*A/0"), "'noiseFormula': .*by 0"),
        (("+".join(["A"] * 4000), "0.1"), "too long"),
    ],
)
def test_petab_formula_is_refused_with_its_row(tmp_path: Path, cells: tuple[str, str], said: str) -> None:
    for source in (CASES / "messages-that-do-not-place-the-fault" / "decimal_comma").iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes().replace(b"1,15", b"1.15"))
    header = "observableId\tobservableFormula\tobservableTransformation\tnoiseFormula\tnoiseDistribution\n"
    (tmp_path / "observables.tsv").write_text(f"{header}obs_a\t{cells[0]}\tlin\t{cells[1]}\tnormal\n", encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_petab(tmp_path / "problem.yaml")


def test_problem_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    (tmp_path / "problem.toml").write_text("notes = " + "[" * 5000 + "]" * 5000)
    with pytest.raises(TableError, match="nested too deeply"):
        read_folder(tmp_path)


@pytest.mark.parametrize("value", [math.inf, math.nan, 10**400, sympy.oo, sympy.I * sympy.Symbol("x")])
def test_number_that_is_not_finite_is_no_formula(value: float) -> None:
    with pytest.raises(FormulaError):
        parse_formula(value)


@pytest.mark.parametrize("word", ["1_000", "inf", "nan", "1e400", "١", "0x10", "1e-400"])
def test_numbers_of_protocols_and_conditions_are_plain(word: str) -> None:
    with pytest.raises(ValueError, match=r"cannot read|beyond|below"):
        parse_protocol(f"add IL6 {word}")
    if read_number(word.replace("e-400", "").replace("e400", "")) is None and word in ("inf", "nan"):
        with pytest.raises(ValueError, match="finite"):
            parse_conditions([f"a: IL6={word}"])


def test_numbers_as_they_are_written() -> None:
    assert [read_number(w) for w in ("1", "-2.5", "+1e-3", ".5", " 7 ")] == [1, -2.5, 1e-3, 0.5, 7]
    assert [read_number(w) for w in ("", "x", "--1", "1 2", "1_0", "²")] == [None] * 6


# ---------------------------------------------------------------- SBML and Antimony


def _sbml(math_ml: str, more: str = "") -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" '
        f'version="2"><model id="m">{more}<listOfParameters><parameter id="x" value="1" constant="false"/>'
        '</listOfParameters>\n<listOfRules><rateRule variable="x"><math xmlns="http://www.w3.org/1998/Math/MathML">'
        f"{math_ml}</math></rateRule></listOfRules></model></sbml>"
    )


@pytest.mark.parametrize(
    ("math_ml", "said"),
    {
        "<cn>1,5</cn>": "line 3: the number '1,5'",
        "<cn> 1 000 </cn>": "'1 000'",
        "<cn>0x10</cn>": "'0x10'",
        "<cn>1_000</cn>": "'1_000'",
        "<cn>1e400</cn>": "beyond the largest",
        "<cn>1e-400</cn>": "below the smallest",
        '<cn type="integer">1e3</cn>': "expected digits",
        '<cn type="integer">1.5</cn>': "expected digits",
        '<cn type="integer">99999999999</cn>': "too large",
        '<cn type="e-notation">1<sep/>400</cn>': "beyond the largest",
        '<cn type="rational">1<sep/>0</cn>': "divides by 0",
        '<cn base="16">10</cn>': "base",
        "<apply><plus/><cn>1</cn>2</apply>": "the text '2' stands between",
        "<infinity/>": "not finite",
        "<notanumber/>": "not finite",
        "<apply><divide/><ci>x</ci><cn>0</cn></apply>": "rate rule of x: it divides x by 0",
        "<apply><power/><cn>9</cn>" * 3 + "<cn>9</cn>" + "</apply>" * 3: "beyond",
        "<apply><minus/><cn>1</cn><cn>2</cn><cn>3</cn></apply>": "minus takes 1 to 2 arguments, not 3",
        "<apply><sin/>" * 300 + "<ci>x</ci>" + "</apply>" * 300: "nested too deeply",
        "<apply><sin/>" * 20_000 + "<ci>x</ci>" + "</apply>" * 20_000: "nested too deeply",
    }.items(),
    ids=lambda x: ascii(x[:24]),
)
def test_sbml_is_refused(math_ml: str, said: str) -> None:
    with little_work(), pytest.raises(UnsupportedModelError, match=said):
        read_sbml(_sbml(math_ml))


def test_long_sums_of_sbml_are_read_however_they_are_bracketed() -> None:
    nested = "<apply><plus/>" * 300 + "<ci>x</ci>" + "<ci>x</ci></apply>" * 300
    assert read_sbml(_sbml(nested)).rates["x"] == 301 * sympy.Symbol("x")


def test_functions_that_double_are_refused_at_once() -> None:
    with little_work(), pytest.raises(UnsupportedModelError, match="rate rule of X: the formula is too large"):
        load_network(CASES / "formula-that-never-ends" / "functions.xml")


def test_functions_that_call_one_another_are_refused() -> None:
    body = (
        '<functionDefinition id="{}"><math xmlns="http://www.w3.org/1998/Math/MathML"><lambda><bvar><ci>a</ci></bvar>'
    )
    body += "<apply><ci>{}</ci><ci>a</ci></apply></lambda></math></functionDefinition>"
    functions = f"<listOfFunctionDefinitions>{body.format('f', 'g')}{body.format('g', 'f')}</listOfFunctionDefinitions>"
    with pytest.raises(UnsupportedModelError, match="circle: f → g → f"):
        read_sbml(_sbml("<apply><ci>f</ci><ci>x</ci></apply>", functions))


def test_rules_that_double_are_refused_at_once() -> None:
    rules = {"a0": parse_infix("x")} | {f"a{i}": parse_infix(f"sin(a{i - 1}) + cos(a{i - 1})") for i in range(1, 60)}
    with little_work(), pytest.raises(FormulaError, match="too large"):
        inline(rules)


def test_rules_in_a_long_chain_are_refused() -> None:
    rules = {"a0": parse_infix("x")} | {f"a{i}": parse_infix(f"sin(a{i - 1})") for i in range(1, 2000)}
    with pytest.raises(FormulaError, match="nested too deeply"):
        inline(dict(reversed(rules.items())))


@pytest.mark.parametrize(
    ("line", "said"),
    {
        "k := x − 1; x = 2": "line 2, column 8: '−' .U.2212",
        "k := x²; x = 2": "line 2, column 7",
        "k := x\u00a0+ 1; x = 2": "no-break space",
        "k = 1e400": "line 2, column 5: the number 1e400 is beyond the largest",
        "k = 1e-400": "beyond the smallest",
        "k = 0x10": "'0x10' is not a number",
        "k = 1_000": "'1_000' is not a number",
        "k = 3e": "'3e' is not a number",
        "volt = 1; k := 2 volt": "volt",
        "S = 1; k := 2 Sx": "rule of k: '2 Sx' has the unit 'Sx', which is not defined; write a product",
        "x = 2; k := 9^9^9^9 + x": "rule of k: .*beyond",
        "x = 2; k := x/0": "rule of k: it divides x by 0",
        "x = 2; k := sqrt(-1)*x": "not a real number",
        "x = 2; k := " + "(" * 20_000 + "x" + ")" * 20_000: "nested too deeply",
        "at = 2": "reserved words of Antimony in it, which cannot be names: at",
        "gamma = 0.3": "'gamma' is a reserved word in Antimony",
    }.items(),
    ids=lambda x: ascii(x[:24]),
)
def test_antimony_is_refused(line: str, said: str) -> None:
    with pytest.raises(UnsupportedModelError, match=said) as error:
        read_antimony(f"model m\n{line};\nend\n")
    assert "the Antimony text" in str(error.value)
    assert "SBML text" not in str(error.value)


def test_antimony_may_say_anything_in_comments_and_quotes() -> None:
    text = 'model m\n// µM − 1e400\n/* 0x10 */ k = 1.5; # 1_000\n k is "α − 1";\n x := 2*k;\nend\n'
    assert read_antimony(text).rules["x"] == 2 * sympy.Symbol("k")


def test_antimony_file_with_a_foreign_minus_is_refused_with_its_place() -> None:
    with pytest.raises(UnsupportedModelError, match=r"non_ascii.ant cannot .*\n  line 2, column 14: '−'"):
        load_network(CASES / "messages-that-do-not-place-the-fault" / "non_ascii.ant")


def test_antimony_file_that_is_not_utf8_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "m.ant").write_bytes(b"model m\n k = 1 // \xb5M\nend\n")
    with pytest.raises(UnsupportedModelError, match=r"m.ant, line 2, byte 11: the byte 0xb5 is not UTF-8"):
        load_network(tmp_path / "m.ant")


# ---------------------------------------------------------------- random formulas

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


def _power(a: float, b: float) -> float:
    return a**b


def _by_python(text: str) -> complex | None:
    known = {"exp": math.exp, "sin": math.sin, "cos": math.cos, "tanh": math.tanh, "abs": abs, "floor": math.floor}
    known |= {"ceil": math.ceil, "ln": math.log, "sqrt": math.sqrt, "min": min, "max": max, "pi": math.pi}
    known |= {"exponentiale": math.e, "xor": lambda a, b: bool(a) != bool(b)}
    known |= {"piecewise": lambda a, condition, b: a if condition else b}
    names = {n: v for n, v in VALUES.items() if n != "exp"}
    try:
        # `exp` is a name as well, where it is not called.
        return complex(eval(re.sub(r"\bexp\b(?!\()", "0.4", _plain(text)), {"__builtins__": {}}, known | names))
    except (OverflowError, ZeroDivisionError, ValueError):
        return None


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
            assert value == pytest.approx(expected, rel=1e-6, abs=1e-9), text


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


@pytest.mark.tier("slow")
@seed(1)
@settings(max_examples=150, deadline=None, database=None, suppress_health_check=_QUIET)
@given(FORMULAS)
def test_random_formulas_have_the_value_that_they_say(text: str) -> None:
    check_formula(text)


@pytest.mark.tier("slow")
@seed(2)
@settings(max_examples=250, deadline=None, database=None, suppress_health_check=_QUIET)
@given(GARBAGE)
def test_random_text_is_refused_or_read_whole(text: str) -> None:
    check_garbage(text)


@pytest.mark.tier("slow")
@seed(3)
@settings(max_examples=5000, deadline=None, database=None, suppress_health_check=_QUIET)
@given(FORMULAS)
def test_five_thousand_formulas(text: str) -> None:
    check_formula(text)


@pytest.mark.tier("slow")
@seed(4)
@settings(max_examples=5000, deadline=None, database=None, suppress_health_check=_QUIET)
@given(GARBAGE)
def test_five_thousand_texts(text: str) -> None:
    check_garbage(text)


# ---------------------------------------------------------------- what is read runs


@pytest.mark.parametrize("engine", ENGINES)
def test_deep_formulas_run(engine: str) -> None:
    deep = "sin(" * 55 + "x" + ")" * 55
    model = compile_network(read_antimony(f"model m\n x = 0.5; x' = -{deep} ;\nend\n"))
    result = simulate(model, {}, Protocol("p"), [1.0], observe=["abs(exp(x))"], settings=Settings(SOLVERS[engine]))
    assert np.asarray(result.status).tolist() == [0]
    assert float(result.observed["abs(exp(x))"][0, 0]) == pytest.approx(math.exp(float(result.y[0, 0, 0])), rel=1e-12)
