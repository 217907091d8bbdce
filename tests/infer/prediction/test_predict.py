"""Predictions against closed forms, and measurements of different gels on one axis."""

import jax.numpy as jnp
import numpy as np
import pytest

from hexamer import Protocol
from hexamer.data import Dataset, Measurement, Observable, blot, parse_formula
from hexamer.infer.prediction.assay_curves import (
    Curve,
    as_mapping,
    curves,
    dose_of,
    over_doses,
    posterior_values,
    with_dose,
)
from hexamer.infer.prediction.runs import aligned, alignment, average_run

pytestmark = pytest.mark.tier("test")


@pytest.fixture(scope="module")
def values(conversion, conversion_truth):
    """Two draws, the second with another rate and another gel's scale."""
    changed = {**conversion_truth, "k1": 0.1, "scale_blot_B[gel-2]": 4.0}
    return np.array([[{**conversion.fixed, **d}[n] for n in conversion.names] for d in (conversion_truth, changed)])


@pytest.mark.tier("check")
def test_curves_are_the_closed_form(conversion, conversion_course, values):
    times = np.linspace(0, 80, 9)
    found = curves(conversion, values, times)
    assert set(found) == {(m.observable, m.protocol) for m in conversion.dataset.measurements}
    curve = found["blot_B", "L 3 nM"]
    expected = [[conversion_course(3, t, k1=k) for t in times] for k in (0.05, 0.1)]
    np.testing.assert_allclose(curve.mean, expected, rtol=1e-4, atol=1e-6)  # scales are 1
    np.testing.assert_allclose(curve.sd, np.hypot(0.1, 0.1 * np.array(expected)), rtol=1e-4)
    fraction = found["fraction", "L 1 nM"]
    b = np.array([conversion_course(1, t) for t in times])
    np.testing.assert_allclose(fraction.mean[0], np.log10((b + 0.1) / 10), rtol=1e-4)
    np.testing.assert_allclose(fraction.signal(0.5)[0], 0.01, rtol=1e-4)


def test_curves_at_times_and_gel_of_their_own(conversion, conversion_course, values):
    pair = ("blot_B", "L 1 nM")
    gel = {"blot_B": [np.array([2.0, 5.0])]}
    curve = curves(conversion, values, {pair: [40.0, 5.0]}, pairs=[pair], run=gel)[pair]
    assert list(curve.x) == [5.0, 40.0]
    assert curve.mean[1, 1] == pytest.approx(5 * conversion_course(1, 40, k1=0.1), rel=1e-4)


@pytest.mark.tier("check")
def test_readings_over_doses_are_the_closed_form(conversion, conversion_course, values):
    doses = np.array([0.0, 0.5, 20.0])
    curve = over_doses(conversion, values, "blot_B", "L", doses, 20.0, "L 1 nM")
    expected = [[conversion_course(d, 20, k1=k) for d in doses] for k in (0.05, 0.1)]
    np.testing.assert_allclose(curve.mean, expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="gives no 'drug'"):
        over_doses(conversion, values, "blot_B", "drug", doses, 20.0, "L 1 nM")


@pytest.mark.tier("check")
def test_a_failed_simulation_is_no_prediction(blow_up):
    curve = curves(blow_up, [[0.5], [2.0]], [0.0, 1.0])["y", "rest"]
    assert curve.mean[0, 1] == pytest.approx(2.0, rel=1e-4)
    assert np.isnan(curve.mean[1]).all()
    assert np.isfinite(curve.replicated([0.05, 0.95])).all()  # of the draws that have one


def test_bands_of_new_measurements():
    observable = blot("x", "B", scale=1, sd=1)
    mean = np.zeros((50, 3))
    curve = Curve(observable, "p", np.arange(3.0), mean, np.full((50, 3), 2.0))
    low, high = curve.replicated([0.05, 0.95])
    np.testing.assert_allclose([low, high], [[-3.29] * 3, [3.29] * 3], atol=0.2)


