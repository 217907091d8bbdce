"""PEtab's tables as text, and the folder that they are written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SheetRows = Sequence[Mapping[str, str]]


class WrittenSheet(NamedTuple):
    """A table: its columns, and the cells of its rows; a cell that a row does not name is empty."""

    columns: tuple[str, ...]
    rows: SheetRows

    @property
    def text(self) -> str:
        """The table as text, with tabs between the columns."""
        lines = ["\t".join(self.columns)]
        lines += ["\t".join(row.get(c, "") for c in self.columns) for row in self.rows]
        return "\n".join(lines) + "\n"

    def without_empty(self, *optional: str) -> WrittenSheet:
        """The table without those of the `optional` columns that are empty."""
        empty = {c for c in optional if not any(row.get(c) for row in self.rows)}
        return WrittenSheet(tuple(c for c in self.columns if c not in empty), self.rows)


def cell_text(text: str) -> str:
    """A remark as a cell, which has no tabs and no line breaks."""
    return " ".join(text.split())


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Writes files by name. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
