"""Limits in a PEtab measurement table, in the columns that pyPESTO writes.

`measurementType` is `left-censored`, `right-censored` or `interval-censored`, and `censoringBounds` has the limit, or
`low;high` of an interval; empty or `none`: the row is measured. What else pyPESTO knows there (ordinal, relative and
semiquantitative data) needs a fit of its own inside the fit, and is refused.

Source: pyPESTO, https://pypesto.readthedocs.io/en/latest/example/censored_data.html.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ...models.listing import one_of
from ..dataset import Censored, Measurement
from ..files.csv_table import hint_of
from .table_cells import TableCells, is_missing, number_or_nan

KINDS: dict[str, Censored] = {
    "left-censored": "left",
    "right-censored": "right",
    "interval-censored": "interval",
}
_MEASURED = ("none", "quantitative")
_OTHERS = ("ordinal", "relative", "semiquantitative", "nonlinear_monotone", "censored")


class Limit(NamedTuple):
    """`value` is the limit, of an interval the lower one; `upper` the upper one of an interval."""

    censored: Censored
    value: float
    upper: float | None = None


def read_limits(cells: TableCells) -> dict[int, Limit]:
    """The limits by position of the row in the measurement tables; what cannot be read is added to `cells.issues`."""
    limits: dict[int, Limit] = {}
    for index, row in enumerate(cells.rows["measurement"]):
        kind, bounds = (row.cells.get(c, "") for c in ("measurementType", "censoringBounds"))
        if kind in KINDS:
            limit = _limit(cells, index, KINDS[kind], bounds)
            if limit is not None:
                limits[index] = limit
        elif kind in _OTHERS:
            expected = "none, or left-, right- or interval-censored; hexamer has no other types of measurements"
            cells.complain("measurement", index, "measurementType", expected)
        elif not is_missing(kind) and kind not in _MEASURED:
            cells.complain("measurement", index, "measurementType", one_of(kind, ("none", *KINDS)))
        elif not is_missing(bounds):
            expected = f"an empty cell, since the row's measurementType is none of {', '.join(KINDS)}"
            cells.complain("measurement", index, "censoringBounds", expected)
    if limits:
        cells.notes.append(f"rows that state limits (censoringBounds), whose 'measurement' is not read: {len(limits)}")
    return limits


def measured(
    cells: TableCells, index: int, experiment: str, arguments: tuple[float | str, ...], limit: Limit | None, line: int
) -> Measurement:
    """A row of the measurement table, sound by now; with its limit, if it states one."""
    text = cells.rows["measurement"][index].cells
    labels = [cells.text("measurement", index, column) for column in ("datasetId", "replicateId")]
    return Measurement(
        text["observableId"],
        experiment,
        number_or_nan(text["time"]),
        number_or_nan(text["measurement"]) if limit is None else limit.value,
        arguments,
        "/".join(label for label in labels if label),
        line,
        "" if limit is None else limit.censored,
        None if limit is None else limit.upper,
    )


def _limit(cells: TableCells, index: int, kind: Censored, bounds: str) -> Limit | None:
    parts = [part.strip() for part in bounds.split(";")]
    numbers = [number_or_nan(part) for part in parts]
    hint = next((hint_of(part) for part in parts if hint_of(part)), "")
    if kind != "interval":
        if len(numbers) == 1 and math.isfinite(numbers[0]):
            return Limit(kind, numbers[0])
        cells.complain(
            "measurement", index, "censoringBounds", f"the limit of a {kind}-censored row, one finite number{hint}"
        )
        return None
    if len(numbers) != 2 or not numbers[0] < numbers[1]:
        cells.complain("measurement", index, "censoringBounds", f"an interval 'low;high', low below high{hint}")
        return None
    low, high = numbers
    if math.isfinite(low) and math.isfinite(high):
        return Limit("interval", low, high)
    if math.isinf(low) and math.isinf(high):
        cells.complain("measurement", index, "censoringBounds", "an interval with at least one finite end")
        return None
    return Limit("left", high) if math.isinf(low) else Limit("right", low)
