"""Text files as users save them: UTF-8, with or without a mark of byte order; anything else is named."""

from __future__ import annotations

import codecs
from pathlib import Path

from .issues import Issues

_OTHER_ENCODINGS = ((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))
"""Marks at the start of a file; that of UTF-32 begins with that of UTF-16."""


def read_text(path: Path, issues: Issues) -> str | None:
    """The text of the file at `path`; None, with a problem added, where it is missing, a folder or not UTF-8."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        issues.add(path.name, f"there is no such file in {path.parent}")
    except IsADirectoryError:
        issues.add(path.name, f"a file, but {path} is a folder")
    except OSError as error:
        issues.add(path.name, f"the file cannot be opened: {error.strerror or error}")
    else:
        return _decoded(content, path.name, issues)
    return None


def _decoded(content: bytes, file: str, issues: Issues) -> str | None:
    for mark, encoding in _OTHER_ENCODINGS:
        if content.startswith(mark):
            issues.add(file, f"text in UTF-8, but the file is {encoding}; save it as UTF-8")
            return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        byte = f"0x{error.object[error.start]:02x}"
        issues.add(file, f"text in UTF-8, but line {line} has the byte {byte}, which is not; save the file as UTF-8")
        return None
    if "\0" in text:
        line = 1 + text[: text.index("\0")].count("\n")
        issues.add(file, f"text, but line {line} has a zero byte; save the file as UTF-8 text")
        return None
    return text
