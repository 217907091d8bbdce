"""Lists of names in messages, and suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from difflib import get_close_matches


def listed(names: Iterable[str], most: int = 4) -> str:
    """Names separated by commas, and how many more there are than `most`."""
    all_names = list(names)
    more = len(all_names) - most
    return ", ".join(all_names[:most]) + (f" and {more} more" if more > 0 else "")


def with_and(names: Iterable[object]) -> str:
    """All names, as in a sentence.

    >>> with_and(["A", "B", "C"])
    'A, B and C'
    """
    *others, last = map(str, names)
    return f"{', '.join(others)} and {last}" if others else last


def counted(things: Sized, noun: str) -> str:
    """How many there are: `1 species`, `2 parameters`.

    >>> counted(["A", "B"], "parameter")
    '2 parameters'
    """
    plural = "" if len(things) == 1 or noun.endswith("s") else "s"
    return f"{len(things):,} {noun}{plural}"


def did_you_mean(unknown: str | Iterable[str], known: Iterable[str]) -> str:
    """`; did you mean 'il6_stat3'?` for names that are close to known ones, else nothing. It ends a message.

    Upper and lower case do not count.

    >>> did_you_mean("il6_stat4", ["il6_stat3", "hepg2_core"])
    "; did you mean 'il6_stat3'?"
    >>> did_you_mean("elephant", ["il6_stat3", "hepg2_core"])
    ''
    """
    by_lower = {str(n).lower(): str(n) for n in known}
    names = [unknown] if isinstance(unknown, str) else list(unknown)
    close = [get_close_matches(str(n).lower(), by_lower, 1, 0.7) for n in names]
    suggestions = list(dict.fromkeys(repr(by_lower[c[0]]) for c in close if c))
    return f"; did you mean {', '.join(suggestions)}?" if suggestions else ""


def known_names(unknown: str | Iterable[str], known: Iterable[str]) -> str:
    """`known: a, b`, and which of them an unknown name was meant to be. It ends a message.

    >>> known_names("fusd", ["fused", "diffrax"])
    "known: fused, diffrax; did you mean 'fused'?"
    """
    names = [str(n) for n in known]
    return f"known: {', '.join(names)}{did_you_mean(unknown, names)}"


def one_of(unknown: object, known: Iterable[str]) -> str:
    """The words `one of a, b` for a message, and which of them was meant.

    >>> one_of("Blot", ["blot", "qpcr"])
    "one of blot, qpcr; did you mean 'blot'?"
    """
    names = [str(n) for n in known]
    return f"one of {', '.join(names)}{did_you_mean(str(unknown), names)}"


def after_number(unit: str) -> str:
    """A unit as it follows a number in a message: with a space; empty if there is none.

    >>> after_number("nM"), after_number("1")
    (' nM', '')
    """
    return f" {unit}" if unit not in ("", "1") else ""


def check_word(name: str, word: object, known: Iterable[str]) -> None:
    """Raises `ValueError` with the words known, and which of them was meant, unless `word` is one of them."""
    if word not in (words := list(known)):
        raise ValueError(f"{name} must be {one_of(word, words)}, not {word!r}")


__all__ = ["after_number", "check_word", "counted", "did_you_mean", "known_names", "listed", "one_of", "with_and"]
