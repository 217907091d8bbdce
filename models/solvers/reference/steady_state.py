"""Pre-equilibration: the steady state that a start runs into, and its derivative by implicit differentiation.

At a steady state the Jacobian is singular wherever a moiety is conserved. The reduced system replaces the rows of
the dependent species by the moieties' totals, which the start state sets:

    G(y; y₀, p) = [ f_i(y, p) for independent i ;  L (w(p) ∘ (y − y₀)) ] = 0,    dy = −G_y⁻¹ (G_y₀ dy₀ + G_p dp)

G_y may be singular still: what is lost in complexes alone with a partner that is absent (soluble receptor without its
ligand) stays as it was, though no moiety says so. A left null vector l of the independent rows of f is then one more
conserved sum, l·(y − y₀) = 0. That holds if no species in it moved before the steady state was reached; if one did, its
value there depends on the path, which is not solved exactly, and the status is `PATH_DEPENDENT`.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ...compiled.model import Model
from ..scale import estimated_scales, floors, smallest
from ..settings import Settings, Tolerances
from ..status import Status
from ..steady_criteria import (
    DRIFT,
    HORIZON,
    NEWTON_ITERATIONS,
    ON_THE_WAY_RTOL,
    SINGULAR,
    STRICTEST,
    THRESHOLD,
)
from ..step_control import controller
from .rodas5p import Rodas5P


class SteadyState(NamedTuple):
    y: Float[Array, " species"]
    status: Int[Array, ""]
    steps: Int[Array, ""]
    scale: Float[Array, " species"]  # see `hexamer.models.solvers.scale`; 1 if the absolute tolerance is given


class _Tolerances(NamedTuple):
    """Of the steady state, and of the integration towards it; absolute tolerances per species."""

    rtol: Float[Array, ""]
    atol: Float[Array, " species"]
    rtol_on_the_way: Float[Array, ""]
    atol_on_the_way: Float[Array, " species"]


def _tolerances(settings: Settings, tolerances: Tolerances | None, scale) -> _Tolerances:
    rtol, atol = (None if x is None else jnp.asarray(x) for x in tolerances or (settings.rtol, settings.atol))
    assert rtol is not None
    loose = jnp.maximum(rtol, ON_THE_WAY_RTOL)
    if atol is None:
        return _Tolerances(rtol, floors(rtol, scale), loose, floors(loose, scale))
    return _Tolerances(rtol, jnp.full_like(scale, atol), loose, jnp.full_like(scale, atol))


def steady_state_residual(model: Model, tolerances: _Tolerances, y, p) -> Float[Array, ""]:
    """Largest |f_i| per unit of time, in units of the solve's tolerance; a time state is left out.

    The largest, not a mean, which would hide one growing species among many; and relative to `STRICTEST` at most, or a
    species made at a constant rate would seem to be in steady state once it is large.
    """
    return jnp.max(_species_residuals(tolerances, y, _rates(model, y, p)))


def _residual_but_rounding(model: Model, tolerances: _Tolerances, y, p) -> Float[Array, ""]:
    """The same without what rounding makes of a rate that is a difference of large ones: four half-ulps of |J| |y|."""
    rounding = 2 * jnp.finfo(y.dtype).eps * jnp.abs(model.jacobian(y, p)) @ jnp.abs(y)
    excess = jnp.maximum(jnp.abs(_rates(model, y, p)) - rounding, 0.0)
    return jnp.max(_species_residuals(tolerances, y, excess))


def _rates(model: Model, y, p) -> Float[Array, " species"]:
    """The rate of change of each species; 0 for a time state."""
    f = model.rhs(y, p)
    return f if model.time_index is None else f.at[model.time_index].set(0.0)


def _species_residuals(tolerances: _Tolerances, y, rates) -> Float[Array, " species"]:
    return jnp.abs(rates) / (tolerances.atol + jnp.minimum(tolerances.rtol, STRICTEST) * jnp.abs(y))


def _reduced(model: Model, y, y0, p, constant) -> Float[Array, " species"]:
    """G of the module's head; a species that nothing changes (`constant`) keeps its start value."""
    g = jnp.where(constant, y - y0, model.rhs(y, p))
    if len(model.dependent):
        totals = model.conserved(p) @ (y - y0)
        g = g.at[np.array(model.dependent)].set(totals)
    return g


def _linearised(model: Model, y, p) -> tuple[Float[Array, "species species"], Array]:
    jacobian = model.jacobian(y, p)
    constant = jnp.all(jacobian == 0, axis=1)
    matrix = jnp.where(constant[:, None], jnp.eye(y.size, dtype=y.dtype), jacobian)
    if len(model.dependent):
        matrix = matrix.at[np.array(model.dependent)].set(model.conserved(p))
    return matrix, constant


