"""Sentences on rows and groups of rows that the model does not fit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ....models.listing import after_number
from .groups import MeasurementGroup
from .misfit import longest_run

_LISTED = 6  # outliers
_ROUGH = 2.0  # sides of a group's rows, one over the other, from which on they lie on one side in words
_CHANGE = "Change the model or the assay there (scale, offset, delay); the figure `fit` shows the course."
_NOISE = "State more noise or let it be estimated; if it is right, change the model."


def describe_outliers(rows: pd.DataFrame) -> list[str]:
    """A sentence that names the rows by their line in the table; nothing without rows."""
    if rows.empty:
        return []
    places = "; ".join(_place(row) for row in rows.head(_LISTED).to_dict("records"))
    more = f"; and {len(rows) - _LISTED} more" if len(rows) > _LISTED else ""
    lie, them = ("1 row lies", "it") if len(rows) == 1 else (f"{len(rows)} rows lie", "them")
    return [
        f"{lie} far from what the other rows predict: {places}{more}. Check {them} in the table of measurements; if "
        "nothing is wrong there, take noise with heavier tails, such as student_t(4)."
    ]


def _place(row: dict) -> str:
    unit = after_number(row["unit"])
    run = f" in {row['run']}" if row["run"] else ""
    value = f"limit {row['value']:.3g}" if row["censored"] else f"measured {row['value']:.3g}"
    return (
        f"line {row['line']} ({row['observable']} under {row['protocol']}{run} at time {row['time']:g}: "
        f"{value}{unit}, predicted {row['low']:.3g} to {row['high']:.3g})"
    )


def describe_misfit(group: MeasurementGroup, error: float) -> str:
    """A sentence on how the group's rows differ from the model, and one of advice."""
    narrow = group.narrow_levels(error)
    reasons = [f"{group.far} of {len(group.rows)} rows lie far outside"] if group.far else []
    reasons += [group.coverage_words()] if narrow else []
    if group.on_one_side(error):
        reasons.append(_side(group))
    if group.in_runs(error):
        reasons.append(_run(group))
    shape = group.on_one_side(error) or group.in_runs(error)
    return f"The model does not fit {group.name}: {'; '.join(reasons)}. {_CHANGE if shape else _NOISE}"


def describe_wide(group: MeasurementGroup) -> str:
    """A sentence on a group whose intervals hold too many rows."""
    return (
        f"The noise of {group.name} is smaller than stated: {group.coverage_words()}. State it as it is, or let it be "
        "estimated."
    )


def _side(group: MeasurementGroup) -> str:
    above = int(np.sum(group.quantiles > 0.5))
    below = len(group.rows) - above
    more, fewer, word = (above, below, "above") if above > below else (below, above, "below")
    if more < _ROUGH * fewer:
        return "rows lie much farther from the model on one side than on the other"
    return f"{more} of {len(group.rows)} rows lie {word} the model"


def _run(group: MeasurementGroup) -> str:
    """The longest stretch of rows on one side, over all courses."""
    stretches = [longest_run(signs) for signs in group.signs]
    i = int(np.argmax([s.stop - s.start for s in stretches]))
    course, stretch = group.courses[i], stretches[i]
    times = course["time"].to_numpy()[stretch]
    word = "above" if group.signs[i][stretch.start] else "below"
    under = "" if group.kind == "protocol" else f" under {course['protocol'].iloc[0]}"
    return (
        f"rows on one side of the model follow each other along time, such as {len(times)} {word} it from time "
        f"{times[0]:g} to {times[-1]:g}{under}"
    )


__all__ = ["describe_misfit", "describe_outliers", "describe_wide"]
