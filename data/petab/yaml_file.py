"""The YAML file of a PEtab problem as plain values, and the files that it names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..files.issues import Issues
from ..files.text_file import read_text
from ..native.coverage import near
from .table_cells import TableKind


def unreadable(path: Path, issues: list[str]) -> ValueError:
    rows = " (row 1 is the first below the header)" if any(", row " in p for p in issues) else ""
    return ValueError(f"the PEtab problem {path} cannot be read{rows}:\n  " + "\n  ".join(issues))


class Files(NamedTuple):
    """The files of a problem; the model's name is relative to the YAML file at `path`, an absolute path."""

    version: int
    path: Path
    model: str
    model_id: str
    tables: Mapping[TableKind, list[Path]]
    notes: tuple[str, ...]

    def check(self) -> None:
        """Raises an error that names files that are missing, listed twice, or folders."""
        path = self.path
        files = [path.parent / self.model, *(file for named in self.tables.values() for file in named)]
        if missing := [os.path.relpath(file, path.parent) for file in files if not file.exists()]:
            raise FileNotFoundError(f"the PEtab problem {path} names missing files: {', '.join(missing)}")
        if twice := _listed_twice(path, self.tables):
            raise unreadable(path, twice)
        if folders := [os.path.relpath(file, path.parent) for file in files if not file.is_file()]:
            raise unreadable(path, [f"{name} is a folder; expected a file" for name in folders])


def _listed_twice(path: Path, tables: Mapping[TableKind, list[Path]]) -> list[str]:
    """Tables that would count twice, also under two names."""
    issues, first = [], {}
    for kind, files in tables.items():
        for file in files:
            name, other = os.path.relpath(file, path.parent), first.setdefault((kind, os.path.realpath(file)), file)
            if other is not file:
                same = "" if str(other) == str(file) else f", also as {os.path.relpath(other, path.parent)}"
                issues.append(f"the YAML file lists the {kind} table {name} twice{same}: keep it once")
    return issues


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, where the standard lets the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in keys:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            if isinstance(key, str):
                keys.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of the file. Raises ValueError if it is not YAML with keys and values at its top level."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no PEtab problem at {path}: give the path of its YAML file")
    issues = Issues("")
    text = read_text(path, issues)
    if text is None:
        raise unreadable(path, [*map(str, issues.entries)])
    try:
        config = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise unreadable(path, [f"{where}it cannot be read as YAML: {_why(error.problem or '')}"]) from None
    except (yaml.YAMLError, ValueError):
        raise unreadable(path, [f"it cannot be read as YAML: {_why('')}"]) from None
    except RecursionError:
        raise unreadable(path, ["it cannot be read as YAML: its values are nested too deeply"]) from None
    if not isinstance(config, dict):
        raise unreadable(path, ["it is not a PEtab YAML file: its top level must hold keys and values"])
    return config


_WHY = {
    "stands twice": "{said}",
    "mapping values": "a colon too many, or indented unlike the lines above; put text that holds a colon in quotes",
    "found character '\\t'": "a tab; indent with blanks",
    "that cannot start": "text that starts with a mark of YAML's own, such as @, % or a backquote; put it in quotes",
    "end of stream": "a quotation mark that is not closed",
    "stream end": "a bracket that is not closed",
    "expected ','": "a bracket that is not closed, or a comma that is missing in a list",
    "block end": "a line that is indented unlike its neighbours, or a list beside keys",
    "expected ':'": "a key without a colon and a blank behind it",
    "alias": "a name behind * that no & defines; put text that starts with * in quotes",
    "constructor": "a tag, !, that a PEtab file has no use for; put text that starts with ! in quotes",
}


def _why(said: str) -> str:
    """The likely mistake in a line of YAML, from the message of its parser."""
    words = next((why for mark, why in _WHY.items() if mark in said), "")
    return words.format(said=said) if words else "see whether its brackets and quotation marks are closed"


def unknown_key(key: object, where: str, known: Sequence[str]) -> str:
    """What is said of a key that no PEtab file has there."""
    return (
        f"YAML file: unknown key {str(key)[:60]!r} at {where or 'the top level'}; known there are {', '.join(known)}"
        f"{near(str(key), known)}"
    )


def entries_of(value: object) -> list[str]:
    """The entries of a list as text; nothing else is a list."""
    return [str(v) for v in value] if isinstance(value, list) else []
