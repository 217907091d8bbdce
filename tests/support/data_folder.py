"""Folders of data that tests write from texts, and what the reader says is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hexamer.data import TableError, read_folder


def written(folder: Path, **texts: str | None) -> Path:
    """The folder, with `problem` in problem.toml and every other text in a table of its name; None: no such file."""
    for name, text in texts.items():
        if text is not None:
            (folder / ("problem.toml" if name == "problem" else f"{name}.csv")).write_text(text)
    return folder


def complaints(folder: Path) -> str:
    """The message that the folder is refused with."""
    with pytest.raises(TableError) as error:
        read_folder(folder)
    return str(error.value)
