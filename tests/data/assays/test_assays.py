"""Named assays: their formulas, simulated readings that give the parameters back, and what they cannot see."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy
from scipy.optimize import minimize
from scipy.stats import norm

from hexamer import Network
from hexamer.data import (
    AssayError,
    FormulaError,
    Observable,
    blot,
    blot_ratio,
    copy_number,
    direct,
    elisa,
    flow_cytometry,
    log10_expression,
    logit,
    luciferase,
    luminex,
    parse_formula,
    phosphorylation_degree,
    qpcr,
)
from hexamer.data.assays.logarithmic_reading import log10_reading
from hexamer.models import load_network, read_antimony
from hexamer.models.library.builder import network as il6_network

pytestmark = pytest.mark.tier("check")

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
        (lambda: luciferase("l", "F", sd=0), "l: the standard deviation is 0"),
        (lambda: elisa("e", "c", sd=0), "e: the standard deviation is 0"),
        (lambda: elisa("e", "scale*c", sd=1), "e: scale in 'scale\\*c' names a placeholder"),
        (lambda: flow_cytometry("f", "offset*n", sd=1), "f: offset in 'offset\\*n' names a placeholder"),
        (lambda: log10_expression(20, efficiency=1.0), "efficiency must be the factor a cycle, above 1 and at most 2"),
        (lambda: log10_expression(20, 18, reference_efficiency=2.1), "reference_efficiency must be the factor"),
        (lambda: log10_expression([20, 0]), "cycles of threshold must be above 0"),
        (lambda: logit([0.2, 1.0]), "strictly between 0 and 1"),
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


# ------------------------------------------------------------------------------------------- simulated readings
def simulate(o: Observable, values: dict, rng: np.random.Generator) -> np.ndarray:
    """Readings of an observable, whose symbols have these values (arrays for what differs by row)."""
    mean, sd = _mean_and_sd(o, values)
    drawn = mean + sd * rng.normal(size=mean.shape)
    return np.exp(drawn) if o.scale == "log" else drawn


def _mean_and_sd(o: Observable, values: dict) -> tuple[np.ndarray, np.ndarray]:
    names = sorted({str(s) for s in o.formula.free_symbols | o.noise_formula.free_symbols})
    formula = sympy.log(o.formula) if o.scale == "log" else o.formula
    f = sympy.lambdify(names, [formula, o.noise_formula], "numpy")
    mean, sd = np.broadcast_arrays(*f(*(values[n] for n in names)))
    return mean, sd


def recovered(o: Observable, values: dict, unknown: list[str], v: np.ndarray) -> dict[str, tuple[float, float]]:
    """Maximum likelihood of the logarithms of `unknown`, with standard errors."""
    read = np.log(v) if o.scale == "log" else v

    def nllh(p: np.ndarray) -> float:
        mean, sd = _mean_and_sd(o, values | dict(zip(unknown, np.exp(p), strict=True)))
        return -float(norm.logpdf(read, mean, sd).sum())

    found = minimize(nllh, np.log([values[n] for n in unknown]) + 0.3, method="BFGS")
    errors = np.sqrt(np.diag(found.hess_inv))
    return {n: (float(p), float(e)) for n, p, e in zip(unknown, found.x, errors, strict=True)}


SIGNAL = np.geomspace(1, 300, 240)
CASES = {
    "a saturated blot": (
        blot("b", "u", saturation="K", offset="o", sd="floor", sd_rel="rel"),
        {"u": SIGNAL, "scale": 0.1, "K": 60.0, "o": 0.5, "floor": 2.0, "rel": 0.05},
        ["scale", "K", "o", "rel"],
    ),
    "a saturated camera": (
        blot("b", "u", saturation="M/scale", sd_rel="rel"),
        {"u": SIGNAL, "scale": np.repeat([0.1, 1.0], 120), "M": 20.0, "rel": 0.05},
        ["M", "rel"],
    ),
    "stripped and probed again": (
        blot_ratio("r", "u", "t", background="b", left_over="left", sd="noise"),
        {"u": SIGNAL, "t": np.tile([300.0, 400.0, 900.0], 80), "scale": 2.0, "b": 3.0, "left": 0.4, "noise": 0.1},
        ["scale", "b", "left", "noise"],
    ),
    "luciferase": (
        luciferase("l", "u", "t", background="b", sd="noise"),
        {"u": SIGNAL, "t": np.tile([1.0, 2.0, 3.0], 80), "scale": 2.0, "b": 3.0, "noise": 0.2},
        ["scale", "b", "noise"],
    ),
    "flow cytometry": (
        flow_cytometry("f", "u", background="auto", sd="noise"),
        {"u": SIGNAL, "scale": 5.0, "auto": 8.0, "noise": 0.1},
        ["scale", "auto", "noise"],
    ),
    "an ELISA between cultures": (
        elisa("e", "u", scale=None, sd_between="culture"),
        {"u": SIGNAL, "scale": 1.1, "sd": np.tile([0.05, 0.3], 120), "culture": 0.2},
        ["scale", "culture"],
    ),
    "mass spectrometry": (
        phosphorylation_degree("p", "u", "u + t", scale=None, sd="noise"),
        {"u": SIGNAL, "t": 50.0, "scale": 1.4, "noise": 0.3},
        ["scale", "noise"],
    ),
}


@pytest.mark.tier("test")
@pytest.mark.parametrize("case", CASES)
def test_simulated_readings_give_their_parameters_back(case: str) -> None:
    o, values, unknown = CASES[case]
    v = simulate(o, values, np.random.default_rng(3))
    for name, (found, error) in recovered(o, values, unknown, v).items():
        assert 0 < error < 0.4, name
        assert found == pytest.approx(math.log(values[name]), abs=4 * error), name


def test_a_saturated_band_is_half_of_the_highest_at_its_constant() -> None:
    o = blot("b", "u", saturation="K", sd=1)
    values = {"u": np.array([1e-6, 60.0, 1e9]), "scale": 0.1, "K": 60.0}
    np.testing.assert_allclose(_mean_and_sd(o, values)[0], [1e-7, 3.0, 6.0], rtol=1e-6)
    camera = blot("b", "u", saturation="M/scale", sd=1)
    np.testing.assert_allclose(_mean_and_sd(camera, values | {"M": 20.0})[0][-1], 20.0, rtol=1e-6)


def test_an_empty_lanes_reading_may_differ_from_gel_to_gel() -> None:
    o = blot("b", "u", offset=None, sd=1)
    assert o.placeholders == ("scale", "offset")
    assert o.formula == S * sympy.Symbol("u") + sympy.Symbol("offset")
    f = flow_cytometry("f", "u", background=None)
    assert f.placeholders == ("scale", "offset", "sd")
    assert luminex("f", "u", background=None) == f


def test_the_ratio_of_two_bands_is_the_ratio_of_its_proteins() -> None:
    o = blot_ratio("r", "u", "t", sd=0.1)
    assert (o.scale, o.placeholders) == ("log", ("scale",))
    assert o.formula == S * sympy.Symbol("u") / sympy.Symbol("t")


def test_cycles_are_expression() -> None:
    """Two doublings a hundredfold dilution is 6.6439 cycles; the reference takes out what was loaded."""
    assert log10_expression(20) - log10_expression(20 + math.log2(100)) == pytest.approx(2.0)
    loaded = np.array([0.0, 1.7])
    np.testing.assert_allclose(log10_expression(25 - loaded, 18 - loaded), -7 * math.log10(2))
    # Pfaffl (2001), equation 1: E_t^(ΔCt_t) / E_r^(ΔCt_r), of a control and a sample.
    control, sample = ({"ct": 28.0, "reference_ct": 15.0}, {"ct": 22.0, "reference_ct": 14.5})
    efficiency = {"efficiency": 1.9, "reference_efficiency": 1.95}
    ratio = 10 ** (log10_expression(**sample, **efficiency) - log10_expression(**control, **efficiency))
    assert ratio == pytest.approx(1.9**6 / 1.95**0.5)


def test_the_reporter_modules_enzymes_are_read_as_their_ratio() -> None:
    network = il6_network(["classic", "stat3", "reporter"])
    o = luciferase("fold", "Luc", "RLuc", sd=0.2)
    assert o.symbols == {"Luc", "RLuc"} <= set(network.species)
    ratio = o.formula.xreplace({S: sympy.Integer(1)})
    assert ratio == network.rules["firefly_over_renilla"]


def test_logits() -> None:
    np.testing.assert_allclose(logit([0.2, 0.5, 0.9]), [math.log(0.25), 0.0, math.log(9)])
    o = phosphorylation_degree("p", "u", "u + t")
    assert (o.unit, o.scale, o.placeholders) == ("logit", "lin", ("sd",))
    assert o.formula == sympy.log(sympy.Symbol("u") / sympy.Symbol("t"))


# ------------------------------------------------------------------------------------------- what they cannot see
@pytest.fixture(scope="module")
def il6() -> Network:
    return load_network("il6_stat3")


UNSEEN = {
    "copies of a share": (lambda n: copy_number("c", "STAT3/STAT3_all", network=n), "c: sees an amount .* no unit"),
    "copies of a concentration": (lambda n: copy_number("c", "STAT3", network=n), "nmol / l, not in 'zmol'"),
    "a wrong unit": (lambda n: direct("d", "STAT3", unit="min", network=n), "d: sees a quantity in 'min'"),
    "another number": (lambda n: direct("d", "2*STAT3", unit="pM", network=n), "in front of it, 2, is not the 1000"),
    "an ELISA of molecules": (lambda n: elisa("e", "cytosol*STAT3", network=n), "e: sees a concentration in 'nM'"),
    "light of a share": (lambda n: flow_cytometry("f", "STAT3/STAT3_all", network=n), "f: fluorescence sees molecules"),
    "light of a rate": (lambda n: luminex("f", "k_imp*STAT3", network=n), "f: fluorescence sees molecules"),
    "a blot of a rate": (
        lambda n: blot("b", "k_jak", sd=1, network=n),
        r"b: a blot sees .* \(zmol\) .* \(nM\), but 'k_jak' is .* 1 / min, .* cannot become zmol, nM, ng or ng/ml",
    ),
    "a blot of two kinds": (
        lambda n: blot("b", "pSTAT3_total + cytosol", sd=1, network=n),
        "'pSTAT3_total \\+ cytosol' is something else: cytosol \\+ pSTAT3_total adds (pl to nmol / l|nmol / l to pl)",
    ),
    "two kinds beside an unknown": (
        lambda n: blot("b", "mcyto*(pSTAT3_total + cytosol)", sd=1, network=n),
        "something else: cytosol \\+ pSTAT3_total adds",
    ),
    "message and a rate": (lambda n: qpcr("q", "SOCS3 + k_jak", network=n), "q: qPCR sees .* SOCS3 \\+ k_jak adds"),
    "light of a rate by volume": (
        lambda n: luciferase("l", "k_jak/cytosol", network=n),
        "l: luciferase sees molecules, .* 1 / min / pl",
    ),
    "light over a rate": (lambda n: luciferase("l", "STAT3", "jak", network=n), "'jak' is something else"),
    "a logarithm of a rate": (lambda n: log10_reading("x", "k_jak", network=n), "x: a reading in log10 sees molecules"),
    "a share as intensity": (lambda n: log10_reading("x", "STAT3/STAT3_all", network=n), "it is in no unit"),
    "a ratio of two kinds": (
        lambda n: blot_ratio("r", "cytosol*STAT3", "STAT3_all", network=n),
        "signal is in zmol; total is in nmol / l",
    ),
    "a sum of two kinds": (lambda n: copy_number("c", "STAT3 + cytosol", network=n), "STAT3 \\+ cytosol|cytosol"),
    "dimers counted twice": (
        lambda n: phosphorylation_degree("p", "pSTAT3 + 2*pSTAT3_2", "STAT3 + pSTAT3 + pSTAT3_2", network=n),
        "lies between 0 and 1, but total − phospho = ",
    ),
    "more than all": (
        lambda n: phosphorylation_degree("p", "pSTAT3_total + STAT3_all", "STAT3_all", network=n),
        "count each molecule alike",
    ),
    "all of it": (lambda n: phosphorylation_degree("p", "x", "x"), "total − phospho = 0"),
    "more without a network": (lambda n: phosphorylation_degree("p", "2*x + y", "x"), "total − phospho = "),
}


@pytest.mark.parametrize("case", UNSEEN)
def test_what_an_assay_cannot_see(case: str, il6: Network) -> None:
    make, message = UNSEEN[case]
    with pytest.raises(AssayError, match=message):
        make(il6)


def test_signals_are_converted_into_the_unit_of_the_observable(il6: Network) -> None:
    counted = copy_number("c", "cytosol*STAT3", unit="molecules/cell", network=il6).formula
    assert evaluated(counted, cytosol=1, STAT3=1) == pytest.approx(602.214076)
    assert evaluated(direct("d", "STAT3", unit="pM", sd=1, network=il6).formula, STAT3=2) == pytest.approx(2000)
    mass = elisa("e", "IL6", unit="ng/ml", molar_mass="21 kDa", background=0, sd=1, network=il6).formula
    assert evaluated(mass, IL6=2) == pytest.approx(42)


def evaluated(formula: sympy.Expr, **values: float) -> float:
    return float(formula.xreplace({sympy.Symbol(n): sympy.Float(v) for n, v in values.items()}))  # pyright: ignore


def test_what_an_assay_sees(il6: Network) -> None:
    """The same networks' units pass where they fit; rules are looked through."""
    copy_number("c", "cytosol*STAT3 + nucleus*nSTAT3", network=il6)
    direct("d", "STAT3/STAT3_all", unit="1", network=il6)
    elisa("e", "IL6 + IL6_sIL6R", network=il6)
    flow_cytometry("f", "cytosol*IL6R", network=il6)
    blot_ratio("r", "pSTAT3_total", "STAT3_all", network=il6)
    for signal in ("pSTAT3_total", "cytosol*pSTAT3_total", "mcyto/mnuc*nucleus*nSTAT3", "fudge*k_jak"):
        blot("b", signal, sd=1, network=il6)  # a name that the network lacks may have any unit
        log10_reading("x", signal, network=il6)
    qpcr("q", "mSOCS3", network=il6)
    luciferase("l", "mSOCS3", network=il6)
    log10_reading("x", "100*pSTAT3_total/STAT3_all", unit="percent", network=il6)
    degree = phosphorylation_degree("p", "pSTAT3_total", "STAT3_all", network=il6)
    assert "pSTAT3_2" not in {str(s) for s in sympy.denom(sympy.together(degree.formula.args[0])).free_symbols}
    phosphorylation_degree("p", "phosphorylated", "all")  # names of rules, for all that is known without a network


def test_an_assay_sees_whatever_a_network_counts_its_species_in() -> None:
    text = "model m()\n unit volume = 1e-12 litre; unit {}\n compartment c; species A in c, B in c; k = 1 per_min\n"
    text += " unit per_min = 1/(60 second)\nend\n"
    shares = read_antimony(text.format("substance = dimensionless"))
    blot("b", "A + B", sd=1, network=shares)
    blot("b", "c*A", sd=1, network=shares)
    with pytest.raises(AssayError, match="b: a blot sees"):
        blot("b", "k*A", sd=1, network=shares)
    blot("b", "A", sd=1, network=read_antimony(text.format("substance = 1e-9 gram")))
    blot("b", "IL6", sd=1, network=load_network("hepg2_core"))  # in ng/ml
