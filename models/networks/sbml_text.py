"""Checks of SBML text that libsbml does not make: it reads a number up to the first character that is not part of it.

`<cn>1,5</cn>` is 1 to libsbml, `<cn type="integer">0x10</cn>` is 0. Deep nesting ends the process.
"""

from __future__ import annotations

import math
import re
from xml.parsers import expat

from .operations import is_nonzero

DEEPEST = 1000
"""How many elements may stand within one another; libsbml calls itself for each."""

_SHOWN = 10
_MATHML = "http://www.w3.org/1998/Math/MathML "
_WITH_TEXT = {"cn", "ci", "csymbol", "annotation", "annotation-xml"}
_SPACE = " \t\r\n"
_INTEGER = re.compile(r"[+-]?[0-9]+")
_REAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MANTISSA = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_INTEGERS = 2**31  # what libsbml holds


def check_sbml_text(content: bytes) -> list[str]:
    """What is wrong with the numbers in the formulas of an SBML text, each with its line; empty if all is well.

    Text that is not XML has no problem here: libsbml says what is wrong with it.
    """
    scan = _Scan()
    try:
        scan.parser.Parse(content, True)
    except (expat.ExpatError, ValueError):
        return scan.problems if scan.too_deep else []
    return scan.problems


class _Scan:
    def __init__(self) -> None:
        self.problems: list[str] = []
        self.inside: list[str] = []  # elements that are open
        self.too_deep = False
        self.kind: str | None = None  # of the number that is being read
        self.parts: list[str] = []
        self.line = 0
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.inside.append(name)
        if len(self.inside) > DEEPEST:
            self.too_deep = True
            self.problems = [
                f"line {self.parser.CurrentLineNumber}: nested too deeply, more than {DEEPEST} elements in one another"
            ]
            raise ValueError
        local = name.rpartition(" ")[2]
        if local == "cn":
            self.kind, self.parts, self.line = attributes.get("type", "real"), [""], self.parser.CurrentLineNumber
            if attributes.get("base", "10") != "10":
                self.complain(f"a number in a formula has the base {attributes['base']!r}; write it in decimal digits")
        elif local == "sep" and self.kind is not None:
            self.parts.append("")

    def end(self, name: str) -> None:
        self.inside.pop()
        if self.kind is not None and name.rpartition(" ")[2] == "cn":
            reason = wrong_number(self.kind, [p.strip(_SPACE) for p in self.parts])
            if reason:
                self.complain(reason)
            self.kind = None

    def text(self, data: str) -> None:
        if self.kind is not None:
            self.parts[-1] += data
            return
        element = self.inside[-1]
        if data.strip(_SPACE) and element.startswith(_MATHML) and element.rpartition(" ")[2] not in _WITH_TEXT:
            self.line = self.parser.CurrentLineNumber
            self.complain(f"the text {data.strip()[:40]!r} stands between the elements of a formula")

    def complain(self, reason: str) -> None:
        if len(self.problems) < _SHOWN:
            self.problems.append(f"line {self.line}: {reason}")


def wrong_number(kind: str, parts: list[str]) -> str | None:
    """Why `parts` (split at `<sep/>`) are not a number of MathML's type `kind`; None if they are."""
    written = " ".join(parts)
    shown = f"the number {written[:40]!r} in a formula"
    patterns = {
        "integer": [_INTEGER],
        "real": [_REAL],
        "e-notation": [_MANTISSA, _INTEGER],
        "rational": [_INTEGER, _INTEGER],
    }.get(kind)
    if patterns is None:
        return f"{shown} has the type {kind!r}; known are integer, real, e-notation and rational"
    if len(parts) != len(patterns) or not all(p.fullmatch(t) for p, t in zip(patterns, parts, strict=True)):
        expected = {"integer": "digits", "real": "decimal digits with a point, and e for a power of ten"}
        return f"{shown} cannot be read; expected {expected.get(kind, 'two numbers with <sep/> between')}"
    if kind in ("integer", "rational"):
        if any(len(t) > 12 or not -_INTEGERS <= int(t) < _INTEGERS for t in parts):
            return f"{shown} is too large for the type {kind!r}; write it with type='real'"
        return f"{shown} divides by 0" if kind == "rational" and int(parts[1]) == 0 else None
    value = float("e".join(parts))
    if not math.isfinite(value):
        return f"{shown} is beyond the largest that can be computed with, 1.8e308"
    if value == 0 and is_nonzero(parts[0]):
        return f"{shown} is below the smallest that can be computed with, 5e-324"
    return None
