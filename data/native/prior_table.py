"""Priors from a table, with wildcards for the many parameters of one kind."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...models.listing import counted, one_of
from ..earlier_result import read_earlier
from ..files.csv_table import Row, Table, check_columns, number_in, parse_number, quote, read_table
from ..files.issues import Issues
from ..joint_prior import JointPrior
from ..parameter import Parameter
from ..prior import FAMILIES, Prior
from ..scale import Scale
from .earlier_rows import EarlierRows, place_in

_PREFIXES = {Scale.LIN: "", Scale.LOG: "log_", Scale.LOG10: "log10_"}
# Families of positive numbers are on the linear scale alone.
DISTRIBUTIONS: Mapping[str, tuple[str, Scale]] = {
    "normal": ("normal", Scale.LIN),
    "lognormal": ("normal", Scale.LOG),  # the field's name for log_normal
    **{
        f"{prefix}{family.name}": (family.name, scale)
        for family in FAMILIES.values()
        for scale, prefix in _PREFIXES.items()
        if family.on_real_line or scale is Scale.LIN
    },
}
_COLUMNS = {"location": "location", "spread": "scale", "shape": "shape"}  # of the numbers of a prior
_REQUIRED = {"parameter", "unit", "distribution", "location", "scale"}
_OPTIONAL = {"note", "value", "lower", "upper", "shape", "source"}
BOUNDS = ("lower", "upper")
EACH_EXPERIMENT = "[experiment]"


@dataclass(frozen=True)
class PriorTable:
    """Parameters by name, or by pattern if a data set names them later, such as the scales of gels.

    Attributes
    ----------
    named : dict of Parameter
        By name.
    patterns : tuple
        Pattern and parameter, in the table's order.
    joint_priors : tuple of JointPrior
        Correlations of parameters whose priors come from one earlier result.
    notes : tuple of str
        What the user should know of such priors.

    Other Parameters
    ----------------
    name : str
        Of a parameter.
    """

    named: Mapping[str, Parameter]
    patterns: tuple[tuple[str, Parameter], ...] = ()
    joint_priors: tuple[JointPrior, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"PriorTable({counted(self.named, 'parameter')}, {counted(self.patterns, 'pattern')})"

    def matching(self, name: str) -> str | None:
        """The first pattern, in the table's order, that covers `name`."""
        return next((pattern for pattern, _ in self.patterns if covers(pattern, name)), None)

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of exactly this name, else that of the first pattern that covers it, else None."""
        if name in self.named:
            return self.named[name]
        pattern = self.matching(name)
        return None if pattern is None else replace(dict(self.patterns)[pattern], name=name)


def is_pattern(name: str) -> bool:
    return "*" in name or "?" in name or name.endswith(EACH_EXPERIMENT)


def covers(pattern: str, name: str) -> bool:
    """Whether `pattern` stands for `name`, upper and lower case apart.

    `*` is any text, `?` one character, and a final `[experiment]` any experiment in brackets. All else,
    brackets included, is literal.

    >>> covers("scale_*[experiment]", "scale_pSTAT3[gel-1]"), covers("scale_*[experiment]", "scale_IL6_sites")
    (True, False)
    """
    stem = pattern.removesuffix(EACH_EXPERIMENT)
    regex = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in stem)
    return re.fullmatch(regex + (r"\[.+\]" if stem != pattern else ""), name, re.DOTALL) is not None


def read_priors(path: str | Path) -> PriorTable:
    """The priors in a table.

    Its columns are `parameter,unit,distribution,location,scale`, and optionally `note,value,lower,upper,shape,source`.
    `location` and `scale` are those of the distribution, on its own scale (for `log10_normal`, in log10); `shape` is
    that of a gamma, or the degrees of freedom of a `student_t` (see `hexamer.data.Prior`); `lower` and `upper` truncate
    it, in the parameter's unit; `value` is nominal, or the value of a `fixed` one. The distribution `from results/old`
    is that of the draws in this folder of results: normal on the parameter's search scale, and correlated with the
    other parameters that name the same folder.

    Parameters
    ----------
    path : path
        The table.

    Returns
    -------
    PriorTable
        Parameters by name or pattern.

    Raises
    ------
    TableError
        With all problems of the table.
    """
    issues = Issues(str(path))
    table = parse_priors(Path(path), issues)
    issues.raise_any()
    assert table is not None
    return table


def priors_from_result(place: str | Path, names: Sequence[str]) -> PriorTable:
    """Priors that are the posterior of an earlier fit: normal ones, with the correlations of the draws.

    Each has the mean and standard deviation of its parameter's draws on the scale that it was searched on; on the
    natural logarithm, if it was searched linearly and its earlier prior allows no negative values.

    Parameters
    ----------
    place : path
        A folder of results, or the posterior in it.
    names : sequence of str
        Of the parameters, as the earlier fit calls them.

    Returns
    -------
    PriorTable
        Parameters by name, in the units of the earlier fit, and a joint prior, if there are two or more. A `Dataset`
        takes them as `parameters` and `joint_priors`.

    Raises
    ------
    EarlierResultError
        If there is no posterior, it lacks a parameter, or its draws determine no joint distribution.
    """
    result = read_earlier(str(place), Path())
    named = {n: result.parameter(n) for n in names}
    joint = result.joint(list(named))
    return PriorTable(named, (), () if joint is None else (joint,), tuple(result.notes(list(named))))


def parse_priors(path: Path, issues: Issues) -> PriorTable | None:
    """As `read_priors`, but adding to `problems`; rows with problems hold a stand-in."""
    table = read_table(path, issues)
    if table is None or not check_columns(table, issues, required=_REQUIRED, optional=_OPTIONAL):
        return None
    named: dict[str, Parameter] = {}
    patterns: dict[str, Parameter] = {}
    seen: set[str] = set()
    earlier = EarlierRows(table.file, path.parent, issues)
    for row in table.rows:
        name = row.cells["parameter"]
        if not name or name in seen:
            expected = "each parameter once" if name else "a name"
            issues.add(table.file, expected, row=row.number, column="parameter", holds=quote(name))
            continue
        seen.add(name)
        # A row with problems is never used, but its name is covered: no second problem for that.
        parameter = _read_parameter(row, table, issues, earlier) or Parameter(name, value=1.0, row=row.number)
        (patterns if is_pattern(name) else named)[name] = parameter
    return PriorTable(named, tuple(patterns.items()), tuple(earlier.joint_priors()), tuple(earlier.notes()))


def _read_parameter(row: Row, table: Table, issues: Issues, earlier: EarlierRows) -> Parameter | None:
    before = len(issues.entries)
    kind = row.cells["distribution"]
    if (place := place_in(row)) is not None:
        value = number_in(row, "value", table.file, issues) if row.cells.get("value") else None
        return earlier.read(row, place, value)
    if kind not in DISTRIBUTIONS and kind != "fixed":
        issues.add(
            table.file,
            one_of(kind, [*DISTRIBUTIONS, "fixed"]),
            row=row.number,
            column="distribution",
            holds=quote(kind),
        )
        return None
    family, scale = DISTRIBUTIONS.get(kind, (None, Scale.LIN))
    needs, forbidden = _cells_of(family)
    numbers: dict[str, float] = {}
    for column in (*_COLUMNS.values(), "lower", "upper", "value"):
        text = row.cells.get(column, "")
        if column in forbidden and text:
            starts_at_zero = family is not None and not FAMILIES[family].on_real_line
            if column == "location" and starts_at_zero and parse_number(text) == 0:
                continue
            expected = f"an empty cell for {kind!r}"
            if column == "location" and starts_at_zero:
                expected = f"0 or {expected}, which starts at zero"
            issues.add(table.file, expected, row=row.number, column=column, holds=quote(text))
        elif column in needs and not text:
            issues.add(table.file, f"a number for {kind!r}", row=row.number, column=column, holds="")
        elif text:
            number = number_in(row, column, table.file, issues)
            numbers |= {} if number is None else {column: number}
    _check_range(numbers, scale, row, table, issues)
    if len(issues.entries) > before:
        return None
    prior = None if family is None else _prior(family, scale, numbers, row, table, issues)
    if family is not None and prior is None:
        return None
    source = row.cells.get("source") or row.cells.get("note", "")
    return Parameter(row.cells["parameter"], prior, numbers.get("value"), row.cells["unit"], source, row=row.number)


def _cells_of(family: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns that a row of this family must fill, and those that it must leave empty; None: a fixed parameter."""
    if family is None:
        return ("value",), (*_COLUMNS.values(), *BOUNDS)
    uses = FAMILIES[family].uses
    return (
        tuple(c for n, c in _COLUMNS.items() if n in uses) or BOUNDS,
        tuple(c for n, c in _COLUMNS.items() if n not in uses),
    )


