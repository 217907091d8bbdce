"""Parameters of tests in several folders."""

from __future__ import annotations

import pytest

from hexamer.models.solvers.settings import Engine

BOTH_ENGINES: tuple[Engine, ...] = ("fused", "diffrax")

# For `parametrize("engine", ENGINES)`. diffrax compiles for some ten seconds per test.
ENGINES = ("fused", pytest.param("diffrax", marks=pytest.mark.tier("slow")))


def slowly(*cases: object) -> list[object]:
    """The cases as parameters that run in the tier `slow`; a tuple is one case of several arguments."""
    return [pytest.param(*(c if isinstance(c, tuple) else (c,)), marks=pytest.mark.tier("slow")) for c in cases]
