"""What a call of the fused engine needs to know but the environment, and what it gives back."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from ...compiled.model import Model
from . import contract
from .contract import row_length
from .layout import Packed

Backend = Literal["platform", "gpu"]


class Solved(NamedTuple):
    """Results of a forward pass over S sets, C protocols and E pre-equilibrations."""

    y: Float[Array, "S C times species"]
    status: Int[Array, "S C"]
    steps: Int[Array, "S C"]
    rejected: Int[Array, "S C"]
    accepted: Int[Array, "S C segments"]
    record: Float[Array, "S C record row"]  # t, h and y of the first accepted steps
    steady: Float[Array, "S E 3 species"]  # steady states, the starts they came from, and scales
    steady_status: Int[Array, "S E"]


class Task(NamedTuple):
    """All that a call needs to know but the environment; static."""

    model: Model
    shape: tuple[int, int, int, int]  # protocols, segments, times, equilibrations
    slots: int  # of the environment
    threads: int
    record: int
    memory: int | None  # None: what the device's engine allows
    max_steps: int
    single: bool  # steps in float32
    keep_stages: bool  # in the record, so that the adjoint pass need not compute them again
    integers: bytes  # the plan, as the contract packs it
    floats: bytes
    backend: Backend

    @property
    def row(self) -> int:
        """Numbers of a recorded step."""
        return row_length(len(self.model.species), keep_stages=self.keep_stages)

    @property
    def plan(self) -> Packed:
        """The plan's arrays. Raises `ValueError` if the compiled code reads others."""
        packed = Packed(np.frombuffer(self.integers, np.int32), np.frombuffer(self.floats))
        contract.PLAN.require(packed, contract.sizes_of(self.model))
        return packed

    def records(self, sets: int, memory: int) -> bool:
        """True if the steps of a batch are kept, that is if they take no more than `memory` bytes."""
        return sets * self.shape[0] * self.record * self.row * np.dtype(float).itemsize <= memory

    def results(self, sets: int, record: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and types of what `Solved` holds."""
        protocols, segments, times, equilibrations = self.shape
        species = len(self.model.species)
        shapes = {
            "y": ((protocols, times, species), float),
            "status": ((protocols,), np.int32),
            "steps": ((protocols,), np.int32),
            "rejected": ((protocols,), np.int32),
            "accepted": ((protocols, segments), np.int32),
            "record": ((protocols, record, self.row), float),
            "steady": ((equilibrations, len(contract.STEADY), species), float),
            "steady_status": ((equilibrations,), np.int32),
        }
        return {name: jax.ShapeDtypeStruct((sets, *shape), kind) for name, (shape, kind) in shapes.items()}
