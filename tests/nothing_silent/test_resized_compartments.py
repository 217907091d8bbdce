"""A protocol that resizes a compartment keeps amounts: values and gradients by closed forms, on both engines."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import ENGINES, SOLVERS
from hexamer import Model, Protocol, Settings, load_problem, simulate
from hexamer.data.petab import read_petab
from hexamer.models import compile_network, read_antimony
from hexamer.models.compiled.plan import compile_plan
from hexamer.models.protocols.protocol import Step
from hexamer.models.solvers.fused import engine as fused

pytestmark = pytest.mark.tier("test")

CASE = Path(__file__).parents[1] / "cases" / "resized-compartment"


def tight(engine: str = "fused") -> Settings:
    return Settings(SOLVERS[engine], rtol=1e-9, atol=1e-11)


@cache
def model_of(text: str) -> Model:
    return compile_network(read_antimony(f"model m\n{text}\nend\n"))


MADE_AND_LOST = """
  compartment V = 1, W = 1; species A in V, B in W; substanceOnly species N in V;
  A = 1; B = 1; N = 4; k1 = 0.6; k2 = 0.2; on = 1;
  -> A; V*k1*on; A -> ; V*k2*A; N -> ; k2*N; B -> ; W*k2*B;
"""


class Start(NamedTuple):
    V1: float = 0.8
    V2: float = 2.0
    V3: float = 0.5
    k2: float = 0.2


@pytest.mark.parametrize("engine", ENGINES)
def test_the_case(engine: str) -> None:
    expected = json.loads((CASE / "expected.json").read_text())
    problem = load_problem(CASE / "problem.yaml", settings=tight(engine))
    result = problem.evaluate()
    np.testing.assert_allclose(result.predictions, expected["predictions"], atol=1e-7)
    assert result.nllh == pytest.approx(expected["nllh"], abs=1e-6)
    kept = expected["resized"]["amount_kept (SBML, PEtab v2)"]
    problem = load_problem(CASE / "resized" / "problem.yaml", settings=tight(engine))
    result = problem.evaluate()
    np.testing.assert_allclose(result.predictions, kept["predictions"], rtol=1e-7)
    assert result.nllh == pytest.approx(kept["nllh"], abs=1e-6)
    assert any("V" in note and "amounts are kept" in note for note in problem.dataset.notes)


def closed(v: Start) -> list[Any]:
    """A at 0, 2, 3, 4, 6: steady state k1/k2 in V1, V2 from 0 on, V3 from 3 on, V1 again at 6, the last output."""
    steady = 0.6 / v.k2 * v.V1
    volumes = [v.V2, v.V2, v.V3, v.V3, v.V1]
    return [steady * jnp.exp(-v.k2 * t) / w for t, w in zip((0, 2, 3, 4, 6), volumes, strict=True)]


RESIZED = Protocol(
    "resized",
    preequilibration={"V": "V1", "on": 1.0},
    steps=(Step(0.0, {"V": "V2", "on": 0.0}), Step(3.0, {"V": "V3"}), Step(6.0, {"V": "V1"})),
)


@pytest.mark.parametrize("engine", ENGINES)
def test_values_and_gradients_of_estimated_volumes(engine: str) -> None:
    model = model_of(MADE_AND_LOST)

    def solved(v: Start):
        t = simulate(model, v._asdict(), RESIZED, [0, 2, 3, 4, 6], settings=tight(engine))
        return t.y[0, :, model.index("A")]

    weights = jnp.array([1.0, -2.0, 0.7, 3.0, 1.3])
    (_, values), found = jax.value_and_grad(lambda v: (weights @ (y := solved(v)), y), has_aux=True)(Start())
    expected = jax.grad(lambda v: weights @ jnp.array(closed(v)))(Start())
    np.testing.assert_allclose(values, closed(Start()), rtol=1e-7)
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_batch_in_which_each_member_has_volumes_of_its_own(engine: str) -> None:
    model = model_of(MADE_AND_LOST)
    many = {"V1": jnp.array([0.8, 1.0, 3.0]), "V2": jnp.array([2.0, 2.0, 0.1]), "V3": 0.5, "k2": 0.2}
    t = simulate(model, many, RESIZED, [0, 2, 3, 4, 6], settings=tight(engine))
    for i in range(3):
        one = Start(float(many["V1"][i]), float(many["V2"][i]))
        np.testing.assert_allclose(t.y[i, 0, :, model.index("A")], closed(one), rtol=1e-7)


@pytest.mark.tier("slow")
def test_the_gpu_kernels_scale_too() -> None:
    """Launched on the CPU, one trajectory after the other."""
    model = model_of(MADE_AND_LOST)
    plan = compile_plan(model, [RESIZED], [[0.0, 2.0, 3.0, 4.0, 6.0]], Start._fields)
    settings = tight("fused")

    def last(values):
        return fused.solve(model, plan, settings, values, backend="gpu").y[0, :, model.index("A")]

    values = jnp.array(Start())
    np.testing.assert_allclose(last(values), closed(Start()), rtol=1e-7)
    found = jax.grad(lambda v: jnp.sum(last(v)))(values)
    expected = jax.grad(lambda v: sum(closed(Start(*v))))(values)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_resize_leaves_alone(engine: str) -> None:
    """Amounts, other compartments, and what the same step sets, which is meant in the new volume."""
    model = model_of(MADE_AND_LOST)
    resize = Protocol("resize").set(at=1.0, V=4.0)
    both = Protocol("both").set(at=1.0, V=4.0, A=7.0)
    added = Protocol("added").set(at=1.0, V=4.0).add("A", 2.0, at=1.0)
    t = simulate(model, {"k1": 0.0}, [resize, both, added], [1.0, 2.0], settings=tight(engine))
    decayed = np.exp(-0.2 * np.array([1.0, 2.0]))
    a, n, b = (np.asarray(t.y[..., model.index(s)]) for s in ("A", "N", "B"))
    np.testing.assert_allclose(a[0], decayed / 4, rtol=1e-7)
    np.testing.assert_allclose(a[1], 7 * decayed / decayed[0], rtol=1e-7)
    np.testing.assert_allclose(a[2], (decayed[0] / 4 + 2) * decayed / decayed[0], rtol=1e-7)
    np.testing.assert_allclose(n, np.tile(4 * decayed, (3, 1)), rtol=1e-7)
    np.testing.assert_allclose(b, np.tile(decayed, (3, 1)), rtol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_volume_that_follows_from_a_parameter(engine: str) -> None:
    """V := 2 s: a step that changes s resizes V; so does the end of a pre-equilibration, to the model's own size."""
    model = model_of("compartment V; species A in V; V := 2*s; s = 1; A = 3; k = 0; A -> ; V*k*A;")
    protocols = [Protocol("step").set(at=1.0, s=3.0), Protocol("ends", preequilibration={"s": 5.0})]
    t = simulate(model, {}, protocols, [0.0, 1.0], settings=tight(engine))
    np.testing.assert_allclose(t.y[..., model.index("A")], [[3.0, 1.0], [15.0, 15.0]], rtol=1e-9)


