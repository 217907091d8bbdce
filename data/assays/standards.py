"""A table of standards: one curve for each plate, by which the responses of its samples become concentrations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..files.csv_table import Row, check_columns, number_in, quote, read_table
from ..files.issues import Issues
from ..files.toml_section import Section
from .standard_curve import CurveNoise, StandardCurve, StandardCurveError, fit_standard_curve


@dataclass(frozen=True)
class Standards:
    """Where an ELISA's standards are, and how its curves are fitted and read."""

    file: str
    unit: str  # of their concentrations
    response_unit: str = "au"  # of the rows' values
    parameters: Literal[4, 5] = 4
    noise: CurveNoise = "relative"
    wells: int = 1  # whose mean a row's response is
    dilution: float = 1.0


def take_standards(section: Section) -> Standards | None:
    """The key `standards`, and those that need it; None without."""
    file = section.file_beside("standards", "")
    if not file:
        for key in ("standards_unit", "response_unit", "curve", "curve_noise", "wells", "dilution"):
            if section.take(key) is not None:
                section.complain(key, "no such key without `standards`, the table that it is about", section.take(key))
        return None
    parameters = section.take("curve", 4)
    if parameters not in (4, 5):
        section.complain("curve", "4 or 5, the number of the logistic curve's parameters", parameters)
    wells, dilution = _positive(section, "wells"), _positive(section, "dilution")
    if wells != round(wells):
        section.complain("wells", "a whole number", wells)
    return Standards(
        file,
        section.needed("standards_unit", "the unit of the concentrations in the table of standards, such as 'pg/ml'"),
        section.text("response_unit", "au"),
        5 if parameters == 5 else 4,
        "constant" if section.choice("curve_noise", ("relative", "constant")) == "constant" else "relative",
        round(wells),
        dilution,
    )


def _positive(section: Section, key: str) -> float:
    value = section.take(key, 1.0)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 1 <= value < 1e9:
        return float(value)
    section.complain(key, "a number, 1 or more", value)
    return 1.0


def _concentration(row: Row, file: str, issues: Issues) -> float | None:
    value = number_in(row, "concentration", file, issues)
    if value is None or value >= 0:
        return value
    expected = "a concentration of 0 or more"
    issues.add(file, expected, row=row.number, column="concentration", holds=quote(row.cells["concentration"]))
    return None


def read_standards(
    path: Path, standards: Standards, experiment: str, issues: Issues
) -> Mapping[str, StandardCurve | None] | None:
    """Curves by plate, from the columns `experiment`, `concentration` and `response`; None if there is no table.

    A plate whose standards make no curve is a problem, and has None.
    """
    table = read_table(path, issues)
    if table is None:
        return None
    required = {experiment, "concentration", "response"}
    if not check_columns(table, issues, required=required, optional={"well", "note"}):
        return None
    wells: dict[str, list[tuple[float | None, float | None]]] = defaultdict(list)
    for row in table.rows:
        concentration = _concentration(row, table.file, issues)
        wells[row.cells[experiment]].append((concentration, number_in(row, "response", table.file, issues)))
    curves: dict[str, StandardCurve | None] = dict.fromkeys(wells)
    for plate, rows in wells.items():
        complete = [(x, y) for x, y in rows if x is not None and y is not None]
        if len(complete) < len(rows):
            continue
        x, y = zip(*complete, strict=True)
        try:
            curves[plate] = fit_standard_curve(x, y, parameters=standards.parameters, noise=standards.noise)
        except StandardCurveError as error:
            why = str(error).replace("noise=", "curve_noise = ")
            issues.add(table.file, f"standards that make a curve; {why}", column=experiment, holds=repr(plate))
    return curves
