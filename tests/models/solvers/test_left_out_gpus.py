"""A GPU that cannot be used: what is missing, or too little memory, is said, and who solves instead."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from hexamer import Diffrax, Fused, Settings
from hexamer.models import load_model
from hexamer.models.solvers import placement
from hexamer.models.solvers.dispatch import uses_fused
from hexamer.models.solvers.fused import cuda, gpu, stacks
from hexamer.models.solvers.fused.codegen.lower import Unsupported
from support.pretended_gpus import ROCM, Machine, platforms, warp_with

pytestmark = pytest.mark.tier("test")


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
    "another maker's GPU": ({"client": ROCM}, "the GPU that JAX has here is not a CUDA device"),
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
        gpu.load_kernels(model, ("steady", "course"), **given)
    card.free_memory, card.alias = 2**20, "cuda:7"
    with pytest.raises(stacks.NoRoomError, match="steady states of hepg2_core"):
        gpu.load_kernels(model, ("steady", "course"), **given)


def test_kernels_of_a_card_compile_side_by_side(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warp loads one module after the other unless it is told how many at once."""
    machine()
    monkeypatch.setattr(gpu, "usable_cores", lambda: 16)
    loaded: list[tuple[int, int]] = []

    def note(devices: Any, modules: list[Any], *, max_workers: int, **_: Any) -> None:
        loaded.append((len(modules), max_workers))
        raise RuntimeError("there is no card")

    monkeypatch.setattr(gpu.warp(), "force_load", note)
    with pytest.raises(Unsupported, match="there is no card"):
        gpu.load_kernels(
            load_model("hepg2_core"), ("course", "slot"), single=False, keep_stages=False, on=cuda.devices()
        )
    assert loaded == [(2, gpu.AT_ONCE)]
