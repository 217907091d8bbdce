"""What tests of the fused engine compare, and with which settings."""

from __future__ import annotations

import jax
import numpy as np

from hexamer import Diffrax, Fused
from hexamer.models import Protocol, Settings

FUSED = Settings(Fused())
DIFFRAX = Settings(Diffrax(), rtol=1e-9, atol=1e-11)


def relative(found: jax.Array, expected: jax.Array) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


LOOP_PROTOCOLS = [
    Protocol("dose").add("R", 0.6, at=5.0),
    Protocol.equilibrated("pulse").pulse("R", 0.6, start=0.0, stop=20.0),
    Protocol.equilibrated("set", k=0.1).set(at=7.0, k=2.0),
]
