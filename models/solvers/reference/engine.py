"""The reference engine: trajectories by diffrax, differentiable in reverse or forward mode, wherever JAX runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ...compiled.equilibrations import equilibrations_of
from ...compiled.model import Model
from ...compiled.plan import UNCHANGED, Plan
from ...compiled.resize import with_ratios
from ..scale import estimated_scales, floors, smallest
from ..settings import Settings, Tolerances
from ..solution import Solution
from ..status import Status
from ..step_control import controller
from ..step_limits import SHORTEST, TINY
from .bracket import Bracket
from .event_records import Between, Due, due_in, first_pass, initial_memory
from .events import Acting, Passing, Segment, acting, after_events, goes_within, segments_of, shows_before
from .rodas5p import Rodas5P
from .state_events import StateEvents
from .steady_state import solve_steady_state

CHECKPOINTS = 512  # steps kept for the adjoint pass; a longer course recomputes some


class _Course(NamedTuple):
    """What one trajectory is solved from."""

    y0: Float[Array, " species"]
    p: Float[Array, "segments parameters"]
    assign: Float[Array, "segments species"]
    add: Float[Array, "segments species"]
    ratio: Float[Array, "segments species"]  # of volumes, where a compartment is resized
    scale: Float[Array, " species"]  # see `hexamer.models.solvers.scale`


class _Stretches(NamedTuple):
    """The parts of a segment between the moments at which its switches go, in order; some may be empty."""

    begin: Float[Array, " stretches"]
    end: Float[Array, " stretches"]
    switches: Float[Array, "stretches switches"]
    before: Float[Array, "stretches switches"]  # those of the stretch before
    delay: Float[Array, " stretches"]  # 0, with the derivative of the moment at which the stretch begins
    acting: Acting | Due  # the events at which each begins


def solve(
    model: Model,
    plan: Plan,
    settings: Settings,
    values: Float[Array, " names"],
    *,
    tolerances: Tolerances | None = None,
) -> Solution:
    """Solves all protocols of `plan` for one vector of `values` (in the order of `plan.names`).

    `tolerances` stand in for those of `settings`. Where they make no sense, everything fails as `Status.NOT_FINITE`.
    """
    effective, sensible = _effective_tolerances(settings, tolerances, values.dtype)
    environment = jnp.concatenate([values, jnp.asarray(plan.constants, values.dtype)])
    environment = with_ratios(model, plan.resizes, environment)
    p = environment[plan.parameters]
    first = jax.vmap(model.initial)(p[:, 0])
    status = jnp.zeros(len(plan.protocols), int)
    steps = jnp.zeros(len(plan.protocols), int)
    add, assign = environment[plan.add], jnp.where(plan.assign == UNCHANGED, 0.0, environment[plan.assign])
    start = first
    if len(plan.equilibration_parameters):
        equilibrations = equilibrations_of(model, plan, environment)
        seek = partial(solve_steady_state, equilibrations.model, settings)
        steady = jax.vmap(seek, in_axes=(0, 0, None))(equilibrations.y0, equilibrations.p, effective)
        uses = plan.equilibration_of >= 0
        which = plan.equilibration_of.clip(0)
        status = jnp.where(uses, steady.status[which], status)
        # Without a steady state the time course is solved from the model's initial values, and not shown.
        first = jnp.where((uses & (status == Status.OK))[:, None], steady.y[which], first)
        steps = jnp.where(uses, steady.steps[which], steps)
        gone = uses[:, None] & (jnp.abs(first) <= floors(effective.rtol, steady.scale[which]))
        start = jnp.where(gone, 0.0, first)
    ratio = jnp.where(plan.scale == UNCHANGED, 1.0, environment[plan.scale])
    scale = jax.lax.stop_gradient(jax.vmap(smallest)(start, add, assign))
    course = _Course(first, p, environment[plan.assign], add, ratio, scale)
    run = partial(_guarded if settings.derivative == "reverse" else _course, model, settings)
    # Behind a barrier, since XLA's simplifier runs in circles on these constants.
    fixed = jax.lax.optimization_barrier(
        tuple(map(jnp.asarray, (plan.assign != UNCHANGED, plan.start, plan.stop, plan.times, plan.segment)))
    )
    y, outcome, taken, rejected = jax.vmap(partial(run, effective))(course, *fixed)
    status = jnp.where(status == Status.OK, outcome, status)
    status = jnp.where(sensible, status, Status.NOT_FINITE)
    y = jnp.where((status == Status.OK)[:, None, None], y, jnp.nan)
    return Solution(y, status, steps + taken, rejected)


def _effective_tolerances(
    settings: Settings, tolerances: Tolerances | None, dtype
) -> tuple[Tolerances, Bool[Array, ""]]:
    """Tolerances that make sense, and whether the requested ones do."""
    rtol, atol = (None if x is None else jnp.asarray(x, dtype) for x in tolerances or (settings.rtol, settings.atol))
    assert rtol is not None
    sensible = (rtol > 0) & (rtol < 1)
    if atol is not None:
        sensible &= (atol > 0) & (atol < jnp.inf)
        atol = jnp.where(sensible, atol, 1.0)
    return Tolerances(jnp.where(sensible, rtol, settings.rtol), atol), sensible


def _course(
    model: Model, settings: Settings, tolerances: Tolerances, course: _Course, assigned, start, stop, times, segment
):
    """One trajectory, segment by segment and stretch by stretch; no step crosses a boundary."""
    count = course.p.shape[0]
    segments = segments_of(start, stop)
    stretches = jax.vmap(partial(_stretches, model))(course.p, segments)
    each = stretches.begin.shape[1]
    segment = segment * each + _inside(model, course.p, segments, stretches.end, times, segment).clip(0, each - 1)
    within = model.between_switches if model.switches else model
    by_state = model.events is not None and model.events.by_state

    def one(carry, part):
        y, scale, at, status, steps, rejected, *recalled = carry
        number, p, assign, add, ratio, assigned, (begin, stop, switches, before, delay, events) = part
        y = jnp.where(assigned, assign, y * ratio) + add
        if model.switches:
            y = y + delay * jax.lax.stop_gradient(model.rhs(y, p, before) - model.rhs(y, p, switches))
        if model.events is not None and not by_state:
            y = after_events(model, y, p, switches, *events)
        empty = stop <= begin
        end = jnp.where(empty, begin + 1e-6, stop)  # an empty stretch is solved for nothing, briefly
        effective, fixed = tolerances, (p, switches) if model.switches else p
        if effective.atol is None:
            here, known = estimated_scales(within, scale, *jax.lax.stop_gradient((y, fixed)), end - begin)
            effective, scale = Tolerances(effective.rtol, floors(effective.rtol, here)), jnp.where(empty, scale, known)
        if by_state:
            here = segment == number
            acting = StateEvents(model, p, switches, reverse=settings.derivative == "reverse")
            memory, full = acting.at_begin(recalled[0], y, begin, delay, events, number)
            between = Between(
                partial(_until, within, settings, effective, fixed),
                lambda y, a, b: _segment(within, settings, effective, y, fixed, a, b, jnp.clip(times, a, b), last=True),
            )
            status = jnp.where((status == Status.OK) & full, Status.TOO_MANY_EVENTS, status)
            now = first_pass(y, begin, at, status, steps, rejected, memory)
            now, memory = acting.run(between, memory, now, stop, times, here)
            return (now.y, scale, now.at, now.status, now.steps, now.rejected, memory), None
        saved, last, outcome, taken, refused = _segment(
            within,
            settings,
            effective,
            y,
            fixed,
            begin,
            end,
            jnp.clip(times, begin, end),
            last=count * each > 1,
        )
        at = jnp.where((segment == number)[:, None], jnp.where(empty, y, saved), at)
        y = jnp.where(empty, y, last)
        status = jnp.where((status == Status.OK) & ~empty, outcome, status)
        return (y, scale, at, status, steps + taken, rejected + refused), None

    zero = jnp.zeros((), int)
    carry = (course.y0, course.scale, jnp.zeros((times.size, course.y0.size), course.y0.dtype), zero, zero, zero)
    carry = (*carry, initial_memory(model, course.y0)) if by_state else carry
    # What a step of the protocol changes, it changes at the start of the first stretch of its segment.
    first = (np.arange(count * each) % each == 0)[:, None]
    of_segment = (course.p, course.assign, course.add, course.ratio, assigned)
    p, assign, add, ratio, assigned = (jnp.repeat(x, each, axis=0) for x in of_segment)
    add, ratio = jnp.where(first, add, 0.0), jnp.where(first, ratio, 1.0)
    flat = jax.tree.map(lambda x: x.reshape(count * each, *x.shape[2:]), stretches)
    parts = (jnp.arange(count * each), p, assign, add, ratio, assigned & first, tuple(flat))
    if count * each == 1:
        carry, _ = one(carry, jax.tree.map(lambda x: x[0], parts))
    else:
        carry, _ = jax.lax.scan(one, carry, parts)
    _, _, at, status, steps, rejected, *_ = carry
    if model.time_index is not None:  # to the last digit: what is observed may compare it with a moment
        at = at.at[:, model.time_index].set(times)
    finite = jnp.all(jnp.isfinite(at))
    return at, jnp.where((status == Status.OK) & ~finite, Status.NOT_FINITE, status), steps, rejected


def _inside(
    model: Model,
    p: Float[Array, "segments parameters"],
    segments: Segment,
    ends: Float[Array, "segments stretches"],
    times: Float[Array, " times"],
    segment: Int[Array, " times"],
) -> Int[Array, " times"]:
    """In which stretch of its segment each output lies.

    At a boundary it lies in the one that ends there, unless an event may act then and the output shows what it leaves.
    """
    ends = ends[segment]
    if model.events is None:
        return jnp.sum(ends < times[:, None], axis=1)
    if model.events.instants is None:
        return jnp.sum(ends <= times[:, None], axis=1)
    before = jax.vmap(partial(shows_before, model))(p, segments)[segment]
    over = (ends < times[:, None]) | ((ends == times[:, None]) & ~before)
    return jnp.sum(jnp.cumprod(over, axis=1), axis=1)


def _stretches(model: Model, p: Float[Array, " parameters"], segment: Segment) -> _Stretches:
    """One segment, split where its switches go."""
    begin, stop = segment.begin, segment.stop
    if not model.switches:
        none, instant = jnp.zeros((1, 0)), jnp.zeros(1)
        events = _events(model, p, segment, Passing(jnp.zeros(0), instant, none))
        return _Stretches(begin[None], stop[None], none, none, instant, events)
    assert model.switch_times is not None
    moments = model.switch_times(p)
    fixed = jax.lax.stop_gradient(moments)
    order = jnp.argsort(fixed)  # those without a moment, NaN, come last
    sorted_moments, fixed = moments[order], fixed[order]
    # A switch at a boundary belongs to the segment that begins there: its derivative is that of going later.
    inside = (fixed >= begin) & (fixed < stop) if model.events is None else goes_within(fixed, segment)
    bounds = jnp.clip(jnp.where(jnp.isnan(fixed), jnp.inf, fixed), begin, stop)
    # Row j: the first j switches have gone.
    rank = jnp.argsort(order)
    switches = (rank[None, :] < jnp.arange(model.switches + 1)[:, None]).astype(p.dtype)
    delay = jnp.where(inside, jnp.where(inside, sorted_moments, 0.0) - jnp.where(inside, fixed, 0.0), 0.0)
    delay = jnp.concatenate([jnp.zeros(1), delay])
    return _Stretches(
        jnp.concatenate([begin[None], bounds]),
        jnp.concatenate([bounds, stop[None]]),
        switches,
        jnp.concatenate([switches[:1], switches[:-1]]),
        delay,
        _events(model, p, segment, Passing(fixed, delay, switches)),
    )


def _events(model: Model, p: Float[Array, " parameters"], segment: Segment, passing: Passing) -> Acting | Due:
    if model.events is not None and model.events.by_state:
        return due_in(segment, passing)
    if model.events is not None:
        return acting(model, p, segment, passing)
    none = (len(passing.switches), 0)
    return Acting(jnp.zeros(none, bool), jnp.zeros(none))


def _until(model: Model, settings: Settings, tolerances: Tolerances, p, y, begin, end, has_crossed: Callable):
    """When `has_crossed(y)` is first true for one of its entries, and the state then; without derivatives."""
    y, p, begin, end = jax.lax.stop_gradient((y, p, begin, end))
    tolerances = jax.lax.stop_gradient(tolerances)
    event = diffrax.Event(
        lambda t, y, args, **_: jnp.where(jnp.any(has_crossed(y)), -1.0, 1.0), Bracket(rtol=0.0, atol=0.0)
    )
    solution = _integrate(model, settings, tolerances, y, p, begin, end, diffrax.SaveAt(t1=True), event)
    assert solution.ts is not None
    assert solution.ys is not None
    found = solution.ts[-1], solution.ys[-1], _outcome(solution.result)
    found = (*found, solution.stats["num_steps"], solution.stats["num_rejected_steps"])
    return jax.lax.stop_gradient(found)


def _segment(model: Model, settings: Settings, tolerances: Tolerances, y, p, begin, end, times, *, last: bool):
    save = [diffrax.SubSaveAt(ts=times), *([diffrax.SubSaveAt(t1=True)] if last else [])]
    solution = _integrate(model, settings, tolerances, y, p, begin, end, diffrax.SaveAt(subs=save))
    assert solution.ys is not None
    saved, stats = solution.ys[0], solution.stats
    status = _outcome(solution.result)
    return saved, solution.ys[1][0] if last else y, status, stats["num_steps"], stats["num_rejected_steps"]


def _outcome(result):
    return jnp.select(
        [
            (result == diffrax.RESULTS.successful) | (result == diffrax.RESULTS.event_occurred),
            result == diffrax.RESULTS.max_steps_reached,
            result == diffrax.RESULTS.dt_min_reached,
        ],
        [Status.OK, Status.TOO_MANY_STEPS, Status.STEP_TOO_SMALL],
        Status.NOT_FINITE,
    )


def _integrate(model: Model, settings: Settings, tolerances: Tolerances, y, p, begin, end, save, event=None):
    length = end - begin
    reverse = settings.derivative == "reverse"
    solver = settings.diffrax.method or Rodas5P(model.rhs, model.jacobian, reverse)
    limits = {"shortest": SHORTEST * length, "longest": settings.longest_step * length, "tiny": TINY * length}
    steps = controller(settings.rtol, 1.0, **limits, model=model)
    steps = eqx.tree_at(lambda c: (c.rtol, c.atol), steps, tuple(tolerances))
    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, p: model.rhs(y, p)),
        solver,
        t0=begin,
        t1=end,
        dt0=None,
        y0=y,
        args=p,
        saveat=save,
        event=event,
        stepsize_controller=steps,
        adjoint=diffrax.RecursiveCheckpointAdjoint(checkpoints=min(settings.max_steps, CHECKPOINTS))
        if reverse
        else diffrax.ForwardMode(),
        max_steps=settings.max_steps,
        throw=False,
    )


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _guarded(
    model: Model, settings: Settings, tolerances: Tolerances, course: _Course, assigned, start, stop, times, segment
):
    """`_course`, whose failed trajectory has a zero gradient, not a NaN that would spoil the whole batch's."""
    return _course(model, settings, tolerances, course, assigned, start, stop, times, segment)


def _guarded_forward(model, settings, tolerances, course, *fixed):
    def f(course):
        y, *results = _course(model, settings, tolerances, course, *fixed)
        return y, tuple(results)

    y, pull, results = jax.vjp(f, course, has_aux=True)
    return (y, *results), (pull, results[0])


def _guarded_backward(model, settings, residuals, cotangents):
    pull, status = residuals
    ok = status == Status.OK
    (bar,) = pull(jnp.where(ok, cotangents[0], 0.0))
    bar = jax.tree.map(lambda x: jnp.where(ok, x, jnp.zeros_like(x)), bar)
    return (None, bar, None, None, None, None, None)


_guarded.defvjp(_guarded_forward, _guarded_backward)
