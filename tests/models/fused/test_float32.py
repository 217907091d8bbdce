"""float32, chosen by name: its errors by its tolerance, its failures, and what stays in float64."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hexamer import Auto, Fused
from hexamer.models import (
    Model,
    Protocol,
    Settings,
    Status,
    compile_function,
    compile_network,
    read_antimony,
    simulate,
)

pytestmark = pytest.mark.tier("test")

SINGLE = Settings(Fused(precision="float32"), rtol=1e-4, atol=1e-6)
TIGHT = Settings(Fused(), rtol=1e-10, atol=1e-12, max_steps=100_000)
TIMES = [0.0, 5.0, 20.0, 90.0]
PROTOCOLS = {
    "il6_stat3": [
        Protocol.equilibrated("dose").add("IL6", 0.48),
        Protocol.equilibrated("pulse").pulse("IL6", 0.48, start=0, stop=15),
        Protocol("no rest").add("IL6", 0.48).add("sIL6R", 2.0),
        Protocol.equilibrated("set", k_tl=0.0).add("HyperIL6", 0.2).set(at=15, k_jak=0.0),
    ],
    "hepg2_core": [
        Protocol.equilibrated("input").set(IL6=10.0),
        Protocol.equilibrated("pulse").set(at=5, IL6=10.0).set(at=20, IL6=0.0),
        Protocol("no rest").set(IL6=10.0),
        Protocol.equilibrated("set", IL6=0.5).set(at=5, IL6=40.0).set(at=16, CHX=1.0, pR=0.0),
    ],
}


def network(text: str) -> Model:
    return compile_network(read_antimony(text))


class Runs(NamedTuple):
    """Draws × protocols: outputs, statuses, and the gradient of a smooth scalar by log parameters."""

    y: np.ndarray
    status: np.ndarray
    slope: np.ndarray


def runs(model: Model, protocols: list[Protocol], z: jax.Array, settings: Settings) -> Runs:
    free = [n for n, v in zip(model.parameters, model.defaults, strict=True) if v > 0]

    def loss(z: jax.Array):
        out = simulate(model, dict(zip(free, jnp.exp(z), strict=True)), protocols, TIMES, settings=settings)
        y = jnp.where(jnp.isfinite(out.y), out.y, 0.0)
        return jnp.mean(jnp.log1p(y.clip(-0.5)) ** 2, axis=(1, 2)), (out.y, out.status)

    slope, (y, status) = jax.jit(jax.vmap(jax.jacrev(loss, has_aux=True)))(z)
    return Runs(np.asarray(y), np.asarray(status), np.asarray(slope))


def draws(model: Model, count: int) -> jax.Array:
    centre = jnp.log(jnp.asarray(model.defaults[model.defaults > 0]))
    return centre + 0.3 * jax.random.normal(jax.random.key(3), (count, centre.size))


# ---------------------------------------------------------------------------------------------------- accuracy


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", PROTOCOLS)
def test_errors_follow_the_tolerance(name: str, request: pytest.FixtureRequest) -> None:
    """Values (of each species by its largest) and gradients within 5 rtol, down to the least one; failures alike."""
    model: Model = request.getfixturevalue(name)
    z = draws(model, 24)
    exact = runs(model, PROTOCOLS[name], z, TIGHT)
    scale = np.abs(exact.y).max(2, keepdims=True) + 1e-9
    size = np.linalg.norm(exact.slope, axis=2)
    ok = exact.status == Status.OK
    assert np.mean(ok) > 0.95
    for rtol in (1e-4, 1e-5):
        found = runs(model, PROTOCOLS[name], z, replace(SINGLE, rtol=rtol, atol=rtol / 100))
        np.testing.assert_array_equal(found.status == Status.OK, ok)
        assert np.nanmax(np.abs(found.y - exact.y) / scale) < 5 * rtol
        assert np.all(np.linalg.norm(found.slope - exact.slope, axis=2)[ok] < 5 * rtol * size[ok])
        assert np.all(found.slope[~ok] == 0)


def test_what_comes_out_is_float64(loop: Model) -> None:
    """Numbers of float32, in arrays of float64, as losses and samplers expect them."""
    y, slope = jax.value_and_grad(lambda k: simulate(loop, {"k": k}, Protocol(), [3.0], settings=SINGLE).y[0, 0, 1])(
        jnp.asarray(0.8)
    )
    assert y.dtype == slope.dtype == jnp.float64
    assert y == np.float32(y)


@pytest.mark.tier("slow")
def test_the_steady_state_is_that_of_float64(hepg2_core: Model) -> None:
    """Polished in float64: off by what a float32 rounds, in value and in its implicit derivative."""
    z = draws(hepg2_core, 12)
    protocols = [Protocol.equilibrated("rest"), Protocol.equilibrated("stimulated", IL6=5.0)]

    def steady(settings: Settings) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
        free = [n for n, v in zip(hepg2_core.parameters, hepg2_core.defaults, strict=True) if v > 0]

        def y(z: jax.Array):
            out = simulate(hepg2_core, dict(zip(free, jnp.exp(z), strict=True)), protocols, [0.0], settings=settings)
            return jnp.sum(jnp.log1p(out.y)), (out.y, out.status)

        return jax.jit(jax.vmap(jax.grad(y, has_aux=True)))

    slope, (y, status) = steady(SINGLE)(z)
    expected_slope, (expected, expected_status) = steady(TIGHT)(z)
    np.testing.assert_array_equal(status, expected_status)
    ok = np.all(status == Status.OK, axis=1)
    assert ok.sum() > 9
    np.testing.assert_allclose(y[ok], expected[ok], rtol=1.2e-7, atol=1e-12)
    np.testing.assert_allclose(slope[ok], expected_slope[ok], rtol=1e-5, atol=1e-7)


FAST_AND_SLOW = """
model binding
  species L = 0, R = 0, LR = 0, P = 0; f = 1e3; s = 1e-4; d = 1;
  J0: L + R -> LR; f*(L*R - 0.1*LR); J1: -> L; s*0.7; J2: -> R; s*(1 - R); J3: LR -> ; d*s*LR; J4: L -> ; 0.1*d*s*L;
  J5: -> P; s*LR; J6: P -> ; s*P;
