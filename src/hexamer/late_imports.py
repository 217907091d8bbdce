"""Names of a package that are imported when they are first asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

_TOOLS = {"TYPE_CHECKING", "later"}  # what a package needs to import late; `dir` does not show them


def later(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A `__getattr__` and a `__dir__` for `package`, whose names `places` leads to modules within it.

    Such a name costs nothing until it is used, and `dir` and completion show it.
    """

    def get(name: str) -> Any:
        if name not in places:
            # With name and module, Python's traceback adds the name that was meant.
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        value = getattr(import_module(f".{places[name]}", package), name)
        setattr(sys.modules[package], name, value)  # asked for once
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *places} - _TOOLS)

    return get, names


__all__ = ["later"]
