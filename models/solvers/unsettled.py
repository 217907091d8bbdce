"""Why cells reach no steady state, or none that is known: the species by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..compiled.equilibrations import equilibrations_of
from ..compiled.model import Model
from ..compiled.plan import Plan, compile_plan
from ..listing import listed
from ..protocols.protocol import Protocol
from .placement import placed
from .settings import Settings
from .status import Status
from .steady_criteria import THRESHOLD


class Unsettled(NamedTuple):
    """Species that pre-equilibration leaves unsettled.

    - `still_changing`: those that still change at the end of the search for a steady state, with their rates per unit
      of time; the largest residual first
    - `lost`: those whose steady state depends on the path
    """

    still_changing: dict[str, float]
    lost: tuple[str, ...]

    def sentences(self) -> list[str]:
        """Sentences that name them, with the way out."""
        found = []
        if self.still_changing:
            change = "changes" if len(self.still_changing) == 1 else "change"
            found.append(
                f"pre-equilibration reaches no steady state, since {listed(self.still_changing)} still {change}: "
                "let the model remove what it makes, leave out species that only accumulate, grow or oscillate, or do "
                "not pre-equilibrate"
            )
        if self.lost:
            found.append(
                f"the steady state of {listed(self.lost)} depends on the path from the initial values, which "
                "pre-equilibration does not solve exactly: take it out of the model, or let the protocol "
                "start earlier instead of pre-equilibrating, as Protocol(start=-1000) does"
            )
        return found


def find_unsettled(model: Model, plan: Plan, settings: Settings, values: Float[Array, " names"]) -> Unsettled:
    """The species that pre-equilibrations of `plan` leave unsettled; none if each reaches its steady state."""
    from .reference.steady_state import search_steady_state  # brings diffrax

    if not len(plan.equilibration_parameters):
        return Unsettled({}, ())
    equilibrations = equilibrations_of(
        model, plan, jnp.concatenate([jnp.asarray(values, float), jnp.asarray(plan.constants, float)])
    )
    with placed(len(equilibrations.y0), settings):
        search = jax.jit(jax.vmap(partial(search_steady_state, equilibrations.model, settings)))(
            equilibrations.y0, equilibrations.p
        )
    failed = np.asarray(search.status) != Status.OK
    residuals = np.where(failed[:, None], np.nan_to_num(np.asarray(search.residuals), nan=np.inf), 0.0)
    first, most = residuals.argmax(axis=0), residuals.max(axis=0)
    order = [i for i in np.argsort(-most, kind="stable") if most[i] > THRESHOLD]
    lost = np.flatnonzero(np.any(np.asarray(search.lost), axis=0))
    return Unsettled(
        {model.species[i]: float(search.rates[first[i], i]) for i in order}, tuple(model.species[i] for i in lost)
    )


def find_unsettled_under(
    model: Model, values: Mapping[str, float], protocol: Protocol, settings: Settings
) -> Unsettled:
    """`find_unsettled` of the cells of one protocol, with the model's own values where none are given."""
    plan = compile_plan(model, [protocol], [[protocol.start]], tuple(values))
    return find_unsettled(model, plan, settings, jnp.array(list(values.values())))


__all__ = ["Unsettled", "find_unsettled", "find_unsettled_under"]
