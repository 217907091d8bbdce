"""Conserved moieties: sums of amounts that no reaction changes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def conserved_moieties(stoichiometry: list[list[Fraction]]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Left null space of a stoichiometric matrix (species × reactions), exactly.

    Returns `(moieties, dependent)`: moieties × species, with coefficients such that `moieties @ amounts` is constant,
    and for each moiety the index of one species that occurs in it alone, which follows from the others.
    """
    species = len(stoichiometry)
    reactions = len(stoichiometry[0]) if species else 0
    # Row-reduce [N | I]: rows whose N part vanishes hold the combinations that are conserved.
    rows = [[*row, *(Fraction(int(i == j)) for j in range(species))] for i, row in enumerate(stoichiometry)]
    pivot = 0
    for column in range(reactions):
        row_of_pivot = next((r for r in range(pivot, species) if rows[r][column] != 0), None)
        if row_of_pivot is None:
            continue
        rows[pivot], rows[row_of_pivot] = rows[row_of_pivot], rows[pivot]
        for r in range(pivot + 1, species):
            if rows[r][column] != 0:
                factor = rows[r][column] / rows[pivot][column]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[pivot], strict=True)]
        pivot += 1
    null = [row[reactions:] for row in rows[pivot:]]
    dependent: list[int] = []
    for i in range(len(null)):
        column = next(c for c in range(species) if null[i][c] != 0)
        dependent.append(column)
        null[i] = [x / null[i][column] for x in null[i]]
        for j in range(len(null)):
            if j != i and null[j][column] != 0:
                factor = null[j][column]
                null[j] = [a - factor * b for a, b in zip(null[j], null[i], strict=True)]
    return np.array([[float(x) for x in row] for row in null]).reshape(len(null), species), tuple(dependent)
