"""What the assays read, by compiled formulas and by XLA: the same numbers, derivatives and failures."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from jaxtyping import Array, Float

from hexamer import Problem, Settings, load_problem
from hexamer.infer.problem.readout import Assays
from hexamer.models.solvers import reading
from hexamer.models.solvers.fused import cuda
from hexamer.models.solvers.fused import observables as formulas
from hexamer.models.solvers.fused.compilation import warp

pytestmark = pytest.mark.tier("test")

SETS = 3


@pytest.fixture(scope="module")
def demo() -> Problem:
    return load_problem("il6_demo")


@pytest.fixture(scope="module")
def values(demo: Problem) -> Float[Array, "sets names"]:
    nominal = jnp.array([demo.parameters[n].value or 1.0 for n in demo.names])
    return nominal * jnp.exp(0.1 * jnp.asarray(np.random.default_rng(3).normal(size=(SETS, len(nominal)))))


def both(assays: Assays, settings: Settings, values: jax.Array, monkeypatch: pytest.MonkeyPatch) -> list:
    """Readings and the pull-back of fixed cotangents, batched, by compiled formulas and by XLA."""
    random = np.random.default_rng(5)
    u = jnp.asarray(random.normal(size=(2, len(assays.limits))))

    def run(v):
        def scalar(v):
            r = assays.read(settings, v)
            good = jnp.isfinite(r.mean)
            return jnp.sum(jnp.where(good, u[0] * r.mean + u[1] * r.sd, 0.0)), r

        slope, r = jax.grad(scalar, has_aux=True)(v)
        return r, slope

    compiled = jax.jit(jax.vmap(run))(values)
    assert assays.reading._compiled is not None
    monkeypatch.setattr(reading, "uses_fused", lambda *_: False)
    return [compiled, jax.jit(jax.vmap(run))(values)]


@pytest.mark.tier("slow")
def test_the_same_by_both(demo: Problem, values: jax.Array, monkeypatch: pytest.MonkeyPatch) -> None:
    (found, slope), (expected, other) = both(demo.assays, Settings(), values, monkeypatch)
    assert np.isfinite(expected.mean).all()
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(found.sd, expected.sd, rtol=1e-13)
    np.testing.assert_allclose(slope, other, rtol=1e-11, atol=1e-11 * np.abs(other).max())


@pytest.mark.tier("slow")
def test_failed_trajectories(demo: Problem, values: jax.Array, monkeypatch: pytest.MonkeyPatch) -> None:
    """All, and some: their rows read NaN and hand nothing back."""
    steps = np.asarray(jax.vmap(lambda v: demo.assays.read(Settings(), v).steps)(values))
    for most in (2, int(np.median(steps)) // 2):
        (found, slope), (expected, other) = both(demo.assays, Settings(max_steps=most), values, monkeypatch)
        np.testing.assert_array_equal(found.status, expected.status)
        assert np.any(np.asarray(found.status) != 0)
        np.testing.assert_array_equal(np.isnan(found.mean), np.isnan(expected.mean))
        np.testing.assert_array_equal(np.isnan(found.mean), np.asarray(found.status)[:, demo.assays.row_protocol] != 0)
        np.testing.assert_allclose(slope, other, rtol=1e-10, atol=1e-10)
        assert np.isfinite(slope).all()
        monkeypatch.undo()


@pytest.mark.tier("slow")
def test_xla_reads_on_a_gpu(demo: Problem, values: jax.Array, monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU's branch of compiled formulas, evaluated here: the same readings and pull-backs, with failures too."""
    steps = np.asarray(jax.vmap(lambda v: demo.assays.read(Settings(), v).steps)(values))
    for most in (4096, int(np.median(steps)) // 2):
        _, (expected, other) = both(demo.assays, Settings(max_steps=most), values, monkeypatch)
        monkeypatch.undo()
        monkeypatch.setattr(cuda, "devices", lambda: (warp().get_device("cpu"),))
        monkeypatch.setattr(formulas, "on_its_platform", lambda f, table, *arrays: f("cuda", table, *arrays))
        (found, slope), _ = both(demo.assays, Settings(max_steps=most), values, monkeypatch)
        monkeypatch.undo()
        np.testing.assert_array_equal(np.isnan(found.mean), np.isnan(expected.mean))
        np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(slope, other, rtol=1e-11, atol=1e-11 * np.abs(other).max())


@pytest.mark.tier("slow")
def test_formulas_without_c_are_read_by_xla(demo: Problem, values: jax.Array, monkeypatch: pytest.MonkeyPatch) -> None:
    name, observable = next(iter(demo.dataset.observables.items()))
    odd = replace(observable, formula=observable.formula * sympy.atan(1e12 * (1 + sympy.Symbol("time"))) * 2 / sympy.pi)
    assays = [
        Assays(demo.model, replace(demo.dataset, observables={**demo.dataset.observables, name: o}), demo.names)
        for o in (observable, odd)
    ]
    plain, other = (a.read(Settings(), values[0]) for a in assays)
    assert assays[0].reading._compiled is not None
    assert assays[1].reading._compiled is None
    np.testing.assert_allclose(other.mean, plain.mean, rtol=1e-11)


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, PartitionSpec as P
from hexamer import load_problem, Problem, Settings

demo = load_problem("il6_demo")
nominal = jnp.array([demo.parameters[n].value or 1.0 for n in demo.names])
values = nominal * jnp.exp(0.05 * jax.random.normal(jax.random.key(0), (2, nominal.size)))
each = jax.vmap(jax.value_and_grad(lambda v: jnp.nansum(demo.assays.read(Settings(), v).mean)))
mesh = Mesh(np.array(jax.devices()), ("chains",))
assert mesh.size == 2
found = jax.jit(jax.shard_map(each, mesh=mesh, in_specs=P("chains"), out_specs=P("chains")))(values)
for a, b in zip(found, jax.jit(each)(values)):
    np.testing.assert_allclose(a, b, rtol=1e-12)
print("same")
"""


@pytest.mark.tier("slow")
def test_two_devices() -> None:
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run([sys.executable, "-c", SHARDED], capture_output=True, text=True, env=environment, timeout=300)
    assert done.stdout == "same\n", done.stderr
