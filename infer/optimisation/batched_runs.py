"""Runs of hexamer's L-BFGS side by side: each asks for one point, and one batched evaluation answers all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ...models.solvers.placement import on
from .lbfgs import Minimiser
from .starts import Starts
from .stopping import Limits


def run_batched(starts: Starts, evaluate: Callable[..., Any], limits: Limits, lanes: int, device: Any) -> None:
    """Keeps `lanes` runs going on one device until no start is left.

    `evaluate` gives ((objectives, statuses), gradients) of lanes × parameters.
    """
    running: list[tuple[int, Minimiser, np.ndarray] | None] = [None] * lanes
    while not starts.stopped:
        for lane in range(lanes):
            if running[lane] is None and (entry := starts.next()):
                running[lane] = entry[0], Minimiser(entry[1], limits), entry[1]
        active = [r for r in running if r is not None]
        if not active:
            return
        # Empty lanes repeat a live one: the shape, and with it the compiled function, stays.
        points = np.array([(r or active[0])[1].trial for r in running])
        with on(device):
            (values, statuses), gradients = evaluate(jax.device_put(points, device))
        values, statuses, gradients = np.asarray(values), np.asarray(statuses), np.asarray(gradients)
        for lane, entry in enumerate(running):
            if entry is None:
                continue
            index, run, start = entry
            starts.count(int(statuses[lane]), points[lane])
            run.advance(float(values[lane]), gradients[lane])
            if run.reason:
                running[lane] = None
                starts.finish(index, run, start)