PULSE = Protocol.equilibrated("p", drug=0.0).set(at=0, drug=2.0).pulse("L", 5.0, start=10, stop=20)


def test_doses_of_protocols():
    other = with_dose(PULSE, "L", 7.0)
    assert [s.add.get("L") for s in other.steps] == [None, 7.0, None]
    assert other.steps[2].assign == {"L": 0.0}  # washed out as before
    assert dose_of(other, "L", PULSE) == 7.0
    assert dose_of(Protocol.equilibrated("q", drug=0.0).set(at=0, drug=2.0), "L", PULSE) == 0.0
    assert dose_of(Protocol.equilibrated("q", drug=0.0).set(at=0, drug=1.0), "L", PULSE) is None
    assert dose_of(PULSE, "drug", with_dose(PULSE, "drug", 4.0)) == 2.0
    longer = Protocol.equilibrated("p", drug=0.0).set(at=0, drug=2.0).pulse("L", 5.0, start=10, stop=30)
    assert dose_of(longer, "L", PULSE) is None


FORMULAS = {  # formula: roles of s, o; what a reading of 3 at s = 2, o = 1 becomes at s = 4, o = 0.5
    "s*B": ("scale", "noise", 6.0),
    "o + s*B": ("scale", "offset", 0.5 + 2 * (3 - 1)),
    "log10(s*(A + B))": ("scale", "noise", 3 + np.log10(2)),
    "1 + s*B/A": ("scale", "noise", 1 + 2 * (3 - 1)),
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_alignment(formula):
    first, second, expected = FORMULAS[formula]
    text = formula.replace("log10(s*(A + B))", "ln(s*(A + B))/ln(10)")
    found = alignment(Observable("x", parse_formula(text), parse_formula("s*o"), ("s", "o")))
    assert found.roles == (first, second)
    assert found.affine is not None
    alpha, beta = found.affine(np.array(2.0), np.array(1.0))
    alpha_ref, beta_ref = found.affine(np.array(4.0), np.array(0.5))
    assert alpha_ref + beta_ref * (3.0 - alpha) / beta == pytest.approx(expected)


def test_a_formula_that_saturates_stays_as_it_is():
    found = alignment(Observable("x", parse_formula("s*B/(s + B)"), parse_formula("1"), ("s",)))
    assert found.affine is None


def test_gels_on_one_axis():
    """Two gels show the same signals at scales 2 and 8, whose average is 4; so does a third draw of all."""
    observable = blot("x", "B", sd=1)
    rows = tuple(
        Measurement("x", "p", t, s * v, (n,)) for n, s in (("a", 2.0), ("b", 8.0)) for t, v in ((0.0, 1.0), (5.0, 3.0))
    )
    dataset = Dataset("d", {"x": observable}, {"p": Protocol("p")}, rows)
    named = {"a": np.array([2.0, 2.0, 20.0]), "b": np.array([8.0, 8.0, 80.0])}
    np.testing.assert_allclose(average_run(dataset, "x", named, 3), [[4.0, 4.0, 40.0]])
    np.testing.assert_allclose(aligned(dataset, rows, named, 3), [4, 12, 4, 12])


def test_values_from_a_tree(conversion, conversion_tree):
    values = posterior_values(conversion, conversion_tree, draws=50)
    assert values.shape == (50, len(conversion.names))
    named = as_mapping(conversion, values)
    assert set(named["k2"]) == {0.02}
    assert named["k1"][0] == conversion_tree["posterior"]["k1"].values[0, 0]
    assert len(posterior_values(conversion, conversion_tree, draws=None)) == 240
    assert jnp.isfinite(values).all()


def test_a_tree_of_another_problem(decay, conversion_tree):
    with pytest.raises(ValueError, match="not of this problem: it lacks k, a0, noise, scale_1, scale_2"):
        posterior_values(decay(), conversion_tree)
