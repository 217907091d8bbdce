"""Pre-equilibration: the state it finds, and its derivative."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import ENGINES, SOLVERS
from hexamer import Diffrax
from hexamer.models import Model, Protocol, Settings, Status, compile_network, read_antimony, simulate
from hexamer.models.solvers.reference.steady_state import solve_steady_state

pytestmark = pytest.mark.tier("test")

TIGHT = Settings(rtol=1e-9, atol=1e-11)

CYCLE = """
model cycle
  compartment c = 2; compartment n = 0.5;
  species A in c = 3, P in c = 0, Q in n = 1, G in c = 0;
  k = 0.4; d = 0.3; e = 0.9; s = 0.05; input = 0;
  J0: A -> P;  c*(k + input)*A/(1 + A);
  J1: P -> Q;  c*d*P;
  J2: Q -> A;  n*e*Q;
  J3: -> G;    c*s*P;
  J4: G -> ;   c*0.1*G;
  hours := time/60;
end
"""


@pytest.fixture(scope="module")
def cycle() -> Model:
    """A → P → Q → A over two volumes, one moiety; P makes G. A rule, no rate, depends on time."""
    return compile_network(read_antimony(CYCLE))


@pytest.mark.tier("slow")
def test_state_and_moiety(cycle: Model) -> None:
    assert cycle.time_index is not None
    p = jnp.asarray(cycle.defaults)
    y0 = cycle.initial(p)
    found = solve_steady_state(cycle, Settings(), y0, p)
    assert found.status == Status.OK
    a, q, g = (float(found.y[cycle.index(n)]) for n in ("A", "Q", "G"))
    phosphorylated = float(found.y[cycle.index("P")])
    assert 0.4 * a / (1 + a) == pytest.approx(0.3 * phosphorylated, rel=1e-10)
    assert 0.3 * 2 * phosphorylated == pytest.approx(0.9 * 0.5 * q, rel=1e-10)
    assert g == pytest.approx(0.5 * phosphorylated, rel=1e-10)
    assert 2 * a + 2 * phosphorylated + 0.5 * q == pytest.approx(2 * 3 + 0.5 * 1, rel=1e-12)
    assert found.y[cycle.time_index] == 0


@pytest.fixture(scope="module")
def steady(cycle: Model):
    """The steady state, two hours after it was left, and the same through a long simulation; of four values."""
    names: tuple[str, ...] = ("k", "d", "A0", "stimulus")

    def run(preequilibrated: bool, settings: Settings):
        def state(z: jax.Array) -> jax.Array:
            values: dict[str, jax.Array] = dict(zip(names, jnp.exp(z), strict=True))
            inputs = {"A": "A0", "input": "stimulus"}
            if preequilibrated:
                protocol = Protocol("rest", inputs)
            else:
                protocol = Protocol(start=-1e3).set(at=-1e3, **inputs)
            out = simulate(cycle, values, protocol.set(at=0, input=0.0), [0.0, 2.0], settings=settings)
            return out.y[0, :, : cycle.time_index]

        return jax.jit(state), jax.jit(jax.jacrev(state) if settings.derivative == "reverse" else jax.jacfwd(state))

    return run


Z = jnp.log(jnp.array([0.4, 0.3, 5.0, 0.7]))


@pytest.mark.tier("slow")
def test_implicit_gradient(steady) -> None:
    """Against central differences, against the adjoint through a simulation of 1,000 min, and forward mode."""
    state, slope = steady(True, TIGHT)
    _, through = steady(False, TIGHT)
    _, forward = steady(True, Settings(rtol=1e-9, atol=1e-11, solver=Diffrax(derivative="forward")))
    found = slope(Z)
    h = 1e-4
    central = jnp.stack([(state(Z.at[i].add(h)) - state(Z.at[i].add(-h))) / (2 * h) for i in range(4)], -1)
    scale = float(jnp.linalg.norm(found))
    assert float(jnp.linalg.norm(found[:, :, 2])) > 0.1  # by the moiety's total, through the start value
    assert float(jnp.linalg.norm(found - central)) < 1e-6 * scale
    assert float(jnp.linalg.norm(found - forward(Z))) < 1e-6 * scale
    by_simulation = through(Z)
    assert float(jnp.linalg.norm(found - by_simulation)) < 1e-6 * scale


def test_hepg2_core_is_shared_and_in_steady_state(hepg2_core: Model) -> None:
    """Protocols with the same inputs share one pre-equilibration; untreated cells stay where they are."""
    protocols = [
        Protocol.equilibrated("untreated"),
        Protocol.equilibrated("treated").set(IL6=10.0),
        Protocol.equilibrated("primed", IL6=1.0).set(IL6=1.0),
    ]
    out = simulate(hepg2_core, {}, protocols, [0.0, 1e3])
    assert np.all(out.status == Status.OK)
    np.testing.assert_array_equal(out.y[0, 0], out.y[1, 0])
    for at_rest in (0, 2):
        np.testing.assert_allclose(out.y[at_rest, 1], out.y[at_rest, 0], rtol=1e-6)
    assert not np.allclose(out.y[0, 0], out.y[2, 0], rtol=1e-2)


ABSENT = """
model absent
  compartment c = 2;
  species L in c = 0, S in c = 2, LS in c = 0, D in c = 3, LD in c = 0, R in c = 1, A in c = 0.5;
  kon = 0.7; koff = 0.2; loss = 0.3; s = 0.8; d = 0.25; k = 0.4; u = 0.6;
  J1: L + S -> LS;  c*(kon*L*S - koff*LS);
  J2: LS -> ;       c*loss*LS;
  J3: L + D -> LD;  c*(kon*L*D - koff*LD);
  J4: LD -> ;       c*loss*LD;
  J5: -> R;         c*s*A;
  J6: R -> ;        c*d*R;
  J7: -> A;         c*k;
  J8: A -> ;        c*u*A;
  J9: L -> ;        c*loss*L;
