"""Formulas whose parts overflow where their values do not: value and derivatives are right."""

from __future__ import annotations

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from helpers import ENGINES, SOLVERS
from hexamer.models import (
    Protocol,
    Settings,
    Status,
    compile_network,
    load_model,
    parse_infix,
    read_antimony,
    simulate,
)
from hexamer.models.compiled.codegen import compile_elementwise, guard
from hexamer.models.compiled.stable import ROOM
from hexamer.models.solvers.fused.source import header_text

pytestmark = pytest.mark.tier("test")

CASE = Path(__file__).parents[1] / "cases" / "smooth-step-overflows"
# A formula of x: value, first and second derivative at some x, of which some are out of reach of its parts.
LOGISTIC = {0.3: (1 / (1 + math.exp(0.3)),), 1e3: (0.0, 0.0, 0.0), -1e3: (1.0, 0.0, 0.0)}
FORMULAS = {
    "1/(1 + exp(x))": LOGISTIC,
    "exp(-x)/(1 + exp(-x))": LOGISTIC,
    "exp(2)/(exp(2) + exp(x + 2))": LOGISTIC,
    "exp(-x/2)/(exp(x/2) + exp(-x/2))": LOGISTIC,
    "0.5 - (exp(x/2) - exp(-x/2))/(exp(x/2) + exp(-x/2))/2": LOGISTIC,
    "1 - 1/(1 + exp(-x))": LOGISTIC,
    "piecewise(1/(1 + exp(x)), x > -7, 1 - exp(x)/(1 + exp(x)))": LOGISTIC,
    "1/(1 + 10^(x/ln(10)))": LOGISTIC,
    "2/(1 + exp(x))/2": LOGISTIC,
    "1/(1 + exp(x))^4": {0.3: ((1 + math.exp(0.3)) ** -4,), 1e3: (0.0, 0.0, 0.0), -1e3: (1.0, 0.0, 0.0)},
    "1/(1 + exp(x))^1.5": {0.3: ((1 + math.exp(0.3)) ** -1.5,), 1e3: (0.0, 0.0, 0.0), -1e3: (1.0, 0.0, 0.0)},
    "1/(1 + exp(200*(x - 100.5)))": {100.5: (0.5, -50.0, 0.0), 1e3: (0.0, 0.0, 0.0), -1e3: (1.0, 0.0, 0.0)},
    "exp(x - 800.5)": {800.5: (1.0, 1.0, 1.0), 1e2: (math.exp(-700.5),), -1e3: (0.0, 0.0, 0.0)},
    "1/(exp(96485*(x + 70)/(8.314*310)) + 1)": {-70.0: (0.5,), 1e3: (0.0, 0.0, 0.0), -1e3: (1.0, 0.0, 0.0)},
    "ln(1 + exp(x))": {0.3: (math.log1p(math.exp(0.3)),), 1e3: (1e3, 1.0, 0.0), -1e3: (0.0, 0.0, 0.0)},
    "exp(-exp(-x))": {0.3: (math.exp(-math.exp(-0.3)),), 1e3: (1.0, 0.0, 0.0), -1e3: (0.0, 0.0, 0.0)},
    "(3 + 2*exp(x))/(1 + exp(x))": {0.0: (2.5, -0.25, 0.0), 1e3: (2.0, 0.0, 0.0), -1e3: (3.0, 0.0, 0.0)},
}


def hill(n: float, x: float) -> tuple[float, float, float]:
    """x^n/(2^n + x^n) and its first two derivatives."""
    y = 1 / (1 + (2 / x) ** n)
    slope = n / x * y * (1 - y)
    return y, slope, slope * (n * (1 - 2 * y) - 1) / x


HILL = ("x^n/(2^n + x^n)", "(x/2)^n/(1 + (x/2)^n)", "1/(1 + (x/2)^(-n))", "1 - 2^n/(2^n + x^n)", "x^n/(2^n + x^n)*y/y")


def derivatives(formula: str, **at: float) -> np.ndarray:
    """Value, first derivative by x as the Jacobian has it, second as the adjoint has it."""
    names = list(at)
    guarded = guard(parse_infix(formula))
    slope = sympy.diff(guarded, sympy.Symbol("x"))
    values = [float(at[n]) for n in names]

    def by_x(expression: sympy.Expr):
        used, function = compile_elementwise(names, [expression])

        def f(x):
            known = [x if n == "x" else jnp.asarray(v) for n, v in zip(names, values, strict=True)]
            return jnp.asarray(function(*(known[k] for k in used))[0], float)

        return f

    x = jnp.asarray(at["x"], float)
    return np.array([by_x(guarded)(x), by_x(slope)(x), jax.grad(by_x(slope))(x)])


@pytest.mark.tier("slow")
@pytest.mark.parametrize("formula", FORMULAS)
def test_derivatives_in_range(formula: str) -> None:
    for x, expected in FORMULAS[formula].items():
        found = derivatives(formula, x=x)
        np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-13, atol=1e-13)
        assert np.all(np.isfinite(found))


