"""Events whose triggers depend on the state: a stretch is solved from one of their moments to the next.

Where a condition r(y, p) goes at T, moving its root moves T by dT = −dr / (dr/dt). So an event at T has a `delay` of
value 0 and derivative dT, and the state after it the derivative that `after_events` gives for moments known ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ...compiled.conditions import StateConditions
from ...compiled.model import Model
from ..status import Status
from .events import Passing, Segment, goes_within

MOST = 20_000  # moments of events within one stretch
BURST = 100  # of them one after the other, each sooner than `SOON` of the stretch after the one before
SOON = 1e-9
SLOTS = 8  # how often an event that has a delay may wait at a time
CHECKPOINTS = 32  # of them kept for the adjoint pass
UNMOVED = 1e-13  # relative: a condition whose sides differ as before, but for rounding
INSTANT = 1e-13  # of a stretch: what follows sooner is of the same moment
GRAZING = 1e-9  # of both sides of a condition and of its root before, over a stretch: the least slope


class Due(NamedTuple):
    """In which of a segment's stretches triggers are looked at: those after the last switch of one moment."""

    due: Bool[Array, " stretches"]
    opening: Bool[Array, " stretches"]  # the stretch with which the course starts
    begin: Float[Array, " stretches"]  # of the segment


class Memory(NamedTuple):
    """What is known of conditions and triggers from one stretch to the next."""

    root: Float[Array, " conditions"]
    hold: Bool[Array, " conditions"]
    held: Bool[Array, " events"]  # triggers, when they were last looked at
    seen: Bool[Array, " events"]  # triggers in the stretch before, which may be within the same moment
    owed: Float[Array, " events"]  # 0, with the derivative of the moment at which each became true
    waiting: Waiting


class Waiting(NamedTuple):
    """Events that are to act, and what each does so with; several of one that has a delay."""

    when: Float[Array, "slots events"]  # ∞: none
    owed: Float[Array, "slots events"]  # 0, with the derivative of `when`
    source: Float[Array, "slots events species"]  # the state when its trigger became true

    def due(self, t: Float[Array, ""]) -> Bool[Array, "slots events"]:
        """Which are to act at t."""
        return self.when <= t


class _Pass(NamedTuple):
    t: Float[Array, ""]
    y: Float[Array, " species"]
    hold: Bool[Array, " conditions"]
    held: Bool[Array, " events"]
    fresh: Bool[Array, " conditions"]  # went just now, and no event has moved it since
    waiting: Waiting
    at: Float[Array, "times species"]
    status: Int[Array, ""]
    steps: Int[Array, ""]
    rejected: Int[Array, ""]
    burst: Int[Array, ""]


class Between(NamedTuple):
    """How a stretch is solved: `seek(y, begin, end, went)` up to where `went(y)`, `solve(y, begin, end)` for good."""

    seek: Callable
    solve: Callable


def due_in(segment: Segment, passing: Passing) -> Due:
    """When triggers are looked at in one segment."""
    moments, stretches = passing.moments, jnp.arange(passing.switches.shape[0])
    last = jnp.concatenate([moments[1:] != moments[:-1], jnp.ones(min(moments.size, 1), bool)])
    at_begin = stretches == jnp.sum(moments <= segment.begin)
    due = jnp.concatenate([jnp.zeros(1, bool), last & goes_within(moments, segment)]) | at_begin
    begin = jnp.broadcast_to(segment.begin, stretches.shape)
    return Due(due & segment.exists, at_begin & segment.first & segment.exists, begin)


def nothing_known(model: Model, y: Float[Array, " species"]) -> Memory:
    """Before a course starts."""
    assert model.events is not None
    assert model.events.conditions is not None
    events, conditions = model.events.conditions.used.shape
    none, slots = jnp.zeros(events, bool), SLOTS if model.events.delays is not None else 1
    zero = jnp.zeros((slots, events), y.dtype)
    waiting = Waiting(zero + jnp.inf, zero, jnp.broadcast_to(y, (slots, events, y.size)))
    return Memory(jnp.zeros(conditions, y.dtype), jnp.zeros(conditions, bool), none, none, zero[0], waiting)


