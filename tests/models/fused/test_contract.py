"""What Python and C know of a call stands in one module: nothing else knows its layout."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from hexamer import Fused
from hexamer.models import Model, Protocol, Settings, Status, compile_network, read_antimony
from hexamer.models.compiled.plan import compile_plan
from hexamer.models.solvers.fused import contract, source
from hexamer.models.solvers.fused.call import Backend, Task
from hexamer.models.solvers.fused.codegen.model_source import write_functions
from hexamer.models.solvers.fused.engine import solve
from hexamer.models.solvers.fused.layout import Field, Layout, Packed
from hexamer.models.solvers.fused.observables import Group, RowFormulas
from hexamer.models.solvers.solution import Solution

pytestmark = pytest.mark.tier("test")

PROTOCOLS = [
    Protocol.equilibrated("dose").add("R", 0.6, at=5.0),
    Protocol("set").set(at=7.0, k=2.0),
    Protocol.equilibrated("again", d=0.2).set(at=0, X=0.2, d=0.3),
]
TIMES = [0.0, 5.0, 20.0, 90.0]
# By the order of the fields of a layout.
ORDERS: dict[str, Callable[[int], list[int]]] = {
    "reversed": lambda n: list(range(n))[::-1],
    "shuffled": lambda n: np.random.default_rng(3).permutation(n).tolist(),
}


def slopes(text: str, by: Backend) -> tuple[Solution, jax.Array]:
    """Solutions and gradients of six sets. The network is compiled anew: code of another layout is not used again."""
    model = compile_network(read_antimony(text))
    plan = compile_plan(model, PROTOCOLS, [TIMES] * len(PROTOCOLS), model.parameters)

    def loss(values: jax.Array) -> tuple[jax.Array, Solution]:
        solution = solve(model, plan, Settings(Fused(record=20)), values, backend=by)
        return jnp.sum(jnp.log1p(solution.y) ** 2), solution

    spread = 0.3 * jax.random.normal(jax.random.key(5), (6, len(model.parameters)))
    slope, solution = jax.jit(jax.vmap(jax.grad(loss, has_aux=True)))(
        jnp.asarray(model.defaults)[None, :] * jnp.exp(spread)
    )
    return solution, slope


def in_order(layout: Layout, order: str) -> Layout:
    fields = [layout.fields[i] for i in ORDERS[order](len(layout.fields))]
    return replace(layout, fields=tuple(fields))


@pytest.mark.parametrize("by", ["platform", pytest.param("gpu", marks=pytest.mark.tier("slow"))])
@pytest.mark.parametrize("order", ["reversed", pytest.param("shuffled", marks=pytest.mark.tier("slow"))])
def test_nothing_else_knows_the_layout(
    loop_text: str, order: str, by: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values and gradients are the same to the last bit, whatever the order of a layout's fields, columns and rows."""
    expected = slopes(loop_text, by)
    np.testing.assert_array_equal(expected[0].status, Status.OK)
    for name in ("PLAN", "LIMITS"):
        monkeypatch.setattr(contract, name, in_order(getattr(contract, name), order))
    for name in ("RECORD", "STEADY", "TOLERANCES"):
        monkeypatch.setattr(contract, name, getattr(contract, name)[::-1])
    jax.tree.map(np.testing.assert_array_equal, slopes(loop_text, by), expected)


def read_observables() -> np.ndarray:
    """Two groups of rows over one pool, their means, and a gradient."""
    a, b = sympy.symbols("a b")
    groups = [
        Group(("a", "b"), a * b, a + 1, np.array([[0, 1, 2], [3, 4, 5]]), np.array([0, 2, 3])),
        Group(("a",), a**2, sympy.Integer(1), np.array([[5, 0]]), np.array([1, 4])),
    ]
    formulas = RowFormulas(groups, np.array([0, 1, 0, 1, 0]), 2, 6, lambda pool, _: (pool, pool))
    pool, status = jnp.arange(1.0, 7.0), jnp.array([0, 0], np.int32)

    def loss(pool: jax.Array) -> tuple[jax.Array, jax.Array]:
        mean, sd = formulas(pool, status, 1)
        return jnp.sum(mean * sd), mean

    slope, mean = jax.grad(loss, has_aux=True)(pool)
    return np.concatenate([mean, slope])


