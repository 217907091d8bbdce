"""Sparse LU without pivoting, laid out ahead of time: which entries fill in, and in which order they are eliminated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .graph import GraphValue

Entry = tuple[int, int]


@dataclass(frozen=True)
class SparseLayout:
    """Order of elimination, and a slot for each entry of the filled matrix."""

    order: tuple[int, ...]
    slot: Mapping[Entry, int]

    @staticmethod
    def of(size: int, entries: Iterable[Entry]) -> SparseLayout:
        """Markowitz: eliminate next the unknown whose pivot fills in least."""
        columns: list[set[int]] = [set() for _ in range(size)]  # rows with an entry in the column
        rows: list[set[int]] = [set() for _ in range(size)]
        filled = set(entries) | {(i, i) for i in range(size)}
        for i, j in filled:
            rows[i].add(j)
            columns[j].add(i)
        left, order = set(range(size)), []
        while left:
            pivot = min(left, key=lambda k: ((len(rows[k]) - 1) * (len(columns[k]) - 1), k))
            order.append(pivot)
            left.remove(pivot)
            below, right = columns[pivot] - {pivot}, rows[pivot] - {pivot}
            for i in below:
                rows[i].discard(pivot)
                rows[i] |= right
                filled |= {(i, j) for j in right}
            for j in right:
                columns[j].discard(pivot)
                columns[j] |= below
        return SparseLayout(tuple(order), {e: k for k, e in enumerate(sorted(filled))})

    def factorise(self, matrix: Mapping[Entry, GraphValue]) -> dict[Entry, GraphValue]:
        """L D U in place of the matrix: L below, U above, both with 1 on the diagonal, and there D's inverse."""
        graph = next(iter(matrix.values())).graph
        w = {e: matrix.get(e, graph.lift(0.0)) for e in self.slot}
        for a, k in enumerate(self.order):
            w[k, k] = 1.0 / w[k, k]
            remaining = self.order[a + 1 :]
            right = {j: w[k, j] for j in remaining if (k, j) in w}
            for j in right:
                w[k, j] = right[j] * w[k, k]
            for i in remaining:
                if (i, k) in w:
                    w[i, k] = w[i, k] * w[k, k]
                    for j in right:
                        w[i, j] = w[i, j] - w[i, k] * right[j]
        return w

    # A sum that waits for another unknown takes that last: with the pivots apart, a solve is then as short a chain of
    # multiply-adds as its matrix allows.

    def solve(self, w: Mapping[Entry, GraphValue], b: Sequence[GraphValue]) -> list[GraphValue]:
        """x with L D U x = b."""
        return self._substitute(w, b, lambda i, j: (i, j))

    def solve_transposed(self, w: Mapping[Entry, GraphValue], b: Sequence[GraphValue]) -> list[GraphValue]:
        """x with (L D U)ᵀ x = b."""
        return self._substitute(w, b, lambda i, j: (j, i))

    def _substitute(
        self, w: Mapping[Entry, GraphValue], b: Sequence[GraphValue], entry: Callable[[int, int], Entry]
    ) -> list[GraphValue]:
        x = list(b)
        for a, k in enumerate(self.order):
            for j in self.order[:a]:
                if entry(k, j) in w:
                    x[k] = x[k] - w[entry(k, j)] * x[j]
        x = [x[k] * w[k, k] for k in range(len(x))]
        for a in range(len(self.order) - 1, -1, -1):
            k = self.order[a]
            for j in reversed(self.order[a + 1 :]):
                if entry(k, j) in w:
                    x[k] = x[k] - w[entry(k, j)] * x[j]
        return x
