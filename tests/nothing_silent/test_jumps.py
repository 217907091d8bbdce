"""Rates that jump at a condition on the state: told when the model is loaded, refused by what follows a gradient."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from helpers import ENGINES, SOLVERS
from hexamer import load_problem
from hexamer.infer import find_map, sample
from hexamer.infer.optimisation.laplace import Curvature
from hexamer.models import Protocol, compile_network, read_antimony, simulate, write_sbml

pytestmark = pytest.mark.tier("check")

CASES = Path(__file__).parents[1] / "cases"
CLOCK = "species A, B; A = 0; B = 0; thr = 5; A' = 1;"

JUMPS = {
    "a threshold": (f"{CLOCK} B' = piecewise(1, A > thr, 0)", "the rate of change of B jumps at (A > thr)"),
    "its opposite": (f"{CLOCK} B' = piecewise(0, A <= thr, 1)", "the rate of change of B jumps at (A <= thr)"),
    "a window": (f"{CLOCK} B' = piecewise(9, A > 50 && A < 50.2, 0)", "B jumps at (A < 50.2); the rate of change of B"),
    "steps": (f"{CLOCK} B' = floor(A/thr)", "the rate of change of B jumps at floor(A/thr)"),
    "an end": ("species A; A = 3; k = 1; A' = -piecewise(k, A > 0, 0)", "the rate of change of A jumps at (A > 0)"),
    "a curve": (f"{CLOCK} B' = piecewise(1, A^2 + A > thr, 0)", "jumps at (thr < A^2 + A)"),
    "behind another": (f"{CLOCK} B' = piecewise(piecewise(1, A > thr, 0), B < 400, 0)", "jumps at (A > thr)"),
    "a height of 0": (f"{CLOCK} k = 0; B' = piecewise(k, A > thr, 0)", "jumps at (A > thr)"),
    "with time": (f"{CLOCK} B' = piecewise(1, A > thr && time > 3, 0)", "jumps at (A > thr)"),
    "in a reaction": (f"{CLOCK} C = 1; J: C -> B; piecewise(2*C, A > thr, C)", "jumps at (A > thr)"),
    "in a rule": (f"{CLOCK} on := A > thr; B' = on*2", "jumps at (A > thr)"),
    "in mol/l": (
        "species A, B; A = 1e-9; B = 0; thr = 5e-9; k = 1e-13; A' = 1e-10; B' = piecewise(k, A > thr, 0)",
        "jumps at (A > thr)",
    ),
    "in molecules": (
        "species A, B; A = 0; B = 0; thr = 5e8; k = 1e12; A' = 1e7; B' = piecewise(k, A > thr, 0)",
        "jumps at (A > thr)",
    ),
    "a turn": (f"{CLOCK} B' = piecewise(-1, A < thr, 1)", "jumps at (A < thr)"),
}
SMOOTH = {
    "a kink": "B' = max(0, A - thr)",
    "a kink in branches": "B' = piecewise(A - thr, A > thr, 0)",
    "three branches": "b = 9; B' = piecewise(0, A < thr, A - thr, A < b, b - thr)",
    "a power": "n = 2; B' = piecewise(A^n, A > 0, 0)",
    "a guarded quotient": "B' = piecewise(A/B, B > 0, 0)",
    "a guarded share": "B' = piecewise(B/(A + B), A + B > 0, 0)",
    "a root": "B' = piecewise(sqrt(A - thr), A > thr, 0)",
    "what nothing changes": "D = 1; B' = piecewise(1, D > 0, 0)",
    "of time": "B' = piecewise(A, time > thr, 0)",
    "a logistic curve": "B' = 1/(1 + exp(-20*(A - thr)))",
    "in mol/l": "k = 1e-13; c = 5e-9; B' = k*max(0, A - c) + piecewise(k*(A - c)^2, A > c, 0)",
    "none": "B' = A",
}


def network(body: str):
    return compile_network(read_antimony(f"model m\n {body}\nend"))


@pytest.mark.parametrize("kind", JUMPS)
def test_what_jumps_is_told_at_loading(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    body, expected = JUMPS[kind]
    with caplog.at_level(logging.WARNING):
        network(body)
    told = [r.getMessage() for r in caplog.records]
    assert len(told) == 1
    assert told[0].startswith("m: the rate of change of ")
    assert expected in told[0]
    assert "map and fit refuse this model. To fit it, write it as a condition in time" in told[0]


@pytest.mark.parametrize("kind", SMOOTH)
def test_what_does_not_jump_passes(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert network(f"{CLOCK} {SMOOTH[kind]}").jumps == ()
    assert not caplog.records


@pytest.mark.parametrize("engine", ENGINES)
def test_kinks_have_their_derivative(engine: str) -> None:
    model = network(f"{CLOCK} B' = max(0, A - thr)")
    slope = jax.grad(lambda x: simulate(model, {"thr": x}, Protocol(), [10.0], solver=SOLVERS[engine]).y[0, 0, 1])(5.0)
    np.testing.assert_allclose(slope, -5.0, rtol=1e-6)


def test_searches_and_samplers_refuse_what_jumps(tmp_path: Path) -> None:
    """The case of a switching time, with a clock among the states: `map` ended far off, and called it converged."""
    shutil.copytree(CASES / "switching-time-estimated" / "greater", tmp_path, dirs_exist_ok=True)
    body = "A = 0; x = 0; k = 2; t_on = 4; A' = 1; x' = piecewise(k, A > t_on, 0)"
    (tmp_path / "model.xml").write_text(write_sbml(read_antimony(f"model m\n {body}\nend")))
    problem = load_problem(tmp_path / "problem.yaml")
    expected = (
        r"cannot be fitted: the rate of change of x jumps at \(A > t_on\), and the derivatives that a fit follows"
    )
    with pytest.raises(ValueError, match=expected):
        find_map(problem, starts=2)
    n = len(problem.space)
    with pytest.raises(ValueError, match=expected):
        sample(problem, Curvature(np.zeros(n), np.eye(n), np.eye(n), np.ones(n)))
