"""Steady states in the fused engine: their implicit gradient against diffrax, and courses that share one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import network
from hexamer import Fused
from hexamer.models import Model, Protocol, Settings, simulate
from support.fused import DIFFRAX, FUSED, relative

pytestmark = pytest.mark.tier("test")

CYCLE = """
model cycle
  compartment c = 2; compartment m = 0.5;
  species A in c = 3, P in c = 0, Q in m = 1, G in c = 0, T in c = 1.5, U in c = 0.2, V in m = 0.1;
  k = 0.4; d = 0.3; e = 0.9; s = 0.05; input = 0; a0 = 2.5; u = 0; v = 0;
  A = a0*(1 + s); Q = 0.3*a0 + k; T = a0 + d;
  J0: A -> P;  c*(k + input)*T*A/(1 + A);
  J1: P -> Q;  c*d*P;
  J2: Q -> A;  m*e*Q;
  J3: -> G;    c*s*P;
  J4: G -> ;   c*0.1*G;
  J5: U -> V;  c*u*U;
  J6: V -> U;  c*v*V;
  hours := time/60;
end
"""
CASES: Mapping[str, Mapping[str, float]] = {
    "all move": {"u": 0.7, "v": 0.2},
    "two constant": {},  # U and V hold a moiety that nothing turns over
}
REST_PROTOCOLS = [
    Protocol.equilibrated("rest").add("A", 0.5, at=1.0),
    Protocol("set", {"A": "start", "input": "stimulus", "V": 0.6}).set(at=1.0, k=0.2),
    Protocol("constant set", {"T": "stimulus", "U": "start"}).add("U", "start", at=0.5),
]


@pytest.fixture(scope="module")
def cycle() -> Model:
    """A → P → Q → A over two volumes, with T, which nothing changes, as catalyst; U ⇌ V apart."""
    return network(CYCLE)


REST_TIMES = [0.0, 0.7, 4.0]


@pytest.fixture(scope="module")
def rests(cycle: Model) -> dict[str, Callable[[jax.Array], tuple[jax.Array, jax.Array]]]:
    """For each engine, the outputs and their derivative by all parameters and the two values set."""
    names = [*cycle.parameters, "start", "stimulus"]

    def both(settings: Settings) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
        def y(z: jax.Array) -> tuple[jax.Array, jax.Array]:
            out = simulate(cycle, dict(zip(names, z, strict=True)), REST_PROTOCOLS, REST_TIMES, settings=settings)
            return out.y, out.y

        slope = jax.jit(jax.jacrev(y, has_aux=True))
        return lambda z: slope(z)[::-1]

    return {"diffrax": both(DIFFRAX), "fused": both(replace(DIFFRAX, solver=Fused()))}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("case", CASES)
def test_implicit_gradient(cycle: Model, rests, case: str) -> None:
    """Of the steady state and after, by all parameters, volumes and values set, against diffrax."""
    assert len(cycle.moieties) == 3
    names = [*cycle.parameters, "start", "stimulus"]
    values = {**dict(zip(cycle.parameters, cycle.defaults, strict=True)), **CASES[case]}
    z = jnp.asarray([*values.values(), 1.3, 0.7])
    (y, found), (y_expected, expected) = rests["fused"](z), rests["diffrax"](z)
    np.testing.assert_allclose(y, y_expected, rtol=1e-8, atol=1e-10)
    assert np.all(np.isfinite(found))
    for c in range(len(REST_PROTOCOLS)):
        assert relative(found[c], expected[c]) < 1e-6
        assert relative(found[c, 0], expected[c, 0]) < 1e-6  # in steady state
    volume, start, u = names.index("c"), names.index("start"), cycle.index("U")
    assert np.abs(found[:, 0, :, volume]).max() > 1e-2  # by the moiety
    # 2 U + V/2 is kept, with V = 3.5 U where they turn over.
    assert found[2, 0, u, start] == pytest.approx(1.0 if case == "two constant" else 2 / 3.75, abs=1e-9)


def test_protocols_share_a_rest(cycle: Model) -> None:
    """The cotangents of several courses from one steady state add up."""
    names = list(cycle.parameters)
    shared = [Protocol.equilibrated("a"), Protocol.equilibrated("b").add("A", 1.0), Protocol("c").add("P", 0.2)]

    def loss(z: jax.Array, protocols: list[Protocol]) -> jax.Array:
        values = dict(zip(names, z, strict=True))
        y = simulate(cycle, values, protocols, [0.0, 2.0], settings=FUSED).y[..., : cycle.time_index]
        return jnp.sum(jnp.sin(y))

    z = jnp.asarray(cycle.defaults)
    together = jax.grad(loss)(z, shared)
    apart = sum(jax.grad(loss)(z, [q]) for q in shared)
    np.testing.assert_allclose(together, apart, rtol=1e-12, atol=1e-13)