def _integrate(model: Model, settings: Settings, tolerances: _Tolerances, y0, p):
    def reached(t, y, args, **_):
        return steady_state_residual(model, tolerances, y, args) <= THRESHOLD

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, p: model.rhs(y, p)),
        Rodas5P(model.rhs, model.jacobian, reverse=False),
        t0=0.0,
        t1=HORIZON,
        dt0=None,
        y0=y0,
        args=p,
        stepsize_controller=controller(
            tolerances.rtol_on_the_way, tolerances.atol_on_the_way, shortest=1e-12, model=model
        ),
        event=diffrax.Event(reached),
        adjoint=diffrax.ForwardMode(),
        max_steps=settings.max_steps,
        throw=False,
    )
    assert solution.ys is not None
    y = solution.ys[-1]
    finite = jnp.all(jnp.isfinite(y))
    at_horizon = finite & (solution.result == diffrax.RESULTS.successful)
    as_steady_as_can_be = _residual_but_rounding(model, tolerances, jnp.where(finite, y, 1.0), p) <= THRESHOLD
    arrived = (finite & (solution.result == diffrax.RESULTS.event_occurred)) | (at_horizon & as_steady_as_can_be)
    status = jnp.select(
        [
            arrived,
            ~finite,
            solution.result == diffrax.RESULTS.max_steps_reached,
            solution.result == diffrax.RESULTS.dt_min_reached,
        ],
        [Status.OK, Status.NOT_FINITE, Status.TOO_MANY_STEPS, Status.STEP_TOO_SMALL],
        Status.NO_STEADY_STATE,
    )
    return y, status, solution.stats["num_steps"]


class Search(NamedTuple):
    """The end of a search for the steady state: residual and rate of change of each species, and the search's status.

    `lost` are the species whose state there depends on the path.
    """

    residuals: Float[Array, " species"]
    rates: Float[Array, " species"]
    lost: Bool[Array, " species"]
    status: Int[Array, ""]


def search_steady_state(model: Model, settings: Settings, y0, p) -> Search:
    """The end of the search for a steady state from y0, reached or not."""
    effective = _tolerances(settings, None, _scale_of(model, settings, None, y0, p))
    y, status, _ = _integrate(model, settings, effective, y0, p)
    rates = _rates(model, y, p)
    lost = (status == Status.OK) & _path_dependent(model, effective, jnp.where(status == Status.OK, y, 1.0), y0, p)
    return Search(_species_residuals(effective, y, rates), rates, lost, status)


def _scale_of(model: Model, settings: Settings, tolerances: Tolerances | None, y0, p) -> Float[Array, " species"]:
    if (settings.atol if tolerances is None else tolerances.atol) is not None:
        return jnp.ones_like(y0)
    return estimated_scales(model, smallest(y0), y0, p, HORIZON)[0]


def _polish(model: Model, tolerances: _Tolerances, y, y0, p) -> Float[Array, " species"]:
    """Newton on the reduced system; its result counts only if finite, non-negative, near, and no worse."""
    polished = y
    for _ in range(NEWTON_ITERATIONS):
        matrix, constant = _linearised(model, polished, p)
        polished = polished - jnp.linalg.solve(matrix, _reduced(model, polished, y0, p, constant))
    near = jnp.abs(polished - y) <= 1e-2 * jnp.abs(y) + 1e3 * tolerances.atol
    good = jnp.isfinite(polished) & near & (polished >= jnp.minimum(y, 0.0) - tolerances.atol)
    better = _residual_but_rounding(model, tolerances, polished, p) <= THRESHOLD
    return jnp.where(jnp.all(good) & better, polished, y)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def solve_steady_state(
    model: Model,
    settings: Settings,
    y0: Float[Array, " species"],
    p: Float[Array, " parameters"],
    tolerances: Tolerances | None = None,
) -> SteadyState:
    """The state that `y0` runs into under `p`, with a status; differentiable in both, forward and reverse.

    Integrated with error control until the residual is below `THRESHOLD` at the solve's tolerances, so that of several
    steady states the right one is found, then polished by Newton. Raises `ValueError` for a model whose f depends on
    time. `tolerances` replace those of `settings`, and have no derivative.
    """
    if model.rhs_depends_on_time:
        raise ValueError(
            f"model {model.name!r} depends on time explicitly, so it has no steady state to pre-equilibrate to"
        )
    scale = _scale_of(model, settings, tolerances, y0, p)
    effective = _tolerances(settings, tolerances, scale)
    y, status, steps = _integrate(model, settings, effective, y0, p)
    if model.time_index is not None:
        y = y.at[model.time_index].set(y0[model.time_index])
    safe = jnp.where(status == Status.OK, y, 1.0)
    y = jnp.where(status == Status.OK, _polish(model, effective, safe, y0, p), y)
    lost = jnp.any(_path_dependent(model, effective, jnp.where(status == Status.OK, y, 1.0), y0, p))
    return SteadyState(y, jnp.where((status == Status.OK) & lost, Status.PATH_DEPENDENT, status), steps, scale)


