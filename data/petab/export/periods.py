"""From a protocol to the periods of an experiment of PEtab v2.

In hexamer, the values of a pre-equilibration hold until the protocol starts. A constant with an initial assignment is
computed again at every step. In PEtab, a value that a period sets holds until another period sets it, and a simulator
evaluates initial assignments once, after the changes of the first period. Where the two differ, the periods that this
module writes set the value by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import sympy

from ....models.protocols.protocol import Protocol, Step, Value
from ..tables import Period
from .source import ExportSource
from .unsayable import UnsayableError

PeriodChanges = dict[str, sympy.Expr]


def periods_of(source: ExportSource, name: str) -> tuple[Period, ...]:
    """The periods of a protocol of the data set. Raises `UnsayableError`."""
    protocol = source.dataset.protocols[name]
    if name not in source.dataset.continued:
        return _Course(source, protocol).periods()
    before, moment = source.dataset.continued[name]
    course = _Course(source, before).periods()
    held = {n: source.value(v) for n, v in (protocol.preequilibration or {}).items()}
    last = {p.time: p.changes for p in course if p.time <= moment}
    last[moment] = {**last.get(moment, {}), **held}
    return tuple(Period(t, last[t]) for t in sorted(last))


class _Course:
    """Writes the periods of one protocol. `current` has the constants that have been set, as formulas of parameters."""

    def __init__(self, source: ExportSource, protocol: Protocol):
        self.source, self.protocol = source, protocol
        self.current: PeriodChanges = dict(source.opening)
        self._asked: list[str] = []  # names whose start values are being written out, to find circles

    def periods(self) -> tuple[Period, ...]:
        """All periods; the first is at −∞ if the protocol begins in steady state."""
        protocol, steps = self.protocol, list(self.protocol.steps)
        first = steps.pop(0) if steps and steps[0].time == protocol.start else Step(protocol.start)
        if protocol.preequilibration is None:
            periods = [Period(protocol.start, self._begin(first.assign, first.add))]
        else:
            periods = [Period(-math.inf, self._begin(protocol.preequilibration, {}))]
            ended = [n for n in protocol.preequilibration if n in self.source.constants and n not in first.assign]
            back = {n: self.source.opening.get(n) or self._start(n, {}) for n in ended}
            periods.append(Period(first.time, self._go_on(first, back)))
        return (*periods, *(Period(s.time, self._go_on(s, {})) for s in steps))

    def _begin(self, assign: Mapping[str, Value], add: Mapping[str, Value]) -> PeriodChanges:
        """The changes of the first period, with start values that depend on a state that the period sets."""
        source = self.source
        changes = {**source.opening, **{n: source.value(v) for n, v in assign.items()}}
        self.current |= {n: e for n, e in changes.items() if n in source.constants}
        changes |= {n: self._start(n, self.current) + source.value(v) for n, v in add.items()}
        states = changes.keys() - source.constants
        following = source.entities.starting_from(states) if states else ()
        return {**{n: self._start(n, self.current) for n in following if n not in changes}, **changes}

    def _go_on(self, step: Step, back: PeriodChanges) -> PeriodChanges:
        """The changes of a later period: values, constants that depend on these values, and doses."""
        source = self.source
        changes = {**back, **{n: source.value(v) for n, v in step.assign.items()}}
        self._check_volumes(step.time, changes)
        changed = changes.keys() & source.constants
        self.current |= {n: changes[n] for n in changed}
        following = source.entities.starting_from(changed) if changed else ()
        free = source.entities.constants - source.constants - source.network.species.keys()
        changes |= {n: self._start(n, self.current) for n in following if n in free and n not in changes}
        return changes | {n: sympy.Symbol(n) + source.value(v) for n, v in step.add.items()}

    def _start(self, name: str, current: Mapping[str, sympy.Expr]) -> sympy.Expr:
        """The start value of a state or constant, as a formula of the parameter table's ids."""
        if name in current:
            return current[name]
        if name in self._asked:
            raise UnsayableError(f"initial assignments of the model run in a circle: {' → '.join(self._asked)}")
        self._asked.append(name)
        entities, rows = self.source.entities, self.source.row_ids

        def of(other: str) -> sympy.Expr | None:
            if other in rows or other not in entities.states | entities.constants:
                return None
            return self._start(other, current)

        start = entities.written(entities.start(name), of, 0.0)
        self._asked.remove(name)
        if start.has(sympy.nan):
            raise UnsayableError(f"{name} has no value before it is set: give it one in the model")
        return start

    def _check_volumes(self, time: float, changes: PeriodChanges) -> None:
        """Raises `UnsayableError` if a compartment is resized and its species keep their amounts."""
        if self.protocol.resizing_keeps == "concentrations":
            return
        species = self.source.network.species.values()
        filled = {s.compartment for s in species if not s.amount}
        for name in sorted(changes.keys() & self.source.network.compartments.keys() & filled):
            if changes[name] != self._start(name, self.current):
                raise UnsayableError(
                    f"at time {time:g}, it resizes {name} and keeps the amounts in it; PEtab v2 keeps the "
                    "concentrations: write the species of that compartment as amounts in the model"
                )


__all__ = ["periods_of"]
