"""Where the cells of a plan start to come to rest, and under which values: the same for every engine."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .model import Model
from .plan import UNCHANGED, Plan


class Rests(NamedTuple):
    """The pre-equilibrations of a plan; `p` ends with the moment at which timed inputs are read, where there are any.

    `model` is the model without its own time: its timed inputs stand as they do just before the protocol starts.
    """

    model: Model
    y0: Float[Array, "rests species"]
    p: Float[Array, "rests parameters"]


def rests_of(model: Model, plan: Plan, environment: Float[Array, " values"]) -> Rests:
    """The pre-equilibrations of `plan`, from its `environment`: the values of its names, then its constants."""
    p = environment[plan.equilibration_parameters]
    y0 = jax.vmap(model.initial)(p)
    y0 = jnp.where(plan.equilibration_set == UNCHANGED, y0, environment[plan.equilibration_set])
    if not model.timed:
        return Rests(model, y0, p)
    moment = jnp.asarray(plan.equilibration_moment, environment.dtype)
    return Rests(model.at_rest, y0, jnp.concatenate([p, moment[:, None]], axis=1))


__all__ = ["Rests", "rests_of"]
