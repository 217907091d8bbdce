"""A branch that is not taken adds nothing to a derivative, whatever it would be there."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import ENGINES, SOLVERS
from hexamer.models import Protocol, compile_network, read_antimony, simulate
from hexamer.models.compiled.codegen import compile_vector
from hexamer.models.networks.formulas import parse_infix

pytestmark = pytest.mark.tier("test")

# A formula of x and a, and its derivatives by both at x = 0 and a = 3, where the last branch is taken.
AT_ZERO = {
    "piecewise(a/x, x > 0, a)": (0, 1),
    "piecewise(a*x^-0.5, x > 0, 2*x)": (2, 0),
    "piecewise(a*ln(x), x > 0, 0)": (0, 0),
    "piecewise(ln(a - 3 - x), x > 0, x)": (1, 0),
    "a*exp(-piecewise(1/x, x != 0, x))": (-3, 1),
    "piecewise(piecewise(a/x, x > 1, x/(x - a + 3)), x > 0, a*x)": (3, 0),
    "piecewise(1/x, x > 0, piecewise(1/(a - 3), x < 0, a*a))": (0, 6),
    "piecewise(tan(1/x), x > 0, sqrt(x - 1), x < 0, a)*piecewise(1/x, x > 0, a)": (0, 6),
    "piecewise(a/x, x > 0 && a > 0, x*a)": (3, 0),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("formula", AT_ZERO)
def test_derivatives_where_another_branch_is_infinite(formula: str) -> None:
    function = compile_vector([["x", "a"]], [parse_infix(formula)])
    point = jnp.array([0.0, 3.0])
    backward = jax.jit(jax.vmap(jax.jacrev(function)))(point[None])[0]
    for slope in (jax.jacrev(function)(point), jax.jacfwd(function)(point), backward):
        np.testing.assert_allclose(slope[0], AT_ZERO[formula], atol=1e-12)


def test_derivatives_where_the_branch_is_taken() -> None:
    function = compile_vector([["x", "a"]], [parse_infix("piecewise(a/x, x > 0, a)")])
    np.testing.assert_allclose(jax.jit(jax.jacrev(function))(jnp.array([2.0, 3.0]))[0], [-0.75, 0.5])
    second = jax.jit(jax.hessian(lambda point: function(point)[0]))
    np.testing.assert_allclose(second(jnp.array([2.0, 3.0])), [[0.75, -0.25], [-0.25, 0]])
    np.testing.assert_array_equal(second(jnp.array([0.0, 3.0])), np.zeros((2, 2)))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_dose_of_nothing(engine: str) -> None:
    """X' = a/d while d > 0, else 0; X starts at a ln d while d > 0, else at a."""
    text = "model m\n a = 1; d = 0; X = 0\n X' = piecewise(a/d, d > 0, 0)\n X = piecewise(a*ln(d), d > 0, a)\nend"
    model = compile_network(read_antimony(text))

    def end(a: jax.Array, d: jax.Array) -> jax.Array:
        return simulate(model, {"a": a, "d": d}, Protocol(), [1.0], solver=SOLVERS[engine]).y[0, 0, 0]

    value, slopes = jax.vmap(jax.value_and_grad(end, argnums=(0, 1)))(jnp.full(2, 3.0), jnp.array([0.0, 2.0]))
    np.testing.assert_allclose(value, [3.0, 3 * np.log(2) + 1.5], rtol=1e-6)
    np.testing.assert_allclose(slopes[0], [1.0, np.log(2) + 0.5], rtol=1e-6)
    np.testing.assert_allclose(slopes[1], [0.0, 0.75], atol=1e-6)
