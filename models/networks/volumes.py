"""Volumes of a network's compartments are above 0."""

from __future__ import annotations

import math

import sympy

from .network import Network


def unsound_volumes(network: Network) -> list[str]:
    """A sentence for each compartment whose volume is a number that is not above 0, or not finite."""
    messages = []
    for name, quantity in network.compartments.items():
        formula = sympy.sympify(network.rules.get(name, network.initial.get(name, quantity.value)))
        if not formula.is_number:
            continue
        volume = float(formula)  # pyright: ignore[reportArgumentType]
        if volume <= 0 or math.isinf(volume):
            messages.append(f"the volume of compartment {name} is {volume:g}; expected a finite number above 0")
    return messages


def check_network(network: Network) -> None:
    """Raises `ValueError` with all volumes of a network that are not above 0."""
    if problems := unsound_volumes(network):
        raise ValueError(f"network {network.name!r}: " + "; ".join(problems))


__all__ = ["check_network", "unsound_volumes"]
