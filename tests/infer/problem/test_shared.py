"""Objects that are made once by key."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hexamer.infer.problem.shared import MOST, Shared

pytestmark = pytest.mark.tier("check")


def test_made_once_by_key() -> None:
    shared, count = Shared(), itertools.count(1)
    assert [shared.get(key, lambda: next(count)) for key in ("a", "b", "a", ("a",))] == [1, 2, 1, 3]


def test_a_key_without_a_hash_is_one_object() -> None:
    """A solver of diffrax may hold arrays; with it, each call of the potential compiled anew and took seconds."""
    shared, count, array = Shared(), itertools.count(1), np.ones(2)
    keys = (("f", ()), array), (("f", ()), array), (("f", ()), np.ones(2)), (("g", ()), array)
    assert [shared.get(key, lambda: next(count)) for key in keys] == [1, 1, 2, 3]


def test_the_oldest_go_first() -> None:
    shared, count = Shared(), itertools.count()
    for key in range(MOST):
        shared.get(key, lambda: next(count))
    shared.get(0, lambda: next(count))
    shared.get("one more", lambda: next(count))
    assert shared.get(0, lambda: next(count)) == 0
    assert shared.get(1, lambda: next(count)) == MOST + 1
