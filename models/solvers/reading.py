"""Rows read from trajectories: by compiled code if their formulas have it, else by JAX."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..compiled.model import Model
from ..compiled.observe import RowGroup, RowReader
from ..compiled.plan import Plan
from .below_zero import reading_atol
from .dispatch import uses_fused
from .fused import cuda
from .fused.codegen.lower import DoesNotCompile, Unsupported
from .fused.engine import threads
from .fused.observables import Group, RowFormulas
from .settings import Settings
from .solution import Solution
from .status import Status

log = logging.getLogger(__name__)


class SolutionReader:
    """Reads means and standard deviations of all rows of `groups` from solutions; each group holds both formulas."""

    def __init__(self, model: Model, plan: Plan, groups: Sequence[RowGroup]):
        self.model, self.plan = model, plan
        self.rows = RowReader(model, plan, groups)

    def __call__(
        self, settings: Settings, values: Float[Array, " names"], solution: Solution
    ) -> tuple[Float[Array, " rows"], Float[Array, " rows"]]:
        """Means and standard deviations in the order of the rows, NaN if a trajectory failed."""
        ok = solution.status == Status.OK
        compiled = self._compiled if uses_fused(self.model, settings) else None
        # A failed trajectory is NaN, and NaN · 0 would spoil XLA's gradient: read 1, and hide it after.
        y = solution.y if compiled is not None and not cuda.devices() else jnp.where(ok[:, None, None], solution.y, 1.0)
        atol = settings.atol
        if self.rows.uses_atol:
            atol = reading_atol(self.model, solution.y, settings.rtol, atol)
        pool = self.rows.pool(values, y, settings.rtol, atol)
        if compiled is not None:
            return compiled(pool, solution.status, threads(settings))
        return self._by_jax(pool, solution.status, reverse=settings.derivative == "reverse")

    def _by_jax(
        self, pool: Float[Array, " pool"], status: Int[Array, " protocols"], *, reverse: bool = True
    ) -> tuple[Float[Array, " rows"], Float[Array, " rows"]]:
        """As `__call__`, of a pool that has 1 for the states of failed trajectories."""
        ok = status[self.rows.protocol] == Status.OK
        mean, sd = self.rows(pool, reverse=reverse)
        return jnp.where(ok, mean, jnp.nan), jnp.where(ok, sd, jnp.nan)

    @cached_property
    def _compiled(self) -> RowFormulas | None:
        """The formulas as compiled code, if all of them have it."""
        groups = []
        for g in self.rows.groups:
            mean, sd = g.group.formulas
            columns = np.array(g.columns, int).reshape(len(g.names), len(g.group.rows))
            groups.append(Group(g.names, mean, sd, columns, g.group.rows))
        try:
            return RowFormulas(groups, self.rows.protocol, len(self.plan.times), self.rows.size, self._by_jax)
        except Unsupported as reason:
            if isinstance(reason, DoesNotCompile):
                log.warning("formulas of %s are read by JAX: they do not compile here: %s", self.model.name, reason)
            return None


__all__ = ["SolutionReader"]
