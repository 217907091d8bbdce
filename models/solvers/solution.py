"""What every engine returns."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Float, Int


class Solution(NamedTuple):
    """Trajectories of a plan's protocols (C) at its times (T); NaN, with zero gradient, if a solve failed."""

    y: Float[Array, "protocols times species"]
    status: Int[Array, " protocols"]  # see Status
    steps: Int[Array, " protocols"]  # accepted and rejected, pre-equilibration included
    rejected: Int[Array, " protocols"]  # of the time course