end
"""


@pytest.fixture(scope="module")
def absent() -> Model:
    """S and D are lost in complexes with L alone, which comes after the rest: no moieties, and yet they stay."""
    return compile_network(read_antimony(ABSENT))


def slope_of(absent: Model, protocol: Protocol, engine: str) -> np.ndarray:
    """Jacobian of what follows a dose of L, by log values, S and D at the start among them."""
    names = ("S0", "D0", "s", "d", "k", "u", "kon")
    z = jnp.log(jnp.array([2.0, 3.0, 0.8, 0.25, 0.4, 0.6, 0.7]))

    def state(z: jax.Array) -> jax.Array:
        values: dict[str, jax.Array] = dict(zip(names, jnp.exp(z), strict=True))
        dosed = protocol.add("L", 0.5, at=0.0)
        return simulate(absent, values, dosed, [0.0, 1.0, 5.0], solver=SOLVERS[engine], settings=TIGHT).y[0]

    return np.asarray(jax.jacrev(state)(z))


@pytest.fixture(scope="module")
def through(absent: Model) -> np.ndarray:
    """By the adjoint through a simulation of 1,000 min."""
    return slope_of(absent, Protocol(start=-1e3).set(at=-1e3, S="S0", D="D0"), "fused")


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_lost_with_an_absent_partner_stays(absent: Model, through: np.ndarray, engine: str) -> None:
    """Regression: the gradient was NaN."""
    assert not len(absent.dependent)
    found = slope_of(absent, Protocol("rest", {"S": "S0", "D": "D0"}), engine)
    assert np.linalg.norm(found - through) < 1e-9 * np.linalg.norm(through)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_lost_on_the_way_is_told(absent: Model, engine: str) -> None:
    """With ligand at the start, what is left of S depends on the course before, which is not solved exactly."""
    found = simulate(absent, {"L0": 0.5}, Protocol("rest", {"L": "L0"}), [0.0], solver=SOLVERS[engine], settings=TIGHT)
    assert found.status[0] == Status.PATH_DEPENDENT


FAST = """
model fast
  species A = 1, B = 0, C = 0;
  there = {fast}; back = {fast}*0.3; made = 0.2; lost = 0.1; input = 0;
  J0: A -> B;  there*A;
  J1: B -> A;  back*B;
  J2: -> C;    made*B + input;
  J3: C -> ;   lost*C;
end
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_fast_turnover_leaves_rounding_and_no_change(engine: str) -> None:
    """Two large rates nearly cancel: what rounding leaves of them is beyond a fine tolerance for ever."""
    model = compile_network(read_antimony(FAST.format(fast="3e9")))
    protocol = Protocol(preequilibration={"input": 0.0})
    settings = Settings(SOLVERS[engine], rtol=1e-11)
    course = simulate(model, {}, protocol, [0.0], observe=("A", "B", "C"), settings=settings)
    assert int(course.status[0]) == Status.OK
    b = 1 / 1.3
    for name, right in (("A", 0.3 * b), ("B", b), ("C", 2 * b)):
        assert float(course.observed[name][0, 0]) == pytest.approx(right, rel=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
def test_growth_beside_a_fast_turnover_is_no_steady_state(engine: str) -> None:
    text = FAST.format(fast="3e9").replace("lost = 0.1", "lost = 0")
    model = compile_network(read_antimony(text))
    settings = Settings(SOLVERS[engine], rtol=1e-11)
    course = simulate(model, {}, Protocol(preequilibration={"input": 0.0}), [0.0], settings=settings)
    assert int(course.status[0]) == Status.NO_STEADY_STATE
