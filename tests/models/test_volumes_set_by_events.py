"""Volumes that events change: by closed forms with gradients, by libroadrunner, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import roadrunner
import sympy

from helpers import ENGINES, SOLVERS, network, slowly, tight
from hexamer import Fused
from hexamer.models import FormulaError, Protocol, compile_network, read_antimony, read_sbml, simulate, write_sbml

pytestmark = pytest.mark.tier("test")

TIMES = [0.0, 1.0, 2.0, 3.0, 5.0]


def course(text: str, times: Sequence[float], engine: str, observe: str, protocol: Protocol | None = None) -> Callable:
    """What is observed at `times`, one name after the other, as a function of parameters by name."""
    model, names = network(text), observe.split()

    def observed(**values: jax.Array | float) -> jax.Array:
        out = simulate(model, values, protocol or Protocol(), times, observe=names, settings=tight(SOLVERS[engine]))
        return jnp.concatenate([out.observed[n][0] for n in names])

    return observed


def same_with_slopes(found: Callable, closed: Callable, values: dict[str, float]) -> None:
    """Values agree, and derivatives by all `values`, under jit and for several at a time."""
    names = list(values)
    at = jnp.array([list(values.values()), [1.01 * v for v in values.values()]])

    def by_vector(f: Callable) -> Callable:
        def value(x: jax.Array) -> tuple[jax.Array, jax.Array]:
            y = f(**dict(zip(names, x, strict=True)))
            return y, y

        return jax.vmap(jax.jacrev(value, has_aux=True))

    slopes, value = jax.jit(by_vector(found))(at)
    right_slopes, right = by_vector(closed)(at)
    np.testing.assert_allclose(value, right, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(slopes, right_slopes, rtol=1e-6, atol=1e-6)


# ---------------------------------------------------------------------------------------------- values and gradients

RESIZED = """model m
 compartment c = 2; k = 0.3; T = 1.5; U = 2.5; f = 3; a = 0.7
 species A in c = 4; species $K in c = 5; substanceOnly species N in c = 7; J: A -> ; k*A*c
 first: at (time >= T): c = f*c
 second: at (time >= U): c = c + a*A, A = a*A
end"""


def resized(c: jax.Array, k: jax.Array, T: jax.Array, U: jax.Array, f: jax.Array, a: jax.Array) -> jax.Array:
    """Of `RESIZED`: what A is set to is its concentration in the volume before."""
    t = jnp.array(TIMES)
    amount = 4 * c * jnp.exp(-k * t)
    before = 4 * jnp.exp(-k * U) / f  # the concentration of A at U
    volume = jnp.where(t < T, c, jnp.where(t < U, f * c, f * c + a * before))
    amount = jnp.where(t < U, amount, a * amount)
    return jnp.concatenate([amount / volume, 5 * c / volume, jnp.full(5, 7.0), volume])


@pytest.mark.tier("slow")
@pytest.mark.parametrize("engine", ENGINES)
def test_amounts_stay_when_an_event_resizes_their_compartment(engine: str):
    found = course(RESIZED, TIMES, engine, "A K N c")
    values = {"c": 2.0, "k": 0.3, "T": 1.5, "U": 2.5, "f": 3.0, "a": 0.7}
    same_with_slopes(found, resized, values)


@pytest.mark.parametrize("engine", ENGINES)
def test_events_of_one_moment_resize_what_those_before_left(engine: str):
    """Values are those of the trigger's time, amounts those of the moment at which an event acts."""
    text = """model m
     compartment c = 2; k = 0.3; T = 1.5; f = 3; species A in c = 4; J: A -> ; k*A*c
     first: at (time >= T), priority=3: A = f*A
     second: at (time >= T), priority=2: c = c + A
     third: at (time >= T), priority=1: c = f*c, A = A + 1
    end"""

    def closed(k: jax.Array, T: jax.Array, f: jax.Array) -> jax.Array:
        a = 4 * jnp.exp(-k * T)
        left = (a + 1) * (2 + a) / (2 * f)  # set in the volume that the second leaves
        return jnp.stack([left * jnp.exp(-k * (3 - T)), 2 * f])

    same_with_slopes(course(text, [3.0], engine, "A c"), closed, {"k": 0.3, "T": 1.5, "f": 3.0})
    without = course(text.replace("c = f*c, A = A + 1", "k = k"), [1.5], engine, "A c")
    a = 4 * np.exp(-0.45)
    np.testing.assert_allclose(without(), [3 * a * 2 / (2 + a), 2 + a], rtol=1e-8)


