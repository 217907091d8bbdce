"""A file of SBML as libsbml's document: read, checked, and put together if it has parts (package `comp`)."""

from __future__ import annotations

from pathlib import Path

import libsbml

from .network import UnsupportedModelError
from .sbml_text import check_sbml_text

_DRAWINGS = {"layout", "render"}
HARMLESS = _DRAWINGS | {"annotation", "groups", "l3v2extendedmath"}
"""Packages that change no number: drawings, names of groups, and functions that are known anyhow."""


def read_document(source: str | Path, where: str) -> tuple[libsbml.SBMLDocument, str]:
    """The document of a file or a text, without parts, and what messages call it.

    Raises `UnsupportedModelError` for what libsbml cannot read, but for faults of drawings, and `FileNotFoundError`.
    """
    text = str(source)
    if text.lstrip().startswith("<"):
        content, path, where = text.encode(), None, where or "the SBML text"
    else:
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"there is no SBML file {path}")
        content, where = path.read_bytes(), where or str(path)
    if problems := check_sbml_text(content):
        raise UnsupportedModelError(f"{where} holds what is not supported:\n  " + "\n  ".join(problems))
    document = libsbml.readSBMLFromString(text) if path is None else libsbml.readSBMLFromFile(str(path))
    check_document(document, where)
    if document.getPlugin("comp") is not None:
        from .sbml_flatten import flatten

        flatten(document, where)
    return document, where


def check_document(document: libsbml.SBMLDocument, where: str) -> None:
    """Raises `UnsupportedModelError` with libsbml's errors, but for those of drawings, or if there is no model."""
    lines = [f"line {e.getLine()}: {e.getShortMessage()}" for e in errors_of(document)]
    if not lines and document.getModel() is None:
        lines = ["it holds no model"]
    if lines:
        raise UnsupportedModelError(f"{where} cannot be read as SBML:\n  " + "\n  ".join(lines[:10]))


def errors_of(document: libsbml.SBMLDocument) -> list[libsbml.SBMLError]:
    """What libsbml says is wrong, but for drawings."""
    said = [document.getError(i) for i in range(document.getNumErrors())]
    return [e for e in said if e.getSeverity() >= libsbml.LIBSBML_SEV_ERROR and e.getPackage() not in _DRAWINGS]


__all__ = ["HARMLESS", "check_document", "errors_of", "read_document"]
