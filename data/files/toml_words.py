"""Why a TOML file cannot be read, in plain words with the line and what stands there."""

from __future__ import annotations

import re

_PLACE = re.compile(r"(.*?) \(at (?:line (\d+), column (\d+)|(end of document))\)")
_WORDS = (
    (r"Cannot overwrite a value|Cannot declare .* twice", "a key or a table stands twice"),
    (r"Cannot mutate immutable namespace", "a key adds to a table that is written in braces, or stands twice"),
    (r"Illegal character '\\n'", "the text in quotes does not end on its line"),
    (r"Illegal character (.+)", r"the character \1 cannot stand here"),
    (r"Unterminated string|Expected .*\"'*\"", "the text in quotes does not end"),
    (r"Expected '=' after a key", "'=' was expected behind the name of a key"),
    (r"Expected '\]+' .*", "a bracket ']' is missing"),
    (r"Invalid initial character for a key part", "the name of a key was expected"),
    (r"Invalid value", "this is not a value: text needs quotes, and decimals a point"),
    (
        r"Expected newline or end of document after a statement",
        "something stands behind the value: text needs quotes, and decimals a point",
    ),
    (r"Unclosed array", "a list has no closing ]"),
    (r"Unclosed inline table", "a table in braces has no closing }"),
    (r"Unescaped '\\' in a string", r"write \\\\ for a backslash in quotes"),
    (r"Duplicate inline table key (.+)", r"the key \1 stands twice"),
    (r"Invalid statement", "a key or a table in brackets was expected"),
    (r"Invalid date or datetime", "this is not a date"),
    (r"Exceeds the limit .* for integer string conversion.*", "a number has too many digits"),
)


def why_unread(message: str, text: str) -> str:
    """An error message of tomllib on `text`, in plain words."""
    message = message.splitlines()[0] if message else message
    place = _PLACE.fullmatch(message)
    reason = place.group(1) if place else message
    for pattern, words in _WORDS:
        if match := re.match(pattern, reason):
            reason = match.expand(words)
            break
    if place is None:
        return reason
    if place.group(4):
        return f"at the end of the file, {reason}"
    line, column = int(place.group(2)), int(place.group(3))
    lines = text.split("\n")
    written = lines[line - 1].strip()[:80] if line <= len(lines) else ""
    return f"line {line}, column {column}: {reason}; the line is {written!r}"


__all__ = ["why_unread"]