@pytest.mark.parametrize("engine", ENGINES)
def test_volumes_that_follow_what_an_event_sets(engine: str):
    """One follows a parameter that moves, one what lies in another compartment."""
    text = """model m
     compartment c, d; c := 2*a; d := 1 + w*A; a = 1; w = 0.5; g = 0.2; T = 1; b = 3; a' = g
     species A in c = 4; species B in d = 6; J: A -> ; 0*A
     e: at (time >= T): a = b
    end"""

    def closed(g: jax.Array, T: jax.Array, b: jax.Array, w: jax.Array) -> jax.Array:
        a = 8 / (2 * (b + g * (3 - T)))
        return jnp.stack([a, 6 * (1 + 4 * w) / (1 + w * a)])

    same_with_slopes(course(text, [3.0], engine, "A B"), closed, {"g": 0.2, "T": 1.0, "b": 3.0, "w": 0.5})


@pytest.mark.parametrize("engine", ENGINES)
def test_a_delayed_event_resizes_when_it_acts(engine: str):
    text = """model m
     compartment c = 2; k = 0.3; T = 1; d = 0.5; species A in c = 4; J: A -> ; k*A*c
     e: at d after (time >= T): c = A
    end"""

    def closed(k: jax.Array, T: jax.Array, d: jax.Array) -> jax.Array:
        volume = 4 * jnp.exp(-k * T)
        return jnp.stack([8 * jnp.exp(-k * 3.0) / volume, volume + 0 * d])

    same_with_slopes(course(text, [3.0], engine, "A c"), closed, {"k": 0.3, "T": 1.0, "d": 0.5})


@pytest.mark.tier("slow")
def test_a_volume_that_is_set_at_a_threshold():
    text = """model m
     compartment c = 2; k = 0.3; low = 2; f = 2; d = 0.5; species A in c = 4; J: A -> ; k*A*c
     e: at (A < low): c = f*c
     late: at d after (A < low): c = A
    end"""

    def closed(k: jax.Array, low: jax.Array, f: jax.Array, d: jax.Array) -> jax.Array:
        left = 8 * jnp.exp(-k * jnp.array([2.5, 4.0]))
        return jnp.stack([left[0] / (2 * f), left[1] / low, 2 * f, low + 0 * d])

    found = course(text, [2.5, 4.0], "diffrax", "A c")
    same_with_slopes(found, closed, {"k": 0.3, "low": 2.0, "f": 2.0, "d": 0.5})


@pytest.mark.optimised
def test_alone_and_in_a_batch_courses_are_the_same_to_the_last_bit():
    model = network(RESIZED)
    values = {"T": jnp.linspace(0.0, 5.0, 21), "c": jnp.linspace(0.5, 2.0, 21), "f": jnp.linspace(0.1, 3.0, 21)}

    def end(values: dict[str, jax.Array]) -> jax.Array:
        return jnp.sum(simulate(model, values, Protocol(), TIMES, solver=Fused()).y[0])

    both = jax.jit(jax.vmap(jax.value_and_grad(end)))
    value, slopes = both(values)
    for i in (0, 5, 20):
        one, by = both({n: v[i : i + 1] for n, v in values.items()})
        assert one[0] == value[i]
        assert {n: v[0] for n, v in by.items()} == {n: v[i] for n, v in slopes.items()}


# ------------------------------------------------------------------------------------------------------------ oracles


@pytest.mark.parametrize("engine", ENGINES)
def test_a_concentration_and_its_volume_set_by_one_event(engine: str):
    """Cases 01779 and 01780 of the SBML test suite: an amount of 0.2 · 0.5 in a volume of 0.2, in either order."""
    for values in ("S1 = 0.2, C1 = 0.2", "C1 = 0.2, S1 = 0.2"):
        text = f"model m; compartment C1 = 0.5; species $S1 in C1 = 2; e: at (time >= 0.45): {values}; end"
        np.testing.assert_allclose(course(text, [0.4, 0.5], engine, "S1 S1*C1")(), [2.0, 0.5, 1.0, 0.1])


HEAD = """
 compartment c = 2; compartment d = 3; a = 1.5; k = 0.3; T = 2
 species A in c = 4; species B in d = 1; species $K in c = 5; const species Q in c = 6
 substanceOnly species N in c = 7
 J: A -> B; k*A*c; H: A + K -> N; 0.01*A*c
"""
FOLLOWING = HEAD.replace("compartment c = 2", "compartment c; c := 2*a")
MODELS = {
    "set": f"{HEAD} e: at (time >= T): c = 3*c",
    "with a species": f"{HEAD} e: at (time >= T): c = 3*c, A = A + c",
    "when it acts": f"{HEAD} e: at (time >= T), fromTrigger=false: c = 3*c, A = A + c",
    "two": f"{HEAD} e: at (time >= T), priority=2: c = 3*c, d = 2*d\n"
    " g: at (time >= T), priority=1: c = c + 1, A = 2*A",
    "two late": f"{HEAD} e: at (time >= T), priority=2: c = 3*c\n"
    " g: at (time >= T), priority=1, fromTrigger=false: c = c + 1, K = 2*K",
    "after a dose": f"{HEAD} e: at (time >= T), priority=2: A = 10*A\n g: at (time >= T), priority=1: c = 3*c",
    "delayed": f"{HEAD} e: at 1 after (time >= T): c = c + A",
    "delayed, late": f"{HEAD} e: at 1 after (time >= T), fromTrigger=false: c = c + A",
    "rule": f"{FOLLOWING} e: at (time >= T): a = 4",
    "rule of time": f"{FOLLOWING.replace('2*a', '2*a + time')} e: at (time >= T): a = 4",
    "rule of what moves": f"{FOLLOWING} a' = time; e: at (time >= T): a = 4",
    "rate rule": f"{HEAD} c' = 0.1*c; e: at (time >= T): c = 2*c",
    "chain": f"{HEAD.replace('compartment d = 3', 'compartment d; d := 2 + K')} e: at (time >= T): c = 4",
    "initial assignment": f"{HEAD.replace('compartment c = 2', 'compartment c = 2*a')} e: at (time >= T): c = 4, a = 9",
    "state": f"{HEAD} e: at (A < 2.5): c = c/2",
    "state, delayed": f"{HEAD} e: at 0.5 after (A < 2.5): c = c*A",
}


