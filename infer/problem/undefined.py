"""Rows that have no likelihood although their simulation succeeded: which they are, and why."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from ...data.dataset import Dataset, Observable
from ...models.networks.formulas import to_infix
from ...models.solvers.status import Status
from .readout import Assays, Readout

_SHOWN = 3  # sentences, at most


def undefined_rows(assays: Assays, data: Dataset, readout: Readout, densities: Float[np.ndarray, " rows"]) -> list[str]:
    """One sentence for each observable and reason, with the first row's place; empty if every row has a density.

    Rows of failed simulations are left out. `densities` are the rows' log densities.
    """
    solved = (np.asarray(readout.status) == Status.OK)[assays.row_protocol]
    rows_by_reason: dict[tuple[str, str], list[int]] = {}
    reasons: dict[tuple[str, str], str] = {}
    for i in np.flatnonzero(solved & ~np.isfinite(np.asarray(densities))):
        m = data.measurements[i]
        observable = data.observables[m.observable]
        kind, reason = _reason(observable, float(readout.mean[i]), float(readout.sd[i]), m.value)
        reasons.setdefault((m.observable, kind), reason)
        rows_by_reason.setdefault((m.observable, kind), []).append(int(i))
    sentences = [
        f"observable {name!r}, {_places(data, rows)}: {reasons[name, kind]}"
        for (name, kind), rows in rows_by_reason.items()
    ]
    more = len(sentences) - _SHOWN
    return (
        sentences
        if more <= 0
        else [*sentences[:_SHOWN], f"{more} more such reasons, of {', '.join({n for n, _ in rows_by_reason})}"]
    )


def _places(data: Dataset, rows: list[int]) -> str:
    first = data.place(data.measurements[rows[0]]) or f"measurement {rows[0] + 1}"
    return first if len(rows) == 1 else f"{first} and {len(rows) - 1} more row{'' if len(rows) == 2 else 's'} of it"


def _reason(observable: Observable, mean: float, sd: float, value: float) -> tuple[str, str]:
    """The kind of what is wrong, and a sentence on it; `mean` and `sd` are on the observable's scale."""
    if not math.isfinite(mean):
        return _of_reading(observable, mean)
    formula = _short(observable.noise_formula)
    if sd == 0:
        return "sd 0", (
            f"its standard deviation, {formula}, is 0, under which no measurement is possible: state a noise above 0, "
            "or leave out a row that is certain"
        )
    if sd < 0:
        return "sd < 0", f"its standard deviation, {formula}, is {sd:g}; it must be above 0: correct the formula"
    if not math.isfinite(sd):
        return "sd", (
            f"its standard deviation, {formula}, is {_shown(sd)}: look there for a root or logarithm of a negative "
            "number, a division by 0, or an overflow"
        )
    return "far", (
        f"the value {value:g} lies too far from its reading for a number: the difference is "
        f"beyond 1e154 standard deviations (of {sd:.3g})"
    )


def _of_reading(observable: Observable, mean: float) -> tuple[str, str]:
    formula, scale = _short(observable.formula), observable.scale.prefix.strip() or None
    if scale is not None and mean == -math.inf:
        return "reading 0", (
            f"its reading, {formula}, is 0, which has no {scale}: add what the assay reads without signal, or leave "
            "the row out"
        )
    if math.isnan(mean):
        also = f", or is negative, which has no {scale}" if scale is not None else ""
        return "reading", (
            f"its reading, {formula}, is not a number{also}: look there for a root, logarithm or power of a negative "
            "number, or for 0/0"
        )
    return "infinite", f"its reading, {formula}, is {_shown(mean)}: look there for a division by 0 or an overflow"


def _shown(x: float) -> str:
    return "not a number" if math.isnan(x) else "infinite"


def _short(expression) -> str:
    text = to_infix(expression)
    return text if len(text) <= 60 else text[:57] + "…"


__all__ = ["undefined_rows"]
