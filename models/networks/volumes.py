"""Volumes of a network's compartments are above 0, also those that events set."""

from __future__ import annotations

import math

import sympy

from .network import Network


def unsound_volumes(network: Network) -> list[str]:
    """A sentence for each compartment whose volume is not above 0 or not finite, as the network or an event sets it."""
    messages = []
    for name, quantity in network.compartments.items():
        formula = sympy.sympify(network.rules.get(name, network.initial.get(name, quantity.value)))
        if not formula.is_number:
            continue
        volume = float(formula)  # pyright: ignore[reportArgumentType]
        if volume <= 0 or math.isinf(volume):
            messages.append(f"the volume of compartment {name} is {volume:g}; expected a finite number above 0")
    return messages + _set_by_events(network)


def _set_by_events(network: Network) -> list[str]:
    """A sentence for each number that an event sets a volume to, and that is not above 0."""
    return [
        f"event {event.name.removeprefix('event ')} sets the volume of compartment {name} to {float(value):g}; "
        "expected a number above 0"
        for event in network.events
        for name, value in event.assignments.items()
        if name in network.compartments and value.is_number and not float(value) > 0
    ]


def check_network(network: Network) -> None:
    """Raises `ValueError` with all volumes of a network that `unsound_volumes` names."""
    if problems := unsound_volumes(network):
        raise ValueError(f"network {network.name!r}: " + "; ".join(problems))


__all__ = ["check_network", "unsound_volumes"]
