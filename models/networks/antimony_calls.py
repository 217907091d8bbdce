"""Calls of functions in Antimony with too few or too many arguments.

libantimony takes an argument that is missing from the model, where something there has its name.
"""

from __future__ import annotations

import re

_HEAD = re.compile(r"\bfunction\s+([A-Za-z_]\w*)\s*\(([^()]*)\)")
_END = re.compile(r"\bend\b")


def wrong_calls(computed: str) -> list[tuple[int, str]]:
    """Position and reason of each call that does not fit its function, in text without comments and names in quotes."""
    arguments, bodies, heads = {}, {}, []
    for head in _HEAD.finditer(computed):
        name = head.group(1)
        arguments[name] = [a.strip() for a in head.group(2).split(",") if a.strip()]
        end = _END.search(computed, head.end())
        bodies[name] = (head.end(), end.start() if end else len(computed))
        heads.append(head.span())
    calls = [c for c in _calls(computed, arguments) if not any(a <= c[0] < b for a, b in heads)]
    wrong = []
    for at, name, count in calls:
        expected = arguments[name]
        if count != len(expected):
            listed = f" ({', '.join(expected)})" if expected else ""
            wrong.append(
                (at, f"{name} takes {len(expected)} argument{'s' * (len(expected) != 1)}{listed}, not {count}")
            )
    uses = {n: {c for at, c, _ in calls if begin <= at < end} for n, (begin, end) in bodies.items()}
    wrong += [(bodies[n][0], f"the function {n} calls itself") for n in bodies if n in _reached(uses, n)]
    return wrong


def _calls(computed: str, names: dict[str, list[str]]) -> list[tuple[int, str, int]]:
    """Position, name and number of arguments of each call."""
    calls = []
    for call in re.finditer(r"(?<![\w.])([A-Za-z_]\w*)\s*\(", computed):
        if call.group(1) in names and (count := _count(computed, call.end())) is not None:
            calls.append((call.start(), call.group(1), count))
    return calls


def _count(text: str, at: int) -> int | None:
    """How many arguments stand between position `at`, behind a bracket, and its end; None if it has none."""
    depth, commas = 1, 0
    for i in range(at, len(text)):
        c = text[i]
        depth += (c == "(") - (c == ")")
        commas += c == "," and depth == 1
        if depth == 0:
            return commas + 1 if text[at:i].strip() else 0
    return None


def _reached(uses: dict[str, set[str]], start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for name in uses.get(waiting.pop(), set()) - reached:
            reached.add(name)
            waiting.append(name)
    return reached
