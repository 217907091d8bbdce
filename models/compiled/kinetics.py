"""What a network's ODE is made of, as expressions: the source of every compiled form of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sympy

from .events import TimedEvent, TimedEvents

_NONE = TimedEvents((), (), (), ())


@dataclass(frozen=True)
class Kinetics:
    """y'_i = Σ coefficient · rate_r over `terms` (i, r, coefficient); everything over species and parameters.

    `initial`, `volumes`, `weights` (see `Model`) and `switch_times` are over parameters alone. Rates and coefficients
    may hold the `switches`, which are 0 before their time and 1 from then on (see `hexamer.models.compiled.switches`).
    `events` act where switches and `conditions` on the state go. If there are `priorities`, these decide which of the
    events of one moment is next. `instants` are triggers at moments themselves (see `TimedEvents`).
    """

    rates: tuple[sympy.Expr, ...]
    terms: tuple[tuple[int, int, sympy.Expr], ...]
    initial: tuple[sympy.Expr, ...]
    volumes: tuple[sympy.Expr, ...]
    weights: tuple[sympy.Expr, ...]
    switches: tuple[str, ...] = ()
    switch_times: tuple[sympy.Expr, ...] = ()
    events: tuple[TimedEvent, ...] = ()
    conditions: tuple[sympy.Basic, ...] = ()
    priorities: tuple[sympy.Expr, ...] = ()
    instants: tuple[sympy.Basic, ...] = ()

    @staticmethod
    def of(
        derivatives: Sequence[Sequence[tuple[sympy.Expr, sympy.Expr]]],
        initial: Sequence[sympy.Expr],
        volumes: Sequence[sympy.Expr],
        weights: Sequence[sympy.Expr],
        switches: Sequence[str] = (),
        switch_times: Sequence[sympy.Expr] = (),
        acting: TimedEvents = _NONE,
    ) -> Kinetics:
        """From (coefficient, rate) pairs for each species; a rate that several species share is one."""
        known: dict[sympy.Expr, int] = {}
        terms = []
        for i, pairs in enumerate(derivatives):
            for coefficient, rate in pairs:
                if coefficient != 0 and rate != 0:
                    terms.append((i, known.setdefault(rate, len(known)), coefficient))
        return Kinetics(
            tuple(known),
            tuple(terms),
            tuple(initial),
            tuple(volumes),
            tuple(weights),
            tuple(switches),
            tuple(switch_times),
            acting.events,
            acting.conditions,
            acting.priorities,
            acting.instants,
        )

    @property
    def expressions(self) -> Iterator[sympy.Basic]:
        """All that it is made of."""
        yield from (*self.rates, *(c for _, _, c in self.terms))
        yield from (*self.initial, *self.volumes, *self.weights, *self.switch_times, *self.conditions, *self.priorities)
        for event in self.events:
            yield from (event.trigger, event.at_start, event.delay, *(value for _, value in event.assigned))

    def derivatives(self) -> list[sympy.Expr]:
        """y' of each species."""
        f: list[sympy.Expr] = [sympy.Integer(0)] * len(self.initial)
        for i, r, coefficient in self.terms:
            f[i] = f[i] + coefficient * self.rates[r]
        return f
