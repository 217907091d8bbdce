"""From where pre-equilibrations start, and under which parameter values: the same for every engine."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .model import Model
from .plan import UNCHANGED, Plan


class Equilibrations(NamedTuple):
    """The pre-equilibrations of a plan; `p` ends with the moment at which timed inputs are read, if there are any.

    `model` is the model without its own time: its timed inputs stand as they do just before the protocol starts.
    """

    model: Model
    y0: Float[Array, "equilibrations species"]
    p: Float[Array, "equilibrations parameters"]


def equilibrations_of(model: Model, plan: Plan, environment: Float[Array, " values"]) -> Equilibrations:
    """The pre-equilibrations of `plan`, from its `environment`: the values of its names, then its constants."""
    p = environment[plan.equilibration_parameters]
    y0 = jax.vmap(model.initial)(p)
    y0 = jnp.where(plan.equilibration_set == UNCHANGED, y0, environment[plan.equilibration_set])
    if not model.timed:
        return Equilibrations(model, y0, p)
    moment = jnp.asarray(plan.equilibration_moment, environment.dtype)
    return Equilibrations(model.for_steady_state, y0, jnp.concatenate([p, moment[:, None]], axis=1))


__all__ = ["Equilibrations", "equilibrations_of"]
