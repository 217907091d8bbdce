"""A table of a TOML file, taken key by key: wrong types and unknown keys become problems."""

from __future__ import annotations

from typing import Any

from .formula import FormulaError, parse_formula
from .problems import Problems


class Section:
    """Takes values by key; `done` complains of what was never asked for."""

    def __init__(self, content: dict[str, Any], path: str, file: str, problems: Problems) -> None:
        self._content, self._path, self._file, self._problems = content, path, file, problems
        self._asked: list[str] = []

    def complain(self, key: str, expected: str, holds: object = None) -> None:
        holds = None if holds is None else repr(holds)
        self._problems.add(self._file, expected, column=f"{self._path}{key}".rstrip("."), holds=holds)

    def take(self, key: str, default: Any = None) -> Any:
        self._asked.append(key)
        return self._content.get(key, default)

    def text(self, key: str, default: str) -> str:
        value = self.take(key, default)
        if isinstance(value, str):
            return value
        self.complain(key, "text in quotes", value)
        return default

    def required(self, key: str) -> str:
        value = self.take(key)
        if isinstance(value, str) and value.strip():
            return value
        self.complain(key, "the key is missing; expected text in quotes" if value is None else "text in quotes", value)
        return ""

    def choice(self, key: str, options: tuple[str, ...]) -> str:
        """One of `options`; the first is the default."""
        value = self.take(key, options[0])
        if value in options:
            return value
        self.complain(key, f"one of {', '.join(options)}", value)
        return options[0]

    def text_or_number(self, key: str) -> str | float | None:
        value = self.take(key)
        if value is None or (isinstance(value, (str, int, float)) and not isinstance(value, bool)):
            return value
        self.complain(key, "text in quotes or a number", value)
        return None

    def formula(self, key: str) -> str | float | None:
        """Text or a number that can be read as a formula; one that cannot is complained of, and 1 stands in for it."""
        value = self.text_or_number(key)
        try:
            return value if value is None or parse_formula(value) is not None else None
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
        """The table under `key` as a section, None where there is none."""
        inner = self.table(key)
        return Section(inner, f"{self._path}{key}.", self._file, self._problems) if inner else None

    def sections(self, key: str) -> dict[str, Section]:
        """The tables in the table under `key`, by name."""
        found = {}
        for name, inner in self.table(key).items():
            if isinstance(inner, dict):
                found[name] = Section(inner, f"{self._path}{key}.{name}.", self._file, self._problems)
            else:
                self.complain(f"{key}.{name}", "a table", inner)
        return found

    def done(self) -> None:
        """Complains of every key that was not asked for."""
        for key in self._content:
            if key not in self._asked:
                self.complain(key, f"unknown key; known here are {', '.join(sorted(set(self._asked)))}")
