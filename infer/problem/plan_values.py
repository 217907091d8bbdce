"""The values that a plan takes: parameters, formulas of them, and states that pre-equilibrations begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
from jaxtyping import Array, Float

from ...data.dataset import Dataset
from ...models.compiled.codegen import compile_vector
from ...models.compiled.model import Model
from ...models.compiled.plan import compile_plan
from ...models.protocols.protocol import Protocol
from ...models.solvers.dispatch import solve
from ...models.solvers.settings import Settings


class PlanValues:
    """From the values of `names` to those of a plan, `self.names`.

    A pre-equilibration that continues another protocol begins with each state as that protocol leaves it: it is solved
    first, and its states are values like others, so that gradients pass through both.
    """

    def __init__(self, model: Model, dataset: Dataset, names: Sequence[str]):
        self.model = model
        derived = [*dataset.derived.values()]
        self._formulas = compile_vector((tuple(names),), derived) if derived else None
        with_derived = (*names, *dataset.derived)
        self._states = [i for i in range(len(model.species)) if i != model.time_index]
        used = {m.protocol for m in dataset.measurements}
        continued = {n: c for n, c in dataset.continued.items() if n in used}
        self._begun = {n: [f"{model.species[i]} before {n}" for i in self._states] for n in continued}
        self._plan = None
        if continued:
            protocols, times = zip(*continued.values(), strict=True)
            self._plan = compile_plan(model, protocols, [[t] for t in times], with_derived)
        self.names = (*with_derived, *(name for begun in self._begun.values() for name in begun))

    def continuing(self, protocol: Protocol) -> Protocol:
        """The protocol, whose pre-equilibration begins with the states of the one that it continues, if it does."""
        if protocol.name not in self._begun or protocol.preequilibration is None:
            return protocol
        begun = zip((self.model.species[i] for i in self._states), self._begun[protocol.name], strict=True)
        return replace(protocol, preequilibration={**protocol.preequilibration, **dict(begun)})

    def __call__(self, settings: Settings, values: Float[Array, " names"]) -> Float[Array, " more"]:
        """The values of `self.names`; NaN for states of a protocol that fails."""
        if self._formulas is not None:
            values = jnp.concatenate([values, self._formulas(values)])
        if self._plan is None:
            return values
        y = solve(self.model, self._plan, settings, values, small_batch=True).y
        return jnp.concatenate([values, y[:, 0, jnp.array(self._states)].ravel()])


__all__ = ["PlanValues"]
