"""Where trajectories are solved, on machines that pretend to have a GPU."""

from __future__ import annotations

import importlib
import json
import logging
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import hexamer
from hexamer import Auto, Diffrax, Fused, Protocol, Settings, simulate
from hexamer.infer import NUTS, find_map, sample
from hexamer.infer.posterior import fitted
from hexamer.models import load_model
from hexamer.models.solvers import placement
from hexamer.models.solvers.fused import cuda
from hexamer.models.solvers.fused.codegen.lower import Unsupported
from hexamer.models.solvers.machine import usable_cores
from hexamer.models.solvers.placement import break_even
from support.pretended_gpus import ROCM, Machine, platforms, warp_with

pytestmark = pytest.mark.tier("test")


# ------------------------------------------------------------------------------------------------------------ choice


def test_few_trajectories_go_to_the_cpu(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine()
    with caplog.at_level(logging.INFO, logger="hexamer"):
        assert platforms(4 * 12) == {"cpu"}
        assert platforms(break_even() - 1) == {"cpu"}
    (record,) = caplog.records
    assert record.getMessage().startswith(f"calls of fewer than {break_even()} trajectories are solved on the CPU")
    assert "HEXAMER_DEVICE=gpu" in record.getMessage()
    assert platforms(break_even()) == platforms(10**5) == {"gpu"}


def test_settings_and_the_environment_override_it(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine()
    assert platforms(1, Settings(device="gpu")) == {"gpu"}
    assert platforms(10**6, Settings(device="cpu")) == {"cpu"}
    monkeypatch.setenv(placement.VARIABLE, "cpu")
    assert platforms(10**6) == {"cpu"}
    assert platforms(1, Settings(device="gpu")) == {"gpu"}
    placement.prefer("gpu")  # as the command line's --device does
    assert platforms(1) == {"gpu"}
    placement.prefer("auto")
    assert platforms(10**6) == {"gpu"}
    placement.prefer(None)
    monkeypatch.setenv(placement.VARIABLE, " GPU")
    assert platforms(1) == {"gpu"}
    monkeypatch.setenv(placement.VARIABLE, "tpu")
    with pytest.raises(ValueError, match=r"HEXAMER_DEVICE is 'tpu'; known: auto, cpu, gpu"):
        platforms(1)


def test_the_users_default_device_is_kept(machine: Machine) -> None:
    """It was said by name; hexamer's own choice within it does not count as the user's."""
    machine()
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        assert platforms(10**5) == {"cpu"}
    with placement.placed(1, Settings()) as devices:
        assert devices[0].platform == placement.default_platform() == "cpu"
        assert platforms(10**5) == {"gpu"}
    assert placement.default_platform() == "gpu"


def test_a_machine_without_a_gpu(
    machine: Machine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(gpus=0, warp=warp_with(driver=None, devices=0))
    with caplog.at_level(logging.INFO, logger="hexamer"):
        assert platforms(1) == platforms(10**6) == {"cpu"}
    assert not caplog.records
    with pytest.raises(Unsupported, match=r"no GPU here, and device='gpu' asks for it: JAX finds none.*jax\[cuda13\]"):
        platforms(1, Settings(device="gpu"))
    monkeypatch.setenv(placement.VARIABLE, "gpu")
    with pytest.raises(Unsupported, match="no GPU here, and HEXAMER_DEVICE=gpu asks for it"):
        placement.require_asked()
    monkeypatch.setattr(cuda, "_version", lambda package: "0.12.0" if "cuda13" in package else "")
    cuda.why_none.cache_clear()
    with pytest.raises(Unsupported, match="no NVIDIA driver was found: check that nvidia-smi runs"):
        placement.require_asked()


def test_the_break_even_goes_by_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a large machine do more trajectories in the time that a GPU takes for a few, and in any."""
    found = {"float64": [], "float32": []}
    for cores in (1, 2, 4, 5, 16):
        monkeypatch.setattr(placement, "usable_cores", lambda cores=cores: cores)
        for precision, all_found in found.items():
            all_found.append(break_even.__wrapped__(precision))
    assert found["float64"] == [500, 733, 4400, math.inf, math.inf]
    assert found["float32"] == [500, 587, 1760, 2933, math.inf]


def test_a_gpu_beside_many_cores(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """It was measured to be as fast as 5 cores in float64, and 8 in float32."""
    machine(cores=6)
    with caplog.at_level(logging.INFO, logger="hexamer"):
        assert platforms(10**6) == {"cpu"}
    assert caplog.records[0].getMessage().startswith("calls are solved on the CPU, which should be faster")
    assert platforms(10**6, Settings(Auto(Fused(precision="float32")), rtol=1e-4)) == {"gpu"}
    assert platforms(10**6, Settings(device="gpu")) == {"gpu"}


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 7}, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 128)
    assert usable_cores() == 2
    monkeypatch.delattr("os.sched_getaffinity")
    assert usable_cores() == 128


def test_a_gpu_that_is_slow_in_float64(machine: Machine) -> None:
    """As those for games are; in float32, or where it is asked for, it solves."""
    machine(warp=warp_with(arch=89))
    assert platforms(10**6) == {"cpu"}
    assert platforms(10**6, Settings(Auto(Fused(precision="float32")), rtol=1e-4)) == {"gpu"}
    assert platforms(10**6, Settings(device="gpu")) == {"gpu"}


def test_what_is_asked_for_is_checked_as_far_as_settings_do_not_matter(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """diffrax solves on a GPU that Warp cannot use."""
    machine(client=ROCM)
    monkeypatch.setenv(placement.VARIABLE, "gpu")
    placement.require_asked()
    assert platforms(1, Settings(Diffrax())) == {"gpu"}
    with pytest.raises(Unsupported, match="the fused engine cannot use the GPU here, and HEXAMER_DEVICE=gpu asks"):
        platforms(1)


def test_a_cpu_that_jax_was_told_to_leave_out(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine()
    cards = jax.local_devices()

    def without_cpu(*, backend: str | None = None) -> list[Any]:
        if backend == "cpu":
            raise RuntimeError("Unknown backend cpu")
        return cards

    monkeypatch.setattr(jax, "local_devices", without_cpu)
    with pytest.raises(Unsupported, match=r"JAX was told to leave the CPU out .*, and device='cpu' asks for it"):
        platforms(1, Settings(device="cpu"))
    with caplog.at_level(logging.INFO, logger="hexamer"):
        assert platforms(1) == {"gpu"}
    assert [r.getMessage().partition(":")[0] for r in caplog.records] == [
        f"calls of fewer than {break_even()} trajectories are slow on a GPU, and JAX was told to leave the CPU out "
        "(JAX_PLATFORMS=)"
    ]


def test_jax_without_any_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX_PLATFORMS=cuda where JAX has no CUDA: it raises an assertion without a word."""
    monkeypatch.setattr(jax, "local_devices", lambda **_: (_ for _ in ()).throw(AssertionError))
    with pytest.raises(Unsupported, match=r"JAX finds no device to compute on .* Unset JAX_PLATFORMS"):
        placement.require_asked()


def test_a_device_that_cannot_be_chosen_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """In what the user's own function compiles, and where the user has put the parameters."""
    model, protocol = load_model("hepg2_core"), Protocol().set(IL6="IL6")
    settings = Settings(device="gpu")
    with caplog.at_level(logging.WARNING, logger="hexamer"):
        jax.jit(lambda dose: simulate(model, {"IL6": dose}, protocol, [1.0], settings=settings).y)(0.5)
        placed = jax.device_put(0.5, jax.local_devices(backend="cpu")[0])
        simulate(model, {"IL6": placed}, protocol, [1.0], settings=Settings(device="cpu"))
        on_cpu = Settings(device="cpu")  # which is where JAX computes
        jax.jit(lambda dose: simulate(model, {"IL6": dose}, protocol, [1.0], settings=on_cpu).y)(0.5)
        simulate(model, {"IL6": placed}, protocol, [1.0], settings=settings)
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("device='gpu' has no effect here: JAX decides where it computes what it compiles")
    assert said[1].startswith("device='gpu' has no effect here: parameters lie on cpu:0")


def test_a_gpu_that_jax_was_told_to_leave_out(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(gpus=0)
    monkeypatch.setattr(cuda, "requested_platforms", lambda: "cpu")
    assert cuda.why_none() == ""
    with pytest.raises(Unsupported, match=r"JAX was told to leave it out \(JAX_PLATFORMS=cpu; unset it"):
        platforms(1, Settings(device="gpu"))


def test_an_unknown_device() -> None:
    with pytest.raises(ValueError, match="unknown device 'tpu'; known: auto, cpu, gpu"):
        Settings(device="tpu")  # pyright: ignore[reportArgumentType]


# ----------------------------------------------------------------------------------------------------------- callers


@pytest.mark.tier("slow")
def test_four_chains_go_to_the_cpu(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """And solve there, with compiled code, in every thread that samples."""
    problem = hexamer.load_problem("il6_demo")
    expected = problem.potential(jnp.zeros(len(problem.space)))
    machine()
    devices: list[Any] = []
    step = NUTS.step

    def noted(self: NUTS, state: Any) -> Any:
        devices.extend(state.devices)
        return step(self, state)

    monkeypatch.setattr(NUTS, "step", noted)
    value, slope = problem.potential(jnp.zeros(len(problem.space)))
    np.testing.assert_array_equal(value, expected[0])
    np.testing.assert_array_equal(slope, expected[1])
    fits = find_map(problem, starts=4, max_iterations=3, progress=False)
    start = hexamer.infer.curvature(problem, problem.space.unfold(fits.z[0]))
    draws = sample(problem, start, chains=4, warmup=2, draws=2, progress=False)
    assert draws is not None
    assert draws.z.shape[:2] == (4, 2)
    assert {d.platform for d in devices} == {"cpu"}
    assert len(devices) == 4 * 2


def test_many_trajectories_go_to_the_gpu(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """10^5 sets under two protocols; how they would be computed there is not for a machine without one."""
    machine()
    asked: list[int] = []

    class Sent(Exception):
        pass

    def send(self: Any) -> Any:
        raise Sent(self._devices[0].platform)

    monkeypatch.setattr(placement._Placed, "__enter__", send)
    choose = placement.devices_for
    monkeypatch.setattr(placement, "devices_for", lambda n, s: asked.append(n) or choose(n, s))
    model = load_model("hepg2_core")
    values = {"IL6": np.linspace(0.1, 1, 10**5)}
    with pytest.raises(Sent, match="gpu"):
        simulate(model, values, [Protocol("a").set(IL6="IL6"), Protocol("b")], [1.0])
    with pytest.raises(Sent, match="cpu"):
        simulate(model, {"IL6": 0.5}, [Protocol("a").set(IL6="IL6"), Protocol("b")], [1.0])
    assert asked == [2 * 10**5, 2]


def test_what_the_user_placed_stays_there(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays on a device of the user's choice, and what is traced: JAX decides."""
    machine()
    monkeypatch.setattr(placement, "devices_for", lambda *_: pytest.fail("hexamer chose"))
    model, protocol = load_model("hepg2_core"), Protocol().set(IL6="IL6")
    on_cpu = jax.device_put(0.5, jax.local_devices(backend="cpu")[0])
    with jax.default_device(jax.local_devices(backend="cpu")[0]):  # a GPU that is pretended cannot compute
        known = simulate(model, {"IL6": on_cpu}, protocol, [1.0]).y
        found = jax.jit(lambda: simulate(model, {"IL6": 0.5}, protocol, [1.0]).y)()
    np.testing.assert_allclose(found, known, rtol=1e-12)


def test_simulate_is_compiled_once() -> None:
    model, protocol = load_model("hepg2_core"), Protocol("dose").set(IL6="IL6")
    compiled = importlib.import_module("hexamer.models.simulation")._compiled
    before = compiled.cache_info()
    for dose in (0.1, 0.2, 0.3):
        simulate(model, {"IL6": dose}, [protocol], [1.0, 2.0], observe=["IL6"])
    after = compiled.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 2)


# ------------------------------------------------------------------------------------------------------------ results


def test_results_do_not_ask_for_the_gpu_that_they_were_made_on() -> None:
    """A posterior goes to other machines: its solver's numbers go along, where and how it was solved does not."""
    made = Settings(device="gpu", rtol=1e-7, solver=Auto(Fused(threads=32, memory=2**35))).stored()
    tree = xr.DataTree(xr.Dataset(attrs={"solver_settings": json.dumps(made)}))
    assert fitted.fitted_settings(tree) == Settings(rtol=1e-7)
