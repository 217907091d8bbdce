"""Conserved moieties: sums of amounts that no reaction changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

SparseRow = dict[int, Fraction]  # the numbers of a row that are not 0, by column


def conserved_moieties(stoichiometry: Sequence[Mapping[int, Fraction]]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Left null space of a stoichiometric matrix, exactly.

    The matrix, species × reactions, is given by rows: of each species the numbers that are not 0, by reaction.

    Returns `(moieties, dependent)`: moieties × species, with coefficients such that `moieties @ amounts` is constant,
    and for each moiety the index of one species that occurs in it alone, which follows from the others.
    """
    species = len(stoichiometry)
    # Row-reduce [N | I]: rows whose N part vanishes hold the combinations that are conserved.
    rows: list[tuple[SparseRow, SparseRow]] = [(dict(row), {i: Fraction(1)}) for i, row in enumerate(stoichiometry)]
    pivot = 0
    for column in sorted({reaction for row in stoichiometry for reaction in row}):
        row_of_pivot = next((r for r in range(pivot, species) if column in rows[r][0]), None)
        if row_of_pivot is None:
            continue
        rows[pivot], rows[row_of_pivot] = rows[row_of_pivot], rows[pivot]
        for r in range(pivot + 1, species):
            if column in rows[r][0]:
                factor = rows[r][0][column] / rows[pivot][0][column]
                for part, of_pivot in zip(rows[r], rows[pivot], strict=True):
                    _subtract(part, factor, of_pivot)
        pivot += 1
    null = [combination for _, combination in rows[pivot:]]
    dependent: list[int] = []
    for i, row in enumerate(null):
        column = min(row)
        dependent.append(column)
        first = row[column]
        null[i] = {c: x / first for c, x in row.items()}
        for j, other in enumerate(null):
            if j != i and column in other:
                _subtract(other, other[column], null[i])
    moieties = np.zeros((len(null), species))
    for i, row in enumerate(null):
        moieties[i, [*row]] = [float(x) for x in row.values()]
    return moieties, tuple(dependent)


def _subtract(row: SparseRow, factor: Fraction, other: SparseRow) -> None:
    """`row` −= `factor` × `other`; what becomes 0 leaves the row."""
    for column, x in other.items():
        if left := row.get(column, Fraction(0)) - factor * x:
            row[column] = left
        else:
            row.pop(column, None)
