"""Events whose triggers depend on the state: a stretch is solved from one of their moments to the next.

A condition compares two sides; their difference r(y, p) is its root. If r crosses 0 at T, a change dr of the root moves
T by dT = −dr / (dr/dt). So an event at T has a `time_shift` of value 0 and derivative dT, and the state after the event
has the derivative that `after_events` gives for moments known ahead.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ...compiled.conditions import StateConditions
from ...compiled.model import Model
from ..status import Status
from .event_records import Between, Due, Found, Memory, Pass, Pending, SolvedStretch

MOST = 20_000  # moments of events within one stretch
BURST = 100  # moments in a row, each nearer to the one before than `BURST_GAP` of the stretch
BURST_GAP = 1e-9
CHECKPOINTS = 32  # moments kept for the adjoint pass
UNMOVED = 1e-13  # of both sides of a condition: a smaller change of its root is rounding
INSTANT = 1e-13  # of a stretch: what follows within it belongs to the same moment
GRAZING = 1e-9  # of both sides of a condition and of its root before, over a stretch: the least slope of a crossing


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
        """Without derivative; 0 if they are not finite."""
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

    def triggers(self, satisfied: Bool[Array, " conditions"]) -> Bool[Array, " events"]:
        """Which triggers are true if these conditions are satisfied."""
        return self.events.triggers(self.p, self.switches, satisfied.astype(self.p.dtype)) > 0.5

    def updated(
        self, root_before, satisfied, y
    ) -> tuple[Float[Array, " conditions"], Bool[Array, " conditions"], Array]:
        """Roots, satisfied conditions, and which roots a change of the state or of parameters has moved."""
        root = jax.lax.stop_gradient(self.root(y))
        moved = jnp.abs(root - root_before) > UNMOVED * (self.size(y) + jnp.abs(root_before))
        return root, jnp.where(moved, self.conditions.satisfied(root), satisfied), moved

    def schedule(
        self, pending: Pending, rise: Bool[Array, " events"], t, y, time_shift
    ) -> tuple[Pending, Bool[Array, ""]]:
        """Adds the events whose triggers became true at t; also returns whether there was no free slot for one."""
        when = jnp.broadcast_to(t, rise.shape)
        source = y[None, :] + time_shift[:, None] * self.rates(y)[None, :]
        if (after := self.events.delays) is not None:
            delays = jax.vmap(lambda y: after(y, self.p, self.switches))(source)
            delay = jnp.where(rise, jnp.diagonal(delays), 0.0)
            time_shift = time_shift + delay - jax.lax.stop_gradient(delay)
            when = when + jax.lax.stop_gradient(delay)
        free = pending.when == jnp.inf
        slot = (jnp.arange(free.shape[0])[:, None] == jnp.argmax(free, axis=0)[None, :]) & rise[None, :] & free
        full = jnp.any(rise & ~jnp.any(free, axis=0))
        return Pending(
            jnp.where(slot, when[None, :], pending.when),
            jnp.where(slot, time_shift[None, :], pending.time_shift),
            jnp.where(slot[:, :, None], source, pending.source),
        ), full

    def at_begin(self, memory: Memory, y, t, delay, due: Due, number) -> tuple[Memory, Bool[Array, ""]]:
        """Schedules the events that a switch or a step of the protocol triggers at the beginning of a stretch."""
        root, satisfied, _ = self.updated(memory.root, memory.satisfied, y)
        satisfied = jnp.where(number == 0, self.conditions.satisfied(root), satisfied)
        latest = self.triggers(satisfied)
        time_shift = jnp.where(latest & ~memory.latest, delay, memory.time_shift)
        started = self.events.at_start(self.p, due.begin[None], satisfied.astype(self.p.dtype)) > 0.5
        starts = (started & ~self.events.initially_true) | (~started & latest)
        acts = jnp.where(due.opening, starts, latest & ~memory.triggered) & due.due
        triggered = jnp.where(due.due, latest, memory.triggered)
        uncancelled = self._uncancelled(memory.pending, triggered)
        pending, full = self.schedule(uncancelled, acts, t, y, time_shift)
        return Memory(root, satisfied, triggered, latest, time_shift, pending), full

    def _uncancelled(self, pending: Pending, triggered: Bool[Array, " events"]) -> Pending:
        """Cancels pending events that are not persistent and whose triggers are no longer true."""
        stays = triggered | self.events.persistent
        return pending._replace(when=jnp.where(stays[None, :], pending.when, jnp.inf))

    def act(self, now: Pass) -> Pass:
        """The pass after the first of the events that are due, if one is."""
        pending, y = now.pending, now.y
        due = pending.due(now.t)
        any_due = jnp.any(due)
        first = (jnp.arange(due.shape[1]) == self.next(jnp.any(due, axis=0), y)) & any_due
        # If one event is due several times, the earliest acts first.
        slot = jnp.argmin(jnp.where(due, pending.when, jnp.inf), axis=0)
        time_shift = jnp.take_along_axis(pending.time_shift, slot[None, :], axis=0)[0]
        source = jax.vmap(lambda s, k: s[k], in_axes=(1, 0))(pending.source, slot)
        for e in range(first.size):
            y = jnp.where(first[e], self._after(e, now.y, time_shift[e], source[e], first[e]), y)
        before = jax.lax.stop_gradient(self.root(now.y))
        _, satisfied, moved = self.updated(before, now.satisfied, y)
        satisfied = jnp.where(any_due, satisfied, now.satisfied)
        triggered = jnp.where(any_due, self.triggers(satisfied), now.triggered)
        rise = triggered & ~now.triggered
        done = (jnp.arange(due.shape[0])[:, None] == slot[None, :]) & first[None, :]
        pending = self._uncancelled(pending._replace(when=jnp.where(done, jnp.inf, pending.when)), triggered)
        cause = jnp.sum(jnp.where(first, time_shift, 0.0))
        pending, full = self.schedule(pending, rise, now.t, y, jnp.broadcast_to(cause, rise.shape))
        return now._replace(
            y=y,
            satisfied=satisfied,
            triggered=triggered,
            just_crossed=now.just_crossed & ~(moved & any_due),
            pending=pending,
            status=jnp.where((now.status == Status.OK) & full, Status.TOO_MANY_EVENTS, now.status),
        )

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

    def without_reversed(self, now: Pass) -> Pass:
        """Takes back conditions that just crossed, if an event has reversed the course so that they cross back."""
        slope = self.slope(now.y)
        ahead = jnp.where(slope == 0, now.satisfied, (slope > 0) == self.conditions.above)
        satisfied = jnp.where(now.just_crossed, ahead, now.satisfied)
        triggered = self.triggers(satisfied)
        falls = ~jnp.any(triggered & ~now.triggered)
        return now._replace(
            satisfied=jnp.where(falls, satisfied, now.satisfied),
            triggered=jnp.where(falls, triggered, now.triggered),
        )

    def simultaneous(self, satisfied: Bool[Array, " conditions"], y) -> Bool[Array, " conditions"]:
        """Conditions whose roots are 0 but for rounding: `A <= 1` and `2*A < 2` cross at the moment of `A < 1`."""
        y = jax.lax.stop_gradient(y)
        slope, root = self.slope(y), jax.lax.stop_gradient(self.root(y))
        at_root = (jnp.abs(root) <= UNMOVED * self.size(y)) & (slope != 0)
        return at_root & (((slope > 0) == self.conditions.above) != satisfied)

    def crossing_since(self, start: Pass) -> Callable[[Array], Bool[Array, " conditions"]]:
        """A function of the state: which conditions have crossed since `start`, apart from rounding of a root 0."""
        y = jax.lax.stop_gradient(start.y)
        root = jax.lax.stop_gradient(self.root(y))
        unsettled = self.conditions.satisfied(root) != start.satisfied
        noise = jnp.where(unsettled, (1 + 1e-6) * jnp.abs(root) + UNMOVED * self.size(y), -1.0)

        def has_crossed(y: Array) -> Array:
            root = jax.lax.stop_gradient(self.root(y))
            return (self.conditions.satisfied(root) != start.satisfied) & (jnp.abs(root) > noise)

        return has_crossed

    def run(self, between: Between, memory: Memory, start: Pass, stop, times, here) -> tuple[Pass, Memory]:
        """To the end of a stretch. Outputs at `times` that are `here` are written to `at`."""
        length = jnp.maximum(stop - start.t, 1e-6)

        def more(now: Pass) -> Array:
            return (now.status == Status.OK) & (now.burst < BURST) & unfinished(now)

        def unfinished(now: Pass) -> Array:
            return jnp.any(now.pending.due(now.t)) | (now.t < stop)

        def one(now: Pass) -> Pass:
            now = self.act(now)
            return self._advance(between, now, stop, length, times, here)

        start = start._replace(at=jnp.where((here & (times >= start.t))[:, None], start.y, start.at))
        kind, checkpoints = ("checkpointed", CHECKPOINTS) if self.reverse else ("lax", None)
        now = eqxi.while_loop(more, one, start, max_steps=MOST, kind=kind, checkpoints=checkpoints)
        status = jnp.where((now.status == Status.OK) & unfinished(now), Status.TOO_MANY_EVENTS, now.status)
        return now._replace(status=status), Memory(
            root=jax.lax.stop_gradient(self.root(now.y)),
            satisfied=now.satisfied,
            triggered=now.triggered,
            latest=now.triggered,
            time_shift=jnp.zeros_like(memory.time_shift),
            pending=now.pending,
        )

    def _advance(self, between: Between, now: Pass, stop, length, times, here) -> Pass:
        """Solves to the next moment at which a condition crosses, or to the end, unless events are due."""
        advances = ~jnp.any(now.pending.due(now.t)) & (now.t < stop)
        stop = jnp.minimum(stop, jnp.min(now.pending.when))
        now = jax.tree.map(lambda a, b: jnp.where(advances, a, b), self.without_reversed(now), now)
        instant = now.t + INSTANT * length
        has_crossed = self.crossing_since(now)
        found = Found(*between.seek(now.y, now.t, jnp.where(advances, stop, instant), has_crossed))
        crossed = has_crossed(found.y) & advances
        crossed |= self.simultaneous(now.satisfied, found.y) & jnp.any(crossed)
        moment = jnp.where(advances, jnp.where(jnp.any(crossed), found.t, stop), now.t)
        solves = moment > instant
        solved = SolvedStretch(*between.solve(now.y, now.t, jnp.where(solves, moment, instant)))
        # A crossing within an instant is too near to solve for: the state is the search's, which is beyond it.
        immediate = jnp.any(crossed) & ~solves
        y = jnp.where(solves, solved.y, now.y + jnp.where(immediate, jax.lax.stop_gradient(found.y - now.y), 0.0))
        saved = jnp.where(solves, solved.saved, y)
        status = jnp.where(
            solves & (found.status == Status.OK), solved.status, jnp.where(advances, found.status, Status.OK)
        )
        satisfied = now.satisfied ^ crossed
        triggered = self.triggers(satisfied)
        rise = triggered & ~now.triggered
        time_shift, grazes = self._time_shift(y, crossed, jnp.abs(jax.lax.stop_gradient(self.root(now.y))), length)
        status = jnp.where((status == Status.OK) & jnp.any(rise & grazes), Status.GRAZING_EVENT, status)
        t = jnp.where(advances, moment, now.t)
        pending, full = self.schedule(self._uncancelled(now.pending, triggered), rise, t, y, time_shift)
        status = jnp.where((status == Status.OK) & full, Status.TOO_MANY_EVENTS, status)
        return Pass(
            t=t,
            y=y,
            satisfied=satisfied,
            triggered=triggered,
            just_crossed=jnp.where(advances, crossed, now.just_crossed),
            pending=pending,
            at=jnp.where((here & (times >= now.t))[:, None], saved, now.at),
            status=jnp.where(now.status == Status.OK, status, now.status),
            steps=now.steps + jnp.where(advances, found.steps, 0) + jnp.where(solves, solved.steps, 0),
            rejected=now.rejected + jnp.where(advances, found.rejected, 0) + jnp.where(solves, solved.rejected, 0),
            burst=jnp.where(advances & (moment > now.t + BURST_GAP * length), 0, now.burst + 1),
        )

    def _time_shift(
        self, y, crossed: Bool[Array, " conditions"], reach: Float[Array, " conditions"], length
    ) -> tuple[Float[Array, " events"], Bool[Array, " events"]]:
        """For each event 0 with the derivative of the moment at which its condition crossed, and whether it has none.

        `reach` is how far roots were from 0 before.
        """
        if not crossed.size:
            return jnp.zeros(self.conditions.used.shape[0]), jnp.zeros(self.conditions.used.shape[0], bool)
        slope, root = self.slope(y), self.root(y)
        grazes = ~(jnp.abs(slope) * length > GRAZING * (self.size(y) + reach))
        shift = -(root - jax.lax.stop_gradient(root)) / jnp.where(grazes, 1.0, slope)
        shift = jnp.where(crossed & ~grazes, shift, 0.0)
        owner = jnp.argmax(self.conditions.used & crossed[None, :], axis=1)
        return shift[owner], (crossed & grazes)[owner]


__all__ = ["StateEvents"]
