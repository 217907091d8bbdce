"""Powers of negative bases, roots of negative numbers, species below 0: right, refused or said."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import BOTH_ENGINES, ENGINES, SOLVERS
from hexamer import Fused, load_problem
from hexamer.models import (
    Model,
    Protocol,
    Settings,
    Status,
    Trajectories,
    compile_network,
    load_model,
    read_antimony,
    simulate,
)

pytestmark = pytest.mark.tier("test")

CASES = Path(__file__).parents[1] / "cases"
CASE = CASES / "power-of-a-negative-base"
EXPECTED = json.loads((CASE / "expected.json").read_text())
BASES = """
model bases
  p = 0.5; n = 3; r = 0.4
  x = -1; y = 2; z = 1.5; w = 0.25;
  x' = p*(x - r)^n; y' = -p*(r - y)^n; z' = (z + x)^(n - 1) - z; w' = p*(x/(1 + y^2))^n
end
"""


def network(text: str) -> Model:
    return compile_network(read_antimony(text))


def solved(model: Model, times: list[float], engine: str, rtol: float = 1e-8, **values: float) -> Trajectories:
    settings = Settings(SOLVERS[engine], rtol=rtol, atol=rtol / 100)
    return simulate(model, values, Protocol(), times, settings=settings)


@pytest.mark.parametrize("engine", ENGINES)
def test_whole_exponents(engine: str) -> None:
    """X' = (X − 2)^n from 1, with n a parameter; other exponents have no real solution."""
    model = load_model(CASE / "negative_base_n3.ant")
    at = jnp.array([2.0, 3.0, 4.0, 2.5, 3.0000001])
    settings = Settings(SOLVERS[engine], rtol=1e-9, atol=1e-11)
    out = simulate(model, {"n": at}, Protocol(), EXPECTED["times"], settings=settings)
    for i, key in enumerate(("n2", "n3_and_literal", "n4")):
        np.testing.assert_allclose(out.y[i, 0, :, 0], EXPECTED[key], rtol=1e-6)
    assert out.status[:, 0].tolist() == [Status.OK] * 3 + [Status.NOT_FINITE] * 2
    assert np.all(np.isnan(out.y[3:]))


