"""Volumes that events change: amounts are kept, so concentrations change by the ratio of the volumes.

Where an event changes a compartment's volume from V to V', what lies in it stays: c' = c V/V' (SBML level 3, 4.12).
If the same event sets a species to c, this is its concentration in V, too: all assignments of an event are made at
once, in the state before (cases 01779 and 01780 of the SBML test suite). One with a rule follows its rule; an amount is
what it was, or was set to. A volume changes with an event that sets it, or what its rule follows.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false, reportOperatorIssue=false
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import sympy

from ..networks.formulas import FormulaError, inline, names_in
from ..networks.network import Network


class EventVolumes:
    """The volumes of a network that hold concentrations. `rules` are written out, by name."""

    def __init__(self, network: Network, rules: Mapping[str, sympy.Expr]):
        free = {n: s.compartment for n, s in network.species.items() if not s.amount and n not in network.rules}
        self._compartment_of = free
        self._volumes = {c: rules.get(c, sympy.Symbol(c)) for c in dict.fromkeys(free.values())}

    def resized(self, assigned: Collection[str]) -> list[str]:
        """Species in volumes that change if an event sets the names `assigned`."""
        changed, resized, before = set(assigned), [], -1
        while len(changed) != before:
            before = len(changed)
            moved = {c for c, v in self._volumes.items() if changed & names_in(v)}
            resized = [n for n, c in self._compartment_of.items() if c in moved]
            changed |= {*resized}
        return resized

    def settled(
        self,
        values: Mapping[str, sympy.Expr],
        freeze: Callable[[sympy.Expr], sympy.Expr],
        now: Callable[[sympy.Expr], sympy.Expr],
        place: str,
    ) -> dict[str, sympy.Expr]:
        """The concentrations that an event leaves in volumes that it changes, by species, set ones too.

        `values` are what it assigns. `freeze` replaces conditions in time, and `now` turns a formula over the state
        into one over the state when the event acts. Raises `FormulaError` naming `place` for a volume that follows from
        a concentration in it.
        """
        resized, settled = self.resized(values), {}
        waiting: list[str] = []

        def after(name: str) -> sympy.Expr:
            value = values[name] if name in values else now(sympy.Symbol(name))
            if name not in resized:
                return value
            if name not in settled:
                compartment = self._compartment_of[name]
                volume = now(freeze(self._volumes[compartment]))
                settled[name] = value * (volume / volume_after(compartment))
            return settled[name]

        def volume_after(name: str) -> sympy.Expr:
            if name in waiting:
                raise FormulaError(
                    f"{place}: it changes the volume of compartment {name}, which follows from a concentration in it; "
                    "this is not supported: give it a rate rule, or write that species as an amount "
                    "(hasOnlySubstanceUnits)"
                )
            waiting.append(name)
            volume = freeze(self._volumes[name])
            value = volume.xreplace({s: after(str(s)) for s in sorted(volume.free_symbols, key=str)})
            waiting.remove(name)
            return value

        return {n: after(n) for n in resized}


def changed_by_events(network: Network) -> list[str]:
    """What events change, each name once: what they set, in the order of the file, and concentrations that follow."""
    names = [n for e in network.events for n in e.assignments]
    if not names:
        return []
    rates = {r.name: r.rate for r in network.reactions if r.name not in network.rules}
    volumes = EventVolumes(network, inline({**rates, **network.rules}))
    return list(dict.fromkeys([*names, *(n for e in network.events for n in volumes.resized(e.assignments))]))


__all__ = ["EventVolumes", "changed_by_events"]
