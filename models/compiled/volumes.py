"""Volumes that are given for a model, or that a protocol sets, are finite and above 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import sympy
from jax.core import Tracer
from jax.typing import ArrayLike

from ..networks.formulas import names_in
from ..protocols.protocol import Protocol
from .model import Model


def volumes_of(model: Model) -> frozenset[str]:
    """Parameters of `model` that are volumes of compartments."""
    return frozenset() if model.network is None else frozenset(model.network.compartments) & {*model.parameters}


def moved_by(model: Model) -> dict[str, frozenset[str]]:
    """Compartments with concentrations whose volumes change in time or by events, and the names that these follow."""
    if model.network is None:
        return {}
    states = {s.name for s in model.symbols}
    inside = {s.compartment for s in model.network.species.values() if not s.amount}
    found = {c: {c} if c in states else names_in(model.rules.get(c, sympy.Integer(0))) for c in inside}
    return {c: frozenset(names) for c, names in found.items() if names & states}


def jumping_volumes(model: Model, protocol: Protocol) -> list[str]:
    """A sentence for each volume that changes in time or by an event, and that `protocol` also sets after its start.

    The concentrations in it would have to jump by a ratio that is known only on the way, unless they are kept.
    """
    if protocol.resizing_keeps == "concentrations":
        return []
    late = set().union(*(s.assign.keys() | s.add.keys() for s in protocol.steps if s.time > protocol.start))
    if protocol.preequilibration is not None:
        late = {*protocol.targets, *protocol.preequilibration}
    return [
        f"protocol {protocol.name!r} changes {', '.join(sorted(names & late))}, which the volume of compartment {c} "
        "follows; it changes in time or by an event, so this is supported at the protocol's start only: make it part "
        "of the model"
        for c, names in moved_by(model).items()
        if names & late
    ]


def check_volumes(model: Model, values: Mapping[str, ArrayLike], protocols: Sequence[Protocol] = ()) -> None:
    """Raises `ValueError` for volumes that are not finite and above 0, among `values` or in a protocol.

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
    numbers = np.ravel(np.asarray(value, dtype=float))
    if wrong := [v for v in numbers.tolist() if not 0 < v < np.inf]:
        raise ValueError(f"{what} {min(wrong):g}; expected a finite number above 0")


__all__ = ["check_volumes", "jumping_volumes", "moved_by", "volumes_of"]