@pytest.mark.parametrize("formula", HILL)
def test_hill_terms_of_large_powers(formula: str) -> None:
    for n, x in ((1.7, 3.0), (400.0, 2.01), (400.0, 1e3), (1e4, 2.0002), (400.0, 1e-3)):
        expected = hill(n, x) if x > 1 else (0.0, 0.0, 0.0)
        if x == 1e3:
            expected = (1.0, 0.0, 0.0)
        np.testing.assert_allclose(derivatives(formula, x=x, n=n, y=2.0), expected, rtol=1e-9, atol=1e-9)


def test_nothing_changes_in_range() -> None:
    """Where no part is near overflow the numbers are those of the formula as it stands, to the last bit."""
    x = np.linspace(0.1, 40, 57)
    used, function = compile_elementwise(["x", "n"], [parse_infix("x^n/(3^n + x^n)")])
    assert used == (1, 0) or used == (0, 1)
    found = np.asarray(function(*(jnp.asarray([x, np.full_like(x, 1.7)][k]) for k in used))[0])
    power, constant = np.exp(1.7 * np.asarray(jnp.log(x))), np.exp(1.7 * np.log(3.0))
    np.testing.assert_allclose(found, power / (constant + power), rtol=4e-16)


def test_a_formula_guarded_twice_is_the_same() -> None:
    for formula in (*FORMULAS, *HILL, "x^20/(2^20 + x^20)", "x^n/(2 + x)^n", "x^n*exp(-x)"):
        once = guard(parse_infix(formula))
        assert guard(once) == once
        assert guard(sympy.diff(once, sympy.Symbol("x"))) == sympy.diff(once, sympy.Symbol("x"))


def test_c_and_jax_leave_the_same_room() -> None:
    assert f"SINGLE ? 20 : {ROOM:g}" in header_text("lanes.h")


@pytest.mark.parametrize("engine", ENGINES)
def test_smooth_step(engine: str) -> None:
    """x' = 1/(1 + exp(−k (t − t0))) − x with k t0 = 1000; value, and gradients by k and t0."""
    model = load_model(CASE / "step.ant")
    settings = Settings(SOLVERS[engine], rtol=1e-9, atol=1e-12)

    def x(v: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        out = simulate(model, {"k": v[0], "t0": v[1]}, Protocol(), [50.0, 102.0, 110.0], settings=settings)
        return out.y[0, 1, 0], (out.y[0, :, 0], out.status)

    slope, (y, status) = jax.grad(x, has_aux=True)(jnp.array([10.0, 100.0]))
    assert status[0] == Status.OK
    # The step's mean is t0 and its variance π²/(3 k²), so that x(t) = 1 − e^(t0 − t) (πk⁻¹/sin(πk⁻¹)) beyond it.
    a = math.pi / 10
    factor = a / math.sin(a)
    expected = [0.0, 1 - math.exp(-2) * factor, 1 - math.exp(-10) * factor]
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-9)
    by_k = math.exp(-2) * (math.pi / 100) * (1 / math.sin(a) - a * math.cos(a) / math.sin(a) ** 2)
    np.testing.assert_allclose(slope, [by_k, -math.exp(-2) * factor], rtol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_hill_switch_of_a_state(engine: str) -> None:
    """S grows past K: x' = S^n/(K^n + S^n) with S = t + 1 is t − K + 1 beyond K, to (K/S)^n; by K it is −1."""
    text = "model a; S = 1; K = 50; n = 200; x = 0; S' = 1; x' = S^n/(K^n + S^n); end"
    model = compile_network(read_antimony(text))
    settings = Settings(SOLVERS[engine], rtol=1e-9, atol=1e-12)

    def x(k: jax.Array) -> jax.Array:
        out = simulate(model, {"K": k}, Protocol(), [99.0], settings=settings)
        return out.y[0, 0, model.index("x")]

    value, slope = jax.value_and_grad(x)(jnp.array(50.0))
    a = math.pi / 200  # ∫ of 1 − x' above and x' below differ by K (a/sin a − 1)
    np.testing.assert_allclose([value, slope], [100 - 50 * a / math.sin(a), -a / math.sin(a)], rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_numbers_that_rules_bring_into_an_exponent(engine: str) -> None:
    """Of exp(200*(time - K)) sympy makes exp(200*time) times exp(-20100), which is 0 in floats."""
    text = "model m\n X = 0; K := 100.5; X' = 1/(1 + exp(200*(time - K)))\nend"
    tight = Settings(SOLVERS[engine], rtol=1e-9)
    out = simulate(compile_network(read_antimony(text)), {}, Protocol(), [50.0, 200.0], settings=tight)
    np.testing.assert_allclose(out.y[0, :, 0], [50.0, 100.5], rtol=1e-7)
