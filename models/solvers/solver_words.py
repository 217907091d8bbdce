"""Solvers by words: those of the command line, of files, and of `Settings` before solvers were objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from ..listing import known_names
from .diffrax_methods import is_rodas5p, method_class
from .solver import Auto, Derivative, Diffrax, Fused, Solver, engine_options

_KINDS = {Auto: "auto", Fused: "fused", Diffrax: "diffrax"}
_NUMBERS = ("engine", "solver", "derivative", "precision")  # the words that decide what a solve comes to


def diffrax_by_name(name: str, derivative: Derivative = "reverse") -> Diffrax:
    """`Diffrax` by the name of its method, in any case of letters: Rodas5P, or a solver of diffrax.

    Raises `ValueError` for a name that is neither, with those known.
    """
    return Diffrax(None if is_rodas5p(name) else method_class(name)(), derivative)


def solver_by_words(
    base: Solver | None = None,
    *,
    engine: str | None = None,
    solver: str | None = None,
    derivative: Derivative | None = None,
    **of_fused: Any,
) -> Solver:
    """A solver by the names of an engine (`fused`, `diffrax`, `auto`), of a method, and options of the fused engine.

    What is not named is as in `base`. A method of diffrax's or a forward derivative asks for diffrax.
    Raises `ValueError` for names that are unknown or do not go together.
    """
    base = base or Auto()
    fused, diffrax_solver = engine_options(base)
    kind = _KINDS[type(base)] if engine is None else engine
    if kind not in _KINDS.values():
        raise ValueError(f"unknown engine {engine!r}; {known_names(str(engine), tuple(_KINDS.values()))}")
    fused = replace(fused, **of_fused)
    if solver is not None:
        diffrax_solver = diffrax_by_name(solver, diffrax_solver.derivative)
    if derivative is not None:
        diffrax_solver = replace(diffrax_solver, derivative=derivative)
    other = diffrax_solver.method is not None or diffrax_solver.derivative == "forward"
    if kind == "fused":
        if other:
            what = diffrax_solver.name if diffrax_solver.method is not None else "forward derivatives"
            raise ValueError(f"the fused engine's solver is Rodas5P, in reverse mode: {what} needs engine 'diffrax'")
        return fused
    if kind == "auto" and not other:
        return Auto(fused, diffrax_solver)
    if fused.precision == "float32":
        raise ValueError("diffrax solves in float64 here: precision 'float32' is for the engine 'fused'")
    return diffrax_solver


def stored_solver(solver: Solver) -> dict[str, Any]:
    """The solver as plain values, for a file; `restored_solver` reads them."""
    fused, method = engine_options(solver)
    return {
        "engine": _KINDS[type(solver)],
        "solver": method.name,
        "derivative": method.derivative,
        **asdict(fused),
    }


def restored_solver(words: Mapping[str, Any], original: Solver | None = None) -> Solver:
    """The solver that `stored_solver` wrote, in this version or an earlier one.

    Returns `original` if `stored_solver` writes it alike. Without it, raises `ValueError` for a method with options or
    of a class that diffrax does not have, which no text can bring back.
    """
    if original is not None and all(words.get(n) == stored_solver(original)[n] for n in _NUMBERS):
        return original
    if "(" in str(words.get("solver", "")):
        raise ValueError(f"the solver {words['solver']} has options of its own: give it again")
    return solver_by_words(**words)


WORDS = frozenset(stored_solver(Auto()))

__all__ = ["WORDS", "diffrax_by_name", "restored_solver", "solver_by_words", "stored_solver"]
