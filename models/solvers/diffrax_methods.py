"""Which of diffrax's solvers `Diffrax` takes, and their names."""

from __future__ import annotations

import inspect
from typing import Any

from ..listing import known_names

RODAS5P = "Rodas5P"


def method_names() -> list[str]:
    """The solvers of diffrax that `Diffrax` takes without options, by name, and Rodas5P."""
    return sorted([RODAS5P, *_methods()])


def method_class(name: str) -> type:
    """The class of diffrax with this name, in any case of letters. Raises `ValueError` with the names known."""
    method = {n.casefold(): c for n, c in _methods().items()}.get(name.casefold())
    if method is None:
        raise ValueError(f"unknown solver {name!r}; {known_names(name, method_names())}")
    return method


def is_rodas5p(name: str) -> bool:
    """True of the name of hexamer's own method, in any case of letters."""
    return name.casefold() == RODAS5P.casefold()


def check_method(method: Any) -> None:
    """Raises `ValueError`, with what to give, unless it is an adaptive solver of diffrax for equations of one term."""
    import diffrax

    if isinstance(method, str):
        right = "Diffrax() itself" if is_rodas5p(method) else f"diffrax.{method_class(method).__name__}()"
        raise ValueError(f"method must be a solver of diffrax, not a name: {right}")
    if inspect.isclass(method) and issubclass(method, diffrax.AbstractSolver):
        raise ValueError(f"method must be an object, not a class: diffrax.{method.__name__}()")
    if not isinstance(method, diffrax.AbstractSolver):
        raise ValueError(f"method must be a solver of diffrax, such as diffrax.Kvaerno5(), not {type(method).__name__}")
    name = type(method).__name__
    if not isinstance(method, diffrax.AbstractAdaptiveSolver):
        raise ValueError(f"diffrax.{name} does not estimate its error, which the step control needs")
    if not _is_one_term(method.term_structure):
        raise ValueError(f"diffrax.{name} splits the equations into several terms; a model here is one")


def _methods() -> dict[str, type]:
    import diffrax

    return {
        name: method
        for name, method in vars(diffrax).items()
        if inspect.isclass(method)
        and issubclass(method, diffrax.AbstractAdaptiveSolver)
        and not name.startswith("Abstract")
        and _is_one_term(inspect.getattr_static(method, "term_structure", None))
    }


def _is_one_term(term_structure: Any) -> bool:
    import diffrax

    return inspect.isclass(term_structure) and issubclass(diffrax.ODETerm, term_structure)


__all__ = ["RODAS5P", "check_method", "is_rodas5p", "method_class", "method_names"]
