"""Which species keep cells from coming to rest."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .model import Model
from .plan import Plan, compile_plan
from .protocol import Protocol
from .rests import rests_of
from .settings import Settings
from .status import Status
from .steady_criteria import THRESHOLD
from .steady_state import sought


def restless(model: Model, plan: Plan, settings: Settings, values: Float[Array, " names"]) -> dict[str, float]:
    """The species that still change where a pre-equilibration of `plan` comes to no steady state.

    Each with its rate of change where the search ends, per unit of time; the most restless first. Empty where each
    pre-equilibration comes to rest, or fails otherwise.
    """
    if not len(plan.equilibration_parameters):
        return {}
    rests = rests_of(model, plan, jnp.concatenate([jnp.asarray(values, float), jnp.asarray(plan.constants, float)]))
    found = jax.jit(jax.vmap(partial(sought, rests.model, settings)))(rests.y0, rests.p)
    failed = np.asarray(found.status) == Status.NO_STEADY_STATE
    unrest = np.where(failed[:, None], np.asarray(found.unrest), 0.0)
    first, most = unrest.argmax(axis=0), unrest.max(axis=0)
    order = [i for i in np.argsort(-most, kind="stable") if most[i] > THRESHOLD]
    return {model.species[i]: float(found.rates[first[i], i]) for i in order}


def restless_under(
    model: Model, values: Mapping[str, float], protocol: Protocol, settings: Settings
) -> dict[str, float]:
    """`restless` of the cells of one protocol, with the model's own values where none are given."""
    plan = compile_plan(model, [protocol], [[protocol.start]], tuple(values))
    return restless(model, plan, settings, jnp.array(list(values.values())))


def words(names: Mapping[str, float]) -> str:
    """The sentence that names restless species."""
    listed = ", ".join([*names][:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    change = "changes" if len(names) == 1 else "change"
    return (
        f"pre-equilibration reaches no steady state, since {listed} still {change}: "
        "give what is made a loss, take out of the model what only accumulates, or do not pre-equilibrate"
    )


__all__ = ["restless", "restless_under", "words"]
