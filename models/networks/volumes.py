"""Volumes of compartments are above 0: those of a network, those that a protocol sets, and those that are given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import sympy
from jax.core import Tracer
from jax.typing import ArrayLike

from ..protocols.protocol import Protocol
from .network import Network

if TYPE_CHECKING:
    from ..compiled.model import Model


def unsound_volumes(network: Network) -> list[str]:
    """A sentence for each compartment whose volume is a number that is not above 0, or not finite."""
    found = []
    for name, quantity in network.compartments.items():
        formula = sympy.sympify(network.rules.get(name, network.initial.get(name, quantity.value)))
        if not formula.is_number:
            continue
        volume = float(formula)  # pyright: ignore[reportArgumentType]
        if volume <= 0 or math.isinf(volume):
            found.append(f"the volume of compartment {name} is {volume:g}; expected a finite number above 0")
    return found


def check_network(network: Network) -> None:
    """Raises `ValueError` with all volumes of a network that are not above 0."""
    if problems := unsound_volumes(network):
        raise ValueError(f"network {network.name!r}: " + "; ".join(problems))


def volumes_of(model: Model) -> frozenset[str]:
    """Parameters of `model` that are volumes of compartments."""
    return frozenset() if model.network is None else frozenset(model.network.compartments) & {*model.parameters}


def check_given(model: Model, values: Mapping[str, ArrayLike], protocols: Sequence[Protocol] = ()) -> None:
    """Raises `ValueError` for volumes that are given as 0 or less, by themselves or in a protocol.

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


__all__ = ["check_given", "check_network", "unsound_volumes", "volumes_of"]
