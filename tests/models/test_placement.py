"""Where trajectories are solved, on machines that pretend to have a GPU; and what is said where it cannot be used."""

from __future__ import annotations

import importlib
import json
import logging
import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
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
from hexamer.models.solvers.dispatch import uses_fused
from hexamer.models.solvers.fused import cuda, gpu, stacks
from hexamer.models.solvers.fused.codegen.lower import Unsupported
from hexamer.models.solvers.machine import usable_cores
from hexamer.models.solvers.placement import break_even, devices_for

pytestmark = pytest.mark.tier("test")

CUDA = SimpleNamespace(platform_version="cuda 13000", platform="gpu")
ROCM = SimpleNamespace(platform_version="rocm 60000", platform="gpu")


def gpu_of(client: Any = CUDA) -> Any:
    return SimpleNamespace(
        platform="gpu", client=client, id=0, device_kind="H200", memory_stats=lambda: {"bytes_limit": 2**37}
    )


def warp_with(
    *,
    toolkit: tuple[int, int] | None = (13, 4),
    driver: tuple[int, int] | None = (13, 0),
    devices: int = 1,
    arch: int = 90,
) -> Any:
    """What of Warp says which GPUs it can use."""
    card = SimpleNamespace(
        name="NVIDIA H200", alias="cuda:0", arch=arch, sm_count=132, free_memory=2**35, total_memory=2**37, is_cuda=True
    )
    return SimpleNamespace(
        config=SimpleNamespace(version="1.19.0"),
        get_cuda_toolkit_version=lambda: toolkit,
        get_cuda_driver_version=lambda: driver,
        is_cuda_available=lambda: devices > 0,
        get_cuda_devices=lambda: [card] * devices,
        device_from_jax=lambda _: card,
    )


Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A function that makes JAX and Warp say what they would on another machine."""
    real = jax.local_devices

    def pretend(*, gpus: int = 1, client: Any = CUDA, warp: Any = None, cores: int = 2) -> None:
        cards = [gpu_of(client) for _ in range(gpus)]

        def local_devices(*, backend: str | None = None, **_: Any) -> list[Any]:
            if backend == "cpu" or (backend is None and not cards):
                return real(backend="cpu")
            if not cards:
                raise RuntimeError(f"Unknown backend {backend}")
            return cards

        def found() -> Any:
            if isinstance(warp, Exception):
                raise warp
            return warp_with() if warp is None else warp

        monkeypatch.setattr(placement, "usable_cores", lambda: cores)
        monkeypatch.setattr(jax, "local_devices", local_devices)
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu" if cards else "cpu")
        monkeypatch.setattr(cuda, "warp", found)
        forget()

    yield pretend
    monkeypatch.undo()
    forget()


def forget() -> None:
    for known in (cuda.devices, cuda.has_warp, cuda.why_none, placement._say_once, placement.break_even):
        known.cache_clear()
    placement.prefer(None)
    stacks._noted.clear()


def platforms(trajectories: float, settings: Settings | None = None) -> set[str]:
    return {d.platform for d in devices_for(int(trajectories), settings or Settings())}


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


# ---------------------------------------------------------------------------------------------------- what is missing

MISSING: dict[str, tuple[dict[str, Any], str]] = {
    "old driver": (
        {"warp": warp_with(driver=(12, 4), devices=0)},
        "the NVIDIA driver is too old: it is made for CUDA 12.4, and warp-lang 1.19.0 needs one for CUDA 13.0 or newer",
    ),
    "no driver": (
        {"warp": warp_with(driver=None, devices=0)},
        "warp-lang 1.19.0 finds no CUDA driver, though JAX has a GPU",
    ),
    "no device": ({"warp": warp_with(devices=0)}, "warp-lang 1.19.0 finds no CUDA device, though JAX has one"),
    "no CUDA in Warp": (
        {"warp": warp_with(toolkit=None, devices=0)},
        "warp-lang 1.19.0 as it is installed here has no CUDA",
    ),
    "another maker's GPU": ({"client": ROCM}, "the GPU that JAX has here is no CUDA device"),
}


@pytest.mark.parametrize("case", MISSING)
def test_what_warp_lacks_is_said_and_the_cpu_solves(
    case: str, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """A GPU that JAX can use alone is left out, since its compiled code on the CPU beats diffrax on the GPU."""
    given, said = MISSING[case]
    machine(**given)
    assert cuda.devices() == ()
    assert cuda.why_none().startswith(said)
    with caplog.at_level(logging.WARNING, logger="hexamer"):
        assert platforms(1) == platforms(10**6) == {"cpu"}
    assert [r.getMessage() for r in caplog.records] == [f"the GPU is left out: {cuda.why_none()}. The CPU solves"]
    assert platforms(10**6, Settings(Diffrax())) == {"gpu"}
    with pytest.raises(Unsupported, match="the fused engine cannot use the GPU here, and device='gpu' asks for it"):
        platforms(1, Settings(device="gpu"))


def test_without_warp_diffrax_solves_where_jax_computes(machine: Machine) -> None:
    """There is no compiled code for the CPU either."""
    machine(warp=Unsupported("warp-lang is not installed"))
    assert cuda.why_none() == "warp-lang is not installed"
    assert platforms(10**6) == {"gpu"}
    assert platforms(1) == {"cpu"}


def test_the_engine_goes_by_where_jax_computes(machine: Machine) -> None:
    """Not by whether there is a GPU: on the CPU of a machine whose GPU is of no use, compiled code solves."""
    model = load_model("hepg2_core")
    machine(warp=warp_with(driver=(12, 4), devices=0))
    assert not uses_fused(model, Settings())
    with pytest.raises(Unsupported, match=r"CUDA GPUs: the NVIDIA driver is too old.*jax\.default_device"):
        uses_fused(model, Settings(Fused()))
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        assert uses_fused(model, Settings(Fused()))
    with placement.placed(1, Settings()):
        assert uses_fused(model, Settings(Fused()))


VERSIONS: dict[str, tuple[dict[str, str], str]] = {
    "JAX without CUDA": ({}, r"and JAX is installed without CUDA: pip install 'jax\[cuda13\]'"),
    "plugin of another version": (
        {"jax-cuda12-plugin": "0.7.0", "jaxlib": "0.12.0"},
        r"and JAX cannot use it: jax-cuda12-plugin 0\.7\.0 belongs to another version than jaxlib 0\.12\.0",
    ),
    "plugin that did not start": (
        {"jax-cuda13-plugin": "0.12.0", "jaxlib": "0.12.0"},
        r"and JAX's jax-cuda13-plugin 0\.12\.0 did not start on it",
    ),
}


@pytest.mark.parametrize("case", VERSIONS)
def test_a_gpu_that_jax_does_not_have(
    case: str, machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    installed, said = VERSIONS[case]
    machine(gpus=0)
    monkeypatch.setattr(cuda, "_version", lambda package: installed.get(package, ""))
    assert cuda.why_none().startswith("there is a CUDA GPU here (NVIDIA H200), ")
    with pytest.raises(Unsupported, match=said):
        platforms(1, Settings(device="gpu"))
    with caplog.at_level(logging.WARNING, logger="hexamer"):
        assert platforms(1) == {"cpu"}
        assert not caplog.records  # a GPU would change nothing
        assert platforms(10**6) == {"cpu"}
    assert [r.getMessage() for r in caplog.records] == [f"{cuda.why_none()}. The CPU solves"]


# ------------------------------------------------------------------------------------------------------------ memory


def test_memory_is_that_of_the_card(machine: Machine) -> None:
    machine()
    assert cuda.memory() == 2**35  # a quarter


def test_a_driver_that_is_too_old_for_jax_and_warp(machine: Machine) -> None:
    machine(gpus=0, warp=warp_with(driver=(12, 4), devices=0))
    assert cuda.why_none().startswith("the NVIDIA driver is too old: it is made for CUDA 12.4")


def test_no_room_for_stacks(machine: Machine) -> None:
    """Before a launch that would fail, with the way out; what CUDA has taken already is not counted twice."""
    machine()
    card = cuda.devices()[0]
    stacks.reserve("il6_stat3", 32, ["steady", "course"], [card])
    card.free_memory -= stacks.stack("steady", 32) * 2048 * 132  # a launch
    card.free_memory, left = 2**20, card.free_memory
    stacks.reserve("il6_stat3", 32, ["steady", "course"], [card])  # it is there already
    card.free_memory = left
    card.free_memory = 2**30
    with pytest.raises(stacks.NoRoomError) as found:
        stacks.reserve("il6_full", 67, ["steady", "steady_adjoint", "course_adjoint"], [card])
    said = str(found.value)
    assert said.startswith("no room on NVIDIA H200 for steady states of il6_full: with 67 species its threads' stacks")
    assert "take 32.2 GiB, and 1.0 of 128.0 GiB are free" in said
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION=0.70; it is 0.75 now" in said
    assert "HEXAMER_DEVICE=cpu" in said
    empty = SimpleNamespace(**{**vars(card), "alias": "cuda:1", "free_memory": 2**36})
    stacks.reserve("il6_full", 67, ["steady"], [card, empty])  # the second has room


def test_what_was_noted_and_not_launched_is_not_there(machine: Machine) -> None:
    machine()
    card = cuda.devices()[0]
    card.free_memory = stacks.stack("steady", 67) * 2048 * 132
    stacks.reserve("first", 60, ["steady"], [card])
    with pytest.raises(stacks.NoRoomError):
        stacks.reserve("second", 68, ["steady"], [card])


def test_kernels_ask_for_room_before_they_are_loaded(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what does not compile or load is one sentence."""
    machine()
    model, card = load_model("hepg2_core"), cuda.devices()[0]
    given = {"single": False, "keep_stages": False, "on": [card]}
    real = gpu.warp()
    monkeypatch.setattr(real, "force_load", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no PTX for sm_30")))
    with pytest.raises(
        Unsupported, match=r"kernels of model 'hepg2_core' do not compile or load on NVIDIA H200 \(no PTX"
    ):
        gpu.load(model, ("steady", "course"), **given)
    card.free_memory, card.alias = 2**20, "cuda:7"
    with pytest.raises(stacks.NoRoomError, match="steady states of hepg2_core"):
        gpu.load(model, ("steady", "course"), **given)


# ------------------------------------------------------------------------------------------------------------ results


def test_results_do_not_ask_for_the_gpu_that_they_were_made_on() -> None:
    """A posterior goes to other machines: its solver's numbers go along, where and how it was solved does not."""
    made = Settings(device="gpu", rtol=1e-7, solver=Auto(Fused(threads=32, memory=2**35))).stored()
    tree = xr.DataTree(xr.Dataset(attrs={"solver_settings": json.dumps(made)}))
    assert fitted.fitted_settings(tree) == Settings(rtol=1e-7)
