"""Which engine solves: the one asked for, or the fused one if it can."""

from __future__ import annotations

import logging

import jax
import numpy as np
import pytest

from helpers import SOLVERS
from hexamer import Auto, Diffrax, Fused
from hexamer.models import Model, Protocol, Settings, Status, compile_function, simulate
from support.fused import FUSED, LOOP_PROTOCOLS

pytestmark = pytest.mark.tier("test")


def decay(name: str) -> Model:
    return compile_function(lambda t, y, p: -p["k"] * y, species=["y"], parameters={"k": 1.0}, initial=[1.0], name=name)


def test_a_python_function_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'refused' is a Python function, not a network"):
        simulate(decay("refused"), {}, Protocol(), [1.0], solver=Fused())


@pytest.mark.tier("slow")
def test_auto_falls_back_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    model = decay("fallen back")
    with caplog.at_level(logging.WARNING, logger="hexamer"):
        for k in (1.0, 2.0):
            out = simulate(model, {"k": k}, Protocol(), [1.0])
            np.testing.assert_allclose(out.y[0, 0, 0], np.exp(-k), rtol=1e-5)
    said = [r.getMessage() for r in caplog.records if "fallen back" in r.getMessage()]
    assert len(said) == 1
    assert "diffrax" in said[0]
    assert "Python function" in said[0]


@pytest.mark.tier("slow")
def test_auto_is_fused_where_it_can(loop: Model, caplog: pytest.LogCaptureFixture) -> None:
    """The engines' step controllers differ, so the steps tell which of them solved."""
    with caplog.at_level(logging.WARNING):
        runs = {e: simulate(loop, {}, LOOP_PROTOCOLS, [90.0], solver=s) for e, s in {"auto": Auto(), **SOLVERS}.items()}
    assert not caplog.records
    np.testing.assert_array_equal(runs["auto"].y, runs["fused"].y)
    np.testing.assert_array_equal(runs["auto"].steps, runs["fused"].steps)
    assert np.any(runs["auto"].y != runs["diffrax"].y)
    np.testing.assert_allclose(runs["auto"].y, runs["diffrax"].y, rtol=1e-5, atol=1e-9)
    np.testing.assert_array_equal(runs["diffrax"].status, Status.OK)


@pytest.mark.tier("slow")
def test_auto_follows_the_derivative_asked_for(loop: Model) -> None:
    def y(k: jax.Array, settings: Settings) -> jax.Array:
        return simulate(loop, {"k": k}, Protocol(), [3.0], settings=settings).y[0, 0]

    forward = jax.jacfwd(y)(0.8, Settings(Diffrax(derivative="forward")))
    np.testing.assert_allclose(jax.jacrev(y)(0.8, Settings()), forward, rtol=1e-4, atol=1e-7)


@pytest.mark.tier("slow")
def test_the_argument_overrides_the_settings(loop: Model) -> None:
    by_argument = simulate(loop, {}, Protocol(), [9.0], solver=Diffrax(), settings=FUSED)
    assert np.any(by_argument.y != simulate(loop, {}, Protocol(), [9.0], settings=FUSED).y)
