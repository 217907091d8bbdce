"""Formulas of large networks, evaluated shape by shape, have the values and derivatives of formulas written out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from hexamer import Diffrax
from hexamer.models import Protocol, compile_network, read_antimony, simulate
from hexamer.models.compiled import from_network
from hexamer.models.compiled.codegen import compile_vector
from hexamer.models.compiled.shapes import compile_by_shape
from hexamer.models.networks.formulas import parse_infix
from hexamer.models.solvers.reference import gauss_jordan

pytestmark = pytest.mark.tier("test")

STATES, PARAMETERS = ("A", "B", "C", "D"), ("k", "m", "n")
FORMULAS = (
    "k*A*B - m*C",
    "m*C - k*A*B + 2*k*B*D - A/3",
    "k*A/(m + A) + k*B/(m + B)",
    "0",
    "3.5",
    "A^n*k/(m^n + A^n) - D",
    "piecewise(k*A, A < m, k*B)",
    "k*A*A - k*D^2 + exp(-m*C)",
)


@pytest.mark.tier("slow")
def test_the_values_and_derivatives_are_those_of_formulas_written_out() -> None:
    formulas = [parse_infix(text) for text in FORMULAS]
    written_out = compile_vector((STATES, PARAMETERS), formulas)
    by_shape = compile_by_shape((STATES, PARAMETERS), formulas)
    rng = np.random.default_rng(0)
    y, p = jnp.asarray(rng.uniform(0.1, 3, (5, 4))), jnp.asarray(rng.uniform(0.5, 2, (5, 3)))
    np.testing.assert_allclose(by_shape(y, p), written_out(y, p), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(by_shape(y, p[0]), written_out(y, p[0]), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(jax.vmap(by_shape)(y, p), by_shape(y, p), rtol=1e-14, atol=1e-14)
    for argument in (0, 1):
        found, right = (jax.jacrev(f, argument)(y[0], p[0]) for f in (by_shape, written_out))
        np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-13)


def test_nothing_and_the_unknown() -> None:
    assert compile_by_shape((STATES,), [])(jnp.ones(4)).shape == (0,)
    assert compile_by_shape((STATES,), [sympy.Integer(0)] * 2)(jnp.ones(4)).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="unknown names in a formula: X"):
        compile_by_shape((STATES,), [sympy.Symbol("X") * sympy.Symbol("A")])


@pytest.mark.tier("slow")
def test_a_large_network_has_the_course_of_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of 12 species with binding, as if it were large: courses and gradients by both ways."""
    lines = ["model chain", "species S0 = 2;", *(f"species S{i} = 0;" for i in range(1, 12)), "k = 0.7; b = 0.3;"]
    lines += [f"J{i}: S{i} -> S{i + 1}; k*S{i}/(1 + 0.1*S{i});" for i in range(10)]
    network = read_antimony("\n".join([*lines, "J10: S10 + S0 -> S11; b*S10*S0;", "end"]))
    small = compile_network(network)
    monkeypatch.setattr(from_network, "WRITTEN_OUT", 4)
    monkeypatch.setattr(gauss_jordan, "SMALL", 4)
    large = compile_network(network)

    def end(model, k):
        found = simulate(model, {"k": k}, Protocol(), [1.0, 5.0], solver=Diffrax(), rtol=1e-9)
        return jnp.sum(found.y[0, -1] * jnp.arange(1.0, 13.0))

    values = [jax.value_and_grad(lambda k, m=model: end(m, k))(0.7) for model in (small, large)]
    np.testing.assert_allclose(values[1], values[0], rtol=1e-8)
