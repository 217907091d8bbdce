"""Comparisons of comparisons in Antimony text, whose brackets libantimony drops.

It writes `(a > b) != (c > d)` as the chain `a > b` and `b != (c > d)`.
"""

from __future__ import annotations

import re

_RELATION = re.compile(r"==|!=|>=|<=|>|<")
_NEXT = re.compile(rf"\s*(?:{_RELATION.pattern})")


_REASON = (
    "a comparison in brackets is compared with something, and Antimony drops such brackets; write xor(a, b) for "
    "conditions that differ, !xor(a, b) for conditions that agree"
)


def bracketed_comparisons(text: str) -> list[tuple[int, str]]:
    """Where a bracket that holds a comparison stands to the left of another one, each with what to write instead."""
    relations = {m.start() for m in _RELATION.finditer(text)}
    inside: list[bool] = []  # whether each open bracket holds a comparison of its own
    comparisons = []
    for at, character in enumerate(text):
        if character == "(":
            inside.append(False)
        elif at in relations and inside:
            inside[-1] = True
        elif character == ")" and inside and inside.pop() and _NEXT.match(text, at + 1):
            comparisons.append((at, _REASON))
    return comparisons


__all__ = ["bracketed_comparisons"]
