"""Compiled code belongs to one model: models alike share it, and a model that differs has its own."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hexamer import Fused
from hexamer.models import Model, Protocol, Settings, compile_network, read_antimony, simulate
from hexamer.models.solvers.dispatch import uses_fused
from hexamer.models.solvers.fused import compilation
from hexamer.models.solvers.fused.compilation import Handlers, build
from hexamer.models.solvers.fused.cpu import NARROW, WIDE

pytestmark = pytest.mark.tier("test")

DECAY = "model decay; species A = 1; k = 0.5; J: A -> ; k*A; end"


def test_equal_models_share_their_code() -> None:
    first, second = (compile_network(read_antimony(DECAY)) for _ in range(2))
    assert build(first, NARROW) == build(second, NARROW)


def test_a_parameter_more_is_another_model() -> None:
    """Inputs that only observables use are added to a model whose equations stay the same object."""
    model = compile_network(read_antimony(DECAY))
    wider = replace(model, parameters=(*model.parameters, "dye"), defaults=np.append(model.defaults, 0.0))
    assert wider.kinetics is model.kinetics
    for used in (model, wider, model):
        out = simulate(used, {"k": 2.0}, Protocol(), [1.0], solver=Fused())
        assert float(out.y[0, 0, 0]) == pytest.approx(np.exp(-2.0), rel=1e-6)
    assert build(model, NARROW) != build(wider, NARROW)


def test_the_choice_compiles_nothing_and_a_batch_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the fused engine can is known from the text; then only the code of the width in use is compiled."""
    compiled: list[int] = []
    original = compilation._build

    def noted(model: Model, lanes: int, single: bool, keep_stages: bool) -> Handlers:
        compiled.append(lanes)
        return original(model, lanes, single, keep_stages)

    monkeypatch.setattr(compilation, "_build", noted)
    model = compile_network(read_antimony(DECAY))
    assert uses_fused(model, Settings())
    assert not compiled
    jax.vmap(lambda k: simulate(model, {"k": k}, Protocol(), [1.0]).y)(jnp.arange(1.0, 40.0))
    assert compiled == [WIDE]


@pytest.mark.tier("slow")
def test_what_does_not_compile_is_solved_with_diffrax(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the compiler raises; who asks for the fused engine by name gets an error that names the model."""

    def broken(*_):
        raise RuntimeError("the compiler fails")

    monkeypatch.setattr(compilation, "_compile", broken)
    text = DECAY.replace("k*A", "k*A/(1 + A)")
    with pytest.raises(ValueError, match=r"model 'decay' does not compile here \(the compiler fails\)"):
        simulate(compile_network(read_antimony(text)), {}, Protocol(), [1.0], solver=Fused())
    out = simulate(compile_network(read_antimony(text)), {}, Protocol(), [1.0])
    a = float(out.y[0, 0, 0])
    assert a + np.log(a) == pytest.approx(1 - 0.5, rel=1e-6)  # of A' = −k A/(1 + A) from 1
