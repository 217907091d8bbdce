"""Protocols written as text, for the command line."""

from __future__ import annotations

from ...errors import HexamerError
from ..networks.infix import read_number
from .protocol import Protocol

GRAMMAR = (
    "statements separated by ';': equilibrate [NAME=VALUE …] | add NAME VALUE [at TIME] | set NAME VALUE [at TIME] | "
    "wash out NAME [at TIME] | pulse NAME VALUE from TIME to TIME"
)
_UNITS = "VALUE and TIME are numbers in the model's units, without a unit, and VALUE may be a parameter's name"


def parse_protocol(text: str, *, name: str | None = None) -> Protocol:
    """A protocol from text such as `equilibrate; add IL6 0.48; wash out IL6 at 15`.

    Times in the model's unit (min), amounts in its unit (nM); a value may be the name of a parameter. Raises
    `ValueError` with the statement that cannot be read and the grammar.
    """
    protocol = Protocol(name or text.strip() or "no change")
    for statement in filter(None, (s.strip() for s in text.split(";"))):
        try:
            protocol = _apply(protocol, statement.split())
        except (IndexError, _UnreadableError):
            raise ValueError(f"cannot read {statement!r} in a protocol; it takes {GRAMMAR}; {_UNITS}") from None
    return protocol


class _UnreadableError(HexamerError):
    pass


def _value(word: str) -> float | str:
    value = read_number(word)
    if value is not None:
        return value
    if not word.isidentifier() or word in ("inf", "nan", "infinity"):
        raise _UnreadableError
    return word


def _time(words: list[str]) -> float:
    if not words:
        return 0.0
    if words[0] != "at" or len(words) != 2:
        raise _UnreadableError
    return _number(words[1])


def _number(word: str) -> float:
    value = read_number(word)
    if value is None:
        raise _UnreadableError
    return value


def _apply(protocol: Protocol, words: list[str]) -> Protocol:
    if words[0] == "equilibrate":
        pairs = [w.split("=") for w in words[1:]]
        if any(len(p) != 2 for p in pairs):
            raise _UnreadableError
        names = [p[0] for p in pairs]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"{' '.join(words)!r} in a protocol gives {', '.join(twice)} twice: leave one of them out")
        return Protocol(protocol.name, {k: _value(v) for k, v in pairs}, protocol.steps, protocol.start)
    if words[0] == "add":
        return protocol.add(words[1], _value(words[2]), at=_time(words[3:]))
    if words[0] == "set":
        return protocol.change({words[1]: _value(words[2])}, at=_time(words[3:]))
    if words[:2] == ["wash", "out"]:
        return protocol.wash_out(words[2], at=_time(words[3:]))
    if words[0] == "pulse" and words[3] == "from" and words[5] == "to" and len(words) == 7:
        return protocol.pulse(words[1], _value(words[2]), start=_number(words[4]), stop=_number(words[6]))
    raise _UnreadableError
