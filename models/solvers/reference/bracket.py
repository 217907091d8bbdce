"""The first moment after a sign has changed, by bisection to rounding."""

# optimistix does not say what its states hold.
# pyright: reportIncompatibleMethodOverride=false, reportAttributeAccessIssue=false
from __future__ import annotations

import jax.numpy as jnp
import optimistix


class Bracket(optimistix.Bisection):
    """Of a function that is above 0 before and below 0 after; where it stands matters alone, not how large it is."""

    flip: bool = True  # pyright: ignore[reportIncompatibleVariableOverride]

    def terminate(self, fn, y, args, options, state, tags):
        width, whole = state.upper - state.lower, options["upper"] - options["lower"]
        eps = jnp.finfo(width.dtype).eps
        return width <= 2 * eps * (jnp.abs(state.upper) + jnp.abs(whole)), optimistix.RESULTS.successful

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        return state.upper, aux, {}


__all__ = ["Bracket"]
