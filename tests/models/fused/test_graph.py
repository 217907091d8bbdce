"""Graphs: what folds away, and reverse-mode derivatives against differences."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hexamer.models.compiled.codegen import guarded_power
from hexamer.models.solvers.fused.codegen.graph import Graph, GraphValue, emit, pull_back

pytestmark = pytest.mark.tier("check")

EXPONENTS = (0.7, 1.0, 1.3, 1.713, 2.0, 4.0)


def two() -> tuple[Graph, GraphValue, GraphValue]:
    graph = Graph()
    return graph, graph.input("x"), graph.input("y")


def test_equal_nodes_are_one() -> None:
    graph, x, y = two()
    assert x * y + 2 == y * x + 2.0
    assert x + y == y + x
    assert graph.node("exp", x / y) == graph.node("exp", x / y)
    assert x - y != y - x
    assert graph.operations([x * y + 2, (y * x + 2) / x]) == 3


def test_constants_fold() -> None:
    graph, *_ = two()
    three, four = graph.lift(3), graph.lift(4)
    folded = [three + four, three - four, three * four, three / four, -three, graph.integer_power(three, -2)]
    assert [v.number for v in folded] == [7, -1, 12, 0.75, -3, 1 / 9]


def test_neutral_elements_vanish() -> None:
    _, x, _ = two()
    minus = -x
    assert [x + 0, 0 + x, x - 0, x * 1, 1 * x, x / 1, -minus, 0 - (0 - x)] == [x] * 8
    assert [(x * 0).number, (0 * x).number, (0 / x).number] == [0, 0, 0]
    assert 0 - x == x * -1 == -x


def test_signs_move_outwards() -> None:
    _, x, y = two()
    assert x - (-y) == x + y
    assert x + (-y) == x - y
    assert (-x) + y == y - x
    assert (-x) * (-y) == x * y
    assert (-x) / y == -(x / y)


def test_division_by_a_constant_zero_stays(evaluate: Callable) -> None:
    graph, x, _ = two()
    one_over, zero_over = evaluate([x / 0, graph.lift(0) / 0], {"x": 1.0})
    assert one_over == np.inf
    assert np.isnan(zero_over)


@pytest.mark.parametrize("n", range(-7, 12))
def test_integer_powers(n: int, evaluate: Callable) -> None:
    graph, x, _ = two()
    power = graph.integer_power(x, n)
    for value in (-1.7, 0.3, 2.0):
        np.testing.assert_allclose(evaluate([power], {"x": value})[0], value**n, rtol=1e-14)
    assert graph.operations([power]) <= 2 * np.log2(max(abs(n), 1)) + (n < 0)


def test_a_common_factor_is_computed_once() -> None:
    graph, x, y = two()
    common = graph.node("exp", x * y)
    text = emit({"f[0]": common + x, "f[1]": common / y})
    assert text.count("exp_(") == 1


def test_emit_adds_and_skips_zeros() -> None:
    graph, x, _ = two()
    zero = graph.lift(0.0)
    assert "b += " not in emit({"a": x, "b": zero}, add=True)
    assert "b = real_of(0.0);" in emit({"a": x, "b": zero})
    assert (
        emit({"a": graph.lift(np.inf), "b": graph.lift(-np.inf)}) == "a = real_of(INFINITY);\nb = real_of(-INFINITY);"
    )
    assert emit({}) == ""


# Each operation as a function of x and y, which are positive.
OPERATIONS: dict[str, Callable[[Graph, GraphValue, GraphValue], GraphValue]] = {
    "add": lambda g, x, y: x + y + x,
    "sub": lambda g, x, y: 2 * x - y - x * y,
    "mul": lambda g, x, y: x * y * x,
    "square": lambda g, x, y: x * x,
    "div": lambda g, x, y: x / y,
    "inverse": lambda g, x, y: 3 / (x * y),
    "neg": lambda g, x, y: y * -x,
    "integer_power": lambda g, x, y: g.integer_power(x, 3) + g.integer_power(y, -2),
    "power": lambda g, x, y: g.node("power", x, y),
    "constant_power": lambda g, x, y: g.node("power", x, g.lift(1.7)) * y,
    "slope": lambda g, x, y: g.node("slope", x, y),
    "guarded_log": lambda g, x, y: g.node("guarded_log", x * y),
    "select": lambda g, x, y: g.node("select", g.node("lt", x, y), x * x * y, g.node("exp", y) * x),
    "selected_constant": lambda g, x, y: g.node("select", g.node("le", x, y), x * y, g.lift(2.0)),
    **{
        op: lambda g, x, y, op=op: g.node(op, x - 0.6) * y
        for op in ("exp", "sin", "cos", "tan", "tanh", "abs", "sign", "floor", "ceil")
    },
    "log": lambda g, x, y: g.node("log", x) * y,
}


@pytest.mark.parametrize("at", [(0.43, 1.9), (2.3, 0.7)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_pull_back(name: str, at: tuple[float, float], evaluate: Callable) -> None:
    graph, x, y = two()
    value = OPERATIONS[name](graph, x, y)
    bars = pull_back([value], [graph.input("g")])
    assert bars.keys() <= {"x", "y"}
    for i, input_ in enumerate("xy"):
        found = evaluate([bars.get(input_, graph.lift(0))], dict(zip("xy", at, strict=True)) | {"g": 1.3})[0]
        np.testing.assert_allclose(found, 1.3 * difference(evaluate, value, at, i), rtol=2e-9, atol=1e-9)


def difference(evaluate: Callable, value: GraphValue, at: tuple[float, float], i: int) -> float:
    """A central difference with its leading error taken out."""

    def central(h: float) -> float:
        ends = np.array([at, at])
        ends[:, i] += [h, -h]
        high, low = np.broadcast_to(evaluate([value], {"x": ends[:, 0], "y": ends[:, 1]})[0], 2)
        return (high - low) / (2 * h)

    return (4 * central(5e-4) - central(1e-3)) / 3


def test_pull_back_of_several_outputs_sums(evaluate: Callable) -> None:
    graph, x, y = two()
    bars = pull_back([x * y, graph.node("exp", x), x * y], [graph.lift(2), graph.input("g"), graph.lift(-1)])
    found = evaluate([bars["x"], bars["y"]], {"x": 0.3, "y": 4.0, "g": 0.5})
    np.testing.assert_allclose(found, [4 + 0.5 * np.exp(0.3), 0.3], rtol=1e-15)


def test_pull_back_leaves_out_what_does_not_matter() -> None:
    graph, x, y = two()
    assert pull_back([], []) == {}
    assert pull_back([graph.lift(3)], [graph.lift(1)]) == {}
    assert pull_back([x * 2 + graph.node("sign", y)], [graph.lift(1)]) == {"x": graph.lift(2)}
    assert pull_back([x * y], [graph.lift(0)]) == {}


def second(evaluate: Callable, x: float, n: float) -> tuple[list, list, list]:
    """Value, gradient, and second derivatives (by xx, xn, nx, nn) of x^n."""
    graph, base, exponent = two()
    one, zero = graph.lift(1), graph.lift(0)
    value = graph.node("power", base, exponent)
    first = pull_back([value], [one])
    gradient = [first["x"], first["y"]]
    twice = [pull_back([v], [one]) for v in gradient]
    hessian = [b.get(k, zero) for b in twice for k in "xy"]
    inputs = {"x": x, "y": n}
    return evaluate([value], inputs), evaluate(gradient, inputs), evaluate(hessian, inputs)


@pytest.mark.parametrize("n", EXPONENTS)
@pytest.mark.parametrize("x", [1e-6, 0.4, 31.0])
def test_second_derivatives_of_a_power(x: float, n: float, evaluate: Callable) -> None:
    log, v = np.log(x), x**n
    mixed = (1 + n * log) * v / x
    _, gradient, hessian = second(evaluate, x, n)
    np.testing.assert_allclose(gradient, [n * v / x, v * log], rtol=1e-12)
    np.testing.assert_allclose(hessian, [n * (n - 1) * v / x**2, mixed, mixed, v * log * log], rtol=1e-12)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("n", [*EXPONENTS, 0.0, -1.3])
@pytest.mark.parametrize("x", [0.0, -0.0, -1e-9, -0.3])
def test_powers_at_and_below_zero(x: float, n: float, evaluate: Callable) -> None:
    """As the JAX functions' derivatives: finite where the value is."""
    at = (jnp.array(x), jnp.array(n))
    value, gradient, hessian = second(evaluate, x, n)
    np.testing.assert_allclose(value[0], guarded_power(*at), rtol=1e-13)
    np.testing.assert_allclose(gradient, jax.grad(guarded_power, argnums=(0, 1))(*at), rtol=1e-13)
    expected = np.ravel(jax.hessian(guarded_power, argnums=(0, 1))(*at))
    np.testing.assert_allclose(hessian, expected, rtol=1e-13, atol=1e-13)


