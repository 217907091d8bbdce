"""What tests in several folders share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from hexamer import Diffrax, Fused, Model, Settings
from hexamer.models import compile_network, read_antimony
from hexamer.models.solvers.solver import Solver

CASES = Path(__file__).parent / "cases"  # copies of what users wrote, each with a README

SOLVERS: dict[str, Solver] = {"fused": Fused(), "diffrax": Diffrax()}
BOTH_ENGINES = tuple(SOLVERS)

# For `parametrize("engine", ENGINES)`. diffrax compiles for some ten seconds per test.
ENGINES = ("fused", pytest.param("diffrax", marks=pytest.mark.tier("slow")))


def slowly(*cases: object) -> list[object]:
    """The cases as parameters that run in the tier `slow`; a tuple is one case of several arguments."""
    return [pytest.param(*(c if isinstance(c, tuple) else (c,)), marks=pytest.mark.tier("slow")) for c in cases]


def network(text: str) -> Model:
    """A compiled model of a text in Antimony."""
    return compile_network(read_antimony(text))


def tight(solver: Solver) -> Settings:
    """Tolerances below what tests compare."""
    return Settings(solver, rtol=1e-9, atol=1e-12)


class TooMuchWork(BaseException):
    """Not an `Exception`: no code under test may take it for an error of its own."""


@contextmanager
def little_work(calls: int = 1_000_000) -> Iterator[None]:
    """Fails, and ends what runs, after so many calls of Python functions: about half a second on a quiet machine.

    Unlike seconds, calls are the same on a busy machine and do not count the garbage collector's pauses.
    """
    made = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal made
        made += event == "call"
        if made > calls:
            raise TooMuchWork(f"more than {calls} calls of Python functions")

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)
