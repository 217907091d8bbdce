"""Expressions to JAX functions: values, derivatives, and powers where they are delicate."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from hexamer import Diffrax, Fused
from hexamer.models import Model, Network, Protocol, Quantity, Settings, compile_network, parse_infix, simulate
from hexamer.models.compiled.codegen import compile_vector, guard, guarded_power, guarded_slope
from hexamer.models.compiled.domain import bounded

pytestmark = pytest.mark.tier("test")

EXPONENTS = (0.7, 1.0, 1.3, 1.713, 2.0, 4.0)
AT_ZERO = {  # value, first, second derivative of x^n from the right; an infinite one is guarded to 0
    0.7: (0.0, 0.0, 0.0),
    1.0: (0.0, 1.0, 0.0),
    1.3: (0.0, 0.0, 0.0),
    1.713: (0.0, 0.0, 0.0),
    2.0: (0.0, 0.0, 2.0),
    4.0: (0.0, 0.0, 0.0),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("base", [0.0, -1e-12, -0.0])
def test_power_at_and_just_below_zero(base: float, exponent: float) -> None:
    x, n = jnp.array(base), jnp.array(exponent)
    f = jax.grad(guarded_power)
    found = [guarded_power(x, n), f(x, n), jax.grad(f)(x, n)]
    np.testing.assert_allclose(found, AT_ZERO[exponent], atol=1e-11)
    slope = [guarded_slope(x, n), jax.grad(guarded_slope)(x, n)]
    np.testing.assert_allclose(slope, AT_ZERO[exponent][1:], atol=1e-11)
    assert jax.grad(guarded_power, argnums=1)(x, n) == pytest.approx(0, abs=1e-10)  # x^n log |x|, and 0 at 0


@pytest.mark.tier("slow")
@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("base", [1e-8, 0.5, 37.0])
def test_power_above_zero(base: float, exponent: float) -> None:
    x, n = jnp.array(base), jnp.array(exponent)
    f, by_n = jax.grad(guarded_power), jax.grad(guarded_power, argnums=1)
    found = [guarded_power(x, n), f(x, n), jax.grad(f)(x, n), by_n(x, n), guarded_slope(x, n)]
    value = base**exponent
    slope = exponent * value / base
    expected = [value, slope, (exponent - 1) * slope / base, value * np.log(base), slope]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13 * value / base**2)


def test_other_exponents_at_zero() -> None:
    assert guarded_power(jnp.zeros(()), jnp.zeros(())) == 1
    assert jnp.isinf(guarded_power(jnp.zeros(()), jnp.array(-1.5)))


VALUES = {  # at x = 0.5, y = 2, n = 1.7: value, ∂/∂x, ∂/∂y
    "abs(-x)*y": (1.0, 2.0, 0.5),
    "abs(x - y)": (1.5, -1.0, 1.0),
    "min(x, y)": (0.5, 1.0, 0.0),
    "max(x, y)": (2.0, 0.0, 1.0),
    "floor(x) + x": (0.5, 1.0, 0.0),
    "ceil(x)*y": (2.0, 0.0, 1.0),
    "x^n": (0.5**1.7, 1.7 * 0.5**0.7, 0.0),
    "2^x": (2**0.5, 2**0.5 * np.log(2), 0.0),
    "y^x": (2**0.5, 2**0.5 * np.log(2), 0.5 * 2**-0.5),
    "x^-2": (4.0, -16.0, 0.0),
    "sqrt(x)": (0.5**0.5, 0.5 * 0.5**-0.5, 0.0),
    "y*x^-1.5": (2 * 0.5**-1.5, -3 * 0.5**-2.5, 0.5**-1.5),
    "piecewise(x*y, x < 1, y^2)": (1.0, 2.0, 0.5),
    "tanh(x)/y": (np.tanh(0.5) / 2, 0.5 / np.cosh(0.5) ** 2, -np.tanh(0.5) / 4),
    "7": (7.0, 0.0, 0.0),
}


def rate_model(formula: str) -> Model:
    """x and y, both with the given rate."""
    return compile_network(
        Network(
            name="rates",
            compartments={},
            species={},
            parameters={"x": Quantity(0.5), "y": Quantity(2.0), "n": Quantity(1.7)},
            rates={"x": parse_infix(formula), "y": parse_infix(formula)},
        )
    )


@pytest.mark.parametrize("formula", VALUES)
def test_value_and_jacobian(formula: str) -> None:
    model = rate_model(formula)
    state, parameters = jnp.array([0.5, 2.0]), jnp.array([1.7])
    value, *slopes = VALUES[formula]
    np.testing.assert_allclose(model.rhs(state, parameters), [value, value], rtol=1e-14)
    np.testing.assert_allclose(model.jacobian(state, parameters), [slopes, slopes], rtol=1e-13)


@pytest.mark.parametrize("n", EXPONENTS)
def test_jacobian_of_a_power_at_zero(n: float) -> None:
    """Regression: sympy's derivative of x^n is n x^n / x, and 0/0 in the Jacobian of every cell in steady state."""
    model = rate_model("x^n/(1 + x^n)")
    zero = jnp.array([0.0, 0.0])
    np.testing.assert_array_equal(model.jacobian(zero, jnp.array([n]))[0], [AT_ZERO[n][1], 0.0])