def test_a_branch_not_taken_adds_nothing(evaluate: Callable) -> None:
    """Regression: 0 times the infinite slope of 1/x at 0 was NaN, in the first and in the second derivative."""
    graph, x, y = two()
    inverse = y / x
    branch = inverse + graph.node("exp", inverse) - graph.node("log", x)
    value = graph.node("select", graph.node("lt", graph.lift(0), x), branch, x * x * y)
    first = pull_back([value], [graph.lift(1)])
    twice = pull_back([first["x"]], [graph.lift(1)])
    at_zero, above = {"x": 0.0, "y": 3.0}, {"x": 0.5, "y": 3.0}
    assert evaluate([first["x"], first["y"], twice["x"], twice["y"]], at_zero) == [0.0, 0.0, 6.0, 0.0]
    e, slope = np.exp(6), -12.0  # of y/x at 0.5
    expected = [slope + e * slope - 2, 48 + e * slope**2 + 48 * e + 4]
    np.testing.assert_allclose(evaluate([first["x"], twice["x"]], above), expected, rtol=1e-13)


def test_derivative_of_many_pieces_is_linear_in_their_number() -> None:
    def cost(pieces: int) -> int:
        graph, x, y = two()
        value = y
        for i in range(pieces):
            piece = graph.node("exp", x * y + i) * (i + 2.5)
            value = graph.node("select", graph.node("lt", x, graph.lift(i)), piece, value)
        return graph.operations(pull_back([value], [graph.lift(1)]).values())

    assert cost(40) / cost(20) < 2.2
