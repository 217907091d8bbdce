"""What tests of the fused engine compare, and with which settings."""

from __future__ import annotations

import numpy as np
from jax.typing import ArrayLike

from hexamer import Diffrax, Fused
from hexamer.models import Protocol, Settings

FUSED = Settings(Fused())
DIFFRAX = Settings(Diffrax(), rtol=1e-9, atol=1e-11)


def relative(found: ArrayLike, expected: ArrayLike) -> float:
    """The size of what differs, beside that of what is expected; dimensionless."""
    wanted = np.asarray(expected)
    return float(np.linalg.norm(np.asarray(found) - wanted) / np.linalg.norm(wanted))


LOOP_PROTOCOLS = [
    Protocol("dose").add("R", 0.6, at=5.0),
    Protocol.equilibrated("pulse").pulse("R", 0.6, start=0.0, stop=20.0),
    Protocol.equilibrated("set", k=0.1).set(at=7.0, k=2.0),
]
