"""The GPU's kernels, on the CPU: against the CPU's own handlers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import slowly
from hexamer import Fused
from hexamer.models import Model, Protocol, Settings, Status, compile_network, read_antimony
from hexamer.models.compiled.plan import compile_plan
from hexamer.models.solvers.fused import cuda, gpu, platforms
from hexamer.models.solvers.fused.call import Backend
from hexamer.models.solvers.fused.compilation import warp
from hexamer.models.solvers.fused.engine import solve
from hexamer.models.solvers.solution import Solution

pytestmark = pytest.mark.tier("test")

FUSED = Settings(Fused())
SINGLE = Settings(Fused(precision="float32"), rtol=1e-4, atol=1e-6)
TIMES = [0.0, 5.0, 20.0, 90.0]
GROWTH = "model m\n species A = 1; g = 0.1; k = 0; J0: -> A; g; J1: A -> ; k*A;\nend\n"
PROTOCOLS: Mapping[str, list[Protocol]] = {
    "loop": [
        Protocol("dose").add("R", 0.6, at=5.0),
        Protocol.equilibrated("pulse").pulse("R", 0.6, start=0.0, stop=20.0),
        Protocol.equilibrated("set", k=0.1).set(at=7.0, k=2.0),
        Protocol.equilibrated("again").set(at=0, X=0.2, d=0.3),
    ],
    "il6_stat3": [
        Protocol.equilibrated("dose").add("IL6", 0.48),
        Protocol("no rest").add("IL6", 0.48).add("sIL6R", 2.0),
        Protocol.equilibrated("set", k_tl=0.0).add("HyperIL6", 0.2).set(at=15, k_jak=0.0),
    ],
    "hepg2_core": [
        Protocol.equilibrated("dose").set(IL6=10.0),
        Protocol("no rest").set(IL6=10.0),
        Protocol.equilibrated("set", IL6=0.5).set(at=5, IL6=40.0).set(at=16, CHX=1.0, pR=0.0),
    ],
}


def network(text: str) -> Model:
    return compile_network(read_antimony(text))


class Case(NamedTuple):
    """A model under protocols, solved by the CPU's handlers or the GPU's kernels."""

    model: Model
    protocols: list[Protocol]
    settings: Settings = FUSED

    def draws(self, count: int, *, sd: float = 0.3) -> jax.Array:
        """Values of the parameters, count × names."""
        spread = sd * jax.random.normal(jax.random.key(5), (count, len(self.model.parameters)))
        return jnp.asarray(self.model.defaults)[None, :] * jnp.exp(spread)

    def solve(self, by: Backend) -> Callable[[jax.Array], Solution]:
        plan = compile_plan(self.model, self.protocols, [TIMES] * len(self.protocols), self.model.parameters)
        return lambda values: solve(self.model, plan, self.settings, values, backend=by)

    def loss(self, by: Backend) -> Callable[[jax.Array], tuple[jax.Array, Solution]]:
        """A smooth scalar of what did not fail, and the solution."""
        one = self.solve(by)

        def loss(values: jax.Array) -> tuple[jax.Array, Solution]:
            solution = one(values)
            y = jnp.where(jnp.isfinite(solution.y), solution.y, 0.0)
            return jnp.mean(jnp.log1p(y.clip(-0.5)) ** 2), solution

        return loss

    def gradients(self, by: Backend, values: jax.Array) -> tuple[Solution, jax.Array]:
        """Of each of many values."""
        slope, solution = jax.jit(jax.vmap(jax.grad(self.loss(by), has_aux=True)))(values)
        return solution, slope


def assert_same(found: tuple[Solution, jax.Array], expected: tuple[Solution, jax.Array]) -> None:
    """Up to the last digits of exp and log, and of sums that a compiler fused."""
    (a, slope), (b, expected_slope) = found, expected
    np.testing.assert_array_equal(a.status, b.status)
    np.testing.assert_array_equal(a.steps, b.steps)
    np.testing.assert_array_equal(a.rejected, b.rejected)
    scale = np.abs(np.asarray(b.y)).max(2, keepdims=True)  # of each species in its course
    assert np.nanmax(np.abs(a.y - b.y) / (scale + 1e-9)) < 2e-11
    np.testing.assert_array_equal(np.isnan(a.y), np.isnan(b.y))
    scale = np.linalg.norm(expected_slope, axis=1)
    assert np.all(np.linalg.norm(slope - expected_slope, axis=1) <= 1e-12 * scale)


# ---------------------------------------------------------------------------------------------------- agreement


@pytest.mark.parametrize("name", ["loop", *slowly("il6_stat3", "hepg2_core")])
def test_kernels_agree_with_handlers(name: str, request: pytest.FixtureRequest) -> None:
    """Values, steps and gradients: jumps, pulses, inputs, steady states shared and not."""
    case = Case(request.getfixturevalue(name), PROTOCOLS[name])
    values = case.draws(12)
    expected = case.gradients("platform", values)
    np.testing.assert_array_equal(expected[0].status, Status.OK)
    assert_same(case.gradients("gpu", values), expected)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("name", ["loop", pytest.param("il6_stat3", marks=pytest.mark.tier("slow")), "hepg2_core"])
def test_kernels_agree_with_handlers_in_float32(name: str, request: pytest.FixtureRequest) -> None:
    """Rounding differs, by exp and log and by what is fused, and so do some steps: errors alone are alike."""
    case = Case(request.getfixturevalue(name), PROTOCOLS[name], SINGLE)
    values = case.draws(12)
    (found, slope), (expected, expected_slope) = (case.gradients(by, values) for by in ("gpu", "platform"))
    np.testing.assert_array_equal(found.status, Status.OK)
    np.testing.assert_array_equal(expected.status, Status.OK)
    np.testing.assert_allclose(found.steps, expected.steps, rtol=0.1, atol=3)
    scale = np.abs(np.asarray(expected.y)).max(2, keepdims=True)
    assert np.max(np.abs(found.y - expected.y) / (scale + 1e-9)) < 3 * SINGLE.rtol
    off = np.linalg.norm((slope - expected_slope) * values, axis=1)
    assert np.all(off < 3 * SINGLE.rtol * np.linalg.norm(expected_slope * values, axis=1))


@pytest.fixture(scope="module")
def whole(loop: Model) -> tuple[jax.Array, tuple[Solution, jax.Array]]:
    """24 draws of the loop, one of which fails, and what the kernels make of them with all steps kept."""
    case = Case(loop, PROTOCOLS["loop"], FEW_STEPS)
    values = case.draws(24, sd=0.6).at[7, loop.parameters.index("d")].set(jnp.nan)
    return values, case.gradients("gpu", values)


FEW_STEPS = replace(FUSED, max_steps=120)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("by", ["gpu", *slowly("platform")])
@pytest.mark.parametrize(("record", "memory"), [(3, 2**32), *slowly((0, 2**32), (72, 2**32), (256, 10**5), (256, 0))])
def test_record_and_memory_do_not_matter(loop: Model, whole, by: Backend, record: int, memory: int) -> None:
    """Whether none, some or all of the steps are kept, and what is not fits into memory at once or in many pieces."""
    values, expected = whole
    case = Case(loop, PROTOCOLS["loop"], replace(FEW_STEPS, solver=Fused(record=record, memory=memory)))
    solution, slope = case.gradients(by, values)
    if by == "platform":
        assert_same((solution, slope), expected)
        return
    np.testing.assert_array_equal(solution.y, expected[0].y)
    np.testing.assert_array_equal(slope, expected[1])
    ok = solution.status == Status.OK
    np.testing.assert_array_equal(ok.all(1), np.arange(24) != 7)
    accepted = (solution.steps - solution.rejected)[ok[:, 0], 0]
    assert accepted.min() < 72 < accepted.max()
    assert accepted.sum() > 4 * 3 * FEW_STEPS.max_steps  # several pieces where memory holds one trajectory's most


def test_failures() -> None:
    """Failed trajectories alone are NaN, without gradient: no steady state to come to, or a parameter that is NaN."""
    case = Case(network(GROWTH), [Protocol.equilibrated("rest"), Protocol("start")])
    assert case.model.parameters[1:] == ("g", "k")
    values = jnp.array([[1.0, 0.1, 0.2], [1.0, 0.1, 0.0], [1.0, 0.1, jnp.nan], [1.0, 0.3, 0.5]])
    solution, slope = case.gradients("gpu", values)
    assert_same((solution, slope), case.gradients("platform", values))
    both, failed = [Status.OK] * 2, Status.NOT_FINITE
    assert solution.status.tolist() == [both, [Status.NO_STEADY_STATE, Status.OK], [failed, failed], both]
    np.testing.assert_array_equal(np.isnan(solution.y).any((2, 3)), solution.status != Status.OK)
    assert np.all(slope[2] == 0)
    assert np.all(slope[jnp.array([0, 1, 3]), 1:] != 0)


def test_too_many_steps(loop: Model) -> None:
    case = Case(loop, PROTOCOLS["loop"], replace(FUSED, max_steps=34))
    values = case.draws(10)
    found = case.gradients("gpu", values)
    assert set(np.unique(found[0].status)) == {Status.OK, Status.TOO_MANY_STEPS}
    assert_same(found, case.gradients("platform", values))


NESTINGS: Mapping[str, Callable] = {
    "one": lambda f: lambda v: jnp.stack([f(x) for x in v]),
    "jit": lambda f: lambda v: jnp.stack([jax.jit(f)(x) for x in v]),
    "vmap vmap": lambda f: lambda v: jax.vmap(jax.vmap(f))(v.reshape(2, 3, -1)).reshape(v.shape),
    "vmap of the second axis": lambda f: lambda v: jax.vmap(f, in_axes=1, out_axes=1)(v.T).T,
    "map": lambda f: lambda v: jax.lax.map(f, v),
    "jit vmap map": lambda f: (
        lambda v: jax.jit(jax.vmap(lambda b: jax.lax.map(f, b)))(v.reshape(2, 3, -1)).reshape(v.shape)
    ),
}


@pytest.mark.tier("slow")
@pytest.mark.parametrize("record", [256, 9])
@pytest.mark.parametrize("nesting", NESTINGS)
def test_nestings(loop: Model, nesting: str, record: int) -> None:
    case = Case(loop, PROTOCOLS["loop"], replace(FUSED, solver=Fused(record=record)))
    values = case.draws(6)
    expected = case.gradients("platform", values)[1]
    found = NESTINGS[nesting](lambda v: jax.grad(case.loss("gpu"), has_aux=True)(v)[0])(values)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14)


@pytest.mark.tier("slow")
def test_jacobian_and_an_empty_batch(loop: Model) -> None:
    """Batches of cotangents alone, and of nothing."""
    case = Case(loop, PROTOCOLS["loop"][1:2])
    values = case.draws(1)[0]
    found = jax.jacrev(lambda v: case.solve("gpu")(v).y)(values)
    expected = jax.jacrev(lambda v: case.solve("platform")(v).y)(values)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    solution, slope = case.gradients("gpu", case.draws(0))
    assert solution.y.shape == (0, 1, 4, 4)
    assert slope.shape == (0, len(loop.parameters))


# ---------------------------------------------------------------------------------------------------- placement


def targets(loop: Model, platform: str) -> str:
    """The text of a gradient as JAX hands it to a platform's compiler."""
    case = Case(loop, PROTOCOLS["loop"])
    one = jax.jit(jax.vmap(jax.grad(case.loss("platform"), has_aux=True)))
    return one.trace(case.draws(3)).lower(lowering_platforms=(platform,)).as_text()


