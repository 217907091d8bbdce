"""The modules of the package, and their files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("models", "data", "infer")  # each may import those before it


@cache
def modules() -> Mapping[str, Path]:
    """File of each module of the package, by its name without `hexamer.`; the package's own is ``.

    Without `__main__`, which runs when it is imported.
    """
    own = ROOT / "src/hexamer"
    found = {"": own / "__init__.py"}
    for start, folder, pattern in (
        (own, "", "[!_]*.py"),
        (own, "cli", "*.py"),
        *((ROOT, f, "**/*.py") for f in FOLDERS),
    ):
        for path in sorted((start / folder).glob(pattern)):
            found[".".join(path.relative_to(start).with_suffix("").parts).removesuffix(".__init__")] = path
    return {name: path for name, path in found.items() if path.stem != "__main__"}
