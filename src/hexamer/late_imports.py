"""Names of a package that are imported when they are first asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
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


def part_of_numpyro(name: str) -> ModuleType:
    """The module `name` within NumPyro.

    arviz-base leaves a `numpyro` behind that loads itself when an attribute is asked for. `import numpyro.infer` asks
    in the middle of the import: `numpyro.infer` is then executed twice, and its second copy lacks its submodules. Here
    the attribute is asked for first.
    """
    import numpyro

    _ = numpyro.infer
    return import_module(f"numpyro.{name}")


__all__ = ["later", "part_of_numpyro"]
