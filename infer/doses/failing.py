"""Experiments that fail as a whole are told by their first trajectories, with the reason and the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from ...models.below_zero import judged_by
from ...models.model import Model
from ...models.protocol import Protocol, Step, Value
from ...models.settings import Settings
from ...models.simulate import simulate
from ...models.status import Status
from ...models.steady_criteria import STRICTEST, THRESHOLD
from ..failures import count_kinds
from .amounts import model_unit

_HORIZONS = (1e7, 1e5, 1e3)  # at which what still changes is looked for; the longest that can be solved
_NAMED = 4  # species, of those that change most


class AllFailedError(RuntimeError):
    """Every trajectory that was tried failed."""


class NeverAtRestError(AllFailedError):
    """Cells were to come to rest first, and never do."""


def check_first(
    model: Model,
    parameters: Mapping[str, np.ndarray],
    protocols: Sequence[Protocol],
    status: Int[np.ndarray, "draws protocols"],
    settings: Settings,
) -> None:
    """Judges the first draws of an experiment, of which `parameters` has the values of one.

    Raises `NeverAtRestError`, naming what goes on changing, where the cells of a condition never come to rest in any
    draw, and `AllFailedError` with the reasons where no trajectory succeeds.
    """
    labels = np.array([q.name for q in protocols])
    restless = status == Status.NO_STEADY_STATE
    for label in dict.fromkeys(labels.tolist()):
        if np.all(restless[:, labels == label]):
            one = protocols[int(np.flatnonzero(labels == label)[0])]
            raise NeverAtRestError(_never(model, parameters, one, settings, label if len(set(labels)) > 1 else ""))
    if np.all(status != Status.OK):
        kinds = count_kinds(status)
        sentences = "; ".join(Status[k.upper()].sentence for k in kinds)
        listed = ", ".join(f"{n} {k}" for k, n in kinds.items())
        raise AllFailedError(
            f"all of the first {status.size} simulations of {model.name} failed ({listed}): {sentences}. Nothing more "
            "was simulated"
        )


def _never(model: Model, parameters: Mapping[str, np.ndarray], protocol: Protocol, settings: Settings, label) -> str:
    moving = still_moving(model, parameters, protocol.preequilibration or {}, settings)
    of = f" of condition {label!r}" if label else ""
    start = "let them start from the model's initial values instead (preequilibrate=False)"
    if not moving:
        return f"the cells{of} never come to rest before the experiment: {start}"
    first = next(iter(moving))
    changing = ", ".join(f"{n} by {v:.2g} {model_unit(model, n)} per unit of time" for n, v in moving.items())
    cure = f"let the model remove {first}" if moving[first] > 0 else f"let the model make {first}"
    return (
        f"the cells{of} never come to rest before the experiment, for {', '.join(moving)} would go on changing without "
        f"end ({changing}): {start}, or {cure}"
    )


def still_moving(
    model: Model, parameters: Mapping[str, np.ndarray], rest: Mapping[str, Value], settings: Settings
) -> dict[str, float]:
    """Species that are not at rest after a very long time under the values `rest`, and their rates.

    By the criterion of pre-equilibration, the most restless first; empty where no such course can be solved.
    """
    steps = (Step(0.0, assign=dict(rest)),) if rest else ()
    protocol = Protocol("rest", None, steps)
    used = {n: float(v) for n, v in parameters.items() if n in model.parameters or n in protocol.references}
    for horizon in _HORIZONS:
        found = simulate(model, used, protocol, [horizon], settings=replace(settings, max_steps=20_000))
        if int(found.status[0]) == Status.OK:
            break
    else:
        return {}
    at = {n: used[v] if isinstance(v, str) else v for n, v in rest.items()}
    values = dict(zip(model.parameters, model.defaults, strict=True)) | used | at
    y = found.y[0, 0]
    p = jnp.array([values[n] for n in model.parameters])
    timed = bool(model.switches) or model.rhs_depends_on_time
    rate = np.array(model.at_rest.rhs(y, jnp.append(p, 0.0)) if timed else model.rhs(y, p))
    if model.time_index is not None:
        rate[model.time_index] = 0.0
    atol = float(judged_by(model, np.asarray(y)[None], settings.rtol)) if settings.atol is None else settings.atol
    unrest = np.abs(rate) / (atol + min(settings.rtol, STRICTEST) * np.abs(np.asarray(y)))
    order = [i for i in np.argsort(-unrest) if unrest[i] > THRESHOLD][:_NAMED]
    return {model.species[i]: float(rate[i]) for i in order}


__all__ = ["AllFailedError", "NeverAtRestError", "check_first", "still_moving"]
