"""The reference engine: trajectories by diffrax, differentiable in reverse or forward mode, wherever JAX runs."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .model import Model
from .plan import UNCHANGED, Plan
from .rodas5p import Rodas5P
from .scale import filled, floors, smallest
from .settings import Settings, Tolerances
from .solution import Solution
from .status import Status
from .steady_state import steady_state
from .step_control import controller

CHECKPOINTS = 512  # steps kept for the way back; a longer course recomputes some


class _Course(NamedTuple):
    """What one trajectory is solved from."""

    y0: Float[Array, " species"]
    p: Float[Array, "segments parameters"]
    assign: Float[Array, "segments species"]
    add: Float[Array, "segments species"]
    scale: Float[Array, " species"]  # see `hexamer.models.scale`


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
    own, sensible = _own(settings, tolerances, values.dtype)
    environment = jnp.concatenate([values, jnp.asarray(plan.constants, values.dtype)])
    p = environment[plan.parameters]
    first = jax.vmap(model.initial)(p[:, 0])
    status = jnp.zeros(len(plan.protocols), int)
    steps = jnp.zeros(len(plan.protocols), int)
    add, assign = environment[plan.add], jnp.where(plan.assign == UNCHANGED, 0.0, environment[plan.assign])
    start = first
    if len(plan.equilibration_parameters):
        p_eq = environment[plan.equilibration_parameters]
        at_start = jax.vmap(model.initial)(p_eq)
        at_start = jnp.where(plan.equilibration_set == UNCHANGED, at_start, environment[plan.equilibration_set])
        rest = jax.vmap(partial(steady_state, model, settings), in_axes=(0, 0, None))(at_start, p_eq, own)
        uses = plan.equilibration_of >= 0
        which = plan.equilibration_of.clip(0)
        status = jnp.where(uses, rest.status[which], status)
        # Without a steady state the time course is solved from the model's initial values, and not shown.
        first = jnp.where((uses & (status == Status.OK))[:, None], rest.y[which], first)
        steps = jnp.where(uses, rest.steps[which], steps)
        gone = uses[:, None] & (jnp.abs(first) <= floors(own.rtol, rest.scale[which]))
        start = jnp.where(gone, 0.0, first)
    scale = jax.lax.stop_gradient(jax.vmap(smallest)(start, add, assign))
    course = _Course(first, p, environment[plan.assign], add, scale)
    run = partial(_guarded if settings.derivative == "reverse" else _course, model, settings)
    # Behind a barrier, since XLA's simplifier runs in circles on these constants.
    fixed = jax.lax.optimization_barrier(
        tuple(map(jnp.asarray, (plan.assign != UNCHANGED, plan.start, plan.stop, plan.times, plan.segment)))
    )
    y, outcome, taken, rejected = jax.vmap(partial(run, own))(course, *fixed)
    status = jnp.where(status == Status.OK, outcome, status)
    status = jnp.where(sensible, status, Status.NOT_FINITE)
    y = jnp.where((status == Status.OK)[:, None, None], y, jnp.nan)
    return Solution(y, status, steps + taken, rejected)


def _own(settings: Settings, tolerances: Tolerances | None, dtype) -> tuple[Tolerances, Bool[Array, ""]]:
    """Tolerances that make sense, and whether those given do."""
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
    """One trajectory, segment by segment; no step crosses a boundary."""
    count = course.p.shape[0]

    def one(carry, segment_of):
        y, scale, at, status, steps, rejected = carry
        number, p, assign, add, assigned, start, stop = segment_of
        y = jnp.where(assigned, assign, y) + add
        empty = stop <= start
        begin = jnp.minimum(start, stop)
        end = jnp.where(empty, begin + 1e-6, stop)  # an empty segment is solved for nothing, briefly
        own = tolerances
        if own.atol is None:
            here, known = filled(model, scale, *jax.lax.stop_gradient((y, p)), end - begin)
            own, scale = Tolerances(own.rtol, floors(own.rtol, here)), jnp.where(empty, scale, known)
        saved, last, outcome, taken, refused = _segment(
            model, settings, own, y, p, begin, end, jnp.clip(times, begin, end), last=count > 1
        )
        at = jnp.where((segment == number)[:, None], jnp.where(empty, y, saved), at)
        y = jnp.where(empty, y, last)
        status = jnp.where((status == Status.OK) & ~empty, outcome, status)
        return (y, scale, at, status, steps + taken, rejected + refused), None

    zero = jnp.zeros((), int)
    carry = (course.y0, course.scale, jnp.zeros((times.size, course.y0.size), course.y0.dtype), zero, zero, zero)
    segments = (jnp.arange(count), course.p, course.assign, course.add, assigned, start, stop)
    if count == 1:
        carry, _ = one(carry, jax.tree.map(lambda x: x[0], segments))
    else:
        carry, _ = jax.lax.scan(one, carry, segments)
    _, _, at, status, steps, rejected = carry
    finite = jnp.all(jnp.isfinite(at))
    return at, jnp.where((status == Status.OK) & ~finite, Status.NOT_FINITE, status), steps, rejected


def _segment(model: Model, settings: Settings, tolerances: Tolerances, y, p, begin, end, times, *, last: bool):
    length = end - begin
    reverse = settings.derivative == "reverse"
    solver = {
        "rodas5p": lambda: Rodas5P(model.rhs, model.jacobian, reverse),
        "kvaerno5": diffrax.Kvaerno5,
        "kvaerno3": diffrax.Kvaerno3,
        "tsit5": diffrax.Tsit5,
    }[settings.solver]()
    steps = controller(settings.rtol, 1.0, shortest=1e-12 * length, longest=settings.longest_step * length)
    steps = eqx.tree_at(lambda c: (c.rtol, c.atol), steps, tuple(tolerances))
    save = [diffrax.SubSaveAt(ts=times), *([diffrax.SubSaveAt(t1=True)] if last else [])]
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, p: model.rhs(y, p)),
        solver,
        t0=begin,
        t1=end,
        dt0=None,
        y0=y,
        args=p,
        saveat=diffrax.SaveAt(subs=save),
        stepsize_controller=steps,
        adjoint=diffrax.RecursiveCheckpointAdjoint(checkpoints=min(settings.max_steps, CHECKPOINTS))
        if reverse
        else diffrax.ForwardMode(),
        max_steps=settings.max_steps,
        throw=False,
    )
    assert solution.ys is not None
    saved = solution.ys[0]
    result = solution.result
    status = jnp.select(
        [
            result == diffrax.RESULTS.successful,
            result == diffrax.RESULTS.max_steps_reached,
            result == diffrax.RESULTS.dt_min_reached,
        ],
        [Status.OK, Status.TOO_MANY_STEPS, Status.STEP_TOO_SMALL],
        Status.NOT_FINITE,
    )
    stats = solution.stats
    return saved, solution.ys[1][0] if last else y, status, stats["num_steps"], stats["num_rejected_steps"]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _guarded(
    model: Model, settings: Settings, tolerances: Tolerances, course: _Course, assigned, start, stop, times, segment
):
    """`_course`, whose failed trajectory has a zero gradient, not a NaN that would spoil the whole batch's."""
    return _course(model, settings, tolerances, course, assigned, start, stop, times, segment)


def _guarded_forward(model, settings, tolerances, course, *fixed):
    def f(course):
        y, *rest = _course(model, settings, tolerances, course, *fixed)
        return y, tuple(rest)

    y, pull, rest = jax.vjp(f, course, has_aux=True)
    return (y, *rest), (pull, rest[0])


def _guarded_backward(model, settings, residuals, cotangents):
    pull, status = residuals
    ok = status == Status.OK
    (bar,) = pull(jnp.where(ok, cotangents[0], 0.0))
    bar = jax.tree.map(lambda x: jnp.where(ok, x, jnp.zeros_like(x)), bar)
    return (None, bar, None, None, None, None, None)


_guarded.defvjp(_guarded_forward, _guarded_backward)