def test_before_anything_happened_nothing_is_resized() -> None:
    """A size set from the start is the size that the initial concentration is meant in."""
    model = model_of("compartment V = 1; species A in V; A = 3; k = 0; A -> ; V*k*A;")
    t = simulate(model, {}, Protocol("sized").set(V=4.0), [0.0, 1.0])
    np.testing.assert_allclose(t.y[0, :, 0], 3.0)


def test_a_species_that_is_held_is_refused() -> None:
    model = model_of("compartment V = 1; species A in V, $B in V; A = 3; B = 2; k = 1; A -> ; V*k*A*B;")
    protocol = Protocol("resized").set(at=1.0, V=2.0)
    with pytest.raises(ValueError, match=r"'resized' resizes a compartment at time 1 .*\(B in V\): set their new"):
        simulate(model, {}, protocol, [2.0])
    t = simulate(model, {}, Protocol("both").set(at=1.0, V=2.0, B=1.0), [2.0], settings=tight())
    assert float(t.y[0, 0, 0]) == pytest.approx(3 * math.exp(-2) / 2 * math.exp(-1), rel=1e-8)


def test_the_note_says_what_version_1_leaves_open() -> None:
    assert not any("amounts are kept" in n for n in read_petab(CASE / "problem.yaml").notes)
