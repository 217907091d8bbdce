"""Volumes that are given for a model, or that a protocol sets, are above 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from ..protocols.protocol import Protocol
from .model import Model


def volumes_of(model: Model) -> frozenset[str]:
    """Parameters of `model` that are volumes of compartments."""
    return frozenset() if model.network is None else frozenset(model.network.compartments) & {*model.parameters}


def check_volumes(model: Model, values: Mapping[str, ArrayLike], protocols: Sequence[Protocol] = ()) -> None:
    """Raises `ValueError` for volumes of 0 or less, among `values` or in a protocol.

    Those that are traced have no numbers yet.
    """
    names = volumes_of(model)
    for name in sorted(names & values.keys()):
        _check(f"the volume of compartment {name} is given as", values[name])
    for q in protocols:
        changes = [("before the start", q.preequilibration or {}), *((f"at {s.time:g}", s.assign) for s in q.steps)]
        for when, assigned in changes:
            for name in sorted(names & assigned.keys()):
                value = assigned[name]
                number = values.get(value) if isinstance(value, str) else value
                if number is not None:
                    _check(f"protocol {q.name!r} sets the volume of compartment {name} {when} to", number)


def _check(what: str, value: ArrayLike) -> None:
    if isinstance(value, Tracer) or not np.size(value):
        return
    least = float(np.min(np.asarray(value, dtype=float)))
    if least <= 0:
        raise ValueError(f"{what} {least:g}; expected a number above 0")


__all__ = ["check_volumes", "volumes_of"]