def test_observables_do_not_either(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_observables()
    np.testing.assert_array_equal(expected[:5], [4.0, 36.0, 10.0, 18.0, 1.0])
    for name in ("TABLE", "LIMITS"):
        monkeypatch.setattr(contract, name, in_order(getattr(contract, name), "reversed"))
    np.testing.assert_array_equal(read_observables(), expected)


@pytest.mark.parametrize("by", ["platform", "gpu"])
def test_other_lengths_are_refused(loop_text: str, by: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Python, before any call."""
    original = Layout.pack

    def longer(self: Layout, *arguments) -> Packed:
        packed = original(self, *arguments)
        return Packed(np.append(packed.integers, np.int32(0)), packed.floats)

    monkeypatch.setattr(Layout, "pack", longer)
    with pytest.raises(
        ValueError, match=r"Plan is read from (\d+) integers, and (\d+) arrived: .* another layout"
    ) as error:
        slopes(loop_text, by)
    needed, arrived = map(int, re.findall(r"\d+", str(error.value)))
    assert arrived == needed + 1


@pytest.mark.parametrize("change", ["longer", "shorter", "no floats", "nothing"])
def test_c_refuses_other_lengths(loop_text: str, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Python's check the handlers make one, before they read beyond an array."""
    changes: dict[str, Callable[[Packed], Packed]] = {
        "longer": lambda p: Packed(np.append(p.integers, np.int32(0)), p.floats),
        "shorter": lambda p: Packed(p.integers[:-1], p.floats),
        "no floats": lambda p: Packed(p.integers, p.floats[:0]),
        "nothing": lambda p: Packed(p.integers[:0], p.floats[:0]),
    }

    def unchecked(task: Task) -> Packed:
        return changes[change](Packed(np.frombuffer(task.integers, np.int32), np.frombuffer(task.floats)))

    monkeypatch.setattr(Task, "plan", property(unchecked))
    with pytest.raises(RuntimeError, match="the numbers of a call do not have the lengths that its layout asks for"):
        jax.block_until_ready(slopes(loop_text, "platform"))


SMALL = Layout("Small", (Field("n"), Field("at", ("n",), "double"), Field("index", ("n", "SPECIES"))))


@pytest.mark.tier("check")
def test_packing_checks_names_and_shapes() -> None:
    values = {"n": 2, "at": [0.5, 1.5], "index": [[1, 2, 3], [4, 5, 6]]}
    packed = SMALL.pack(values, {"SPECIES": 3})
    np.testing.assert_array_equal(packed.integers, [2, 1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(packed.floats, [0.5, 1.5])
    assert packed.integers.dtype == np.int32
    SMALL.require(packed, {"SPECIES": 3})
    with pytest.raises(ValueError, match=r"the fields of Small are n, at, index, not n, at, other"):
        SMALL.pack({"n": 2, "at": [0.5, 1.5], "other": 0}, {"SPECIES": 3})
    with pytest.raises(ValueError, match=r"index of Small has the shape \(2, 3\), and is declared as \(2, 4\)"):
        SMALL.pack(values, {"SPECIES": 4})
    with pytest.raises(ValueError, match="Small is read from 9 integers, and 7 arrived"):
        SMALL.require(packed, {"SPECIES": 4})
    with pytest.raises(ValueError, match="Small is read from 2 floats, and 1 arrived"):
        SMALL.require(Packed(packed.integers, packed.floats[:1]), {"SPECIES": 3})


@pytest.mark.tier("check")
def test_c_has_the_statuses_of_python(loop: Model) -> None:
    text = source.engine_source(write_functions(loop), 1)
    (declared,) = re.findall(r"enum Status \{(.*)\};", text)
    assert dict(entry.split(" = ") for entry in declared.strip().split(", ")) == {s.name: str(s.value) for s in Status}
