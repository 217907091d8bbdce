"""Makes ids that PEtab allows, each for one thing: names of gels and protocols contain spaces, brackets and more."""

from __future__ import annotations

import re
from collections.abc import Collection

_RESERVED = frozenset(("time", "inf", "infinity", "nan", "true", "false", "pi", "exponentiale", "e"))
_PLACEHOLDER = re.compile(r"(observable|noise)Parameter\d+_")  # rows of PEtab v1 replace these


def is_id(name: str) -> bool:
    """True if PEtab allows a name, and the name has no other meaning in formulas."""
    allowed = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and not _PLACEHOLDER.match(name)
    return bool(allowed) and name.lower() not in _RESERVED


class Ids:
    """Makes new ids that differ from all ids in use."""

    def __init__(self, taken: Collection[str]):
        self._taken = set(taken)

    def new(self, wanted: str) -> str:
        """A new id that resembles `wanted`. Another call with the same name returns another id."""
        cell_text = re.sub(r"\W+", "_", wanted, flags=re.ASCII).strip("_") or "unnamed"
        cell_text = cell_text if is_id(cell_text) else f"_{cell_text}"
        name, count = cell_text, 1
        while name in self._taken:
            count += 1
            name = f"{cell_text}_{count}"
        self._taken.add(name)
        return name
