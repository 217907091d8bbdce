import pytest
import sympy

from hexamer.data import FormulaError, blot, copy_number, direct, parse_formula, qpcr

S, V, U, A, B, SD = sympy.symbols("scale Vc cpS sd_a rel_a sd")


def test_a_blots_noise_grows_with_its_signal_and_scale():
    o = blot("b", "Vc*cpS", sd="sd_a", sd_rel="rel_a")
    assert o.placeholders == ("scale",)
    assert o.formula == S * V * U
    assert o.noise_formula == S * sympy.sqrt(A**2 + (B * V * U) ** 2)
    assert o.symbols == {"Vc", "cpS", "sd_a", "rel_a"}


def test_noise_relative_to_something_else_than_the_signal():
    o = blot("b", "Vc*cpS", sd="sd_a", sd_rel="rel_a", noise_of="cpS")
    assert o.noise_formula == S * sympy.sqrt(A**2 + (B * U) ** 2)
    of_scaled = blot("b", "cpS", sd="sd_a", sd_rel="rel_a", noise_of="scale*cpS")
    assert of_scaled.noise_formula == S * sympy.sqrt(A**2 + (B * S * U) ** 2)


def test_a_blot_with_one_scale_for_all_has_no_placeholder():
    o = blot("b", "cpS", scale="s0", sd="sd_a", noise_of="scale*cpS", sd_rel=0.1)
    assert o.placeholders == ()
    assert sympy.Symbol("scale") not in o.noise_formula.free_symbols
    assert sympy.Symbol("s0") in o.noise_formula.free_symbols


def test_qpcr_is_additive_in_log10():
    o = qpcr("q", "m", sd="sd_q")
    assert o.scale == "lin"  # the measurement itself is log10, so no Jacobian
    assert o.unit == "log10(au)"
    assert float(o.formula.subs({S: 2, sympy.Symbol("m"): 50}).evalf()) == pytest.approx(2.0)


def test_a_rows_own_standard_deviation_is_a_placeholder():
    assert direct("d", "R", unit="nM").placeholders == ("sd",)
    assert qpcr("q", "m").placeholders == ("scale", "sd")
    assert copy_number("c", "Vc*R", sd="sd_a").placeholders == ()
    assert copy_number("c", "Vc*R", sd="sd_a").unit == "zmol/cell"


def test_symbols_are_those_of_a_network():
    assert parse_formula("Vc*cpS") == sympy.Symbol("Vc") * sympy.Symbol("cpS")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: blot("b", "R"), "b: a blot needs `sd`, `sd_rel` or both"),
        (lambda: direct("d", "R", sd=0), "d: the standard deviation is 0"),
        (lambda: blot("b", "scale*R", sd=1), "b: scale in 'scale\\*R' names a placeholder"),
        (lambda: direct("d", "R*", sd=1), "cannot read the formula 'R\\*'"),
        (lambda: direct("d", "  ", sd=1), "a formula is empty"),
        (lambda: direct("d", "R > 1", sd=1), "'R > 1' is a condition, not a number"),
        (lambda: direct("d", "__import__('os')", sd=1), "cannot read the formula|not supported"),
        (lambda: direct("d", True, sd=1), "expected a formula, that is text or a number, not True"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_formula_that_cannot_be_read_is_a_formula_error():
    with pytest.raises(FormulaError):
        parse_formula("a b")
