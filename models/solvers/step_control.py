"""Step size control, the same wherever a trajectory is solved."""

# diffrax keeps the state of a controller private, and its annotations do not say what one that wraps another has.
# pyright: reportIncompatibleMethodOverride=false, reportAssignmentType=false, reportArgumentType=false
# pyright: reportReturnType=false
from __future__ import annotations

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ..compiled.domain import CLUTTER, NOISE, TOLERATED
from ..compiled.model import Model


def error_norm(error: Float[Array, " species"]) -> Float[Array, ""]:
    """Root mean square; ∞ where it is not finite.

    A step into the undefined is then a rejection with the smallest factor. A NaN would become the next step's size.
    """
    size = jnp.sqrt(jnp.mean(error**2))
    return jnp.where(jnp.isfinite(size), size, jnp.inf)


class Controller(diffrax.PIDController):
    """Refuses, beside steps with too large an error, those that no solution takes.

    - To a state at which a rate holds a root or real power of a negative number.
    - To a concentration below 0 that is driven upwards at 0: by more than the solver's error, or over a pole of the
      rates, behind which it is driven further down. Where the rates do take a concentration below 0, they may.

    After a refusal, a step shorter than `tiny` is taken where its error is rounding beside the largest species: so
    steps come past a moment at which a condition on the state goes.

    A solve that ends since all steps are refused for such a reason, or for an error that is not finite, has another
    result than one whose steps became too small.
    """

    model: Model | None = eqx.field(static=True, default=None)
    tiny: Float[Array, ""] | None = None

    def init(self, terms, t0, t1, y0, dt0, args, func, error_order):
        next_t1, state = super().init(terms, t0, t1, y0, dt0, args, func, error_order)
        free = jnp.zeros(y0.shape, bool) if self.model is None else self._below(y0, jnp.abs(y0))
        return next_t1, (state, jax.lax.stop_gradient(free), jnp.array(False))

    def adapt_step_size(self, t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state):
        inner, free, refused_last = controller_state
        if self.tiny is not None:
            y_error = self._error_in_judging_units(y_error, y0, y1_candidate, refused_last & (t1 - t0 < self.tiny))
        if self.model is not None:
            ends = jax.lax.stop_gradient((y0, y1_candidate, args))
            refused, free = self._refused(*ends, free)
            y_error = jnp.where(refused | self._undefined(ends[0], args) | self._undefined(*ends[1:]), jnp.inf, y_error)
        keep, begin, end, jump, inner, result = super().adapt_step_size(
            t0, t1, y0, y1_candidate, args, y_error, error_order, inner
        )
        lost = ~jnp.all(jnp.isfinite(y_error)) & (result == diffrax.RESULTS.dt_min_reached)
        result = diffrax.RESULTS.where(lost, diffrax.RESULTS.nonlinear_divergence, result)
        return keep, begin, end, jump, (inner, free, ~keep), result

    def _error_in_judging_units(self, y_error, y0, y1, short: Bool[Array, ""]) -> Float[Array, " species"]:
        """The error in units in which `_judging_atol` is the absolute tolerance, of a step that is `short`."""
        y0, y1 = jax.lax.stop_gradient((y0, y1))
        relative = self.rtol * jnp.maximum(jnp.abs(y0), jnp.abs(y1))
        return jnp.where(short, (self.atol + relative) / (self._judging_atol(y0) + relative), 1.0) * y_error

    def _undefined(self, y: Float[Array, " species"], p: Float[Array, " parameters"]) -> Bool[Array, ""]:
        if self.model is None or self.model.defined is None:
            return jnp.array(False)
        rtol = jax.lax.stop_gradient(jnp.asarray(self.rtol, y.dtype))
        return jnp.any(self.model.defined(y, p, rtol[None], self._judging_atol(y)) < 0)

    def _judging_atol(self, y: Float[Array, " species"]) -> Float[Array, " species"]:
        """Absolute tolerances that y is judged by: no finer than what rounding makes of the largest species."""
        time = -1 if self.model is None or self.model.time_index is None else self.model.time_index
        largest = jnp.max(jnp.where(np.arange(y.size) == time, 0.0, jnp.abs(y)))
        atol = jnp.maximum(jnp.asarray(self.atol, y.dtype), CLUTTER * largest)
        return jax.lax.stop_gradient(jnp.broadcast_to(atol, y.shape))

    def _below(self, y: Float[Array, " species"], size: Float[Array, " species"]) -> Bool[Array, " species"]:
        """Which concentrations lie below 0 by more than the solver's error."""
        assert self.model is not None
        kind = np.isin(self.model.species, self.model.nonnegative)
        return kind & (y < -TOLERATED * (self._judging_atol(size) + self.rtol * size))

    def _refused(self, y0, y1, p, free) -> tuple[Bool[Array, ""], Bool[Array, " species"]]:
        assert self.model is not None
        if not self.model.nonnegative:
            return jnp.array(False), free
        watched = np.isin(self.model.species, self.model.nonnegative) & ~free
        low = self._below(y1, jnp.maximum(jnp.abs(y0), jnp.abs(y1))) & (y1 < y0) & watched
        over = (y1 < -NOISE * self._judging_atol(y0)) & (y0 >= 0) & watched
        ends = jnp.stack([jnp.where(low | over, 0.0, y1), y1])
        at_0, there = jax.vmap(self.model.rhs, in_axes=(0, None))(ends, p)
        wrong = (low | (over & (there < 0))) & ~(at_0 < 0)
        return jnp.any(wrong), free | (low & (at_0 < 0))


def controller(
    rtol: float | Float[Array, ""],
    atol: float | Float[Array, ""] | Float[Array, " species"],
    *,
    shortest: float | Float[Array, ""],
    longest: Float[Array, ""] | None = None,
    tiny: Float[Array, ""] | None = None,
    model: Model | None = None,
) -> Controller:
    """Steps between `shortest` and `longest`; a solve that would need shorter ones ends there.

    `tiny`: see `Controller`. Given the `model` that is solved, steps that none of its solutions takes are refused.
    """
    return Controller(
        rtol=rtol, atol=atol, dtmin=shortest, dtmax=longest, force_dtmin=False, norm=error_norm, model=model, tiny=tiny
    )
