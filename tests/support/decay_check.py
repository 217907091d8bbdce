"""A decay in closed form for checks of calibration: a limit of detection, and a scale that is integrated out."""

from __future__ import annotations

from typing import Any

import sympy

from hexamer import Model, Problem, Protocol
from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior, direct
from support.closed_form import with_closed_form

TIMES = (0.5, 1.0, 2.0, 3.0, 4.0)


def data(*, times: tuple[float, ...] = TIMES, limit: float | None = 0.4, noise: float | None = None) -> Dataset:
    """Readings of A, one more of them below a limit, and of a gel, whose scale can be integrated out.

    `noise` fixes its standard deviation.
    """
    a, sd, s = sympy.symbols("A noise scale")
    observables = {
        "A_abs": direct("A_abs", "A", sd="noise"),
        "gel": Observable("gel", s * a, sd, ("scale",), scale="log"),
    }
    rows = [Measurement("A_abs", "rest", t, 1.0) for t in times]
    if limit is not None:
        rows.append(Measurement("A_abs", "rest", 4.0, limit, censored="left"))
    rows += [Measurement("gel", "rest", t, 1.0, ("scale_1",)) for t in times]
    parameters = [
        Parameter("k", Prior("normal", "log", -0.7, 0.5), 0.5),
        Parameter("a0", Prior("uniform", "lin", lower=0.5, upper=4.0), 2.0, scale="log"),
        Parameter("noise", Prior("half_normal", spread=0.5) if noise is None else None, noise or 0.3),
        Parameter("scale_1", Prior("normal", "log10", 0.1, 0.5), 1.4),
    ]
    return Dataset("decay", observables, {"rest": Protocol("rest")}, tuple(rows), {p.name: p for p in parameters})


def problem(model: Model, **options: Any) -> Problem:
    """The problem of these data, without a solver."""
    return with_closed_form(model, data(**options))