@solve_steady_state.defjvp
def _steady_state_jvp(model: Model, settings: Settings, primals, tangents):
    y0, p, tolerances = primals
    dy0, dp, _ = tangents
    steady = solve_steady_state(model, settings, y0, p, tolerances)
    ok = steady.status == Status.OK
    y = jnp.where(ok, steady.y, 1.0)
    matrix, constant = _linearised(model, y, p)
    _, dg = jax.jvp(lambda y0, p: _reduced(model, y, y0, p, constant), (y0, p), (dy0, dp))
    eye = jnp.eye(y.size, dtype=y.dtype)
    effective = _tolerances(settings, tolerances, steady.scale)
    sums = _conserved_in_steady_state(model, matrix, effective.atol + jnp.abs(y), constant, p)
    dy = -_solve(sums, jnp.where(ok, matrix, eye), jnp.where(ok, dg, 0.0), dy0)
    zero: Any = np.zeros((), dtype=jax.dtypes.float0)
    return steady, SteadyState(dy, zero, zero, jnp.zeros_like(steady.scale))


class _Sums(NamedTuple):
    """Sums of species that are conserved in steady state without being moieties: `conserved @ (y / size)`.

    Rows of 0 stand for none. `singular`: true if there are any, so that the reduced matrix has no inverse.
    """

    conserved: Float[Array, "free species"]
    size: Float[Array, " species"]
    singular: Bool[Array, ""]


def _conserved_in_steady_state(model: Model, matrix, size, constant, p) -> _Sums:
    """The left null vectors of the Jacobian of the free species, the dependent ones following from the moieties.

    Each species in units of its `size`, so that entries are rates. Rates too slow to act before `HORIZON` count as 0.
    """
    count = size.shape[0]
    dependent = np.array(model.dependent, dtype=int)
    free = np.setdiff1d(np.arange(count), dependent)
    jacobian = jnp.where(constant[None, :], 0.0, matrix)
    reduced = jacobian[np.ix_(free, free)]
    if len(dependent):
        sums = model.conserved(p)
        of_dependent = sums[np.arange(len(dependent)), dependent]
        follows = sums[:, free] / jnp.where(of_dependent == 0, jnp.inf, of_dependent)[:, None]
        reduced = reduced - jacobian[np.ix_(free, dependent)] @ follows
    rates = jnp.where(constant[free][:, None], jnp.eye(free.size), reduced * size[free][None, :] / size[free][:, None])
    left, spread, _ = jnp.linalg.svd(rates, full_matrices=False)
    slow = spread < SINGULAR
    conserved = jnp.zeros((free.size, count)).at[:, free].set(jnp.where(slow[None, :], left, 0.0).T)
    return _Sums(conserved, size, jnp.any(slow))


def _path_dependent(model: Model, tolerances: _Tolerances, y, y0, p) -> Bool[Array, " species"]:
    """The species whose steady state, y, depends on the path: they moved, and nothing determines where they end."""
    matrix, constant = _linearised(model, y, p)
    sums = _conserved_in_steady_state(model, matrix, tolerances.atol + jnp.abs(y), constant, p)
    moved, allowed = jnp.abs(y - y0), tolerances.atol_on_the_way + DRIFT * jnp.abs(y)
    weight = jnp.abs(sums.conserved) / sums.size[None, :]
    lost = weight @ moved > weight @ allowed
    keeps_start = constant.at[np.array(model.dependent, dtype=int)].set(False)
    if model.time_index is not None:
        keeps_start = keeps_start.at[model.time_index].set(False)
    return (keeps_start & (moved > allowed)) | jnp.any(lost[:, None] & (jnp.abs(sums.conserved) > 1e-6), axis=0)


def _solve(sums: _Sums, matrix, right, dy0) -> Float[Array, " species"]:
    """x of matrix · x = right and l · x = −l · dy0 for each sum l that nothing changes."""
    scaled = matrix * sums.size[None, :]
    longest = jnp.max(jnp.abs(scaled), axis=1)
    longest = jnp.where(longest > 0, longest, 1.0)
    rows = jnp.concatenate([scaled / longest[:, None], sums.conserved])
    x, *_ = jnp.linalg.lstsq(rows, jnp.concatenate([right / longest, -sums.conserved @ (dy0 / sums.size)]))
    square = jnp.linalg.solve(jnp.where(sums.singular, jnp.eye(right.size), matrix), right)
    return jnp.where(sums.singular, x * sums.size, square)
