"""The fused engine against diffrax and against itself: tolerances, nestings of transformations, threads, devices."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import network, slowly
from hexamer import Fused
from hexamer.models import Model, Protocol, Settings, simulate
from hexamer.models.compiled.plan import compile_plan
from hexamer.models.solvers.dispatch import solve
from support.fused import DIFFRAX, FUSED, LOOP_PROTOCOLS, relative

pytestmark = pytest.mark.tier("test")
TIGHT = Settings(Fused(), rtol=1e-10, atol=1e-12, max_steps=100_000)
TOLERANCE = 1e-5

PROTOCOLS: Mapping[str, Mapping[str, Protocol]] = {
    "il6_stat3": {
        "dose after rest": Protocol.equilibrated().add("IL6", 0.48),
        "pulse after rest": Protocol.equilibrated().pulse("IL6", 0.48, start=0, stop=15),
        "no rest": Protocol().add("IL6", 0.48).add("sIL6R", 2.0),
        "set midway": Protocol.equilibrated(k_tl=0.0).add("HyperIL6", 0.2).set(at=15, k_jak=0.0),
    },
    "hepg2_core": {
        "input after rest": Protocol.equilibrated().set(IL6=10.0),
        "pulse after rest": Protocol.equilibrated().set(at=5, IL6=10.0).set(at=20, IL6=0.0),
        "no rest": Protocol().set(IL6=10.0),
        "set midway": Protocol.equilibrated(IL6=0.5).set(at=5, IL6=40.0).set(at=16, CHX=1.0, pR=0.0),
    },
    "il6_full": {"dose after rest": Protocol.equilibrated(contact=0.2).add("IL6", 0.48).add("sIL6R", 2.0)},
}
ALL = [(name, protocol) for name, some in PROTOCOLS.items() for protocol in some]


class Point(NamedTuple):
    """Values (draws) and gradients by log parameters (draws × parameters)."""

    value: jax.Array
    slope: jax.Array


def draws(model: Model, count: int, *, sd: float = 0.3) -> jax.Array:
    """Draws × log of the parameters that are not 0."""
    free = jnp.log(jnp.asarray(model.defaults[model.defaults > 0]))
    return free[None, :] + sd * jax.random.normal(jax.random.key(3), (count, free.size))


def loss_of(model: Model, protocols: list[Protocol], settings: Settings) -> Callable[[jax.Array], jax.Array]:
    """A smooth scalar of the log of the parameters that are not 0."""
    free = [n for n, v in zip(model.parameters, model.defaults, strict=True) if v > 0]

    def loss(z: jax.Array) -> jax.Array:
        values = dict(zip(free, jnp.exp(z), strict=True))
        y = simulate(model, values, protocols, [0.0, 5.0, 20.0, 90.0], settings=settings).y
        return jnp.mean(jnp.log1p(y) ** 2)

    return loss


def points(model: Model, protocols: list[Protocol], settings: Settings, z: jax.Array) -> Point:
    return Point(*jax.jit(jax.vmap(jax.value_and_grad(loss_of(model, protocols, settings))))(z))


def assert_agree(found: Point, expected: Point, tolerance: float = TOLERANCE) -> None:
    """Draw by draw; a gradient by log parameters is one scaled by the parameters."""
    np.testing.assert_allclose(found.value, expected.value, rtol=tolerance)
    failed = np.isnan(expected.value)
    assert np.mean(failed) < 0.05  # hepg2_core has draws that oscillate and have no steady state
    assert np.all(found.slope[failed] == 0)
    off = np.linalg.norm(found.slope - expected.slope, axis=1)
    assert np.all(off[~failed] < tolerance * np.linalg.norm(expected.slope, axis=1)[~failed])


@pytest.mark.parametrize(
    ("name", "protocol"), [c if c == ("hepg2_core", "pulse after rest") else slowly(c)[0] for c in ALL]
)
def test_tolerances_are_kept(name: str, protocol: str, request: pytest.FixtureRequest) -> None:
    """At rtol 1e-6 against 1e-10, value and gradient, each of 50 draws."""
    model: Model = request.getfixturevalue(name)
    z = draws(model, 50)
    found, expected = (points(model, [PROTOCOLS[name][protocol]], s, z) for s in (FUSED, TIGHT))
    assert_agree(found, expected)


_LARGEST = pytest.param("il6_full", marks=pytest.mark.tier("programs"))  # which takes diffrax ten minutes


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", ["il6_stat3", "hepg2_core", _LARGEST])
def test_diffrax_agrees(name: str, request: pytest.FixtureRequest) -> None:
    """All protocols at once, of which diffrax compiles one program, at rtol 1e-6 against diffrax at 1e-9."""
    model: Model = request.getfixturevalue(name)
    z = draws(model, 6)[3:]  # the second of hepg2_core reaches no steady state
    protocols = list(PROTOCOLS[name].values())
    found, expected = (points(model, protocols, s, z) for s in (FUSED, DIFFRAX))
    assert_agree(found, expected, TOLERANCE / len(protocols))  # of their mean


@pytest.mark.tier("slow")
def test_diffrax_agrees_on_a_loop(loop: Model) -> None:
    z = draws(loop, 3)
    assert_agree(points(loop, LOOP_PROTOCOLS, FUSED, z), points(loop, LOOP_PROTOCOLS, DIFFRAX, z))


@pytest.fixture(scope="module")
def gradient(loop: Model) -> Callable[[jax.Array], jax.Array]:
    return jax.grad(loss_of(loop, LOOP_PROTOCOLS, FUSED))


@pytest.fixture(scope="module")
def one_by_one(loop: Model, gradient) -> tuple[jax.Array, np.ndarray]:
    """24 points, and the gradient at each, by itself."""
    z = draws(loop, 24)
    return z, np.stack([gradient(x) for x in z])


NESTINGS: Mapping[str, Callable] = {
    "jit": lambda f: lambda z: jnp.stack([jax.jit(f)(x) for x in z]),
    "vmap": jax.vmap,
    "jit vmap": lambda f: jax.jit(jax.vmap(f)),
    "vmap jit": lambda f: jax.vmap(jax.jit(f)),
    "vmap vmap": lambda f: lambda z: jax.vmap(jax.vmap(f))(z.reshape(4, 6, -1)).reshape(z.shape),
    "jit vmap vmap vmap": lambda f: (
        lambda z: jax.jit(jax.vmap(jax.vmap(jax.vmap(f))))(z.reshape(2, 3, 4, -1)).reshape(z.shape)
    ),
    "vmap of the second axis": lambda f: lambda z: jax.vmap(f, in_axes=1, out_axes=1)(z.T).T,
    "scan": lambda f: lambda z: jax.lax.scan(lambda c, x: (c, f(x)), None, z)[1],
    "map": lambda f: lambda z: jax.lax.map(f, z),
    "map of batches": lambda f: lambda z: jax.lax.map(f, z, batch_size=8),
    "vmap scan": lambda f: lambda z: jax.vmap(lambda b: jax.lax.map(f, b))(z.reshape(4, 6, -1)).reshape(z.shape),
    "scan vmap": lambda f: lambda z: jax.lax.map(jax.vmap(f), z.reshape(4, 6, -1)).reshape(z.shape),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("nesting", NESTINGS)
def test_nestings(gradient, one_by_one: tuple[jax.Array, np.ndarray], nesting: str) -> None:
    z, expected = one_by_one
    np.testing.assert_allclose(NESTINGS[nesting](gradient)(z), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.tier("slow")
def test_gradient_of_a_vmap(loop: Model, one_by_one: tuple[jax.Array, np.ndarray]) -> None:
    """The transformations the other way round: one gradient of a sum over the batch, and of parameters in arrays."""
    z, expected = one_by_one
    loss = loss_of(loop, LOOP_PROTOCOLS, FUSED)
    found = jax.grad(lambda z: jnp.sum(jax.vmap(loss)(z)))(z)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)

    def in_arrays(z: jax.Array) -> jax.Array:
        values = dict(zip(loop.parameters, jnp.exp(jnp.moveaxis(z.reshape(4, 6, -1), -1, 0)), strict=True))
        y = simulate(loop, values, LOOP_PROTOCOLS, [0.0, 5.0, 20.0, 90.0], settings=FUSED).y
        assert y.shape == (4, 6, 3, 4, 4)
        return jnp.sum(jnp.mean(jnp.log1p(y) ** 2, axis=(-3, -2, -1)))

    np.testing.assert_allclose(jax.jit(jax.grad(in_arrays))(z), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.tier("slow")
def test_jacobian_of_outputs(loop: Model) -> None:
    """`jax.jacrev`, whose batch is of cotangents alone, is row by row the gradient."""
    z = draws(loop, 1)[0]

    def y(z: jax.Array) -> jax.Array:
        values = dict(zip(loop.parameters, jnp.exp(z), strict=True))
        return simulate(loop, values, LOOP_PROTOCOLS, [5.0, 20.0], settings=FUSED).y

    found = jax.jacrev(y)(z)
    assert found.shape == (3, 2, 4, 6)
    rows = [jax.grad(lambda z, i=i: y(z)[i])(z) for i in np.ndindex(3, 2, 4)]
    np.testing.assert_allclose(found.reshape(24, 6), np.stack(rows), rtol=1e-13, atol=1e-14)
    both = jax.jit(jax.vmap(jax.jacrev(y)))(draws(loop, 3))
    np.testing.assert_allclose(both[0], found, rtol=1e-13, atol=1e-14)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("size", [1, 2, 5, 7, 17, 40])
def test_batch_size_does_not_matter(il6_stat3: Model, size: int) -> None:
    """Neither to the gradient nor, with other neighbours, to the steps taken."""
    protocols = [*PROTOCOLS["il6_stat3"].values()][1:3]
    z = draws(il6_stat3, 40, sd=0.6)
    expected = points(il6_stat3, protocols, FUSED, z)
    found = points(il6_stat3, protocols, FUSED, z[40 - size :])
    np.testing.assert_allclose(found.value, expected.value[40 - size :], rtol=1e-13)
    np.testing.assert_allclose(found.slope, expected.slope[40 - size :], rtol=1e-12, atol=1e-14)


@pytest.mark.tier("slow")
def test_a_model_without_parameters() -> None:
    """Rate rules alone: no compartment, so not one parameter."""
    model = network("x = 1; x' = -0.1*x; z = 3; z' = 0.2*z - x")
    assert model.parameters == ()
    protocol = Protocol().set(at=0.5, x=2.0).add("z", 5.0, at=1.5)

    def y(settings: Settings) -> jax.Array:
        return simulate(model, {}, protocol, [1.0, 2.0], settings=settings).y

    np.testing.assert_allclose(y(FUSED), y(DIFFRAX), rtol=1e-6)


def test_a_branch_not_taken_hands_nothing_back() -> None:
    """What it makes of parameters is not finite: log 0, 1/0."""
    model = network("species A; A = 1; k = 1; D = 0; J: A -> ; piecewise(A*k*ln(D)/D, D > 0, 0.1*k*A)")

    def y(k: jax.Array) -> jax.Array:
        return jnp.sum(simulate(model, {"k": k, "D": 0.0}, Protocol(), [1.0, 2.0], settings=FUSED).y)

    t = np.array([1.0, 2.0])
    np.testing.assert_allclose(jax.grad(y)(1.0), -np.sum(0.1 * t * np.exp(-0.1 * t)), rtol=1e-5)


def test_an_empty_batch(loop: Model) -> None:
    found = points(loop, LOOP_PROTOCOLS, FUSED, draws(loop, 0))
    assert found.value.shape == (0,)
    assert found.slope.shape == (0, len(loop.parameters))


@pytest.mark.tier("slow")
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("record", [0, 3, 256])
def test_threads_and_record_do_not_matter(hepg2_core: Model, threads: int, record: int) -> None:
    """A record of 3 steps is soon full, so that the adjoint pass solves again; 35 draws do not fill all lanes."""
    protocols = [*PROTOCOLS["hepg2_core"].values()]
    z = draws(hepg2_core, 35, sd=0.6)
    expected = points(hepg2_core, protocols, FUSED, z)
    found = points(hepg2_core, protocols, replace(FUSED, solver=Fused(threads=threads, record=record)), z)
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-14)
    assert relative(found.slope, expected.slope) < 1e-12
    np.testing.assert_allclose(found.slope, expected.slope, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("record", [0, 7, 256])
def test_stages_kept_or_found_again(loop: Model, record: int) -> None:
    """Few trajectories keep their stages: the same gradient, also where many cotangents go back together."""
    plan = compile_plan(loop, LOOP_PROTOCOLS, [[5.0, 20.0]] * len(LOOP_PROTOCOLS), loop.parameters)
    z = jnp.log(jnp.asarray(loop.defaults))

    def y(z: jax.Array, record: int, few: bool) -> jax.Array:
        return solve(loop, plan, replace(FUSED, solver=Fused(record=record)), jnp.exp(z), small_batch=few).y

    expected = jax.jit(jax.jacrev(partial(y, record=256, few=False)))(z)
    found = jax.jit(jax.jacrev(partial(y, record=record, few=True)))(z)  # 24 sets: as many lanes as there are
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    one = jax.jit(jax.grad(lambda z: jnp.sum(y(z, record, True))))(z)
    np.testing.assert_allclose(one, expected.sum(axis=(0, 1, 2)), rtol=1e-12)


@pytest.mark.tier("slow")
def test_a_batch_too_large_for_memory(loop: Model) -> None:
    """Nothing of it is recorded: in any nesting, and if the adjoint pass splits the batch."""
    z = draws(loop, 6)
    expected = points(loop, LOOP_PROTOCOLS, FUSED, z)
    row = 8 * (len(loop.species) + 2)
    small = replace(FUSED, solver=Fused(memory=3 * 3 * FUSED.fused.record * row))  # three of the six
    loss = loss_of(loop, LOOP_PROTOCOLS, small)
    found = points(loop, LOOP_PROTOCOLS, small, z)
    np.testing.assert_allclose(found.slope, expected.slope, rtol=1e-12, atol=1e-14)
    inner = jax.vmap(jax.jit(jax.grad(loss)))(z)
    np.testing.assert_allclose(inner, expected.slope, rtol=1e-12, atol=1e-14)
    _, pulls = jax.vmap(lambda z: jax.vjp(loss, z))(z)
    apart = jax.lax.map(lambda pull: pull(1.0)[0], pulls)
    np.testing.assert_allclose(apart, expected.slope, rtol=1e-12, atol=1e-14)


@pytest.mark.tier("slow")
def test_some_records_fit_and_some_do_not(loop: Model) -> None:
    """Between the fewest and the most steps of a batch."""
    z = draws(loop, 30, sd=1.0)
    values = dict(zip(loop.parameters, jnp.exp(z).T, strict=True))
    out = simulate(loop, values, LOOP_PROTOCOLS, [0.0, 5.0, 20.0, 90.0], settings=FUSED)
    accepted = out.steps - out.rejected
    middle = int(np.median(accepted[:, 0]))
    assert accepted[:, 0].min() < middle < accepted[:, 0].max()
    expected = points(loop, LOOP_PROTOCOLS, FUSED, z)
    found = points(loop, LOOP_PROTOCOLS, replace(FUSED, solver=Fused(record=middle)), z)
    np.testing.assert_allclose(found.slope, expected.slope, rtol=1e-12, atol=1e-14)


SHARDED = """
import sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, PartitionSpec as P
from hexamer.models import Fused, Protocol, compile_network, read_antimony, simulate

