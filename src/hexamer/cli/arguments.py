"""Numbers, times and assignments as they are written on the command line, all read by one strict reader.

Python's own `float` also takes `1_0`, digits of other scripts, `nan` and `inf`, and makes 0 of 1e-400.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import typer

_MOST_TIMES = 10**7


def _read(text: str) -> float:
    """A finite decimal number. Raises `ValueError` with what was expected."""
    from ..data.files.csv_table import hint_of, parse_number

    value = parse_number(text.strip())
    if value is None:
        raise ValueError(f"a finite number{hint_of(text.strip())}")
    return value


def _within(value: float, least: float | None, most: float | None) -> None:
    if least is not None and value < least:
        raise typer.BadParameter(f"{value:g} is below {least:g}")
    if most is not None and value > most:
        raise typer.BadParameter(f"{value:g} is above {most:g}")


def number_parser(least: float | None = None, most: float | None = None) -> Callable[[str | float], float]:
    """A parser of options that take a number, within bounds if they are given."""

    def parse(text: str | float) -> float:
        try:
            value = _read(text) if isinstance(text, str) else text  # else the option's default
        except ValueError as error:
            raise typer.BadParameter(f"{text!r} is not {error}") from None
        _within(value, least, most)
        return value

    return parse


def whole_parser(least: int) -> Callable[[str | int], int]:
    """A parser of options that take a whole number."""

    def parse(number: str | int) -> int:
        text = str(number).strip()
        if not re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
            raise typer.BadParameter(f"{number!r} is not a whole number")
        _within(int(text), least, None)
        return int(text)

    return parse


def choice(kind: type[StrEnum]) -> Callable[[str], Any]:
    """A parser of what takes one name of a kind, in any case of letters; a message says which was meant."""

    def parse(text: str) -> Any:
        names = [one.value for one in kind]
        if text.lower() not in names:
            from ..models.listing import one_of

            raise typer.BadParameter(f"{text!r} is not {one_of(text, names)}")
        return kind(text.lower())

    return parse


def choice_of(kind: type[StrEnum], metavar: str = "") -> dict[str, Any]:
    """Settings of an option or argument that takes one name of a kind; `metavar` stands for it in the help."""
    names = [one.value for one in kind]
    return {"parser": choice(kind), "metavar": metavar or f"[{'|'.join(names)}]", "autocompletion": lambda: names}


def number_option(help: str, least: float | None = None, most: float | None = None) -> Any:
    """An option that takes a number, within bounds if they are given."""
    return typer.Option(parser=number_parser(least, most), metavar="NUMBER", help=help)


def count_option(help: str, least: int = 1) -> Any:
    """An option that takes a whole number of at least `least`."""
    return typer.Option(parser=whole_parser(least), metavar="COUNT", help=help)


def texts_by_name(option: str, assignments: Sequence[str]) -> dict[str, str]:
    """Values by name from NAME=VALUE, still as text. Raises `ValueError` for a name that is given twice."""
    texts: dict[str, str] = {}
    for text in assignments:
        name, _, value = (x.strip() for x in text.partition("="))
        if not name or not value:
            raise ValueError(f"{option} takes NAME=VALUE, not {text!r}")
        if name in texts:
            raise ValueError(f"{option} gives {name} twice, as {texts[name]} and as {value}: keep one")
        texts[name] = value
    return texts


def numbers_by_name(option: str, assignments: Sequence[str]) -> dict[str, float]:
    """As `texts_by_name`, of finite numbers."""
    numbers: dict[str, float] = {}
    for name, text in texts_by_name(option, assignments).items():
        try:
            numbers[name] = _read(text)
        except ValueError as error:
            raise ValueError(f"{option} takes NAME=VALUE with a number, not {f'{name}={text}'!r}: {error}") from None
    return numbers


def times(option: str, text: str) -> list[float]:
    """Times from START:STOP:STEP, the last included, or separated by commas."""
    try:
        if ":" not in text:
            return [_read(part) for part in text.split(",")]
        parts = [_read(part) for part in text.split(":")]
    except ValueError as error:
        raise ValueError(f"{_TIMES.format(option)}, not {text!r}: {error}") from None
    if len(parts) != 3 or parts[2] <= 0 or parts[1] < parts[0]:
        raise ValueError(f"{_TIMES.format(option)}, not {text!r}: STOP is not before START, and STEP is above 0")
    return _spaced(option, text, *parts)


_TIMES = "{} takes START:STOP:STEP or numbers separated by commas"


def _spaced(option: str, text: str, start: float, stop: float, step: float) -> list[float]:
    import numpy as np

    count = (stop - start) / step + 1
    if count > _MOST_TIMES:
        raise ValueError(f"{option} {text} asks for {count:.3g} times, at most {_MOST_TIMES:,}: take a larger STEP")
    return np.arange(start, stop + step / 2, step).tolist()


def decimal_comma(option: str, text: str) -> str | None:
    """What to say of times such as 0,5, which may have been meant as one number with a decimal comma."""
    if not re.fullmatch(r"\s*\d+,\d+\s*", text, re.ASCII):
        return None
    first, second = text.strip().split(",")
    return f"{option} {text.strip()} is read as two times, {first} and {second}; write decimals with a point"


def check_memory(option: str, rows: int, columns: int) -> None:
    """Raises `ValueError` if a table of so many times and names cannot be held."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    needed = rows * columns * 8 * _COPIES
    if needed > memory:
        raise ValueError(
            f"{option} asks for {rows:,} rows of {columns} numbers, {needed / 2**30:.3g} GiB with what is computed on "
            f"the way, and this machine has {memory / 2**30:.3g} GiB: ask for fewer times"
        )


_COPIES = 4  # of all trajectories: of the solver, of the stricter one, and in the table
