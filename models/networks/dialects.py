"""The dialects of formulas written as text, SBML's and PEtab's: the functions and constants that each knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sympy

from .operations import FormulaError, Operand, number_operand, operate

RELATIONS = {"<": "lt", "<=": "leq", ">": "gt", ">=": "geq", "==": "eq", "!=": "neq"}
"""Names of the comparisons, by how they are written."""

_CONSTANTS: Mapping[str, sympy.Basic] = {
    "pi": sympy.pi,
    "exponentiale": sympy.E,
    "true": sympy.true,
    "false": sympy.false,
}

Function = Callable[[Sequence[Operand]], Operand]


@dataclass(frozen=True)
class Dialect:
    """The functions and constants that a formula may use."""

    functions: Mapping[str, Function]
    constants: Mapping[str, sympy.Basic]
    hints: Mapping[str, str]  # what to say of functions that are refused


def _plain(name: str) -> Function:
    return lambda operands: operate(name, operands)


def _counted(name: str, operands: Sequence[Operand], least: int, most: int) -> None:
    if not least <= len(operands) <= most:
        expected = str(least) if least == most else f"{least} or {most}"
        raise FormulaError(f"{name} takes {expected} argument{'' if expected == '1' else 's'}, not {len(operands)}")


def _with_number(shown: str, name: str, value: int, *, last: bool = False) -> Function:
    """The operation `name` with one operand set to `value`, such as a logarithm's base."""

    def build(operands: Sequence[Operand]) -> Operand:
        _counted(shown, operands, 1, 1)
        extra = number_operand(float(value), str(value))
        return operate(name, [*operands, extra] if last else [extra, *operands])

    return build


def _root(operands: Sequence[Operand]) -> Operand:
    _counted("root", operands, 1, 2)
    return operate("root", operands if len(operands) == 2 else [number_operand(2.0, "2"), *operands])


def _petab_log(operands: Sequence[Operand]) -> Operand:
    _counted("log", operands, 1, 2)
    return operate("ln", operands) if len(operands) == 1 else operate("log", operands[::-1])


_SHARED: dict[str, Function] = {
    **{name: _plain(name) for name in ("exp", "ln", "abs", "min", "max", "sin", "cos", "tan", "tanh", "piecewise")},
    "pow": _plain("power"),
    "sqrt": _with_number("sqrt", "root", 2),
    "log10": _with_number("log10", "log", 10),
}
_HYPERBOLIC = ("sinh", "cosh", "sec", "csc", "cot", "sech", "csch", "coth")
_INVERSE = {
    f"a{name}": f"arc{name}"
    for name in ("cos", "sin", "tan", "sec", "csc", "cot", "cosh", "sinh", "tanh", "sech", "csch", "coth")
}
SBML = Dialect(
    functions={
        **_SHARED,
        **{name: _plain(name) for name in ("floor", "ceiling", "power", "plus", "minus", "times", "divide", "log")},
        **{name: _plain(name) for name in (*_HYPERBOLIC, *_INVERSE.values())},
        **{short: _plain(name) for short, name in _INVERSE.items()},
        **{name: _plain(name) for name in (*RELATIONS.values(), "and", "or", "xor", "not", "implies")},
        "ceil": _plain("ceiling"),
        "root": _root,
        "sqr": _with_number("sqr", "power", 2, last=True),
    },
    constants=_CONSTANTS,
    hints={"log": "write ln(x) for the natural logarithm, log10(x) for the decadic one, or log(base, x)"},
)
INSTEAD = {
    "rem": "write x - y*floor(x/y) for x, y > 0",
    "quotient": "write floor(x/y) for x, y > 0",
    "mod": "write x - y*floor(x/y)",
    "log2": "write ln(x)/ln(2)",
    "sign": "write piecewise(1, x > 0, -1, x < 0, 0)",
    "heaviside": "write piecewise(1, x >= 0, 0)",
}
"""Advice that ends a message on a function that is not supported, by the function."""

MATHEMATICS = {*INSTEAD, *_HYPERBOLIC, *_INVERSE, *_INVERSE.values(), "factorial", "delay", "rateOf"}
"""Names of functions that are not supported, and that cannot be meant as a product."""

PETAB = Dialect(
    functions={
        **_SHARED,
        **{name: _plain(name) for name in (*_HYPERBOLIC, *_INVERSE.values(), "sign")},
        "log": _petab_log,
        "log2": _with_number("log2", "log", 2),
    },
    constants={n: e for n, e in _CONSTANTS.items() if n in ("true", "false")},
    hints={},
)
"""PEtab's mathematics. Source: https://petab.readthedocs.io/en/latest/v2/documentation_data_format.html#math-expressions-syntax."""