@pytest.mark.parametrize("name", [n for n in MODELS if "state" not in n] + slowly(*(n for n in MODELS if "state" in n)))
def test_libroadrunner_agrees(name: str):
    source, times = read_antimony(f"model m{MODELS[name]}\nend"), [0.0, 1.0, 2.0, 2.5, 3.0, 4.0, 6.0]
    assert read_sbml(write_sbml(source)).events == source.events
    observe = ["A", "B", "K", "Q", "N", "c", "d"]
    solver = SOLVERS["diffrax" if "state" in name else "fused"]
    out = simulate(compile_network(source), {}, Protocol(), times, observe=observe, settings=tight(solver))
    runner = roadrunner.RoadRunner(write_sbml(source))
    runner.integrator.relative_tolerance, runner.integrator.absolute_tolerance = 1e-10, 1e-12
    runner.timeCourseSelections = ["[A]", "[B]", "[K]", "[Q]", "N", "c", "d"]
    right = np.array(runner.simulate(times=times))
    for i, n in enumerate(observe):
        np.testing.assert_allclose(out.observed[n][0], right[:, i], rtol=1e-6, atol=1e-7, err_msg=n)


# ------------------------------------------------------------------------------------------ steady states, protocols


@pytest.mark.parametrize("engine", ENGINES)
def test_a_preequilibration_keeps_sums_in_volumes_that_events_set(engine: str):
    """A and B of two compartments are one sum of amounts, which the steady state needs."""
    text = """model m
     compartment c = 2; compartment d = 3; k = 0.4; r = 0.1; f = 2; species A in c = 4; species B in d = 1
     J: A -> B; k*A*c; R: B -> A; r*B*d
     e: at (time >= 1): c = f*c
    end"""

    def closed(k: jax.Array, r: jax.Array, f: jax.Array, c: jax.Array) -> jax.Array:
        total = 4 * c + 3
        left = r / (k + r) * total
        return jnp.stack([left / c, left / (f * c), (total - left) / 3, (total - left) / 3])

    found = course(text, [0.5, 2.0], engine, "A B", Protocol.equilibrated("p"))
    same_with_slopes(found, closed, {"k": 0.4, "r": 0.1, "f": 2.0, "c": 2.0})


def test_a_protocol_sets_such_a_volume_at_its_start():
    found = course(RESIZED, [1.0, 2.0], "fused", "K c", Protocol().set(c=4.0))
    np.testing.assert_allclose(found(), [5, 5 / 3, 4, 12])
    later = course(RESIZED, [2.0], "fused", "K", Protocol().set(at=1.0, c=4.0))
    with pytest.raises(
        ValueError, match=r"changes c, which the volume of compartment c follows; it changes in time or"
    ):
        later()
    kept = Protocol(resizing_keeps="concentrations").set(at=1.0, c=4.0)
    np.testing.assert_allclose(course(RESIZED, [1.0, 2.0], "fused", "K c", kept)(), [5, 5 / 3, 4, 12])


@pytest.mark.tier("check")
def test_a_volume_that_follows_from_what_lies_in_it_is_refused_by_name():
    """libantimony would refuse the rule itself."""
    source = read_antimony("model r; compartment c = 2; w = 1; species $K in c = 5; e: at (time >= 1): w = 2; end")
    circular = replace(source, rules={"c": sympy.Symbol("w") + sympy.Symbol("K")})
    with pytest.raises(
        FormulaError, match=r"event e: it changes the volume of compartment c, which follows from a conc"
    ):
        compile_network(circular)


@pytest.mark.tier("check")
def test_a_volume_is_not_set_to_0():
    with pytest.raises(ValueError, match=r"event e sets the volume of compartment c to 0; expected a number above 0"):
        network("model r; compartment c = 1; species S in c = 5; e: at (time >= 1): c = 0; end")
