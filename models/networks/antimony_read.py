"""Antimony, the text form of SBML that the field reads, to `Network`."""

from __future__ import annotations

import logging
import math
import re
import threading
from pathlib import Path

import antimony

from ..listing import listed
from .antimony_calls import wrong_calls
from .antimony_chains import bracketed_comparisons
from .antimony_words import computed_part, why_unread
from .infix import character, replacement_of
from .network import Network, UnsupportedModelError
from .operations import is_nonzero
from .sbml_read import read_sbml

_NUMBER = re.compile(r"(?<![A-Za-z0-9_.])(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MODEL = re.compile(r"\b(?:model|module)\s+(\*?)\s*([A-Za-z_]\w*)")
_MALFORMED = re.compile(
    r"(?<![A-Za-z0-9_.])(?:0[xX][0-9A-Fa-f]+|[0-9][0-9.]*(?:_[0-9]+)+|[0-9][0-9.]*[eE](?![+-]?[0-9]))\b"
)

log = logging.getLogger(__name__)

_alone = threading.Lock()  # libantimony keeps the text it reads in variables that all threads share


def read_antimony(source: str | Path) -> Network:
    """A `Network` from an Antimony file or Antimony text: the last model in it.

    Parameters
    ----------
    source : str or path
        A text that ends in `.ant` and has no line break is a path.

    Returns
    -------
    Network
        The network, without the library's facts.

    Raises
    ------
    UnsupportedModelError
        With file and line for text that cannot be read, and for what `read_sbml` does not support.
    FileNotFoundError
        For a missing file.
    """
    return read_sbml(antimony_to_sbml(source), antimony_name(source))


def antimony_to_sbml(source: str | Path) -> str:
    """SBML text of the last model in an Antimony file or Antimony text.

    Raises `UnsupportedModelError` with file and line for text that cannot be read, and for numbers that libantimony
    would read to their middle.
    """
    where = antimony_name(source)
    text = str(source)
    if _is_file(source):
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"there is no Antimony file {path}")
        text = _decoded(path.read_bytes(), where)
    computed = computed_part(text)
    if not computed.strip():
        raise UnsupportedModelError(f"{where} holds no model: it is empty, or all of it is a comment")
    _check(text, computed, where)
    with _alone:
        if _is_file(source):
            antimony.clearDirectories()
            antimony.addDirectory(str(Path(source).parent))
        antimony.clearPreviousLoads()
        if antimony.loadAntimonyString(text) < 0:
            raise UnsupportedModelError(f"{where} cannot be read as Antimony: {_reason(text)}")
        main = antimony.getMainModuleName() or ""
        sbml = antimony.getSBMLString(main) or ""
    _log_other_models(computed, main, where)
    return sbml


def _log_other_models(computed: str, main: str, where: str) -> None:
    """Logs which of several models is read, unless a star in the text says so or the others are parts of it."""
    models = [name for star, name in _MODEL.findall(computed) if not star]
    others = [n for n in dict.fromkeys(models) if n != main and not re.search(rf":\s*{n}\s*\(", computed)]
    if main in models and others:
        log.warning(
            "%s holds several models: %s, the last one, is read, and not %s; write 'model *NAME()' for another",
            where,
            main,
            listed(others),
        )


def antimony_name(source: str | Path) -> str:
    """What messages call an Antimony file or text."""
    return str(source) if _is_file(source) else "the Antimony text"


def _is_file(source: str | Path) -> bool:
    return isinstance(source, Path) or ("\n" not in source and source.endswith(".ant"))


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        column = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
        raise UnsupportedModelError(
            f"{where}, line {line}, byte {column}: the byte 0x{content[error.start]:02x} is not UTF-8; "
            "save the file as UTF-8"
        ) from None


def _check(text: str, computed: str, where: str) -> None:
    """Refuses what libantimony drops or reads to its middle. Comments and names in quotes may hold anything."""
    problems = []
    for match in re.finditer(r"[^\x00-\x7f]", computed):
        better = replacement_of(match.group())
        advice = f"; write {better}" if better else "; Antimony knows ASCII only, outside comments and quotes"
        problems.append((match.start(), f"{character(match.group())} has no meaning{advice}"))
    for match in _MALFORMED.finditer(computed):
        problems.append((match.start(), f"{match.group()!r} is not a number; write it in decimal digits"))
    for match in _NUMBER.finditer(computed):
        value = float(match.group())
        if math.isinf(value) or (value == 0 and is_nonzero(match.group())):
            beyond = "the largest that can be computed with, 1.8e308" if value else "the smallest one, 5e-324"
            problems.append((match.start(), f"the number {match.group()[:40]} is beyond {beyond}"))
    problems += bracketed_comparisons(computed)
    problems += wrong_calls(computed)
    if problems:
        lines = [f"{_place(text, at)}: {reason}" for at, reason in sorted(problems)[:10]]
        raise UnsupportedModelError(f"{where} cannot be read as Antimony:\n  " + "\n  ".join(lines))


def _place(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def _reason(text: str) -> str:
    try:
        said = antimony.getLastError() or ""
    except UnicodeDecodeError:
        said = "libantimony gives no reason"
    return why_unread(said, text)
