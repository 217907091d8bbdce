"""sympy to graphs, against the JAX functions of the same expressions."""

# sympy's annotations allow less than its logic takes, and iterate over less.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from hexamer.models.compiled.codegen import compile_vector
from hexamer.models.solvers.fused.codegen.graph import Graph, pull_back
from hexamer.models.solvers.fused.codegen.lower import Lowering, Unsupported

pytestmark = pytest.mark.tier("slow")

NAMES = ("x", "y", "K", "n", "w")  # the last is a whole number
x, y, K, n, w = (sympy.Symbol(name) for name in NAMES)
piecewise = sympy.Piecewise

EXPRESSIONS: dict[str, sympy.Expr] = {
    "sum": x + 2 * y - K + sympy.Rational(1, 3),
    "product": -3 * x * y * K,
    "quotient": x * y / (K * (1 + n)),
    "quotient of powers": x**2 * y**-3 / (K + n) ** 2,
    "constant": sympy.pi / 7 + sympy.sqrt(2),
    "Hill": x**n / (K**n + x**n),
    "repression": 1 / (1 + (x / K) ** n),
    "Michaelis-Menten": n * x / (K + x),
    "exp": sympy.exp(-x * y),
    "log": sympy.log(x + K),
    "lt": piecewise((x, x < y), (K, True)),
    "le": piecewise((x, w <= 2), (K, True)),
    "gt": piecewise((x, x > y), (K, True)),
    "ge": piecewise((x, w >= 2), (K, True)),
    "eq": piecewise((x, sympy.Eq(w, 1)), (K, True)),
    "ne": piecewise((x, sympy.Ne(w, 1)), (K, True)),
    "and": piecewise((x * y, sympy.And(x < y, n < K, w < 3)), (x / y, True)),
    "or": piecewise((x * y, sympy.Or(x < y, sympy.Eq(w, 0), n < K)), (x / y, True)),
    "not": piecewise((x * y, sympy.Not(sympy.And(x < y, n > K))), (x / y, True)),
    "not equal to any": piecewise((x, sympy.Not(sympy.Or(sympy.Eq(w, 1), sympy.Eq(w, 2)))), (y, True)),
    "three pieces": piecewise((x, x < 0.5), (y**2, x < 1), (x * n, True)),
    "no piece": piecewise((x * y, x < y)),
    "max": sympy.Max(x, y, K),
    "min": sympy.Min(x, y * n, K),
    "abs": sympy.Abs(x - y) * K,
    "floor": sympy.floor(3 * x) + x * y,
    "ceiling": sympy.ceiling(3 * x) * y,
    "sign": sympy.sign(w - 1) * x,
    "tanh": sympy.tanh(x - y),
    "sin": sympy.sin(3 * x),
    "cos": sympy.cos(3 * x) * y,
    "tan": sympy.tan(x / 2),
    "c^x": 3**x + sympy.Float(0.2) ** (x * y) + sympy.Rational(1, 2) ** y,
    "sqrt": x ** sympy.Rational(1, 2) + y**0.5,
    "inverse sqrt": x**-0.5,
    "inverse square": x ** (-2),
    "whole float": x**3.0 + y**-1.0 + K**2.0,
    "x^y": x**y,
    "below zero": (w - 1) ** n + (w - 1) ** 0.5 + (w - 1) ** 3,
}


@dataclass(frozen=True)
class Sample:
    """Inputs, and of each expression by JAX the values and the gradients."""

    inputs: np.ndarray  # points x names
    values: np.ndarray  # points x expressions
    gradients: np.ndarray  # points x expressions x names


@pytest.fixture(scope="module")
def sample() -> Sample:
    random = np.random.default_rng(4)
    inputs = random.uniform(0.1, 2.0, (60, len(NAMES)))
    inputs[:, -1] = random.integers(0, 4, 60)
    inputs[:, NAMES.index("n")] += 0.3
    function = compile_vector((NAMES,), list(EXPRESSIONS.values()))
    values, gradients = jax.jit(lambda a: (function(a), jax.vmap(jax.jacrev(function))(a)))(jnp.asarray(inputs))
    return Sample(inputs, np.asarray(values), np.asarray(gradients))


def lowering() -> Lowering:
    graph = Graph()
    return Lowering(graph, {name: graph.input(name) for name in NAMES})


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_values_and_gradients(name: str, sample: Sample, evaluate: Callable) -> None:
    low = lowering()
    value = low(EXPRESSIONS[name])
    bars = pull_back([value], [low.graph.lift(1.0)])
    gradient = [bars.get(n, low.graph.lift(0.0)) for n in NAMES]
    found = evaluate([value, *gradient], dict(zip(NAMES, sample.inputs.T, strict=True)))
    found = np.stack([np.broadcast_to(f, len(sample.inputs)) for f in found], axis=-1)
    i = list(EXPRESSIONS).index(name)
    np.testing.assert_allclose(found[:, 0], sample.values[:, i], rtol=1e-13, atol=1e-13)
    defined = ~np.isnan(sample.values[:, i])
    np.testing.assert_allclose(found[defined, 1:], sample.gradients[defined, i], rtol=1e-12, atol=1e-12)


def test_every_piece_is_met(sample: Sample) -> None:
    """Each condition holds at some of the points and fails at others, else the comparison shows nothing."""
    conditions = [c for e in EXPRESSIONS.values() if isinstance(e, piecewise) for _, c in e.args if c is not sympy.true]
    held = compile_vector((NAMES,), [piecewise((1, c), (0, True)) for c in conditions])(jnp.asarray(sample.inputs))
    share = np.mean(np.asarray(held), axis=0)
    assert np.all((share > 0) & (share < 1))


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        (sympy.gamma(x), "gamma"),
        (1 + y * sympy.erf(x) ** 2, "erf"),
        (piecewise((sympy.asin(x), x < y), (y, True)), "asin"),
        (piecewise((x, sympy.Implies(x < y, n > K)), (y, True)), "Implies"),
    ],
)
def test_unsupported_functions_are_named(expression: sympy.Expr, name: str) -> None:
    with pytest.raises(Unsupported, match=f"no {name}, used in"):
        lowering()(expression)


def test_unknown_names_are_named() -> None:
    with pytest.raises(Unsupported, match="the name z is not known"):
        lowering()(x + sympy.Symbol("z"))


def test_equal_parts_are_one() -> None:
    low = lowering()
    hill = x**n / (K**n + x**n)
    low(hill)
    before = len(low.graph.nodes)
    assert low(hill * y) == low(y * hill)
    assert len(low.graph.nodes) <= before + 2  # the product's own order of factors
    # Two powers, their sum, one quotient; and sizes of two powers, the larger of them and its excess.
    assert low.graph.operations([low(hill)]) == 4 + 2 * 2 + 4
