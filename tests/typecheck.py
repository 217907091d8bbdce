"""Annotations are checked while tests run: shapes and kinds of arrays by jaxtyping, all else by beartype."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

ROOT = Path(__file__).parents[1]

# These say themselves what is wrong with an argument, and tests give them wrong ones.
_FACES = {"hexamer.models.simulation", "hexamer.models.solvers.settings"}
# Its controller inherits diffrax's annotations, by which a tolerance is one number for all species.
_OF_DIFFRAX = {"hexamer.models.solvers.step_control"}
# A number may be an int where a float is expected, as type checkers have it.
typechecked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def _checked(text: str) -> bool:
    """Modules with shapes in their annotations, but those that use numpy's ArrayLike, which beartype cannot check."""
    return "from jaxtyping import" in text and "from numpy.typing import ArrayLike" not in text


def install() -> Callable[[], None]:
    """Before the first import of hexamer. What it returns takes the check away again, if that is before it too."""
    modules = {
        ".".join(("hexamer", *path.relative_to(ROOT).with_suffix("").parts))
        for folder in ("models", "data", "infer")
        for path in (ROOT / folder).rglob("*.py")
        if _checked(path.read_text(encoding="utf-8"))
    }
    return install_import_hook(sorted(modules - _FACES - _OF_DIFFRAX), "typecheck.typechecked").uninstall
