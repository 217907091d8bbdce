"""Collects all that PEtab cannot express in a data set, for one message."""

from __future__ import annotations

from ....errors import HexamerError
from ....models.listing import listed

_NAMED = 4  # protocols or observables of one reason
_REASONS = 12


class PetabExportError(HexamerError, ValueError):
    """Lists all parts of a problem that PEtab cannot express, each with a way out."""


class UnsayableError(HexamerError, ValueError):
    """PEtab's tables cannot express a part of a data set."""


class Unsayable:
    """Reasons in the order in which they were added. A reason that several parts share appears once."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str], list[str]] = {}

    def add(self, sentence: str) -> None:
        """Adds a sentence that names the part it is about."""
        self._parts.setdefault(("", sentence), [])

    def of(self, kind: str, name: str, reason: Exception) -> None:
        """Adds a reason for one part, such as a protocol."""
        self._parts.setdefault((kind, str(reason)), []).append(name)

    def __bool__(self) -> bool:
        return bool(self._parts)

    def check(self, name: str, version: int) -> None:
        """Raises `PetabExportError` if a reason was added."""
        said = [self._sentence(kind, reason, names) for (kind, reason), names in self._parts.items()]
        if len(said) > _REASONS:
            said = [*said[:_REASONS], f"and {len(said) - _REASONS} more"]
        if said:
            raise PetabExportError(f"{name} cannot be written as PEtab v{version}:\n  " + "\n  ".join(said))

    @staticmethod
    def _sentence(kind: str, reason: str, names: list[str]) -> str:
        if not names:
            return reason
        return f"{kind}{'s' if len(names) > 1 else ''} {listed([repr(n) for n in names], _NAMED)}: {reason}"


__all__ = ["PetabExportError", "Unsayable", "UnsayableError"]
