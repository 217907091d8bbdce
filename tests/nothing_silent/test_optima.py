"""Where starts end: distinct optima, valleys, and combinations of parameters that nothing determines."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hexamer.infer.optimisation.lbfgs import Minimiser
from hexamer.infer.optimisation.optima import find_optima
from hexamer.infer.optimisation.ridges import find_combinations
from hexamer.infer.optimisation.stopping import Limits
from support.densities import mixture

pytestmark = pytest.mark.tier("test")


def ended(objective, starts: np.ndarray):
    """Optima of an objective whose prior has standard deviation 1 in each parameter; where each fit ended."""
    compiled = jax.jit(jax.vmap(jax.value_and_grad(objective)))

    def evaluate(points):
        value, gradient = compiled(jnp.asarray(points))
        return np.asarray(value), np.asarray(gradient)

    runs = [Minimiser(s, Limits(1e-3, 1e-5, 1000)) for s in starts]
    while any(not r.reason for r in runs):
        values, gradients = evaluate(np.array([r.trial for r in runs]))
        for run, value, gradient in zip(runs, values, gradients, strict=True):
            if not run.reason:
                run.advance(float(value), gradient)
    runs.sort(key=lambda r: r.value)
    z, value = np.array([r.z for r in runs]), np.array([r.value for r in runs])
    return find_optima(evaluate, z, value, z), z


STARTS = np.random.default_rng(0).uniform(-6, 6, (24, 2))


@pytest.mark.parametrize(
    ("objective", "tops"),
    [
        (mixture((0.85, [-4.0, 0.0], [0.5, 1.0]), (0.15, [5.0, 2.0], [0.25, 0.5])), [[-4, 0], [5, 2]]),
        (mixture((0.5, [1.0, 0.0], [0.3, 1.0]), (0.5, [-3.0, 0.0], [0.3, 1.0])), [[1, 0], [-3, 0]]),
        (mixture(*((1.0, [c, -c], [0.3, 0.3]) for c in (-4.0, 0.0, 4.0))), [[-4, 4], [0, 0], [4, -4]]),
        (mixture((1.0, [0.01, 0.0], [1e-3, 1.0]), (1.0, [-0.01, 0.0], [1e-3, 1.0])), [[0.01, 0], [-0.01, 0]]),
        (lambda z: 0.5 * jnp.sum(((z - 1) / 0.3) ** 2), [[1, 1]]),
    ],
    ids=["unequal", "in one parameter alone", "three", "narrow and close beside the prior", "one"],
)
def test_distinct_optima(objective: Callable, tops: list[list[float]]) -> None:
    optima, z = ended(objective, STARTS)
    found = sorted(z[o.rank].round(3).tolist() for o in optima)
    np.testing.assert_allclose(found, sorted(tops), atol=5e-3)
    assert sum(len(o.members) for o in optima) == len(STARTS)
    assert not any(o.valley for o in optima)
    assert all(o.rise > 5 for o in optima[1:])


@pytest.mark.tier("slow")
@pytest.mark.parametrize("count", [2, 3, 24])
@pytest.mark.parametrize(
    "objective",
    [
        lambda z: 0.5 * ((z[0] + z[1] - 1) / 0.01) ** 2,
        lambda z: 0.5 * ((z[1] - z[0] ** 2 / 8) / 0.02) ** 2,
        lambda z: 0.5 * ((jnp.sum(z**2) - 25) / 0.5) ** 2,
    ],
    ids=["line", "curve", "ring"],
)
def test_a_valley_is_one_optimum(objective: Callable, count: int) -> None:
    optima, _ = ended(objective, STARTS[:count])
    assert len(optima) == 1
    assert optima[0].valley
    assert sorted(optima[0].spread()) == [0, 1]


def test_a_line_beside_an_optimum() -> None:
    """A valley and a distinct point, of the same objective."""
    valley = lambda z: 0.5 * ((z[0] + 4) / 0.3) ** 2 + 1e3 * jax.nn.relu(jnp.abs(z[1]) - 3) ** 2  # noqa: E731
    point = lambda z: 0.5 * jnp.sum(((z - 4) / 0.3) ** 2)  # noqa: E731
    starts = STARTS + np.where(np.arange(len(STARTS)) % 2, 0.0, -4.0)[:, None] * np.array([1.0, 0.0])
    optima, z = ended(lambda z: jnp.minimum(valley(z), point(z)), np.where(STARTS < -6, -6, starts))
    assert len(optima) == 2
    lies = {bool(o.valley): z[o.rank] for o in optima}
    np.testing.assert_allclose(lies[False], [4, 4], atol=1e-3)
    assert lies[True][0] == pytest.approx(-4, abs=1e-3)


def test_combinations() -> None:
    rng = np.random.default_rng(1)
    a, b, c, free, plus = rng.uniform(-3, 3, (5, 500))
    tight = 0.01 * rng.normal(size=500)
    names = ["a", "b", "c", "free", "u", "v"]
    draws = np.array([np.exp(a), np.exp(2 - a + tight), np.exp(c), np.exp(free), plus, 5 - plus + tight]).T
    product, total = find_combinations(names, draws, range(6))
    assert product.exponents == {"a": 1.0, "b": 1.0}
    assert (product.kind, product.text) == ("product", "a·b")
    assert product.low < np.exp(2) < product.high < 1.05 * np.exp(2)
    assert (total.kind, total.text, total.additive) == ("sum", "u + v", True)
    logs = np.array([a, a + tight, b, c, 2 * b + c + tight]).T
    ratio, three = find_combinations(["a", "b", "c", "d", "e"], np.exp(logs), range(5))
    assert (ratio.kind, ratio.text) == ("ratio", "a/b")
    assert three.kind == "combination"
    assert three.exponents["c"] / three.exponents["e"] == pytest.approx(-2, abs=0.05)
    assert find_combinations(names, draws, [0, 2, 3]) == []
