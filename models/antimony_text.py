"""Antimony, the text form of SBML that the field reads, to SBML."""

from __future__ import annotations

from pathlib import Path

import antimony

from .sbml_read import UnsupportedModelError


def antimony_to_sbml(source: str | Path) -> str:
    """SBML text of the last model in an Antimony file or Antimony text.

    Raises `UnsupportedModelError` with libantimony's own words when it cannot be parsed.
    """
    text, where = str(source), "the Antimony text"
    if isinstance(source, Path) or ("\n" not in text and text.endswith(".ant")):
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"there is no Antimony file {path}")
        text, where = path.read_text(), str(path)
        antimony.clearDirectories()
        antimony.addDirectory(str(path.parent))
    antimony.clearPreviousLoads()
    if antimony.loadAntimonyString(text) < 0:
        reason = " ".join((antimony.getLastError() or "").split())
        raise UnsupportedModelError(f"{where} cannot be read as Antimony: {reason}")
    return antimony.getSBMLString(antimony.getMainModuleName()) or ""
