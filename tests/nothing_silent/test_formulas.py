"""Formulas are read whole or refused with the place, and none takes long."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import sympy

from helpers import CASES, ENGINES, SOLVERS, little_work
from hexamer.data import TableError, parse_formula, read_folder
from hexamer.data.petab import read_petab
from hexamer.infer.doses.text import parse_conditions
from hexamer.models import FormulaError, compile_network, parse_infix, read_antimony, simulate
from hexamer.models.networks.dialects import PETAB
from hexamer.models.networks.infix import LONGEST, read_number
from hexamer.models.protocols.protocol import Protocol
from hexamer.models.protocols.text import parse_protocol
from hexamer.models.solvers.settings import Settings

pytestmark = pytest.mark.tier("test")

MIDDLE = CASES / "formula-read-to-its-middle"
BUNDLED = Path(__file__).parents[2] / "data" / "bundled_problems" / "il6_demo"

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
    "erf(x)": r"at column 1, the function 'erf' is not supported; a product is written with \*$",
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


# ---------------------------------------------------------------- what is read runs


@pytest.mark.parametrize("engine", ENGINES)
def test_deep_formulas_run(engine: str) -> None:
    deep = "sin(" * 55 + "x" + ")" * 55
    model = compile_network(read_antimony(f"model m\n x = 0.5; x' = -{deep} ;\nend\n"))
    result = simulate(model, {}, Protocol("p"), [1.0], observe=["abs(exp(x))"], settings=Settings(SOLVERS[engine]))
    assert np.asarray(result.status).tolist() == [0]
    assert float(result.observed["abs(exp(x))"][0, 0]) == pytest.approx(math.exp(float(result.y[0, 0, 0])), rel=1e-12)
