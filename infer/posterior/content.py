"""Networks and data sets as JSON text, exactly: what is read back equals what was written, formulas included.

A dataclass is `{"Species": {"name": …}}`, any other mapping `{"map": {…}}`, a formula `{"formula": …}`: a symbol is
text, an integer a number, a function its name and arguments, such as `["Mul", ["Float", 0.5], "A"]`. Noise is
written as in tables: `"student_t(4)"`. Reading makes
nothing but the dataclasses and formulas of the modules below; nothing is evaluated as Python.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import sympy
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair

from ...data import dataset, parameter
from ...data import schedules as doses
from ...data.noise import Noise
from ...errors import HexamerError
from ...models.networks import network
from ...models.protocols import protocol

_CLASSES: dict[str, type] = {
    name: kind
    for module in (network, protocol, dataset, doses, parameter)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and is_dataclass(kind)
}
_SINGLE: dict[str, sympy.Basic] = {
    type(x).__name__: x
    for x in (
        *(sympy.S.Pi, sympy.S.Exp1, sympy.S.NaN, sympy.S.Infinity, sympy.S.NegativeInfinity),
        *(sympy.S.ComplexInfinity, sympy.S.ImaginaryUnit, sympy.S.true, sympy.S.false),
    )
}
_AS_WRITTEN = (sympy.Add, sympy.Mul, sympy.Pow, sympy.Piecewise, Relational)
_DOUBLE = 53  # bits of the precision of a sympy number that is a float


class ContentError(HexamerError, ValueError):
    """What cannot be written as text, or text that does not hold what was written."""


def to_text(value: Any) -> str:
    """The text of a dataclass of the modules above. Raises `ContentError` for what it cannot hold."""
    return json.dumps(_encoded(value), ensure_ascii=False)


def from_text(text: str) -> Any:
    """What `to_text` wrote. Raises `ContentError` for other text, and for text of another version."""
    try:
        return _decoded(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ContentError(f"the text is damaged, or of another version of hexamer ({error})") from None


def _encoded(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Noise):
        return value.text
    if isinstance(value, sympy.Basic):
        return {"formula": _tree(value)}
    if isinstance(value, (tuple, list)):
        return [_encoded(v) for v in value]
    if isinstance(value, Mapping):
        if not all(isinstance(k, str) for k in value):
            raise ContentError("a mapping whose keys are not text cannot be stored as text")
        return {"map": {k: _encoded(v) for k, v in value.items()}}
    name = type(value).__name__
    if _CLASSES.get(name) is not type(value):
        raise ContentError(f"a {name} cannot be kept as text")
    return {name: {f.name: _encoded(getattr(value, f.name)) for f in fields(value) if f.init}}


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decoded(v) for v in value)
    if not isinstance(value, dict):
        return value
    ((name, content),) = value.items()
    if name == "formula":
        return _formula(content)
    fields = {k: _decoded(v) for k, v in content.items()}
    return fields if name == "map" else _CLASSES[name](**fields)


def _tree(x: sympy.Basic) -> Any:
    name = type(x).__name__
    if type(x) is sympy.Symbol and x == sympy.Symbol(x.name):
        return x.name
    if isinstance(x, sympy.Integer):
        return int(x)
    if isinstance(x, sympy.Rational):
        return ["Rational", int(x.p), int(x.q)]
    if isinstance(x, sympy.Float):
        same = x._prec == _DOUBLE  # pyright: ignore[reportAttributeAccessIssue]
        return ["Float", float(x)] if same else ["Float", str(x), int(x._prec)]  # pyright: ignore[reportAttributeAccessIssue]
    if name in _SINGLE and x == _SINGLE[name]:
        return [name]
    if getattr(sympy, name, None) is not type(x) and not isinstance(x, ExprCondPair):
        raise ContentError(f"the formula {str(x)[:80]!r} cannot be kept as text")
    return [name, *(_tree(a) for a in x.args)]


def _formula(tree: Any) -> sympy.Basic:
    if isinstance(tree, str):
        return sympy.Symbol(tree)
    if isinstance(tree, int):
        return sympy.Integer(tree)
    name, *arguments = tree
    if name == "Rational":
        return sympy.Rational(*map(int, arguments))
    if name == "Float":
        return (
            sympy.Float(float(arguments[0]))
            if len(arguments) == 1
            else sympy.Float(str(arguments[0]), precision=int(arguments[1]))
        )
    if name in _SINGLE:
        return _SINGLE[name]
    head: Any = ExprCondPair if name == "ExprCondPair" else getattr(sympy, name)
    if not (isinstance(head, type) and issubclass(head, sympy.Basic)):
        raise KeyError(name)
    args = [_formula(a) for a in arguments]
    make: Any = head
    return make(*args, evaluate=False) if issubclass(head, _AS_WRITTEN) else make(*args)


__all__ = ["ContentError", "from_text", "to_text"]
