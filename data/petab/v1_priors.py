"""Bounds and prior of a row of PEtab v1's parameter table: whether they can be, checked where they stand."""

from __future__ import annotations

from collections.abc import Mapping

from ...models.listing import one_of
from ..files.csv_table import parse_number
from ..prior import Prior
from ..scale import Scale
from .checks import bound_on
from .table_cells import TableCells, is_missing, number_or_nan

PRIORS: Mapping[str, tuple[str, Scale | None]] = {
    "uniform": ("uniform", Scale.LIN),
    "normal": ("normal", Scale.LIN),
    "laplace": ("laplace", Scale.LIN),
    "logNormal": ("normal", Scale.LOG),  # of the natural logarithm, whatever the parameter's scale
    "logLaplace": ("laplace", Scale.LOG),
    "parameterScaleUniform": ("uniform", None),
    "parameterScaleNormal": ("normal", None),
    "parameterScaleLaplace": ("laplace", None),
}
"""PEtab's objective priors: family, and the scale it is on, None for that of the parameter."""


def check_priors(cells: TableCells) -> None:
    """Bounds and objective priors of all estimated parameters; what is wrong becomes a problem of its cell."""
    wrong = {(p.file, p.row) for p in cells.issues.entries}
    for index, row in enumerate(cells.rows["parameter"]):
        if (cells.files["parameter"][index], row.number) not in wrong and parse_number(row.cells["estimate"]) == 1:
            _check_bounds(cells, index) and _check_prior(cells, index)


def _check_bounds(cells: TableCells, index: int) -> bool:
    row = cells.rows["parameter"][index].cells
    low, high, scale = number_or_nan(row["lowerBound"]), number_or_nan(row["upperBound"]), row["parameterScale"]
    before = len(cells.issues.entries)
    if scale != "lin":
        on = f"as the parameter is on {scale} scale"
        kind = row.get("objectivePriorType", "")
        flat = is_missing(kind) or kind == "parameterScaleUniform"
        if low < 0 or (low == 0 and flat):
            cells.complain("parameter", index, "lowerBound", f"a number above 0, {on}")
        if high <= 0:
            cells.complain("parameter", index, "upperBound", f"a number above 0, {on}")
    if len(cells.issues.entries) == before and not low < high:
        expected = f"a number above the lower bound, {row['lowerBound']}; set estimate to 0 to hold a parameter"
        cells.complain("parameter", index, "upperBound", expected)
    return len(cells.issues.entries) == before


def _check_prior(cells: TableCells, index: int) -> None:
    row = cells.rows["parameter"][index].cells
    kind, numbers = row.get("objectivePriorType", ""), row.get("objectivePriorParameters", "")
    kind = "parameterScaleUniform" if is_missing(kind) else kind
    column = "objectivePriorParameters"
    if kind not in PRIORS:
        return cells.complain("parameter", index, "objectivePriorType", one_of(kind, PRIORS))
    if is_missing(numbers):
        if kind != "parameterScaleUniform":
            cells.complain("parameter", index, column, f"two numbers separated by ';', which {kind!r} needs")
        return None
    first, second = (number_or_nan(part.strip()) for part in numbers.split(";"))
    if not kind.lower().endswith("uniform"):
        if not second > 0:
            cells.complain("parameter", index, column, f"a second number above 0, the width of {kind!r}")
        return None
    if not first < second:
        return cells.complain("parameter", index, column, f"an interval 'low;high', low below high, of {kind!r}")
    low, high = _bounds(row, kind)
    if not max(low, first) < min(high, second):
        within = f"from {low:g} to {high:g}" + (" on its scale" if kind.startswith("par") else "")
        expected = f"an interval that overlaps with the bounds of its row, {within}"
        cells.complain("parameter", index, column, expected)
    return None


def _bounds(row, kind: str) -> tuple[float, float]:
    scale = Scale(row["parameterScale"] if kind.startswith("par") else "lin")
    low, high = (scale.of(number_or_nan(row[c])) for c in ("lowerBound", "upperBound"))
    return low, high


def prior_of(row: Mapping[str, str], scale: Scale) -> Prior:
    """The objective prior of one row, truncated by its bounds, which the table gives on the linear scale."""
    family, fixed_scale = PRIORS[row.get("objectivePriorType", "parameterScaleUniform")]
    on = fixed_scale or scale
    low, high = (bound_on(number_or_nan(row[c]), on) for c in ("lowerBound", "upperBound"))
    numbers = row.get("objectivePriorParameters")
    first, second = (low, high) if numbers is None else map(float, numbers.split(";"))
    if family == "uniform":
        return Prior("uniform", on, lower=max(low, first), upper=min(high, second))
    return Prior(family, on, location=first, spread=second, lower=low, upper=high)


__all__ = ["PRIORS", "check_priors", "prior_of"]
