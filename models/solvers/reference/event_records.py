"""Records that a solution with events on the state carries from one moment, and from one stretch, to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ...compiled.model import Model
from .events import Passing, Segment, goes_within

SLOTS = 8  # how often an event that has a delay may be pending at a time


class Due(NamedTuple):
    """In which of a segment's stretches triggers are evaluated: those after the last switch of one moment."""

    due: Bool[Array, " stretches"]
    opening: Bool[Array, " stretches"]  # the stretch with which the course starts
    begin: Float[Array, " stretches"]  # of the segment


class Memory(NamedTuple):
    """The state of conditions and triggers that one stretch passes to the next."""

    root: Float[Array, " conditions"]
    satisfied: Bool[Array, " conditions"]
    triggered: Bool[Array, " events"]  # triggers that were true when they were last evaluated
    latest: Bool[Array, " events"]  # triggers that were true in the stretch before, perhaps within the same moment
    time_shift: Float[Array, " events"]  # 0, with the derivative of the moment at which each became true
    pending: Pending


class Pending(NamedTuple):
    """Events that were triggered and have not acted yet; an event that has a delay may be pending several times."""

    when: Float[Array, "slots events"]  # the event acts then; ∞: the slot is free
    time_shift: Float[Array, "slots events"]  # 0, with the derivative of `when`
    source: Float[Array, "slots events species"]  # the state when the trigger became true

    def due(self, t: Float[Array, ""]) -> Bool[Array, "slots events"]:
        """True for those that act at t."""
        return self.when <= t


class Pass(NamedTuple):
    """A course within a stretch: at time `t`, with `at` the states at the outputs reached so far."""

    t: Float[Array, ""]
    y: Float[Array, " species"]
    satisfied: Bool[Array, " conditions"]
    triggered: Bool[Array, " events"]
    just_crossed: Bool[Array, " conditions"]  # at this moment, and no event has moved the root since
    pending: Pending
    at: Float[Array, "times species"]
    status: Int[Array, ""]
    steps: Int[Array, ""]
    rejected: Int[Array, ""]
    burst: Int[Array, ""]  # moments in a row that lie nearer together than `BURST_GAP` of the stretch


class Found(NamedTuple):
    """The result of a search: the first crossing, or the end if there is none."""

    t: Float[Array, ""]
    y: Float[Array, " species"]
    status: Int[Array, ""]
    steps: Int[Array, ""]
    rejected: Int[Array, ""]


class SolvedStretch(NamedTuple):
    """The result of a solution."""

    saved: Float[Array, "times species"]
    y: Float[Array, " species"]  # the last
    status: Int[Array, ""]
    steps: Int[Array, ""]
    rejected: Int[Array, ""]


class Between(NamedTuple):
    """Solvers: `seek(y, begin, end, has_crossed)` finds the first crossing, `solve(y, begin, end)` saves the course."""

    seek: Callable
    solve: Callable


def due_in(segment: Segment, passing: Passing) -> Due:
    """When triggers are evaluated in one segment."""
    moments, stretches = passing.moments, jnp.arange(passing.switches.shape[0])
    last = jnp.concatenate([moments[1:] != moments[:-1], jnp.ones(min(moments.size, 1), bool)])
    at_begin = stretches == jnp.sum(moments <= segment.begin)
    due = jnp.concatenate([jnp.zeros(1, bool), last & goes_within(moments, segment)]) | at_begin
    begin = jnp.broadcast_to(segment.begin, stretches.shape)
    return Due(due & segment.exists, at_begin & segment.first & segment.exists, begin)


def initial_memory(model: Model, y: Float[Array, " species"]) -> Memory:
    """The memory before a course starts."""
    assert model.events is not None
    assert model.events.conditions is not None
    events, conditions = model.events.conditions.used.shape
    none, slots = jnp.zeros(events, bool), SLOTS if model.events.delays is not None else 1
    zero = jnp.zeros((slots, events), y.dtype)
    return Memory(
        root=jnp.zeros(conditions, y.dtype),
        satisfied=jnp.zeros(conditions, bool),
        triggered=none,
        latest=none,
        time_shift=zero[0],
        pending=Pending(zero + jnp.inf, zero, jnp.broadcast_to(y, (slots, events, y.size))),
    )


def first_pass(y, t, at, status, steps, rejected, memory: Memory) -> Pass:
    """The pass with which a stretch begins."""
    return Pass(
        t=t,
        y=y,
        satisfied=memory.satisfied,
        triggered=memory.triggered,
        just_crossed=jnp.zeros_like(memory.satisfied),
        pending=memory.pending,
        at=at,
        status=status,
        steps=steps,
        rejected=rejected,
        burst=jnp.zeros((), int),
    )


__all__ = [
    "Between",
    "Due",
    "Found",
    "Memory",
    "Pass",
    "Pending",
    "SolvedStretch",
    "due_in",
    "first_pass",
    "initial_memory",
]
