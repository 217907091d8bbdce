"""Formulas in SBML and Antimony: what is refused with its place, and what is read however it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import sympy

from helpers import CASES, little_work
from hexamer.models import FormulaError, UnsupportedModelError, load_network, parse_infix, read_antimony, read_sbml
from hexamer.models.networks.formulas import inline

pytestmark = pytest.mark.tier("test")


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