model = compile_network(read_antimony(sys.argv[1]))
protocols = [Protocol("dose").add("R", 0.6, at=5.0), Protocol.equilibrated("b").pulse("R", 0.6, start=0.0, stop=20.0)]

def loss(z):
    values = dict(zip(model.parameters, jnp.exp(z), strict=True))
    y = simulate(model, values, protocols, [0.0, 5.0, 20.0, 90.0], solver=Fused()).y
    return jnp.mean(jnp.log1p(y) ** 2)

centre = jnp.log(jnp.asarray(model.defaults))
z = centre + 0.3 * jax.random.normal(jax.random.key(1), (40, centre.size))
each = jax.vmap(jax.value_and_grad(loss))
value, slope = jax.jit(each)(z)
devices = jax.devices()
assert len(devices) == 2, devices
mesh = Mesh(np.array(devices), ("chains",))

def sharded(f, **rest):
    return jax.shard_map(f, mesh=mesh, in_specs=P("chains"), out_specs=P("chains"), **rest)

for rest in ({}, {"check_vma": False}):
    halves = sharded(each, **rest)
    for f in (jax.jit(halves), halves):
        found = f(z)
        assert len(found[1].sharding.device_set) == 2
        np.testing.assert_allclose(found[0], value, rtol=1e-13)
        np.testing.assert_allclose(found[1], slope, rtol=1e-12, atol=1e-14)
    of_sum = jax.jit(jax.grad(lambda z: jnp.sum(sharded(jax.vmap(loss), **rest)(z))))
    np.testing.assert_allclose(of_sum(z), slope, rtol=1e-12, atol=1e-14)

# What all devices share: one shift of every point, whose gradient is a sum over the devices.
def total(shift, z):
    return jax.lax.psum(jnp.sum(jax.vmap(lambda z: loss(z + shift))(z)), "chains")

total = jax.shard_map(total, mesh=mesh, in_specs=(P(), P("chains")), out_specs=P())
found = jax.jit(jax.grad(total))(jnp.zeros(z.shape[1]), z)
np.testing.assert_allclose(found, slope.sum(0), rtol=1e-12, atol=1e-14)
print("same")
"""


@pytest.mark.tier("slow")
def test_two_devices(loop_text: str) -> None:
    """One batch in two halves on two host devices, at the same time, is the batch on one."""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run(
        [sys.executable, "-c", SHARDED, loop_text], capture_output=True, text=True, env=environment, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "same"
