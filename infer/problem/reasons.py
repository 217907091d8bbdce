"""Why a density is not finite, or has no derivative, at given parameter values: sentences on the simulations."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Array, Float

from ...models.compiled.starts import unsound_starts
from ...models.listing import listed
from ...models.solvers.settings import Settings
from ...models.solvers.status import Status
from ...models.solvers.unsettled import find_unsettled
from .readout import Assays


def why_not_solved(
    assays: Assays, settings: Settings, failed: Collection[str], vector: Float[Array, " names"]
) -> tuple[str, ...]:
    """Start values that are not numbers, else the species that never settle; empty if neither is so.

    `failed` are labels of `Status`, `vector` all parameters in their units, in the order of `Problem.names`.
    """
    if not failed:
        return ()
    values = assays.of_plan(settings, vector)
    starts = unsound_starts(assays.model, assays.plan, values) if Status.NOT_FINITE.label in failed else ()
    if starts:
        return tuple(starts)
    if not len(assays.plan.equilibration_parameters):
        return ()
    return tuple(find_unsettled(assays.model, assays.plan, settings, values).sentences())


def without_derivative(names: Sequence[str], slopes: Float[np.ndarray, " names"]) -> tuple[str, ...]:
    """A sentence on the parameters by which a finite likelihood has no finite derivative; empty if there are none."""
    undefined = [n for n, slope in zip(names, slopes, strict=True) if not np.isfinite(slope)]
    if not undefined:
        return ()
    return (
        f"the likelihood is finite, but not its derivative by {listed(undefined)}: look for a root or power at 0 in "
        "the formulas",
    )


__all__ = ["why_not_solved", "without_derivative"]
