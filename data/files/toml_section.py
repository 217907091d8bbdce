"""A table of a TOML file, taken key by key: wrong types and unknown keys become problems."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, time
from pathlib import PurePath, PureWindowsPath
from typing import Any

from ...models.listing import did_you_mean, one_of
from ..formula import Formula, FormulaError, parse_formula
from .issues import Issues


def shown(value: object) -> str:
    """A value of a TOML file for a message, as it is written there, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (date, time)):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, dict):
        text = "{" + ", ".join(f"{k} = {shown(v)}" for k, v in value.items()) + "}"
    elif isinstance(value, list):
        text = "[" + ", ".join(map(shown, value)) + "]"
    else:
        text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


class Section:
    """Takes values by key; `done` complains of what was never asked for."""

    def __init__(self, content: dict[str, Any], path: str, file: str, issues: Issues) -> None:
        self._content, self._path, self._file, self._problems = content, path, file, issues
        self._asked: list[str] = []

    def complain(self, key: str, expected: str, holds: object = None) -> None:
        holds = None if holds is None else shown(holds)
        self._problems.add(self._file, expected, column=f"{self._path}{key}".rstrip("."), holds=holds)

    @property
    def faults(self) -> int:
        """How many problems are known, of the whole file."""
        return len(self._problems.entries)

    def take(self, key: str, default: Any = None) -> Any:
        self._asked.append(key)
        return self._content.get(key, default)

    def text(self, key: str, default: str) -> str:
        value = self.take(key, default)
        if isinstance(value, str):
            return value
        self.complain(key, "text in quotes", value)
        return default

    def file_beside(self, key: str, default: str) -> str:
        """The name of a file in the folder of the description, or in a folder there."""
        name = self.text(key, default)
        path = PurePath(name.replace("\\", "/"))
        if (
            (name and not path.name)
            or path.is_absolute()
            or PureWindowsPath(name).drive
            or ".." in path.parts
            or name.startswith("~")
        ):
            self.complain(key, "a file in the folder of this description, by its name, such as 'standards.csv'", name)
        return name

    def required(self, key: str) -> str:
        value = self.take(key)
        if isinstance(value, str) and value.strip():
            return value
        self.complain(key, "the key is missing; expected text in quotes" if value is None else "text in quotes", value)
        return ""

    def needed(self, key: str, what: str) -> str:
        """As `required`; `what` says what the text is, for the message."""
        if self._content.get(key) is not None:
            return self.required(key)
        self._asked.append(key)
        self.complain(key, f"the key is missing; expected {what}")
        return ""

    def choice(self, key: str, options: tuple[str, ...]) -> str:
        """One of `options`; the first is the default."""
        value = self.take(key, options[0])
        if value in options:
            return value
        self.complain(key, one_of(value, options), value)
        return options[0]

    def flag(self, key: str) -> bool:
        """True or false; false is the default."""
        value = self.take(key, False)
        if not isinstance(value, bool):
            self.complain(key, "true or false", value)
        return value is True

    def text_or_number(self, key: str) -> str | float | None:
        value = self.take(key)
        if value is None or (isinstance(value, (str, int, float)) and not isinstance(value, bool)):
            return value
        self.complain(key, "text in quotes or a number", value)
        return None

    def formula(self, key: str, names: Collection[str] = ()) -> Formula | None:
        """Text or a number that can be read as a formula; one that cannot is complained of, and 1 stands in for it.

        It comes back as it is written, unless it uses one of a model's `names` that is a constant elsewhere, as `pi`.
        """
        value = self.text_or_number(key)
        if value is None:
            return None
        try:
            read = parse_formula(value)
            with_names = parse_formula(value, names)
            return value if with_names == read else with_names
        except FormulaError as error:
            self.complain(key, f"a formula; {error}", value)
            return 1.0

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.take(key, [])
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return tuple(value)
        self.complain(key, "a list of texts", value)
        return ()

    def table(self, key: str) -> dict[str, Any]:
        value = self.take(key, {})
        if isinstance(value, dict):
            return value
        self.complain(key, "a table", value)
        return {}

    def section(self, key: str) -> Section | None:
        """The table under `key` as a section, None if there is none."""
        inner = self.table(key)
        return Section(inner, f"{self._path}{key}.", self._file, self._problems) if inner else None

    def sections(self, key: str) -> dict[str, Section]:
        """The tables in the table under `key`, by name."""
        tables = {}
        for name, inner in self.table(key).items():
            if isinstance(inner, dict):
                tables[name] = Section(inner, f"{self._path}{key}.{name}.", self._file, self._problems)
            else:
                self.complain(f"{key}.{name}", "a table", inner)
        return tables

    def done(self) -> None:
        """Complains of every key that was not asked for."""
        for key in self._content:
            if key not in self._asked:
                known = sorted(set(self._asked))
                self.complain(key, f"unknown key; known here are {', '.join(known)}{did_you_mean(key, known)}")