def _check_range(numbers: Mapping[str, float], scale: Scale, row: Row, table: Table, issues: Issues) -> None:
    if scale != "lin":
        for column in ("lower", "upper", "value"):
            if numbers.get(column, 1.0) < 0:
                expected = f"no negative number for {row.cells['distribution']!r}"
                issues.add(table.file, expected, row=row.number, column=column, holds=quote(row.cells[column]))
    low, high = numbers.get("lower", -math.inf), numbers.get("upper", math.inf)
    if not low < high:
        expected = f"a number below the upper bound, {row.cells['upper']}"
        issues.add(table.file, expected, row=row.number, column="lower", holds=quote(row.cells["lower"]))
    if numbers.get("scale", 1.0) <= 0:
        expected = f"a number above 0, the width of {row.cells['distribution']!r}"
        issues.add(table.file, expected, row=row.number, column="scale", holds=quote(row.cells["scale"]))
    value = numbers.get("value")
    if value is not None and low < high and not low <= value <= high:
        issues.add(
            table.file,
            "a value within the bounds",
            row=row.number,
            column="value",
            holds=quote(row.cells["value"]),
        )


def _prior(
    family: str, scale: Scale, numbers: Mapping[str, float], row: Row, table: Table, issues: Issues
) -> Prior | None:
    arguments = {n: numbers[c] for n, c in _COLUMNS.items() if c in numbers}
    try:
        return Prior(family, scale, **arguments, **{b: scale.of(numbers[b]) for b in BOUNDS if b in numbers})
    except ValueError as error:
        kind = row.cells["distribution"]
        issues.add(table.file, f"a sound prior; {error}", row=row.number, column="distribution", holds=quote(kind))
        return None


__all__ = ["DISTRIBUTIONS", "PriorTable", "covers", "is_pattern", "parse_priors", "priors_from_result", "read_priors"]