def test_each_platform_has_its_own(loop: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a GPU both are known, and what JAX places decides."""
    loaded: list[tuple[str, ...]] = []
    monkeypatch.setattr(gpu, "load_kernels", lambda model, names, **_: loaded.append(names))
    plain = targets(loop, "cpu")
    monkeypatch.setattr(cuda, "devices", lambda: (warp().get_device("cpu"),))
    on_cpu = targets(loop, "cpu")
    for text in (plain, on_cpu):
        assert re.search(r"@hexamer_\w+_forward\b", text)
        assert "course_adjoint" not in text
    assert not loaded  # nothing is compiled for a GPU where the CPU solves
    on_gpu = targets(loop, "cuda")
    assert not re.search(r"@hexamer_\w+_forward\b", on_gpu)
    for kernel in ("steady", "course", "course_adjoint", "steady_adjoint", "slot"):
        assert f"_{kernel}_0" in on_gpu
    assert set(loaded[0]) == {"steady", "course", "course_adjoint", "steady_adjoint", "slot"}  # all at once


@pytest.mark.tier("slow")
def test_jax_finds_again_what_it_compiled(loop: Model, hepg2_core: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX's cache on disk goes by the text: it must not tell how often, or after what, a kernel was traced."""
    monkeypatch.setattr(gpu, "load_kernels", lambda *_, **__: None)
    monkeypatch.setattr(cuda, "devices", lambda: (warp().get_device("cpu"),))
    first = targets(loop, "cuda")
    other = Case(hepg2_core, PROTOCOLS["hepg2_core"]).solve("platform")
    jax.jit(jax.vmap(other)).trace(jnp.ones((7, len(hepg2_core.parameters)))).lower(lowering_platforms=("cuda",))
    jax.clear_caches()
    assert targets(loop, "cuda") == first


def test_what_is_found_again_takes_little_memory(loop: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """XLA takes room for it in any case. A batch that keeps nothing has all of its room for it."""
    monkeypatch.setattr(gpu, "load_kernels", lambda *_, **__: None)
    monkeypatch.setattr(cuda, "devices", lambda: (warp().get_device("cpu"),))
    monkeypatch.setattr(cuda, "memory", lambda: 2**30)
    row = 8 * (2 + len(loop.species))
    for sets, bytes_ in ((16_000, gpu.AGAIN), (40_000, 2**30)):  # the second keeps more than 1 GiB, so nothing
        case = Case(loop, PROTOCOLS["loop"])
        slopes = jax.jit(jax.vmap(jax.grad(case.loss("platform"), has_aux=True)))
        traced = slopes.trace(jnp.ones((sets, len(loop.parameters))))
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
        assert f"tensor<{bytes_ // row}x{row // 8}xf64>" in text


def test_outside_of_jit_arrays_decide(loop: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice lies within a function that JAX compiles for the arrays it is given, not for its default device."""
    case = Case(loop, PROTOCOLS["loop"][:1])
    values = case.draws(1)[0]
    expected = jax.grad(case.loss("platform"), has_aux=True)(values)
    monkeypatch.setattr(cuda, "devices", lambda: (warp().get_device("cpu"),))
    monkeypatch.setattr(gpu, "load_kernels", lambda *_, **__: pytest.fail("the GPU's kernels were compiled"))
    compiled: list[str] = []
    either = platforms._on_either_platform
    monkeypatch.setattr(
        platforms, "_on_either_platform", lambda f, *rest: compiled.append(f.__name__) or either(f, *rest)
    )
    found = jax.grad(case.loss("platform"), has_aux=True)(values)
    assert compiled == ["_recorded", "_backward"]
    assert isinstance(either, type(jax.jit(len)))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.tier("slow")
@pytest.mark.parametrize("record", [256, 9])
def test_stages_may_be_kept(loop: Model, record: int) -> None:
    """Of few trajectories the record has the stages too, and the adjoint pass gives the same gradient."""
    case = Case(loop, PROTOCOLS["loop"], replace(FUSED, solver=Fused(record=record)))
    values = case.draws(4)
    plan = compile_plan(loop, case.protocols, [TIMES] * len(case.protocols), loop.parameters)

    def slopes(*, few: bool) -> jax.Array:
        def loss(v: jax.Array) -> jax.Array:
            return jnp.sum(
                jnp.log1p(solve(loop, plan, case.settings, v, small_batch=few, backend="gpu").y.clip(-0.5)) ** 2
            )

        return jax.jit(jax.vmap(jax.grad(loss)))(values)

    np.testing.assert_allclose(slopes(few=True), slopes(few=False), rtol=1e-12, atol=1e-300)


SHARDED = """
import sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, PartitionSpec as P
from hexamer.models import Fused, Protocol, Settings, compile_network, read_antimony
from hexamer.models.solvers.fused.engine import solve
from hexamer.models.compiled.plan import compile_plan

model = compile_network(read_antimony(sys.argv[1]))
protocols = [Protocol("dose").add("R", 0.6, at=5.0), Protocol.equilibrated("b").pulse("R", 0.6, start=0.0, stop=20.0)]
plan = compile_plan(model, protocols, [[0.0, 5.0, 90.0]] * 2, model.parameters)
settings = Settings(Fused(record=40))  # fewer steps than some courses have
each = jax.vmap(
    jax.value_and_grad(lambda v: jnp.mean(jnp.log1p(solve(model, plan, settings, v, backend="gpu").y) ** 2))
)
spread = 0.3 * jax.random.normal(jax.random.key(1), (8, len(model.parameters)))
values = jnp.asarray(model.defaults) * jnp.exp(spread)
known = jax.jit(each)(values)
mesh = Mesh(np.array(jax.devices()), ("sets",))
assert mesh.size == 2
for rest in ({}, {"check_vma": False}):
    halves = jax.shard_map(each, mesh=mesh, in_specs=P("sets"), out_specs=P("sets"), **rest)
    for found, expected in zip(jax.jit(halves)(values), known, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
print("same")
"""


@pytest.mark.tier("slow")
def test_kernels_on_two_devices(loop_text: str) -> None:
    """`jax.shard_map` takes the kernels as they are, forward and back, with and without its check of axes."""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-c", SHARDED, loop_text]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.stdout.strip() == "same", done.stderr
