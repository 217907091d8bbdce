"""Parameter values from a table `parameter,value`, such as a published fit."""

from __future__ import annotations

from pathlib import Path

from .problems import Problems
from .table import check_columns, number_in, read_table


def read_values(path: str | Path) -> dict[str, float]:
    """Values by parameter, in the file's order and the parameters' own units.

    Other columns than `parameter`, `value`, `unit`, `note` and `source` are refused. Raises `TableError` with
    all problems: a missing column, a parameter without name or named twice, a value that is not finite.
    """
    path = Path(path)
    problems = Problems(str(path))
    table = read_table(path, problems)
    values: dict[str, float] = {}
    if table is not None and check_columns(
        table, problems, required={"parameter", "value"}, optional={"unit", "note", "source"}
    ):
        for row in table.rows:
            name, value = row.cells["parameter"], number_in(row, "value", table.file, problems)
            if not name:
                problems.add(table.file, "a name", row=row.number, column="parameter", holds="")
            elif name in values:
                problems.add(table.file, "each name once", row=row.number, column="parameter", holds=repr(name))
            else:
                values[name] = float("nan") if value is None else value
    problems.raise_any()
    return values
