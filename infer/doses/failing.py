"""Stops an experiment if all of its first trajectories fail, with the reason and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from ...errors import HexamerError
from ...models.compiled.model import Model
from ...models.protocols.protocol import Protocol
from ...models.solvers.settings import Settings
from ...models.solvers.status import Status
from ...models.solvers.unsettled import find_unsettled_under
from ...moved import rename_names
from ..problem.failures import count_kinds
from .amounts import model_unit

_NAMED = 4  # species, of those that change most


class AllFailedError(HexamerError, RuntimeError):
    """Every trajectory that was tried failed."""


class NoSteadyStateError(AllFailedError):
    """Cells were to start in steady state, and never reach one."""


def check_first(
    model: Model,
    parameters: Mapping[str, np.ndarray | np.floating],
    protocols: Sequence[Protocol],
    status: Int[np.ndarray, "draws protocols"],
    settings: Settings,
) -> None:
    """Judges the first draws of an experiment, of which `parameters` has the values of one.

    Raises `NoSteadyStateError`, naming the species that keep changing, if cells of a condition reach a steady state in
    no draw, and `AllFailedError` with the reasons if no trajectory succeeds.
    """
    labels = np.array([q.name for q in protocols])
    unsteady = status == Status.NO_STEADY_STATE
    for label in dict.fromkeys(labels.tolist()):
        if np.all(unsteady[:, labels == label]):
            one = protocols[int(np.flatnonzero(labels == label)[0])]
            raise NoSteadyStateError(
                _describe_unsteady(model, parameters, one, settings, label if len(set(labels)) > 1 else "")
            )
    if np.all(status != Status.OK):
        kinds = count_kinds(status)
        sentences = "; ".join(Status.sentences(kinds))
        listed = ", ".join(f"{n} {k}" for k, n in kinds.items())
        raise AllFailedError(
            f"all of the first {status.size} simulations of {model.name} failed ({listed}): {sentences}. Nothing more "
            "was simulated"
        )


def _describe_unsteady(
    model: Model, parameters: Mapping[str, np.ndarray | np.floating], protocol: Protocol, settings: Settings, label
) -> str:
    used = {n: float(v) for n, v in parameters.items() if n in model.parameters or n in protocol.references}
    rates = find_unsettled_under(model, used, protocol, settings).still_changing
    moving = {n: rates[n] for n in [*rates][:_NAMED]}
    of = f" of condition {label!r}" if label else ""
    start = "let them start from the model's initial values instead (preequilibrate=False)"
    if not moving:
        return f"the cells{of} never reach a steady state before the experiment: {start}"
    first = next(iter(moving))
    changing = ", ".join(f"{n} by {v:.2g} {model_unit(model, n)} per unit of time" for n, v in moving.items())
    cure = f"let the model remove {first}" if moving[first] > 0 else f"let the model make {first}"
    return (
        f"the cells{of} never reach a steady state before the experiment, for {', '.join(moving)} would keep changing "
        f"without end ({changing}): {start}, or {cure}"
    )


__all__ = ["AllFailedError", "NoSteadyStateError", "check_first"]

__getattr__ = rename_names(__name__, {"NeverAtRestError": "infer.doses.failing.NoSteadyStateError"})