def test_arrays_keep_their_leading_axes() -> None:
    f = compile_vector((("a", "lambda"), ("k",)), [parse_infix("a*k"), parse_infix("3"), parse_infix("lambda")])
    out = f(jnp.ones((5, 4, 2)), jnp.arange(4.0)[:, None])
    assert out.shape == (5, 4, 3)
    assert out.dtype == jnp.float64
    np.testing.assert_array_equal(out[0, :, 0], np.arange(4.0))
    assert compile_vector((("a",),), [])(jnp.ones((6, 1))).shape == (6, 0)


def test_unknown_names_are_named() -> None:
    with pytest.raises(ValueError, match="unknown names in a formula: b, c"):
        compile_vector((("a",),), [parse_infix("a + b*c")])


ENDS = {  # the end of the domain, the value there, and a point beyond
    "arccosh(1 + x)": (0.0, 0.0, -0.5),
    "arcsech(1 - x)": (0.0, 0.0, -0.5),
    "arcsin(x)": (1.0, np.pi / 2, 1.5),
    "arccos(x)": (-1.0, np.pi, -1.5),
    "arcsec(-x)": (1.0, np.pi, 0.5),
    "arccsc(x)": (1.0, np.pi / 2, 0.5),
}


@pytest.mark.tier("check")
@pytest.mark.parametrize("formula", ENDS)
def test_inverse_functions_at_the_end_of_their_domain(formula: str) -> None:
    """The slope is infinite there: it made the first Jacobian of a solve NaN. Beyond, they have no value."""
    end, value, beyond = ENDS[formula]
    x, e = sympy.Symbol("x"), guard(sympy.sympify(parse_infix(formula)))
    assert guard(e) == e
    function = compile_vector([["x"]], [e, sympy.diff(e, x), bounded(e, rtol=0.0, atol=0.0)])
    with jax.disable_jit():
        at_end = function(jnp.array([end]))
        np.testing.assert_allclose(at_end[jnp.array([0, 2])], value, atol=1e-12)
        assert jnp.isfinite(at_end[1])
        assert jnp.isfinite(jax.grad(lambda x: function(x)[0])(jnp.array([end]))[0])
        assert jnp.isnan(function(jnp.array([beyond]))[2])


@pytest.mark.parametrize("solver", [Fused(), pytest.param(Diffrax(), marks=pytest.mark.tier("slow"))])
def test_a_rate_from_where_its_slope_is_infinite(solver: Fused | Diffrax) -> None:
    rates = {"r": parse_infix("arccosh(1 + time)")}
    model = compile_network(Network("m", {}, {}, parameters={"r": Quantity(0.0)}, rates=rates))
    courses = simulate(model, {}, Protocol(), [0.0, 3.0], settings=Settings(solver, rtol=1e-9, atol=1e-12))
    np.testing.assert_allclose(courses.y[0, :, 0], [0.0, 4 * np.arccosh(4) - np.sqrt(15)], atol=1e-7)
