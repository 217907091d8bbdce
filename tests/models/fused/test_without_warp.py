"""A machine without Warp: hexamer imports, solves with diffrax, and says why, once."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.tier("test")

REASON = "warp-lang, whose compiler the fused engine needs, is not installed"

WITHOUT = """
import sys

sys.modules["warp"] = None  # `import warp` is an ImportError

import logging

import numpy as np

import hexamer
from hexamer.models import compile_network

logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stdout)
text = "model decay; species A = 1; k = 0.5; J: A -> ; k*A; end"
for k in (0.5, 2.0):  # two models and three solves, one line
    model = compile_network(hexamer.models.read_antimony(text))
    out = hexamer.simulate(model, {"k": k}, hexamer.Protocol(), [0.0, 1.0])
    assert out.status[0] == hexamer.Status.OK
    np.testing.assert_allclose(out.y[0, :, 0], [1.0, np.exp(-k)], rtol=1e-5)
hexamer.simulate(model, {"k": np.ones(3)}, hexamer.Protocol(), [1.0])
try:
    hexamer.simulate(model, {}, hexamer.Protocol(), [1.0], solver=hexamer.Fused())
except ValueError as error:
    print("refused:", error)
"""


@pytest.mark.tier("slow")
def test_without_warp() -> None:
    """`auto` solves with diffrax and gives the reason once; `fused` is an error with the same words."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"hexamer.models.solvers.dispatch: solving with diffrax: {REASON}",
        f"refused: {REASON}",
    ]
