"""Faults under the hood: memory that C lacks, code that does not compile, sources edited while a process runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import jax
import numpy as np
import pytest

from hexamer import Auto, Fused
from hexamer.models import Model, Protocol, compile_network, read_antimony, simulate
from hexamer.models.solvers.fused import compilation, source
from hexamer.models.solvers.solver import Solver

pytestmark = pytest.mark.tier("test")

NO_MEMORY = {  # what is asked for: how it reads, and what stands for a refusal
    "steps of steady states": ("(int*)::malloc((equilibrations + 1) * sizeof(int))", "(int*)0"),
    "cotangents": ("double* memory = (double*)::malloc(", "double* memory = (double*)0; (void)("),
    "records": ("(double*)::calloc(size + 1, sizeof(double))", "(double*)0"),
    "places of records": ("(int64*)::malloc(3 * count * sizeof(int64))", "(int64*)0"),
}


def decay(rate: str = "k*A") -> Model:
    return compile_network(read_antimony(f"model decay; species A = 1; k = 0.5; J: A -> ; {rate}; end"))


FEW_STEPS = Fused(record=1)  # so that the rest is solved again


def slope(model: Model, solver: Solver = FEW_STEPS) -> jax.Array:
    """d A(1)/dk at k = 2."""
    return jax.grad(lambda k: simulate(model, {"k": k}, Protocol(), [1.0], solver=solver).y.sum())(2.0)


@pytest.fixture
def edit(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts something else into the C sources."""
    read = source.header_text

    def edit(old: str, new: str) -> None:
        assert any(old in read(name) for name in ("cpu_handlers.h", "xla.h", "step_control.h"))
        monkeypatch.setattr(source, "header_text", lambda name: read(name).replace(old, new))

    return edit


@pytest.mark.parametrize("what", NO_MEMORY)
def test_no_memory_is_an_error(what: str, edit: Callable[[str, str], None]) -> None:
    edit(*NO_MEMORY[what])
    with pytest.raises(RuntimeError, match="the machine has no memory left for a batch of trajectories"):
        jax.block_until_ready(slope(decay()))


def test_every_allocation_is_refused_somewhere_above() -> None:
    """Each is in the table, or is the one below, without which a thread works alone."""
    headers = "".join(source.header_text(name) for name in source.names())
    asked = re.findall(r"\b(?:m|c|re)alloc\(|\bnew \w", re.sub("//.*", "", headers))
    assert len(asked) == len(NO_MEMORY) + 1
    assert all(old in headers for old, _ in NO_MEMORY.values())


def test_no_memory_for_threads_to_share(edit: Callable[[str, str], None]) -> None:
    edit("(Job*)::malloc(sizeof(Job))", "(Job*)0")
    assert float(slope(decay())) == pytest.approx(-np.exp(-2.0), rel=1e-5)


@pytest.mark.tier("slow")
def test_code_that_does_not_compile(edit: Callable[[str, str], None], caplog: pytest.LogCaptureFixture) -> None:
    """`auto` solves with diffrax and says so once, with gradients too; `fused` is an error that names the way out."""
    edit("STATIC real growth(", "STATIC real growth(this is no C; ")
    model = decay("k*A/(1 + 0*A)")
    with caplog.at_level(logging.WARNING):
        for k in (2.0, 1.0):
            out = simulate(model, {"k": k}, Protocol(), [1.0])
            np.testing.assert_allclose(out.y[0, 0, 0], np.exp(-k), rtol=1e-5)
    assert float(slope(model, Auto(FEW_STEPS))) == pytest.approx(-np.exp(-2.0), rel=1e-4)
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 1
    assert said[0].startswith("solving with diffrax: the fused engine's code for model 'decay' does not compile here (")
    with pytest.raises(ValueError, match=r"model 'decay' does not compile here .* diffrax needs none"):
        simulate(decay("k*A/(1 + 0*A)"), {}, Protocol(), [1.0], solver=Fused())


def test_sources_are_those_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that are used for the first time after an edit."""

    def edited(*_):
        raise AssertionError("a source was read again")

    monkeypatch.setattr(source, "files", edited)
    monkeypatch.setattr("pathlib.Path.read_text", edited)
    assert "struct Batch" in source.header_text("batch.h")
    assert "STATIC void rates" in source.engine_source(compilation.functions_of(decay()), 1)