end
"""


def test_a_steady_state_behind_rounding() -> None:
    """Fast rates cancel but for the rounding of floats, which is more than the slow ones: that is allowed for."""
    model = network(FAST_AND_SLOW)
    f, s = jnp.array([1e3, 1e4, 1.0, 1e3]), jnp.array([1e-4, 1e-4, 1e-3, 3e-3])
    single, double = (
        simulate(model, {"f": f, "s": s}, Protocol.equilibrated(), [0.0], settings=settings)
        for settings in (SINGLE, Settings(Fused()))
    )
    np.testing.assert_array_equal(single.status, Status.OK)
    np.testing.assert_array_equal(double.status, Status.OK)
    np.testing.assert_allclose(single.y, double.y, rtol=1.2e-7)


def test_no_steady_state_behind_rounding() -> None:
    """What is made and never taken away is less than rounding, so that all looks steady: Newton finds none."""
    model = network(FAST_AND_SLOW)
    out = simulate(model, {"d": jnp.array([1.0, 0.0])}, Protocol.equilibrated(), [0.0], settings=SINGLE)
    assert out.status[:, 0].tolist() == [Status.OK, Status.NO_STEADY_STATE]


POWERS = """
model powers
  species A = 0, B = 1, C = 0, D = 0; n = 1; k = 0.6;
  J0: B -> A; k*B;
  J1: A -> C; k*A^n;
  J2: C -> D; 0.5*C^n/(1 + C^n);
  J3: D -> ; 0.2*D*A^n;
