"""Volumes of a network's compartments are above 0, and no event changes them."""

from __future__ import annotations

import math

import sympy

from .formulas import inline, names_in
from .network import Network


def unsound_volumes(network: Network) -> list[str]:
    """A sentence for each compartment whose volume is not above 0, not finite, or set by an event."""
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
    """A sentence for each volume whose rule follows what an event sets, with concentrations in it, which would jump."""
    assigned = {name for event in network.events for name in event.assignments}
    if not assigned:
        return []
    formulas = inline({n: sympy.sympify(e) for n, e in network.rules.items()})
    messages = []
    for name in dict.fromkeys(s.compartment for s in network.species.values() if not s.amount):
        used = assigned & names_in(formulas.get(name, sympy.Integer(0)))
        if used:
            messages.append(
                f"the volume of compartment {name} follows {', '.join(sorted(used))}, which an event sets, and holds "
                "concentrations; this is not supported yet: set the volume by a protocol"
            )
    return messages


def check_network(network: Network) -> None:
    """Raises `ValueError` with all volumes of a network that `unsound_volumes` names."""
    if problems := unsound_volumes(network):
        raise ValueError(f"network {network.name!r}: " + "; ".join(problems))


__all__ = ["check_network", "unsound_volumes"]
