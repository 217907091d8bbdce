"""Events of one segment: in which of its stretches which act, and what they make of the state."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ...compiled.events import Events
from ...compiled.model import Model


class Segment(NamedTuple):
    """From when to when a segment lasts; what goes at its end belongs to it if it is `closed`."""

    begin: Float[Array, ""]
    stop: Float[Array, ""]
    closed: Bool[Array, ""]
    exists: Bool[Array, ""]  # False: an empty one behind the protocol's end
    first: Bool[Array, ""]


class Passing(NamedTuple):
    """The switches of a segment in the order in which they go; row j of `switches`: the first j have gone."""

    moments: Float[Array, " passing"]  # NaN: never
    delay: Float[Array, " stretches"]  # 0, with the derivative of the moment at which the stretch begins
    switches: Float[Array, "stretches passing"]


class Acting(NamedTuple):
    """Which events act at the beginning of each stretch; `delay` is 0, with the derivative of when they do."""

    acts: Bool[Array, "stretches events"]
    delay: Float[Array, "stretches events"]


def segments_of(start: Float[Array, " segments"], stop: Float[Array, " segments"]) -> Segment:
    """The segments of a protocol, those behind its end too."""
    following = jnp.concatenate([start[1:], jnp.full(1, jnp.inf)])
    first = jnp.arange(start.size) == 0
    return Segment(jnp.minimum(start, stop), stop, following > stop, start < jnp.inf, first)


def goes_within(moments: Float[Array, " passing"], segment: Segment) -> Bool[Array, " passing"]:
    """Switches that go in a segment: from its begin on, and at its end if it is closed."""
    return (moments >= segment.begin) & ((moments < segment.stop) | (segment.closed & (moments == segment.stop)))


def shows_before(model: Model, p: Float[Array, " parameters"], segment: Segment) -> Bool[Array, " stretches"]:
    """Whether outputs at the end of each stretch show the state before the events there.

    They do if the triggers of all that act are false at that moment itself, and true only later, as time > T is. Of
    conditions on the state it is not known ahead whether they hold then: all are taken to, or none.
    """
    events = model.events
    assert events is not None
    assert events.instants is not None
    assert model.switch_times is not None
    times = jax.lax.stop_gradient(model.switch_times(p))
    moments = jnp.sort(times)
    gone, goes = times[None, :] < moments[:, None], times[None, :] == moments[:, None]
    opens = (segment.first & (moments == segment.begin))[:, None]
    early, late = jnp.zeros(moments.shape, bool), jnp.zeros(moments.shape, bool)
    for held in (0.0, 1.0) if events.by_state else (0.0,):
        conditions = (jnp.full(events.conditions.used.shape[1], held),) if events.conditions is not None else ()
        was, now, then = (
            jax.vmap(lambda s, f=f, fixed=conditions: f(p, s, *fixed))(jnp.where(goes, x, gone.astype(p.dtype))) > 0.5
            for f, x in ((events.triggers, 0.0), (events.instants, 0.5), (events.triggers, 1.0))
        )
        started = (events.at_start(p, segment.begin[None], *conditions) > 0.5)[None, :]
        early |= jnp.any(jnp.where(opens, started & ~events.initially_true, ~was & now), axis=1)
        late |= jnp.any(jnp.where(opens, ~started & then, ~was & then), axis=1)
    return jnp.concatenate([late & ~early & goes_within(moments, segment), jnp.zeros(1, bool)])


def acting(model: Model, p: Float[Array, " parameters"], segment: Segment, passing: Passing) -> Acting:
    """An event acts after the last of the switches that go at one moment, if these made its trigger true."""
    events = model.events
    assert events is not None
    moments, stretches = passing.moments, jnp.arange(passing.switches.shape[0])
    holds = jax.vmap(lambda s: events.triggers(p, s))(passing.switches) > 0.5
    before = jnp.sum(moments[None, :] < moments[:, None], axis=1)  # the row just before each moment
    last = jnp.concatenate([moments[1:] != moments[:-1], jnp.ones(min(moments.size, 1), bool)])
    rises = ~holds[before] & holds[1:] & (last & goes_within(moments, segment))[:, None]
    acts = jnp.concatenate([jnp.zeros_like(holds[:1]), rises])

    started = events.at_start(p, segment.begin[None]) > 0.5
    at_start = jnp.sum(moments <= segment.begin)  # the row just after the start
    starts = (started & ~events.initially_true) | (~started & holds[at_start])
    acts = jnp.where((segment.first & (stretches == at_start))[:, None], starts, acts)
    acts &= segment.exists
    # The switch whose passing made it true, of those at one moment.
    rose = jnp.concatenate([jnp.zeros_like(holds[:1]), ~holds[:-1] & holds[1:]])
    owner = jax.lax.cummax(jnp.where(rose, stretches[:, None], 0), axis=0)
    return Acting(acts, jnp.where(acts, passing.delay[owner], 0.0))


def after_events(
    model: Model,
    y: Float[Array, " species"],
    p: Float[Array, " parameters"],
    switches: Float[Array, " switches"],
    acts: Bool[Array, " events"],
    delay: Float[Array, " events"],
) -> Float[Array, " species"]:
    """The state after the events of one moment. One that comes later by dT comes to a state that is f dT further."""
    events = model.events
    assert events is not None
    if events.priorities is not None:
        return _after_ranked(model, y, p, switches, acts, delay)

    def after(e: int, source: Array, y: Array) -> Array:
        return _set_by(events, e, acts[e], source, y, p, switches)

    course = [y]
    for e, whole in enumerate(events.before_all):
        course.append(after(e, y if whole else course[-1], course[-1]))
    rates = _rates(model, jnp.stack(course), p, switches)
    first = y
    for e, whole in enumerate(events.before_all):
        y = y + delay[e] * rates[e]
        y = after(e, first + delay[e] * rates[0] if whole else y, y) - delay[e] * rates[e + 1]
    return y


def _after_ranked(model: Model, first: Array, p: Array, switches: Array, acts: Array, delay: Array) -> Array:
    """As `after_events`: of the events that are left, that with the largest priority in the present state is next."""
    events = model.events
    assert events is not None
    assert events.priorities is not None
    priorities, numbers = events.priorities, jnp.arange(acts.size)

    def rates(y: Array) -> Array:
        return _rates(model, y[None], p, switches)[0]

    def one(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        y, left = carry
        rank = jax.lax.stop_gradient(priorities(y, p, switches))
        chosen = left & (numbers == jnp.argmax(jnp.where(left, rank, -jnp.inf)))
        after = y
        for e, whole in enumerate(events.before_all):
            further = y + delay[e] * rates(y)
            source = first + delay[e] * rates(first) if whole else further
            later = _set_by(events, e, chosen[e], source, further, p, switches)
            after = jnp.where(chosen[e], later - delay[e] * rates(later), after)
        return (after, left & ~chosen), None

    return jax.lax.scan(one, (first, acts), None, length=acts.size)[0][0]


def _set_by(events: Events, e: int, acts: Array, source: Array, y: Array, p: Array, switches: Array) -> Array:
    """The state after event e, if it `acts`."""
    values = events.values[e](*(jnp.where(acts, x, 1.0) for x in (source, y)), p, switches)
    return jnp.where(acts, y.at[events.targets[e]].set(values), y)


def _rates(model: Model, states: Float[Array, "states species"], p: Array, switches: Array) -> Array:
    """Without derivative; 0 if they are not finite."""
    fixed = (p, switches) if model.switches else (p,)
    rates = jax.lax.stop_gradient(jax.vmap(lambda y: model.rhs(y, *fixed))(states))
    return jnp.where(jnp.isfinite(rates), rates, 0.0)
