"""All the problems of a table at once: what is wrong, where, and what was expected."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from ...errors import HexamerError

_SHOWN = 10  # of one kind; the rest is counted


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a table or a description.

    Attributes
    ----------
    file : str
        Where it is.
    expected : str
        What was expected.
    row : int, optional
        1 is the first after the header.
    column : str, optional
        Name of the column.
    holds : str, optional
        What is there.
    """

    file: str
    expected: str
    row: int | None = None
    column: str | None = None
    holds: str | None = None

    def __str__(self) -> str:
        where = self.file
        if self.row is not None:
            where += f", row {self.row}"
        if self.column is not None:
            where += f", {self.column!r}"
        if self.holds is None:
            return f"{where}: {self.expected}"
        return f"{where} holds {self.holds or 'nothing'}; expected {self.expected}"


class TableError(HexamerError, ValueError):
    """A table or its description cannot be used.

    Parameters
    ----------
    name : str
        Of the table.
    problems : list of Problem
        All reasons; the message has 10 of a kind.
    """

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        if any(p.row is not None for p in problems):
            count += " (row 1 is the first below the header)"
        super().__init__("\n  ".join([f"{name} has {count}:", *lines(problems)]))


def lines(problems: list[Problem]) -> list[str]:
    """Each problem as a line, the first of each kind."""
    kinds: dict[tuple[str, str | None, bool, str], list[Problem]] = defaultdict(list)
    for p in problems:
        kinds[p.file, p.column, p.row is None, p.expected.split(";")[0]].append(p)
    said = []
    for kind in kinds.values():
        said += [str(p) for p in kind[:_SHOWN]]
        if len(kind) > _SHOWN:
            said.append(f"… and {len(kind) - _SHOWN} more of this kind, the last {str(kind[-1])!r}")
    return said


@dataclass
class Problems:
    """Collects problems until a reader has seen everything; then `raise_any`."""

    name: str
    entries: list[Problem] = field(default_factory=list)

    def add(
        self,
        file: str,
        expected: str,
        *,
        row: int | None = None,
        column: str | None = None,
        holds: str | None = None,
    ) -> None:
        self.entries.append(Problem(file, expected, row, column, holds))

    def raise_any(self) -> None:
        """Raises `TableError` if there are entries; rows in order within a file."""
        if self.entries:
            files = list(dict.fromkeys(p.file for p in self.entries))
            raise TableError(self.name, sorted(self.entries, key=lambda p: (files.index(p.file), p.row or 0)))