class StateEvents:
    """The events of a model under parameters `p` and `switches`, which stand throughout a stretch."""

    def __init__(
        self,
        model: Model,
        p: Float[Array, " parameters"],
        switches: Float[Array, " switches"],
        *,
        reverse: bool = True,
    ):
        self.reverse = reverse
        assert model.events is not None
        assert model.events.conditions is not None
        self.model, self.events, self.p, self.switches = model, model.events, p, switches
        self.conditions: StateConditions = model.events.conditions

    def rates(self, y: Float[Array, " species"]) -> Float[Array, " species"]:
        """Without derivative; 0 where they are not finite."""
        y, p, switches = jax.lax.stop_gradient((y, self.p, self.switches))
        rates = self.model.rhs(y, *((p, switches) if self.model.switches else (p,)))
        return jnp.where(jnp.isfinite(rates), rates, 0.0)

    def root(self, y: Float[Array, " species"]) -> Float[Array, " conditions"]:
        """Left side less right side of each condition."""
        fixed = y, self.p, self.switches
        return self.conditions.left(*fixed) - self.conditions.right(*fixed)

    def size(self, y: Float[Array, " species"]) -> Float[Array, " conditions"]:
        """The size of both sides of each condition."""
        fixed = jax.lax.stop_gradient((y, self.p, self.switches))
        return jnp.abs(self.conditions.left(*fixed)) + jnp.abs(self.conditions.right(*fixed))

    def slope(self, y: Float[Array, " species"]) -> Float[Array, " conditions"]:
        """How fast each root changes along the course."""
        y = jax.lax.stop_gradient(y)
        p, switches = jax.lax.stop_gradient((self.p, self.switches))
        return jax.jvp(StateEvents(self.model, p, switches).root, (y,), (self.rates(y),))[1]

    def triggers(self, hold: Bool[Array, " conditions"]) -> Bool[Array, " events"]:
        """Which triggers are true where these conditions hold."""
        return self.events.triggers(self.p, self.switches, hold.astype(self.p.dtype)) > 0.5

    def updated(self, root_before, hold, y) -> tuple[Float[Array, " conditions"], Bool[Array, " conditions"], Array]:
        """Roots, conditions, and which of them a change of the state or of parameters has moved."""
        root = jax.lax.stop_gradient(self.root(y))
        moved = jnp.abs(root - root_before) > UNMOVED * (self.size(y) + jnp.abs(root_before))
        return root, jnp.where(moved, self.conditions.hold(root), hold), moved

    def put(self, waiting: Waiting, rise: Bool[Array, " events"], t, y, owed) -> tuple[Waiting, Bool[Array, ""]]:
        """With the events whose triggers have become true at t, and whether there was room for them."""
        when = jnp.broadcast_to(t, rise.shape)
        source = y[None, :] + owed[:, None] * self.rates(y)[None, :]
        if (after := self.events.delays) is not None:
            delays = jax.vmap(lambda y: after(y, self.p, self.switches))(source)
            delay = jnp.where(rise, jnp.diagonal(delays), 0.0)
            owed = owed + delay - jax.lax.stop_gradient(delay)
            when = when + jax.lax.stop_gradient(delay)
        free = waiting.when == jnp.inf
        slot = (jnp.arange(free.shape[0])[:, None] == jnp.argmax(free, axis=0)[None, :]) & rise[None, :] & free
        full = jnp.any(rise & ~jnp.any(free, axis=0))
        return Waiting(
            jnp.where(slot, when[None, :], waiting.when),
            jnp.where(slot, owed[None, :], waiting.owed),
            jnp.where(slot[:, :, None], source, waiting.source),
        ), full

    def opened(self, memory: Memory, y, t, delay, due: Due, number) -> tuple[Memory, Bool[Array, ""]]:
        """At the beginning of a stretch: which events act, by what a switch or a step of the protocol has changed."""
        root, hold, _ = self.updated(memory.root, memory.hold, y)
        hold = jnp.where(number == 0, self.conditions.hold(root), hold)
        holds = self.triggers(hold)
        owed = jnp.where(holds & ~memory.seen, delay, memory.owed)
        started = self.events.at_start(self.p, due.begin[None], hold.astype(self.p.dtype)) > 0.5
        starts = (started & ~self.events.initially_true) | (~started & holds)
        acts = jnp.where(due.opening, starts, holds & ~memory.held) & due.due
        held = jnp.where(due.due, holds, memory.held)
        kept = self._kept(memory.waiting, held)
        waiting, full = self.put(kept, acts, t, y, owed)
        return Memory(root, hold, held, holds, owed, waiting), full

    def _kept(self, waiting: Waiting, holds: Bool[Array, " events"]) -> Waiting:
        """Without those that are not persistent and whose triggers are no longer true."""
        stays = holds | self.events.persistent
        return waiting._replace(when=jnp.where(stays[None, :], waiting.when, jnp.inf))

    def act(self, now: _Pass) -> _Pass:
        """After the first of the events that wait, if there is one."""
        waiting, y = now.waiting, now.y
        due = waiting.due(now.t)
        some = jnp.any(due)
        first = (jnp.arange(due.shape[1]) == self.next(jnp.any(due, axis=0), y)) & some
        # Of one event the one that was to act first.
        slot = jnp.argmin(jnp.where(due, waiting.when, jnp.inf), axis=0)
        owed = jnp.take_along_axis(waiting.owed, slot[None, :], axis=0)[0]
        source = jax.vmap(lambda s, k: s[k], in_axes=(1, 0))(waiting.source, slot)
        for e in range(first.size):
            y = jnp.where(first[e], self._after(e, now.y, owed[e], source[e], first[e]), y)
        before = jax.lax.stop_gradient(self.root(now.y))
        _, hold, moved = self.updated(before, now.hold, y)
        hold = jnp.where(some, hold, now.hold)
        holds = jnp.where(some, self.triggers(hold), now.held)
        rise = holds & ~now.held
        done = (jnp.arange(due.shape[0])[:, None] == slot[None, :]) & first[None, :]
        waiting = self._kept(waiting._replace(when=jnp.where(done, jnp.inf, waiting.when)), holds)
        cause = jnp.sum(jnp.where(first, owed, 0.0))
        waiting, full = self.put(waiting, rise, now.t, y, jnp.broadcast_to(cause, rise.shape))
        status = jnp.where((now.status == Status.OK) & full, Status.TOO_MANY_EVENTS, now.status)
        fresh = now.fresh & ~(moved & some)
        return now._replace(y=y, hold=hold, held=holds, fresh=fresh, waiting=waiting, status=status)

    def next(self, due: Bool[Array, " events"], y: Float[Array, " species"]) -> Int[Array, ""]:
        """Which of the events that are `due` acts next."""
        if self.events.priorities is None:
            return jnp.argmax(due)
        rank = jax.lax.stop_gradient(self.events.priorities(y, self.p, self.switches))
        return jnp.argmax(jnp.where(due, rank, -jnp.inf))

    def _after(self, e: int, y, delay, source, acts) -> Float[Array, " species"]:
        """The state after event e. One that comes later by dT comes to a state that is f dT further."""
        y = y + delay * self.rates(y)
        source = source if self.events.before_all[e] else y
        values = self.events.values[e](*(jnp.where(acts, x, 1.0) for x in (source, y)), self.p, self.switches)
        y = y.at[self.events.targets[e]].set(values)
        return y - delay * self.rates(y)

    def turned(self, now: _Pass) -> _Pass:
        """Conditions that just went and go back at once, as an event has turned the course: they stand beyond."""
        slope = self.slope(now.y)
        ahead = jnp.where(slope == 0, now.hold, (slope > 0) == self.conditions.above)
        hold = jnp.where(now.fresh, ahead, now.hold)
        holds = self.triggers(hold)
        falls = ~jnp.any(holds & ~now.held)
        return now._replace(hold=jnp.where(falls, hold, now.hold), held=jnp.where(falls, holds, now.held))

    def about_to_go(self, hold: Bool[Array, " conditions"], y) -> Bool[Array, " conditions"]:
        """Conditions whose roots are 0 but for rounding: with `A < 1`, `A <= 1` and `2*A < 2` go at the same moment."""
        y = jax.lax.stop_gradient(y)
        slope, root = self.slope(y), jax.lax.stop_gradient(self.root(y))
        at_root = (jnp.abs(root) <= UNMOVED * self.size(y)) & (slope != 0)
        return at_root & (((slope > 0) == self.conditions.above) != hold)

    def went(self, start: _Pass) -> Callable[[Array], Bool[Array, " conditions"]]:
        """Which conditions have gone since `start`; what is rounding of a root that is 0 there does not count."""
        y = jax.lax.stop_gradient(start.y)
        root = jax.lax.stop_gradient(self.root(y))
        unsettled = self.conditions.hold(root) != start.hold
        noise = jnp.where(unsettled, (1 + 1e-6) * jnp.abs(root) + UNMOVED * self.size(y), -1.0)

        def went(y: Array) -> Array:
            root = jax.lax.stop_gradient(self.root(y))
            return (self.conditions.hold(root) != start.hold) & (jnp.abs(root) > noise)

        return went

    def run(self, between: Between, memory: Memory, start: _Pass, stop, times, here) -> tuple[_Pass, Memory]:
        """To the end of a stretch. Outputs at `times` that are `here` are written to `at`."""
        length = jnp.maximum(stop - start.t, 1e-6)

        def more(now: _Pass) -> Array:
            return (now.status == Status.OK) & (now.burst < BURST) & unfinished(now)

        def unfinished(now: _Pass) -> Array:
            return jnp.any(now.waiting.due(now.t)) | (now.t < stop)

        def one(now: _Pass) -> _Pass:
            now = self.act(now)
            return self._onwards(between, now, stop, length, times, here)

        start = start._replace(at=jnp.where((here & (times >= start.t))[:, None], start.y, start.at))
        kind, kept = ("checkpointed", CHECKPOINTS) if self.reverse else ("lax", None)
        now = eqxi.while_loop(more, one, start, max_steps=MOST, kind=kind, checkpoints=kept)
        status = jnp.where((now.status == Status.OK) & unfinished(now), Status.TOO_MANY_EVENTS, now.status)
        root = jax.lax.stop_gradient(self.root(now.y))
        return now._replace(status=status), Memory(
            root, now.hold, now.held, now.held, jnp.zeros_like(memory.owed), now.waiting
        )

    def _onwards(self, between: Between, now: _Pass, stop, length, times, here) -> _Pass:
        """Solves to the next moment at which a condition goes, or to the end, unless events wait."""
        go = ~jnp.any(now.waiting.due(now.t)) & (now.t < stop)
        stop = jnp.minimum(stop, jnp.min(now.waiting.when))
        now = jax.tree.map(lambda a, b: jnp.where(go, a, b), self.turned(now), now)
        instant = now.t + INSTANT * length
        went = self.went(now)
        found, y_found, status, taken, refused = between.seek(now.y, now.t, jnp.where(go, stop, instant), went)
        gone = went(y_found) & go
        gone |= self.about_to_go(now.hold, y_found) & jnp.any(gone)
        moment = jnp.where(go, jnp.where(jnp.any(gone), found, stop), now.t)
        solved = moment > instant
        saved, last, outcome, more, thrown = between.solve(now.y, now.t, jnp.where(solved, moment, instant))
        # What goes too soon to solve for is taken from the search, so that the course has turned when it acts.
        soon = jnp.any(gone) & ~solved
        y = jnp.where(solved, last, now.y + jnp.where(soon, jax.lax.stop_gradient(y_found - now.y), 0.0))
        saved = jnp.where(solved, saved, y)
        at = jnp.where((here & (times >= now.t))[:, None], saved, now.at)
        outcome = jnp.where(solved & (status == Status.OK), outcome, jnp.where(go, status, Status.OK))
        hold = now.hold ^ gone
        holds = self.triggers(hold)
        rise = holds & ~now.held
        owed, grazes = self._owed(y, gone, jnp.abs(jax.lax.stop_gradient(self.root(now.y))), length)
        outcome = jnp.where((outcome == Status.OK) & jnp.any(rise & grazes), Status.GRAZING_EVENT, outcome)
        waiting, full = self.put(self._kept(now.waiting, holds), rise, jnp.where(go, moment, now.t), y, owed)
        outcome = jnp.where((outcome == Status.OK) & full, Status.TOO_MANY_EVENTS, outcome)
        steps, rejected = jnp.where(go, taken, 0), jnp.where(go, refused, 0)
        return _Pass(
            jnp.where(go, moment, now.t),
            y,
            hold,
            holds,
            jnp.where(go, gone, now.fresh),
            waiting,
            at,
            jnp.where(now.status == Status.OK, outcome, now.status),
            now.steps + steps + jnp.where(solved, more, 0),
            now.rejected + rejected + jnp.where(solved, thrown, 0),
            jnp.where(go & (moment > now.t + SOON * length), 0, now.burst + 1),
        )

    def _owed(
        self, y, gone: Bool[Array, " conditions"], reach: Float[Array, " conditions"], length
    ) -> tuple[Float[Array, " events"], Bool[Array, " events"]]:
        """For each event 0 with the derivative of the moment at which its condition went, and whether it has none.

        `reach` is how far roots were from 0 before.
        """
        if not gone.size:
            return jnp.zeros(self.conditions.used.shape[0]), jnp.zeros(self.conditions.used.shape[0], bool)
        slope, root = self.slope(y), self.root(y)
        grazes = ~(jnp.abs(slope) * length > GRAZING * (self.size(y) + reach))
        late = -(root - jax.lax.stop_gradient(root)) / jnp.where(grazes, 1.0, slope)
        late = jnp.where(gone & ~grazes, late, 0.0)
        owner = jnp.argmax(self.conditions.used & gone[None, :], axis=1)
        return late[owner], (gone & grazes)[owner]


def first_pass(y, t, at, status, steps, rejected, events: StateEvents, memory: Memory) -> _Pass:
    """Where a stretch begins."""
    no = jnp.zeros(events.conditions.used.shape[1], bool)
    return _Pass(t, y, memory.hold, memory.held, no, memory.waiting, at, status, steps, rejected, jnp.zeros((), int))


__all__ = ["Between", "Due", "Memory", "StateEvents", "Waiting", "due_in", "first_pass", "nothing_known"]
