"""The HTML form of optimisation runs, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from ... import html
from ...models.listing import listed
from ..problem.problem import Problem
from .optima import Optimum


def fits_form(
    title: str,
    problem: Problem,
    best: Float[np.ndarray, " parameters"],
    optima: Sequence[Optimum],
    objective: Float[np.ndarray, " fits"],
    reason: Sequence[str],
    iterations: Int[np.ndarray, " fits"],
    evaluations: Int[np.ndarray, " fits"],
    notes: Sequence[str],
) -> str:
    """The optima, the parameters of the best fit, whose z is `best`, and all runs, best first."""
    names, units = problem.space.names, {p.name: p.unit for p in problem.space.parameters}
    values = dict(zip(problem.names, np.asarray(problem.values(best)).tolist(), strict=True))

    def optimum(o: Optimum) -> tuple[object, ...]:
        undetermined = listed(names[i] for i in o.spread())
        return o.rank + 1, o.objective, o.objective - objective[0], len(o.members), undetermined

    def run(i: int) -> tuple[object, ...]:
        return i + 1, objective[i], reason[i], iterations[i], evaluations[i]

    places = html.table(("rank", "objective", "above the best", "starts", "not determined"), optima, optimum)
    fit = html.table(("parameter", "value", "unit"), names, lambda n: (n, values[n], units[n]))
    runs = html.table(("rank", "objective", "ended by", "iterations", "evaluations"), range(len(reason)), run)
    return html.form(
        title,
        html.section("distinct optima within 20 nats of the best", places, unfolded=True),
        html.section("the best fit", fit, unfolded=True),
        html.section("all starts", runs),
        html.bullets(notes),
    )


__all__ = ["fits_form"]
