"""Sparse LU: solutions against LAPACK's, and how much fills in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hexamer.models.solvers.fused.codegen.graph import Graph
from hexamer.models.solvers.fused.codegen.sparse_lu import Entry, SparseLayout

pytestmark = pytest.mark.tier("check")


def sparse(size: int, seed: int) -> tuple[np.ndarray, list[Entry]]:
    """A diagonally dominant matrix with some three entries in a row, and where those off the diagonal are."""
    random = np.random.default_rng([size, seed])
    matrix = np.where(random.random((size, size)) < 3 / size, random.normal(size=(size, size)), 0.0)
    np.fill_diagonal(matrix, 0.0)
    entries = [(int(i), int(j)) for i, j in np.argwhere(matrix)]
    signs = random.choice([-1.0, 1.0], size)
    return matrix + np.diag(signs * (1 + np.abs(matrix).sum(axis=1) + np.abs(matrix).sum(axis=0))), entries


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 21, 30])
def test_solves(size: int, seed: int, evaluate: Callable) -> None:
    matrix, entries = sparse(size, seed)
    layout = SparseLayout.of(size, entries)
    b = np.random.default_rng(seed).normal(size=size)
    graph = Graph()
    known = {e: graph.input(str(e)) for e in [*entries, *((i, i) for i in range(size))]}
    w = layout.factorise(known)
    assert w.keys() == layout.slot.keys()
    inputs = {str(e): matrix[e] for e in known} | {f"b[{i}]": b[i] for i in range(size)}
    right = graph.inputs("b", size)
    found = evaluate(layout.solve(w, right), inputs)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, b), rtol=1e-12, atol=1e-12)
    found = evaluate(layout.solve_transposed(w, right), inputs)
    np.testing.assert_allclose(found, np.linalg.solve(matrix.T, b), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1, 7, 30])
def test_layout_holds_every_entry(size: int) -> None:
    _, entries = sparse(size, 0)
    layout = SparseLayout.of(size, entries)
    assert sorted(layout.order) == list(range(size))
    assert {*entries, *((i, i) for i in range(size))} <= layout.slot.keys()
    assert sorted(layout.slot.values()) == list(range(len(layout.slot)))


def filled_in_order(size: int, entries: list[Entry]) -> int:
    """How many entries there are after elimination in the natural order."""
    there = np.eye(size, dtype=bool)
    for e in entries:
        there[e] = True
    for k in range(size):
        there[k + 1 :, k + 1 :] |= np.outer(there[k + 1 :, k], there[k, k + 1 :])
    return int(there.sum())


def test_an_arrow_does_not_fill_in() -> None:
    """Eliminated first, the dense row and column would fill the whole matrix."""
    size = 12
    entries = [(0, i) for i in range(1, size)] + [(i, 0) for i in range(1, size)]
    assert filled_in_order(size, entries) == size**2
    assert len(SparseLayout.of(size, entries).slot) == 3 * size - 2


@pytest.mark.parametrize("seed", range(5))
def test_fills_in_no_more_than_the_natural_order(seed: int) -> None:
    _, entries = sparse(30, seed)
    assert len(SparseLayout.of(30, entries).slot) <= filled_in_order(30, entries)


def test_a_chain_does_not_fill_in_and_costs_as_its_length() -> None:
    def cost(size: int) -> int:
        entries = [(i, j) for i in range(size) for j in (i - 1, i + 1) if 0 <= j < size]
        layout = SparseLayout.of(size, entries)
        assert len(layout.slot) == len(entries) + size
        graph = Graph()
        w = layout.factorise({e: graph.input(str(e)) for e in layout.slot})
        return graph.operations([*w.values(), *layout.solve(w, graph.inputs("b", size))])

    assert cost(60) / cost(30) < 2.1
