"""All that is wrong with a table at once: what, where, and what was expected."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from ...errors import HexamerError

_SHOWN = 10  # of one kind; the rest is counted


@dataclass(frozen=True)
class Issue:
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
    issues : list of Issue
        All reasons; the message has 10 of a kind.
    """

    def __init__(self, name: str, issues: list[Issue]) -> None:
        self.issues = tuple(issues)
        count = f"{len(issues)} problem{'s' if len(issues) > 1 else ''}"
        if any(issue.row is not None for issue in issues):
            count += " (row 1 is the first below the header)"
        super().__init__("\n  ".join([f"{name} has {count}:", *lines(issues)]))


def lines(issues: list[Issue]) -> list[str]:
    """Each issue as a line, the first of each kind."""
    kinds: dict[tuple[str, str | None, bool, str], list[Issue]] = defaultdict(list)
    for issue in issues:
        kinds[issue.file, issue.column, issue.row is None, issue.expected.split(";")[0]].append(issue)
    said = []
    for kind in kinds.values():
        said += [str(issue) for issue in kind[:_SHOWN]]
        if len(kind) > _SHOWN:
            said.append(f"… and {len(kind) - _SHOWN} more of this kind, the last {str(kind[-1])!r}")
    return said


@dataclass
class Issues:
    """Collects issues until a reader has seen everything; then `raise_any`."""

    name: str
    entries: list[Issue] = field(default_factory=list)

    def add(
        self,
        file: str,
        expected: str,
        *,
        row: int | None = None,
        column: str | None = None,
        holds: str | None = None,
    ) -> None:
        self.entries.append(Issue(file, expected, row, column, holds))

    def raise_any(self) -> None:
        """Raises `TableError` if there are entries; rows in order within a file."""
        if self.entries:
            files = list(dict.fromkeys(p.file for p in self.entries))
            raise TableError(self.name, sorted(self.entries, key=lambda p: (files.index(p.file), p.row or 0)))
