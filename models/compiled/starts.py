"""Start values and constants that are not finite numbers, by name: why a trajectory fails before its first step."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..listing import listed
from ..protocols.protocol import Protocol
from .model import Model
from .plan import UNCHANGED, Plan, compile_plan

_NAMED = 4  # at most


def unsound_starts(model: Model, plan: Plan, values: Float[Array, " names"]) -> list[str]:
    """Sentences on volumes, parameters and start values that no trajectory of `plan` can begin with."""
    environment = jnp.concatenate([jnp.asarray(values, float), jnp.asarray(plan.constants, float)])
    rested = plan.equilibration_of >= 0
    p = environment[np.concatenate([plan.parameters[~rested, 0], plan.equilibration_parameters])]
    assigned = np.concatenate([plan.assign[~rested, 0], plan.equilibration_set])
    y = np.where(assigned == UNCHANGED, jax.vmap(model.initial)(p), np.asarray(environment)[assigned])
    volumes = np.asarray(jax.vmap(model.volumes)(p))
    bad = {n: v for n, v in _named(model.parameters, np.asarray(p)).items() if n not in model.unused}
    if bad:
        return [f"{_listed(bad)}; expected finite numbers"]
    small = [n for n, v in zip(model.species, volumes.T, strict=True) if not np.all(v > 0)]
    if small:
        return [f"the compartment of {', '.join(small[:_NAMED])} has no volume above 0"]
    bad = _named(model.species, y)
    if not bad:
        return []
    way_out = "give a number in the model, or set it at the start of the protocol"
    return [f"at the start {_listed(bad)}: {way_out}"]


def unsound_starts_under(model: Model, values: Mapping[str, float], protocol: Protocol) -> list[str]:
    """`unsound_starts` of one protocol, with the model's own values where none are given."""
    plan = compile_plan(model, [protocol], [[protocol.start]], tuple(values))
    return unsound_starts(model, plan, jnp.array(list(values.values()), float))


def _named(names: tuple[str, ...], values: np.ndarray) -> dict[str, float]:
    """The first value that is not finite of each name that has one."""
    wrong = ~np.isfinite(values)
    return {n: float(values[wrong[:, i].argmax(), i]) for i, n in enumerate(names) if wrong[:, i].any()}


def _listed(bad: Mapping[str, float]) -> str:
    said = [f"{n} is {'not a number' if np.isnan(v) else f'{v:g}'}" for n, v in bad.items()]
    return listed(said, _NAMED)


__all__ = ["unsound_starts", "unsound_starts_under"]
