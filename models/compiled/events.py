"""Events: at which passing of which switch or condition they act, and what they set.

A trigger is a Boolean over conditions in time, each of which is a switch (see `hexamer.models.compiled.switches`), and
conditions on the state (see `hexamer.models.compiled.conditions`). So an event acts where one of these goes at whose
passing its trigger becomes true. If these go at T, and g is the state after
the event as a function of the state before it, then moving T by dT moves the state after it by (∂g/∂y f₋ − f₊) dT, f₋
and f₊ being the rates before and after.

A delay moves the trigger: what acts at t is the trigger at t − delay. If the new values are those of the trigger's
time, another event keeps them in a state of its own until then.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false, reportOperatorIssue=false
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from jaxtyping import Array, Float
from sympy.core.relational import Relational

from ..listing import listed
from ..networks.conditions import as_boolean, as_number
from ..networks.formulas import TIME, FormulaError, substitute, to_infix
from ..networks.network import Event, Network
from .codegen import Name, as_symbol, compile_vector
from .conditions import ConditionReader, StateConditions
from .event_volumes import EventVolumes
from .switches import Switches

_NONE = sympy.Integer(0)
_FIRST, _LAST = sympy.Float(1e300), sympy.Float(-1e300)  # beyond all priorities
START = sympy.Symbol("<start>")  # the time at which a protocol starts
_WAY_OUT = "write its moment as time >= T with T a number or a constant parameter, or give it as a step of a protocol"


@dataclass(frozen=True)
class TimedEvent:
    """An event over states, parameters, switches and conditions on the state.

    `trigger` is over parameters, switches and conditions; `at_start` is the trigger at the start, over parameters,
    `START` and conditions.
    `assigned` has positions of states, and their new values. If `before_all`, these are computed from the state before
    all events of that moment, else from the state that the events before it left; what `as_of_now` names is in both
    cases the latter.
    """

    name: str
    trigger: sympy.Basic
    at_start: sympy.Basic
    initially_true: bool
    assigned: tuple[tuple[int, sympy.Expr], ...]
    before_all: bool
    delayed: bool = False
    persistent: bool = True
    delay: sympy.Expr = _NONE  # of a trigger or of a delay that depends on the state


@dataclass(frozen=True)
class TimedEvents:
    """The events of a network in the order in which those of one moment act.

    `conditions` on the state are those in triggers, in the order of their symbols; `memory` are states that delayed
    events need. There are `priorities`, in the order of the events, only if a formula among them decides on the way.
    `instants` are the triggers at moments themselves, where a switch is 1/2; there are none if all hold from there on.
    """

    events: tuple[TimedEvent, ...]
    conditions: tuple[Relational, ...]
    priorities: tuple[sympy.Expr, ...]
    memory: tuple[str, ...]
    instants: tuple[sympy.Basic, ...] = ()

    @property
    def formulas(self) -> list[sympy.Basic]:
        """All but the triggers."""
        values = [value for event in self.events for _, value in event.assigned]
        return [*self.conditions, *self.priorities, *(event.delay for event in self.events), *values]


@dataclass(frozen=True, eq=False)
class Events:
    """The events of a model as functions of arrays, in the order in which those of one moment act.

    `triggers(p, s)` and `at_start(p, [start])` are 1 where a trigger holds and 0 elsewhere; if events are `by_state`,
    both take also which of the `conditions` on the state hold. `values[e](y, now, p, s)` are what event e sets the
    states at `targets[e]` to, y being the state of `before_all` and `now` the one that the events before it left.
    `delays(y, p, s)`, None if there are none, are how much later than its trigger each acts. If there are
    `priorities(y, p, s)`, they decide in place of the order: of the events that are to act, the first with the largest
    one in the present state is next. `instants` are `triggers` at a moment, where the switches that go are 1/2, so that
    time > T is false at T; None if all that become true hold at their moments too.
    """

    triggers: Callable[..., Float[Array, " events"]]
    at_start: Callable[..., Float[Array, " events"]]
    values: tuple[Callable[..., Float[Array, " targets"]], ...]
    targets: tuple[np.ndarray, ...]
    initially_true: np.ndarray
    before_all: tuple[bool, ...]
    persistent: np.ndarray
    conditions: StateConditions | None = None
    delays: Callable[..., Float[Array, " events"]] | None = None
    priorities: Callable[..., Float[Array, " events"]] | None = None
    instants: Callable[..., Float[Array, " events"]] | None = None

    @property
    def by_state(self) -> bool:
        """True if when they act is known only on the way."""
        return self.conditions is not None

    @staticmethod
    def of(
        timed: TimedEvents,
        states: Sequence[Name],
        parameters: Sequence[Name],
        switches: Sequence[Name],
    ) -> Events | None:
        """None if there are none."""
        events, conditions = timed.events, timed.conditions
        if not events:
            return None
        fixed = (states, parameters, switches)
        waiting = any(e.delay != 0 for e in events)
        by_state = waiting or bool(conditions)
        held = ([f"condition {k}" for k in range(len(conditions))],) if by_state else ()
        both = (states, [as_of_now(s) for s in states])
        return Events(
            compile_vector((parameters, switches, *held), [as_number(e.trigger) for e in events]),
            compile_vector((parameters, (START,), *held), [as_number(e.at_start) for e in events]),
            tuple(compile_vector((*both, parameters, switches), [v for _, v in e.assigned]) for e in events),
            tuple(np.array([i for i, _ in e.assigned]) for e in events),
            np.array([e.initially_true for e in events]),
            tuple(e.before_all for e in events),
            np.array([e.persistent for e in events]),
            StateConditions.of(conditions, [e.trigger for e in events], fixed) if by_state else None,
            compile_vector(fixed, [e.delay for e in events]) if waiting else None,
            compile_vector(fixed, timed.priorities) if timed.priorities else None,
            compile_vector((parameters, switches, *held), list(map(as_number, timed.instants)))
            if timed.instants
            else None,
        )


def as_of_now(state: Name) -> sympy.Symbol:
    """What stands for a state as the events before left it, in values `before_all`; no identifier can hold a space."""
    return sympy.Symbol(f"{as_symbol(state)} now")


class EventReader:
    """Turns a network's events into timed ones.

    `rules` are written out; `states` by name have their positions, of which `moving` change by themselves.
    """

    def __init__(
        self,
        network: Network,
        rules: Mapping[sympy.Symbol, sympy.Expr],
        states: Sequence[str],
        moving: Sequence[str],
        switches: Switches,
    ):
        self.network, self.rules, self.states, self.switches = network.name, rules, list(states), switches
        self._volumes = EventVolumes(network, {s.name: e for s, e in rules.items()})
        self._conditions = ConditionReader(states, moving, switches)
        self._memory: list[str] = []
        self._instants: dict[TimedEvent, sympy.Basic] = {}

    def __call__(self, events: Sequence[Event]) -> TimedEvents:
        """Raises `FormulaError` naming what is not supported."""
        priorities = [self._priority(e) for e in events]
        fixed = all(p.is_number for p in priorities)
        # Those of equal priority in the order of the file.
        order = sorted(range(len(events)), key=lambda i: -float(priorities[i])) if fixed else range(len(events))
        keeping: list[TimedEvent] = []
        acting = [self._timed(events[i], keeping) for i in order]
        timed = (*keeping, *acting)
        return TimedEvents(
            timed,
            tuple(self._conditions.conditions),
            () if fixed else (*(_FIRST for _ in keeping), *priorities),
            tuple(self._memory),
            tuple(self._instants[e] for e in timed) if self.switches.later else (),
        )

    def _place(self, event: Event) -> str:
        return f"{self.network}, {event.name if event.name.startswith('event ') else f'event {event.name}'}"

    def _written(self, e: sympy.Basic) -> sympy.Expr:
        return substitute(as_number(sympy.sympify(e)), self.rules)

    def _moving(self, *expressions: sympy.Basic) -> str:
        """The names in expressions that change with the state, in words."""
        names = {str(s) for e in expressions for s in e.free_symbols} & set(self.states)
        return listed(sorted(names)) if names else ""

    def _priority(self, event: Event) -> sympy.Expr:
        """That of an event without one is the least."""
        if event.priority is None:
            return _LAST
        return self.switches.freeze(self._written(event.priority), f"{self._place(event)}, priority")

    def _timed(self, event: Event, keeping: list[TimedEvent]) -> TimedEvent:
        place = self._place(event)
        trigger = self._trigger(event, place)
        delay = self._delay(event, place)
        values = {n: self._written(e) for n, e in event.assignments.items()}
        before_all = event.values_at_trigger
        acts = trigger
        if delay != 0 and (self._moving(trigger, delay) or TIME in delay.free_symbols):
            delay = self.switches.freeze(delay, f"{place}, delay")
            values |= self._settled(values, place, before_all=before_all)
            return self._frozen(event, trigger, values, place, before_all=before_all, delay=delay)
        if delay != 0:
            if event.values_at_trigger:
                values, before_all = self._kept(event, trigger, values, delay, place, keeping), False
            at_0 = as_boolean(trigger.xreplace({TIME: sympy.Integer(0)})) if event.initially_true else sympy.false
            later = sympy.And(delay <= TIME, trigger.xreplace({TIME: TIME - delay}))
            acts = sympy.Or(later, sympy.And(delay > TIME, at_0))
            if not event.persistent:
                self._require_one_rise(trigger, place, "be cancelled")
                acts = sympy.And(acts, trigger)
        values |= self._settled(values, place, before_all=before_all)
        return self._frozen(event, acts, values, place, before_all=before_all, delayed=delay != 0)

    def _settled(self, values: Mapping[str, sympy.Expr], place: str, *, before_all: bool) -> dict[str, sympy.Expr]:
        """The concentrations that an event with these `values` leaves in the volumes that it changes."""
        states = [*map(sympy.Symbol, self.states), TIME] if before_all else []
        acting = {s: as_of_now(s) for s in states}
        return self._volumes.settled(
            values, lambda e: self.switches.freeze(e, f"{place}, volume"), lambda e: e.xreplace(acting), place
        )

    def _frozen(
        self,
        event: Event,
        trigger: sympy.Basic,
        values: Mapping[str, sympy.Expr],
        place: str,
        *,
        before_all: bool,
        delayed: bool = False,
        delay: sympy.Expr = _NONE,
    ) -> TimedEvent:
        assigned = tuple(
            (self.states.index(n), self.switches.freeze(e, f"{place}, assignment of {n}")) for n, e in values.items()
        )
        trigger = self._conditions.replace(trigger, f"{place}, trigger")
        frozen = self.switches.freeze(trigger, f"{place}, trigger")
        at_start = trigger.xreplace({TIME: START})
        persistent = event.persistent or delayed  # what a delay leaves of it is part of the trigger
        start = event.initially_true
        timed = TimedEvent(event.name, frozen, at_start, start, assigned, before_all, delayed, persistent, delay)
        self._instants[timed] = self.switches.freeze_at_moments(trigger, f"{place}, trigger")
        return timed

    def _trigger(self, event: Event, place: str) -> sympy.Basic:
        trigger = as_boolean(self._written(event.trigger))
        instants = [r for r in trigger.atoms(sympy.Eq, sympy.Ne) if TIME in r.free_symbols and not self._moving(r)]
        if instants:
            raise FormulaError(
                f"{place}: its trigger compares time by {to_infix(instants[0])}, which differs for one instant only: "
                f"{_WAY_OUT}"
            )
        return trigger

    def _delay(self, event: Event, place: str) -> sympy.Expr:
        delay = sympy.Integer(0) if event.delay is None else self._written(event.delay)
        if delay == 0:
            return sympy.Integer(0)
        if delay.is_number and not delay > 0:
            raise FormulaError(f"{place}: its delay is {to_infix(delay)}; expected a number from 0 on")
        return delay

    def _kept(
        self,
        event: Event,
        trigger: sympy.Basic,
        values: Mapping[str, sympy.Expr],
        delay: sympy.Expr,
        place: str,
        keeping: list[TimedEvent],
    ) -> dict[str, sympy.Expr]:
        """Values that a delayed event assigns: those of the trigger's time come from states that an event sets then."""
        moving = {n for n, e in values.items() if self._moving(e)}
        kept: dict[str, sympy.Expr] = {}
        read: dict[str, sympy.Expr] = {}
        for name, value in values.items():
            if name not in moving:
                read[name] = value.xreplace({TIME: TIME - delay})
                continue
            memory = f"{event.name}_{name}".replace(" ", "_")
            while memory in self.states or sympy.Symbol(memory) in self.rules:
                memory += "_"
            self._memory.append(memory)
            self.states.append(memory)
            kept[memory], read[name] = value, sympy.Symbol(memory)
        if kept:
            self._require_one_rise(trigger, place, "act with the values of its trigger's time")
            keeping.append(self._frozen(event, trigger, kept, place, before_all=True))
        return read

    def _require_one_rise(self, trigger: sympy.Basic, place: str, what: str) -> None:
        """Raises `FormulaError` unless the trigger becomes true once at most: another rise might come in the delay."""
        parts = sympy.And.make_args(trigger)
        if all(isinstance(part, Relational) or TIME not in part.free_symbols for part in parts):
            return
        raise FormulaError(
            f"{place}: it has a delay and is to {what}, and its trigger {to_infix(trigger)} may become true several "
            f"times, which is not supported yet: {_WAY_OUT}"
        )


__all__ = ["START", "EventReader", "Events", "TimedEvent", "TimedEvents", "as_of_now"]
