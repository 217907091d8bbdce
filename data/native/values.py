"""Parameter values from a table `parameter,value`, such as a published fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..files.csv_table import Row, Table, check_columns, number_in, quote, read_table
from ..files.issues import Issues
from ..parameter import Parameter
from ..quantities.model_units import ModelUnits
from ..quantities.units import UnitError, conversion_factor
from .prior_units import in_model_units


def read_values(
    path: str | Path, units: Mapping[str, str] | None = None, model: ModelUnits | None = None
) -> dict[str, float]:
    """Values by parameter, in the table's order.

    The table has the columns `parameter` and `value`, and may have `unit`, `note` and `source`.

    Parameters
    ----------
    path : path
        The table.
    units : dict of str, optional
        Units by name, into which a value is converted from the unit in its row, if it has one.
    model : ModelUnits, optional
        A name of the model that `units` lacks is converted into the model's own units. Without both, units are not
        read.

    Returns
    -------
    dict of float
        Values in the parameters' own units.

    Raises
    ------
    TableError
        With all problems: a missing or another column, a unit that cannot become the parameter's, a unit of a name that
        has none, a parameter without name or named twice, a value that is not finite.
    """
    path = Path(path)
    issues = Issues(str(path))
    table = read_table(path, issues)
    values: dict[str, float] = {}
    if table is not None and check_columns(
        table, issues, required={"parameter", "value"}, optional={"unit", "note", "source"}
    ):
        for row in table.rows:
            name, value = row.cells["parameter"], number_in(row, "value", table.file, issues)
            if not name:
                issues.add(table.file, "a name", row=row.number, column="parameter", holds="")
            elif name in values:
                issues.add(table.file, "each name once", row=row.number, column="parameter", holds=repr(name))
            else:
                values[name] = (
                    float("nan") if value is None else value * _factor(row, table, units or {}, model, issues)
                )
    issues.raise_any()
    return values


def _factor(row: Row, table: Table, units: Mapping[str, str], model: ModelUnits | None, issues: Issues) -> float:
    name, stated = row.cells["parameter"], row.cells.get("unit", "")
    wanted = units.get(name, "")
    if not stated:
        return 1.0
    expected = f"{wanted!r}, the unit of {name}, or what can become it"
    try:
        if wanted:
            return conversion_factor(stated, wanted)
        if model is not None and name in model.network.names:
            expected = f"a unit of {name}"
            converted = in_model_units(Parameter(name, value=1.0, unit=stated), model, {}).value
            return 1.0 if converted is None else converted
    except UnitError as error:
        issues.add(table.file, f"{expected}; {error}", row=row.number, column="unit", holds=quote(stated))
        return 1.0
    if name in units:
        expected = f"an empty cell, as nothing says what unit {name} is in; write the number that is meant"
        issues.add(table.file, expected, row=row.number, column="unit", holds=quote(stated))
    return 1.0
