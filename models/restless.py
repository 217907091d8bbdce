"""Which species keep cells from coming to rest."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .model import Model
from .plan import UNCHANGED, Plan, compile_plan
from .protocol import Protocol
from .settings import Settings
from .status import Status
from .steady_criteria import THRESHOLD
from .steady_state import sought


def restless(model: Model, plan: Plan, settings: Settings, values: Float[Array, " names"]) -> tuple[str, ...]:
    """The species that still change where a pre-equilibration of `plan` comes to no steady state.

    The most restless first; none where each comes to rest, or fails otherwise.
    """
    environment = jnp.concatenate([jnp.asarray(values, float), jnp.asarray(plan.constants, float)])

    timed = bool(model.switches) or model.rhs_depends_on_time
    resting = model.at_rest if timed else model

    def seek(index, start, moment) -> tuple[Array, Array]:
        p = environment[index]
        y0 = jnp.where(start == UNCHANGED, model.initial(p), environment[start])
        return sought(resting, settings, y0, jnp.append(p, moment) if timed else p)

    if not len(plan.equilibration_parameters):
        return ()
    size, status = jax.jit(jax.vmap(seek))(
        plan.equilibration_parameters, plan.equilibration_set, plan.equilibration_moment
    )
    left = np.where((np.asarray(status) == Status.NO_STEADY_STATE)[:, None], np.asarray(size), 0.0).max(axis=0)
    return tuple(model.species[i] for i in np.argsort(-left, kind="stable") if left[i] > THRESHOLD)


def words(names: tuple[str, ...]) -> str:
    """What is to be said of restless species."""
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    change = "changes" if len(names) == 1 else "change"
    return (
        f"pre-equilibration reaches no steady state, since {listed} still {change}: "
        "give what is made a loss, take out of the model what only accumulates, or do not pre-equilibrate"
    )


def no_rest(model: Model, values: Mapping[str, float], protocol: Protocol, settings: Settings) -> str | None:
    """What is to be said of cells that do not come to rest under `protocol`; None where they do."""
    plan = compile_plan(model, [protocol], [[protocol.start]], tuple(values))
    names = restless(model, plan, settings, jnp.array(list(values.values())))
    return words(names) if names else None
