"""Constants from the literature, as default priors."""

from __future__ import annotations

import math
from pathlib import Path

from .files.csv_table import check_columns, number_in, quote, read_table
from .files.issues import Issues
from .parameter import Parameter
from .prior import Prior

_COLUMNS = {"quantity", "symbol", "model_parameter", "median", "unit", "log_sd"}
_DOCUMENTATION = {"low", "high", "grade", "source", "note"}


def literature(path: str | Path | None = None) -> dict[str, Parameter]:
    """Lognormal priors by the model's parameter: ln θ ~ normal(ln median, log_sd), with unit and source.

    Rows without a `model_parameter` document a quantity and give no prior.

    Parameters
    ----------
    path : path, optional
        Another table of the same columns.

    Returns
    -------
    dict of Parameter
        By name.

    Raises
    ------
    TableError
        With all problems of the table.
    """
    path = Path(__file__).parent / "literature.csv" if path is None else Path(path)
    issues = Issues(str(path))
    table = read_table(path, issues)
    parameters: dict[str, Parameter] = {}
    if table is not None and check_columns(table, issues, required=_COLUMNS, optional=_DOCUMENTATION):
        for row in table.rows:
            name = row.cells["model_parameter"]
            if not name:
                continue
            numbers = {}
            for column in ("median", "log_sd"):
                number = number_in(row, column, table.file, issues)
                if number is not None and number <= 0:
                    issues.add(
                        table.file,
                        "a number above 0",
                        row=row.number,
                        column=column,
                        holds=quote(row.cells[column]),
                    )
                elif number is not None:
                    numbers[column] = number
            if name in parameters:
                issues.add(
                    table.file,
                    "each parameter once",
                    row=row.number,
                    column="model_parameter",
                    holds=quote(name),
                )
            elif len(numbers) == 2:
                prior = Prior("normal", "log", math.log(numbers["median"]), numbers["log_sd"])
                source = row.cells.get("source", "")
                parameters[name] = Parameter(name, prior, numbers["median"], row.cells["unit"], source)
    issues.raise_any()
    return parameters