end
"""


def test_powers_at_zero() -> None:
    """From exact zeros, for exponents whose derivatives are infinite there."""
    model = network(POWERS)
    n = jnp.array([0.7, 1.0, 1.3, 1.713, 2.0, 4.0])

    def loss(n: jax.Array, k: jax.Array, settings: Settings):
        y = simulate(model, {"n": n, "k": k}, Protocol(), [0.5, 2.0, 10.0], settings=settings).y
        return jnp.sum(y), y

    def both(settings: Settings):
        return jax.jit(
            jax.vmap(lambda n: jax.grad(lambda n, k: loss(n, k, settings), argnums=(0, 1), has_aux=True)(n, 0.6))
        )(n)

    slope, y = both(SINGLE)
    expected_slope, expected = both(TIGHT)
    np.testing.assert_allclose(y, expected, atol=5e-4)
    np.testing.assert_allclose(slope[0], expected_slope[0], rtol=1e-2, atol=5e-3)
    np.testing.assert_allclose(slope[1], expected_slope[1], rtol=1e-2, atol=5e-3)


@pytest.mark.parametrize("start", [0.0, 1e8])
def test_time_does_not_stall(start: float) -> None:
    """At 1e8 the next float32 is 8 away: time is in float64, and outputs are at their times, jumps at theirs."""
    model = network("model m\n species A = 1; k = 1; J: A -> ; k*A;\nend\n")
    protocol = Protocol(start=start).add("A", 1.0, at=start + 0.5)
    at = np.array([0.0, 0.25, 0.5, 1.0, 3.0])
    out = simulate(model, {}, protocol, start + at, settings=SINGLE)
    assert out.status[0] == Status.OK
    exact = np.exp(-at) + np.where(at >= 0.5, np.exp(-(at - 0.5)), 0.0)
    np.testing.assert_allclose(out.y[0, :, 0], exact, rtol=3e-4)


# ---------------------------------------------------------------------------------------------------- failures


def test_failures_are_those_of_float64() -> None:
    """No steady state, a blow-up, and values that are not numbers: by status, NaN, no gradient; the others as alone."""
    model = network("model m\n species A = 1; g = 0.1; k = 0; e = 0; J0: A -> ; k*A - g; J1: -> A; e*A^2;\nend\n")
    k = jnp.array([0.2, 0.0, 0.2, jnp.nan, 0.5, jnp.inf])
    e = jnp.array([0.0, 0.0, 5.0, 0.0, 0.0, 0.0])
    protocols = [Protocol.equilibrated("rest"), Protocol("start")]

    def loss(k: jax.Array, e: jax.Array, settings: Settings):
        out = simulate(model, {"k": k, "e": e}, protocols, [1.0, 3.0], settings=settings)
        return jnp.sum(jnp.where(jnp.isfinite(out.y), out.y, 0.0)), out

    def both(settings: Settings):
        return jax.jit(jax.vmap(lambda k, e: jax.grad(lambda k: loss(k, e, settings), has_aux=True)(k)))(k, e)

    (slope, out), (expected_slope, expected) = both(SINGLE), both(replace(SINGLE, solver=Fused()))
    failed = np.asarray(expected.status) != Status.OK
    np.testing.assert_array_equal(failed, [[0, 0], [1, 0], [1, 1], [1, 1], [0, 0], [1, 1]])
    np.testing.assert_array_equal(np.asarray(out.status) != Status.OK, failed)
    assert out.status[1, 0] == Status.NO_STEADY_STATE
    assert out.status[3].tolist() == out.status[5].tolist() == [Status.NOT_FINITE] * 2
    np.testing.assert_array_equal(np.isnan(out.y).any((2, 3)), failed)
    np.testing.assert_allclose(out.y, expected.y, rtol=3e-4)
    assert np.all(slope[jnp.array([2, 3, 5])] == 0)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-3, atol=1e-6)


def test_a_coefficient_that_floats_have_no_room_for() -> None:
    """Else it would be 0 or infinite in silence; parameters whose product is of a size that floats hold may be any."""
    model = network("model m\n species A = 1; a = 1; b = 1; J: A -> ; a*b*A;\nend\n")
    values = {"a": jnp.array([1e-60, 1e60, 1e-60]), "b": jnp.array([1e60, 1e-60, 1.0])}
    out = simulate(model, values, Protocol(), [1.0], settings=SINGLE)
    assert out.status[:, 0].tolist() == [Status.OK, Status.OK, Status.NOT_FINITE]
    np.testing.assert_allclose(out.y[:2, 0, 0, 0], np.exp(-1.0), rtol=3e-4)


# ---------------------------------------------------------------------------------------------------- nestings


@pytest.mark.tier("slow")
def test_nestings(loop: Model) -> None:
    """One by one, under jit, vmap, both, and with neighbours of another kind: the same numbers."""
    protocols = [
        Protocol("dose").add("R", 0.6, at=5.0),
        Protocol.equilibrated("pulse").pulse("R", 0.6, start=0, stop=20),
    ]
    k = jnp.linspace(0.5, 1.5, 19)

    def loss(k: jax.Array, settings: Settings = SINGLE) -> jax.Array:
        return jnp.sum(jnp.log1p(simulate(loop, {"k": k}, protocols, TIMES, settings=settings).y))

    gradient = jax.grad(loss)
    expected = jax.jit(jax.vmap(gradient))(k)
    alone = np.array([gradient(x) for x in k[:2]])
    np.testing.assert_allclose(alone, expected[:2], rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(jax.vmap(gradient))(k[:18].reshape(3, 6)).ravel(), expected[:18], rtol=1e-12)
    np.testing.assert_allclose(jax.lax.map(gradient, k), expected, rtol=1e-12)
    again = jax.jit(
        jax.vmap(jax.grad(lambda k: loss(k, replace(SINGLE, solver=Fused("float32", record=7, threads=1)))))
    )(k)
    np.testing.assert_allclose(again, expected, rtol=1e-12)


# ---------------------------------------------------------------------------------------------------- choice


REFUSED: dict[str, Callable[[], object]] = {
    "rtol=1e-06 is finer than float32 can keep (1e-05)": lambda: Settings(Fused("float32")),
    "atol=1e-40 is finer than float32 can keep (1e-30)": lambda: Settings(Fused("float32"), rtol=1e-4, atol=1e-40),
    "precision must be 'float64' or 'float32', not 'double'": lambda: Fused("double"),  # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize("message", REFUSED)
def test_settings_that_make_no_sense(message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        REFUSED[message]()


def test_tolerances_of_a_set_have_the_same_floor(loop: Model) -> None:
    k = jnp.array([0.8, 0.9])
    with pytest.raises(ValueError, match=r"rtol=1e-06 is finer than float32 can keep"):
        simulate(loop, {"k": k}, Protocol(), [1.0], rtol=np.array([1e-4, 1e-6]), settings=SINGLE)
    out = jax.jit(lambda r: simulate(loop, {"k": k}, Protocol(), [1.0], rtol=r, settings=SINGLE))(
        jnp.array([1e-5, 1e-6])
    )
    assert out.status[:, 0].tolist() == [Status.OK, Status.NOT_FINITE]


@pytest.mark.tier("slow")
def test_auto_is_fused_where_it_can_and_says_float64_where_not(loop: Model, caplog: pytest.LogCaptureFixture) -> None:
    auto = replace(SINGLE, solver=Auto(SINGLE.fused))
    with caplog.at_level(logging.WARNING, logger="hexamer"):
        found = simulate(loop, {}, Protocol(), [3.0], settings=auto).y
        assert not caplog.records
        np.testing.assert_array_equal(found, simulate(loop, {}, Protocol(), [3.0], settings=SINGLE).y)
        decay = compile_function(
            lambda t, y, p: -p["k"] * y, species=["y"], parameters={"k": 1.0}, initial=[1.0], name="not in floats"
        )
        y = simulate(decay, {}, Protocol(), [1.0], settings=replace(auto, rtol=1e-5)).y
    np.testing.assert_allclose(y[0, 0, 0], np.exp(-1.0), rtol=1e-4)
    said = [r.getMessage() for r in caplog.records if "not in floats" in r.getMessage()]
    assert len(said) == 1
    assert said[0].endswith("; in float64")
