"""A data set with other measured values in the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...data.dataset import Dataset, Measurement
from ...data.parameter import Parameter
from ...models.listing import listed

_NAMED = 5  # rows that a message lists
_WAY_OUT = "with_data takes the same rows with other values; for others make a Problem of the model and the new data"
_SAME = ("observable", "protocol", "time", "arguments")  # of each row


NewRows = np.ndarray | Sequence[float | Measurement] | Dataset


def with_new_rows(dataset: Dataset, rows: NewRows, limits: Dataset) -> tuple[Dataset, Dataset]:
    """`dataset` with new values, in its order of rows, and the one whose limits then hold; see `Problem.with_data`.

    Values are censored at the limits of `limits`, also in rows that `dataset` measured; measurements state theirs.

    Raises `ValueError` naming all rows that differ in more than their value, or hold impossible numbers.
    """
    if isinstance(rows, Dataset):
        _check_definitions(dataset, rows)
        new = rows.measurements
    elif isinstance(rows, Sequence) and any(isinstance(m, Measurement) for m in rows):
        new = tuple(rows)
    else:
        return replace(dataset, measurements=_with_values(limits, rows)), limits
    if len(new) != len(dataset):
        raise ValueError(f"{len(new)} measurements, and the problem has {len(dataset)}: {_WAY_OUT}")
    pairs = [(m.row or i, m, n) for i, (m, n) in enumerate(zip(dataset.measurements, new, strict=True), start=1)]
    if others := [f"row {row}: {after!r}" for row, _, after in pairs if not isinstance(after, Measurement)]:
        raise ValueError(f"a list is of numbers or of Measurement, not of both: {listed(others, _NAMED)}")
    differing = [
        f"row {row} has {name} {getattr(after, name)!r}, the problem's {getattr(before, name)!r}"
        for row, before, after in pairs
        for name in _SAME
        if getattr(after, name) != getattr(before, name)
    ]
    if differing:
        raise ValueError(f"{listed(differing, _NAMED)}: {_WAY_OUT}")
    dataset = replace(dataset, measurements=new)
    return dataset, dataset


def _with_values(dataset: Dataset, rows: object) -> tuple[Measurement, ...]:
    """The rows, each with its new value as the instrument would have recorded it."""
    try:
        values = np.asarray(rows, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"rows must be numbers, one for each of {len(dataset)} measurements, a Dataset, or a list of Measurement, "
            f"not {type(rows).__name__} ({error})"
        ) from None
    if values.shape != (len(dataset),):
        raise ValueError(
            f"rows must be an array of {len(dataset)} values, in the order of the problem's measurements, not of shape "
            f"{values.shape}: {_WAY_OUT}"
        )
    return tuple(_recorded(m, float(v)) for m, v in zip(dataset.measurements, values, strict=True))


def _recorded(m: Measurement, value: float) -> Measurement:
    """The row with another value; a censored row stays so if the value lies at or beyond its limit."""
    upper = m.value if m.upper is None else m.upper
    beyond = {
        "": False,
        "left": value <= m.value,
        "right": value >= m.value,
        "interval": m.value <= value <= upper,
    }[m.censored]
    return m if beyond else replace(m, value=value, censored="", upper=None)


def _check_definitions(dataset: Dataset, other: Dataset) -> None:
    """Raises `ValueError` naming what both have under one name and define differently, for example a prior."""
    used = {kind: dict.fromkeys(getattr(m, kind) for m in dataset.measurements) for kind in ("observable", "protocol")}
    pairs = [
        *(("observable", n, dataset.observables[n], other.observables.get(n)) for n in used["observable"]),
        *(("protocol", n, dataset.protocols[n], other.protocols.get(n)) for n in used["protocol"]),
        *(("derived value", n, d, other.derived.get(n)) for n, d in dataset.derived.items()),
        *(("start of protocol", n, c, other.continued.get(n)) for n, c in dataset.continued.items()),
        *(
            ("prior or value of", n, _of_density(p), _of_density(other.parameters[n]))
            for n, p in dataset.parameters.items()
            if n in other.parameters
        ),
    ]
    joint = other.joint_priors and other.joint_priors != dataset.joint_priors
    differing = ["a joint prior is another"] if joint else []
    differing += [f"{kind} {n!r} is another" for kind, n, old, new in pairs if new is not None and new != old]
    if differing:
        raise ValueError(f"{listed(differing, _NAMED)} in {other.name!r}: {_WAY_OUT}")


def _of_density(parameter: Parameter) -> tuple:
    """The part of a parameter that a density depends on: not the nominal value of one that is estimated."""
    return parameter.prior, None if parameter.estimated else parameter.value, parameter.unit


__all__ = ["NewRows", "with_new_rows"]
