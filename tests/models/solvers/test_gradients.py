"""Gradients: against central differences and closed forms, in every mode, and in steady state."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hexamer import Diffrax
from hexamer.models import (
    Model,
    Protocol,
    Settings,
    compile_function,
    compile_network,
    read_antimony,
    simulate,
)
from hexamer.models.solvers.solver_words import diffrax_by_name

pytestmark = pytest.mark.tier("test")

TIGHT = Settings(rtol=1e-9, atol=1e-11)
FORWARD = Settings(rtol=1e-9, atol=1e-11, solver=Diffrax(derivative="forward"))

LOOP = """
model loop
  species R = 1, S = 2, P = 0, X = 0; n = 1.7; k = 0.8; d = 0.4; x = 0.3; f = 0.5; dose = 0;
  J0: S -> P; k*R*S/(1 + X);
  J1: P -> S; d*P;
  J2: -> X;   f*P^n;
  J3: X -> ;  x*X;
end
"""


@pytest.fixture(scope="module")
def loop() -> Model:
    """A receptor with negative feedback by way of a Hill power that starts at 0."""
    return compile_network(read_antimony(LOOP))


NAMES: tuple[str, ...] = ("n", "k", "d", "x", "f", "dose")
CENTRE = jnp.log(jnp.array([1.7, 0.8, 0.4, 0.3, 0.5, 0.6]))
Z = CENTRE[None, :] + 0.2 * jax.random.normal(jax.random.key(5), (3, 6))


def loss_of(model: Model, settings: Settings) -> Callable[[jax.Array], jax.Array]:
    protocols = [
        Protocol("a").add("R", "dose", at=1.0),
        Protocol.equilibrated("b").add("R", "dose").wash_out("R", at=3.0),
    ]

    def loss(z: jax.Array) -> jax.Array:
        values = dict(zip(NAMES, jnp.exp(z).T, strict=True))
        y = simulate(model, values, protocols, [0.5, 2.0, 8.0], settings=settings).y
        return jnp.sum(jnp.log1p(y) ** 2, axis=(-3, -2, -1))

    return loss


def central(f: Callable[[jax.Array], jax.Array], z: jax.Array, h: float = 1e-4) -> jax.Array:
    """Central differences of `f`, which takes a batch of z."""
    steps = h * jnp.eye(z.size)
    up, down = jnp.split(f(jnp.concatenate([z + steps, z - steps])), 2)
    return (up - down) / (2 * h)


@pytest.fixture(scope="module")
def differences(loop: Model) -> np.ndarray:
    loss = jax.jit(loss_of(loop, FORWARD))
    return np.stack([central(loss, z) for z in Z])


MODES = {
    "jit": lambda loss: lambda z: jnp.stack(list(map(jax.jit(jax.grad(loss)), z))),
    "vmap": lambda loss: jax.vmap(jax.grad(loss)),
    "jit vmap": lambda loss: jax.jit(jax.vmap(jax.grad(loss))),
}


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.tier("slow")
@pytest.mark.parametrize("mode", MODES)
def test_reverse(loop: Model, differences: np.ndarray, mode: str) -> None:
    found = np.asarray(MODES[mode](loss_of(loop, TIGHT))(Z))
    assert relative(found, differences) < 1e-5


@pytest.mark.tier("slow")
def test_forward(loop: Model, differences: np.ndarray) -> None:
    found = np.asarray(jax.jit(jax.vmap(jax.jacfwd(loss_of(loop, FORWARD))))(Z))
    assert relative(found, differences) < 1e-5


@pytest.mark.tier("slow")
@pytest.mark.parametrize("solver", ["Kvaerno5", "Tsit5"])
def test_other_solvers(loop: Model, differences: np.ndarray, solver: str) -> None:
    settings = Settings(diffrax_by_name(solver), rtol=1e-9, atol=1e-11)
    found = np.asarray(jax.jit(jax.vmap(jax.grad(loss_of(loop, settings))))(Z[:1]))
    assert relative(found, differences[:1]) < 1e-5


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", ["hepg2_core", pytest.param("il6_stat3", marks=pytest.mark.tier("slow"))])
def test_networks(name: str, request: pytest.FixtureRequest) -> None:
    """All parameters of a network, in log, from steady state through a dose: reverse against central differences."""
    model: Model = request.getfixturevalue(name)
    ligand = {
        "hepg2_core": Protocol.equilibrated().set(IL6=10.0),
        "il6_stat3": Protocol.equilibrated().add("IL6", 0.48),
    }
    free = [n for n, v in zip(model.parameters, model.defaults, strict=True) if v > 0]
    start = jnp.log(jnp.array([v for v in model.defaults if v > 0]))

    def loss_under(settings: Settings) -> Callable[[jax.Array], jax.Array]:
        def loss(z: jax.Array) -> jax.Array:
            values = dict(zip(free, jnp.exp(z).T, strict=True))
            y = simulate(model, values, ligand[name], [5.0, 20.0, 90.0], settings=settings).y
            return jnp.sum(jnp.log1p(y) ** 2, axis=(-3, -2, -1))

        return loss

    found = np.asarray(jax.jit(jax.grad(loss_under(TIGHT)))(start))
    expected = np.asarray(central(jax.jit(loss_under(FORWARD)), start))
    assert relative(found, expected) < 1e-5


# --------------------------------------------------------------- the controller sees only the state


@pytest.mark.tier("slow")
@pytest.mark.parametrize("settings", [Settings(), Settings(Diffrax(derivative="forward"))])
def test_trajectory_in_steady_state(settings: Settings) -> None:
    """y' = −a (y − b) from y0 = b: the state never moves, and ∂y/∂b = 1 − e^(−at), ∂y/∂y0 = e^(−at), ∂y/∂a = 0."""
    model = compile_function(
        lambda t, y, p: -p["a"] * (y - p["b"]),
        species=["y"],
        parameters={"a": 0.7, "b": 2.0, "y0": 2.0},
        initial=lambda p: p["y0"][None],
    )
    times = np.array([0.3, 1.0, 4.0, 20.0])

    def y(z: jax.Array) -> jax.Array:
        return simulate(model, dict(zip(["a", "b", "y0"], z, strict=True)), Protocol(), times, settings=settings).y[
            0, :, 0
        ]

    derivative = jax.jacrev if settings.derivative == "reverse" else jax.jacfwd
    found = jax.jit(derivative(y))(jnp.array([0.7, 2.0, 2.0]))
    gone = np.exp(-0.7 * times)
    np.testing.assert_allclose(found, np.stack([0 * gone, 1 - gone, gone], -1), atol=1e-5)


def test_dose_at_zero(loop: Model) -> None:
    """∂y/∂dose at dose 0, where nothing happens: the limit of small doses."""

    def y(dose: jax.Array, settings: Settings = Settings()) -> jax.Array:  # noqa: B008
        protocol = Protocol().set(at=0, R=0.0, P=0.0).add("R", "dose", at=1.0)
        return simulate(loop, {"dose": dose, "n": 1.0}, protocol, [2.0, 10.0], settings=settings).y[0]

    found = jax.jit(jax.jacrev(y))(0.0)
    expected = (y(jnp.array(1e-5), TIGHT) - y(jnp.array(0.0), TIGHT)) / 1e-5
    assert relative(np.asarray(found), np.asarray(expected)) < 1e-4
    assert np.all(np.abs(found[:, loop.index("X")]) > 1e-3)  # by way of P^1 at P = 0
