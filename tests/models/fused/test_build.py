"""Compiled code belongs to one model: models alike share it, and a model that differs has its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hexamer.models import Network, Protocol, compile_network, simulate
from hexamer.models.fused.build import build
from hexamer.models.fused.engine import NARROW

DECAY = "model decay; species A = 1; k = 0.5; J: A -> ; k*A; end"


def test_equal_models_share_their_code() -> None:
    first, second = (compile_network(Network.from_antimony(DECAY)) for _ in range(2))
    assert build(first, NARROW) == build(second, NARROW)


def test_a_parameter_more_is_another_model() -> None:
    """Inputs that only observables use are added to a model whose equations stay the same object."""
    model = compile_network(Network.from_antimony(DECAY))
    wider = replace(model, parameters=(*model.parameters, "dye"), defaults=np.append(model.defaults, 0.0))
    assert wider.kinetics is model.kinetics
    for used in (model, wider, model):
        out = simulate(used, {"k": 2.0}, Protocol(), [1.0], engine="fused")
        assert float(out.y[0, 0, 0]) == pytest.approx(np.exp(-2.0), rel=1e-6)
    assert build(model, NARROW) != build(wider, NARROW)
