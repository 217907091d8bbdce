"""Ids that PEtab allows, each of one thing alone: names of gels and protocols hold spaces, brackets and more."""

from __future__ import annotations

import re
from collections.abc import Collection

_RESERVED = frozenset(("time", "inf", "infinity", "nan", "true", "false", "pi", "exponentiale", "e"))
_PLACEHOLDER = re.compile(r"(observable|noise)Parameter\d+_")  # what rows of PEtab v1 fill


def is_id(name: str) -> bool:
    """True if PEtab allows a name, and no formula takes it for something else."""
    allowed = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and not _PLACEHOLDER.match(name)
    return bool(allowed) and name.lower() not in _RESERVED


class Ids:
    """Ids that are taken, and new ones."""

    def __init__(self, taken: Collection[str]):
        self._taken = set(taken)

    def new(self, wanted: str) -> str:
        """An id that is near to `wanted`; the next one is different."""
        cell_text = re.sub(r"\W+", "_", wanted, flags=re.ASCII).strip("_") or "unnamed"
        cell_text = cell_text if is_id(cell_text) else f"_{cell_text}"
        name, count = cell_text, 1
        while name in self._taken:
            count += 1
            name = f"{cell_text}_{count}"
        self._taken.add(name)
        return name