@pytest.mark.parametrize("engine", ENGINES)
def test_an_exponent_that_is_a_number(engine: str) -> None:
    out = solved(load_model(CASE / "literal_exponent.ant"), EXPECTED["times"], engine)
    np.testing.assert_allclose(out.y[0, :, 0], EXPECTED["n3_and_literal"], rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_dimerisation_over_ten_decades(engine: str) -> None:
    """A' = −2k A^2 by its closed form, to a ten-billionth of what there was: far below the absolute tolerance."""
    right = EXPECTED["dimerisation"]
    model = load_model(CASE / "dimerisation.ant")
    for rtol, within in ((1e-6, 1e-3), (1e-9, 1e-5)):
        out = simulate(model, {}, Protocol(), right["times"], settings=Settings(SOLVERS[engine], rtol=rtol))
        np.testing.assert_allclose(out.y[0, :, model.index("A")], right["A"], rtol=within)


@pytest.mark.tier("slow")
def test_slopes_of_negative_bases() -> None:
    """The gradient by what is in the base is the central difference, on both engines."""
    model, names = network(BASES), ("p", "r")

    def loss(v: jax.Array, engine: str) -> jax.Array:
        settings = Settings(SOLVERS[engine], rtol=1e-10, atol=1e-12)
        return jnp.sum(simulate(model, dict(zip(names, v, strict=True)), Protocol(), [0.1, 0.3], settings=settings).y)

    v, h = jnp.array([0.5, 0.4]), 1e-5
    slopes = [jax.grad(loss)(v, engine) for engine in BOTH_ENGINES]
    central = [(loss(v + h * e, "fused") - loss(v - h * e, "fused")) / (2 * h) for e in jnp.eye(2)]
    for slope in slopes:
        np.testing.assert_allclose(slope, central, rtol=2e-6)


POWERS = """
model powers
  start = 1; r = 2; k = 1; n = 0.5; c = 0; b = 1
  x = start; x' = k*(x - r)^n + c*sqrt(b); y = 1; y' = piecewise((x - r)^n, x > r, 1)
end
"""
REFUSED = {  # start, r, k, n, c, b
    "the root of −1": (1, 2, -1, 0.5, 0, 1),
    "the cube root of −8": (-8, 0, 1, 1 / 3, 0, 1),
    "a real power": (1, 2, -1, 1.5, 0, 1),
    "a negative power": (1, 2, 1, -0.5, 1, 1),
    "a root that falls below 0 on the way": (1, 0, -1, 0.5, -0.5, 1),
    "the root of a parameter": (1, 0, -1, 1, 1, -4),
}
ALLOWED = {  # and x at 1, 2 and 5
    "a root that ends at 0": ((1, 0, -1, 0.5, 0, 1), (0.25, 0.0, 0.0)),
    "a whole power": ((1, 2, -1, 3, 0, 1), (2 - (1 + 2 * -1 * -1) ** -0.5, 2 - 5**-0.5, 2 - 11**-0.5)),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_powers_that_are_no_numbers(engine: str) -> None:
    """They fail, among others that do not. A root's stages below 0 do no harm, a branch not taken has no say."""
    model, settings = network(POWERS), Settings(SOLVERS[engine], rtol=1e-8, atol=1e-10)
    rows = np.array([*REFUSED.values(), *(row for row, _ in ALLOWED.values())]).T
    values: dict[str, np.ndarray] = dict(zip(("start", "r", "k", "n", "c", "b"), rows, strict=True))
    out = simulate(model, values, Protocol(), [1.0, 2.0, 5.0], settings=settings)
    assert out.status[:, 0].tolist() == [Status.NOT_FINITE] * len(REFUSED) + [Status.OK] * len(ALLOWED)
    assert np.all(np.isnan(out.y[: len(REFUSED)]))
    for y, (_, expected) in zip(out.y[len(REFUSED) :], ALLOWED.values(), strict=True):
        np.testing.assert_allclose(y[0, :, model.index("x")], expected, atol=1e-6)


def test_starts_that_are_no_numbers() -> None:
    """A start is exact: not a little below 0 either."""
    model = network("model m; s = -1e-9; x = sqrt(s); x' = -x; end")
    out = simulate(model, {"s": jnp.array([4.0, -1e-9])}, Protocol(), [0.0], solver=Fused())
    assert out.status[:, 0].tolist() == [Status.OK, Status.NOT_FINITE]
    assert np.isnan(model.initial(jnp.array([-1.0]))[0])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_case_of_a_root(engine: str) -> None:
    out = solved(load_model(CASES / "root-of-a-negative-number" / "root.ant"), [0.0, 1.0], engine)
    assert int(out.status[0]) == Status.NOT_FINITE


def test_roots_in_what_is_observed() -> None:
    model = network("model a; x = 1; n = 1.5; x' = -1; end")
    out = simulate(model, {}, Protocol(), [0.0, 0.5, 2.0], observe=["sqrt(x)", "x^n", "(x - 1)^2"], solver=Fused())
    assert out.status[0] == Status.OK
    for formula, power in (("sqrt(x)", 0.5), ("x^n", 1.5)):
        np.testing.assert_allclose(out.observed[formula][0], [1.0, 0.5**power, np.nan], rtol=1e-6)
    np.testing.assert_allclose(out.observed["(x - 1)^2"][0], [0.0, 0.25, 4.0], rtol=1e-6)
    just_below = simulate(
        network("model a; x = -1e-9; x' = 0*x; end"), {}, Protocol(), [1.0], atol=1e-8, observe=["sqrt(x)"]
    )
    assert just_below.observed["sqrt(x)"][0, 0] == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pole_is_not_stepped_over(engine: str) -> None:
    """A is 10 − t, then 0. With a Km below the tolerance it ran to −90; a far smaller one fails."""
    model, times = load_model(CASE / "zero_order.ant"), EXPECTED["zero_order"]["times"]
    out = simulate(model, {"Km": jnp.array([1e-9, 1e-6, 1e-14])}, Protocol(), times, solver=SOLVERS[engine])
    a = np.asarray(out.y[:, 0, :, model.index("A")])
    assert out.status[:2, 0].tolist() == [Status.OK] * 2
    np.testing.assert_allclose(a[0], [10, 5, 0.1, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(a[1], [10, 5, 0.1, 1.35e-5, 0, 0, 0], atol=6e-5)  # A(10) = Km ln(10/A)
    assert np.all(a[2, 3:] >= -1e-6) if out.status[2, 0] == Status.OK else np.all(np.isnan(a[2]))


def test_species_below_0_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """A, which falls by the model's rate; not B, which decays, C, which starts below 0, or d, which is a parameter."""
    species = "species A = 1, B = 1, C = -1; J: A -> ; k; K: B -> ; k*B; L: C -> ; k*C"
    model = network(f"model m; k = 1; d = 1; d' = -1; {species}; end")
    with caplog.at_level(logging.WARNING):
        out = simulate(model, {}, Protocol(), [0.0, 2.0], solver=Fused())
        assert out.status[0] == Status.OK
        simulate(model, {"k": 0.1}, Protocol(), [0.0, 2.0], solver=Fused())
    (record,) = caplog.records
    assert "below 0 what is an amount, a concentration or a volume: A (to -1). " in record.getMessage()


@pytest.mark.tier("slow")
def test_time_to_a_power() -> None:
    """X' = time^n: right and with its gradient by n, from the first time on."""
    problem = load_problem(CASE / "time_power" / "problem.yaml").with_settings(rtol=1e-9, atol=1e-11)
    assert problem.evaluate().nllh == pytest.approx(EXPECTED["time_power"]["nllh"], rel=1e-6)
    z = jnp.asarray(problem.space.unconstrain({"n": 2.5}))
    by_z = jax.grad(problem.log_likelihood)(z)[0]
    inner = jax.grad(lambda z: problem.space.constrain(z)[0])(z)[0]
    assert float(-by_z / inner) == pytest.approx(EXPECTED["time_power"]["gradient_n"], rel=1e-5)
