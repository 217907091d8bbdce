"""The operations of formulas on sympy expressions: checked, bounded, with Booleans as numbers and numbers as Booleans.

Every formula is built here, whatever it was written in. An operation of two numbers is computed as floats first, so
that nothing is evaluated exactly whose value is not finite or not real.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import sympy

from ...errors import HexamerError
from .conditions import as_boolean, as_number, is_condition, piecewise
from .whole_numbers import factorial, factorial_of_number, quotient, rem

TIME = sympy.Symbol("<time>")
"""The time of a simulation. No name of a model can equal it: a parameter may well be called `time`."""

RateOf = sympy.Function("rateOf")
"""The derivative in time of a name, until `models.networks.derivatives` writes it out."""

LARGEST_EXPONENT = 2**31
"""Of a power with a number as exponent: compiled code holds it as an integer."""

_EXACT = 2**53
_FLOATS_FIRST = {"floor", "ceiling", "min", "max", "quotient", "rem", "factorial"}  # of numbers: as floats say
_FLOATS_EXACT_INTEGERS = 10**9  # bases beyond are not searched for exact roots


class FormulaError(HexamerError, ValueError):
    """A formula that cannot be read, or that holds a construct not supported here."""


@dataclass(frozen=True, slots=True)
class Operand:
    """An expression, and its value where it is a number."""

    expression: sympy.Basic
    value: float | None = None


def real(e: sympy.Basic) -> sympy.Basic:
    """`e` without real and imaginary parts: sympy writes |exp(x)| as exp(re(x)), and every name here is real."""
    if not e.has(sympy.re, sympy.im, sympy.conjugate):
        return e
    parts = {sympy.re: lambda x: x, sympy.conjugate: lambda x: x, sympy.im: lambda x: sympy.Integer(0)}
    for part, instead in parts.items():
        e = e.replace(part, instead)
    return e


def exact(e: sympy.Basic) -> sympy.Basic:
    """`e` with its decimal numbers as fractions.

    Of exp(200*X - 20100.0) sympy makes exp(200*X) times a number that floats cannot hold; of fractions it does not.
    """
    known = {f: sympy.Rational(repr(float(f))) for f in e.atoms(sympy.Float) if 1 / _EXACT < abs(f) < _EXACT}
    return e.xreplace(known) if known else e


def is_nonzero(written: str) -> bool:
    """True for a decimal number whose digits are not all 0, though a float may make it 0, as of 1e-400."""
    return any(c in "123456789" for c in written.lower().partition("e")[0])


def number_operand(value: float, written: str) -> Operand:
    """A number as it is `written` in a formula. Raises `FormulaError` if 64-bit floats cannot hold it."""
    if not math.isfinite(value):
        raise FormulaError(f"the number {written} is beyond the largest that can be computed with, 1.8e308")
    if value == 0 and is_nonzero(written):
        raise FormulaError(f"the number {written} is below the smallest that can be computed with, 5e-324")
    whole = value == 0 or (written.isdecimal() and value <= _EXACT)
    return Operand(sympy.Integer(int(value)) if whole else sympy.Float(value), value)


def symbol(name: str | sympy.Symbol) -> Operand:
    return Operand(sympy.Symbol(name) if isinstance(name, str) else name)


@dataclass(frozen=True, slots=True)
class _Operation:
    """An operation on expressions, and on floats (None: it has to do with Booleans); how many operands it takes."""

    symbolic: Callable[..., sympy.Basic]
    numeric: Callable[..., float] | None
    least: int
    most: int | None
    conditions: bool = False  # takes Booleans


def operate(name: str, operands: Sequence[Operand]) -> Operand:
    """The operation `name` of SBML, such as `plus` or `piecewise`, on its operands.

    Raises `FormulaError` for an operation that is not supported, for a wrong number of operands, and for a result that
    is not a finite real number.
    """
    if name not in _OPERATIONS:
        raise FormulaError(f"the function {name!r} is not supported")
    operation = _OPERATIONS[name]
    _check_count(name, operation, len(operands))
    if name == "divide" and _is_zero(operands[1]):
        raise FormulaError(f"it divides {str(operands[0].expression)[:60]} by 0")
    if name == "piecewise":
        return _checked(name, _piecewise(operands), None, operands)
    if operation.conditions:
        return Operand(operation.symbolic(*(as_boolean(o.expression) for o in operands)))
    if name in _RELATIONS:
        return Operand(_compared(name, operands))
    numbers = [_numeric(o) for o in operands]
    values = [o.value for o in numbers]
    value = None
    if operation.numeric is not None and None not in values:
        value = _evaluated(name, operation.numeric, values)
        if value == 0 and name == "power" and values[0] != 0:
            raise FormulaError(
                f"{_describe_call(name, ', '.join(f'{v:g}' for v in values))} is below 5e-324, the smallest number"
            )
        if name in _FLOATS_FIRST or _beyond_exact(name, numbers):
            return Operand(_as_exact(value), value)
    return _checked(name, operation.symbolic(*(o.expression for o in numbers)), value, numbers)


def _is_zero(o: Operand) -> bool:
    return o.value == 0 or o.expression is sympy.false


def check_result(expression: sympy.Basic) -> None:
    """Raises `FormulaError` if some part of `expression` is not a finite real number."""
    for atom in expression.atoms(sympy.Number, type(sympy.I), type(sympy.zoo)):
        _check_atom(atom)
    # sympy joins powers of different operands: of piecewise(x, x < 1, 11)^y it makes 11^y.
    for power in expression.atoms(sympy.Pow, sympy.exp):
        if not power.free_symbols and power.is_extended_real and math.isinf(_float(power)):
            raise FormulaError("a number in it is beyond the largest that can be computed with, 1.8e308")


def _check_atom(atom: sympy.Basic) -> None:
    if atom is sympy.I:
        raise FormulaError("a part of it is not a real number, such as the root of a negative one")
    if not isinstance(atom, sympy.Number) or atom in (sympy.oo, -sympy.oo, sympy.nan):
        raise FormulaError("a part of it is not a finite number, such as a division by 0")
    if not math.isfinite(_float(atom)):
        raise FormulaError("a number in it is beyond the largest that can be computed with, 1.8e308")
    if not atom.is_zero and _float(atom) == 0:
        raise FormulaError("a number in it is below the smallest that can be computed with, 5e-324")


def _float(e: sympy.Basic) -> float:
    try:
        return e.p / e.q if isinstance(e, sympy.Rational) else float(e)
    except OverflowError:
        return math.inf


def _check_count(name: str, operation: _Operation, count: int) -> None:
    if count < operation.least or (operation.most is not None and count > operation.most):
        most = "or more" if operation.most is None else f"to {operation.most}"
        expected = f"{operation.least}" if operation.least == operation.most else f"{operation.least} {most}"
        raise FormulaError(f"{name} takes {expected} argument{'' if expected == '1' else 's'}, not {count}")


def _numeric(o: Operand) -> Operand:
    if not is_condition(o.expression):
        return o
    e = as_number(o.expression)
    return Operand(e, float(e) if e.is_Number else None)


def _evaluated(name: str, function: Callable[..., float], values: Sequence[float]) -> float:
    arguments = ", ".join(f"{v:g}" for v in values)
    try:
        value = function(*values)
    except ZeroDivisionError:
        raise FormulaError(f"{_describe_call(name, arguments)} divides by 0") from None
    except OverflowError:
        raise FormulaError(f"{_describe_call(name, arguments)} is not finite: it is beyond 1.8e308") from None
    except ValueError:
        raise FormulaError(f"{_describe_call(name, arguments)} is not a real number") from None
    if isinstance(value, complex):
        raise FormulaError(f"{_describe_call(name, arguments)} is not a real number")
    if not math.isfinite(value):
        raise FormulaError(f"{_describe_call(name, arguments)} is not finite")
    return value


def _describe_call(name: str, arguments: str) -> str:
    return f"{name}({arguments if len(arguments) < 80 else arguments[:77] + '…'})"


def _as_exact(value: float) -> sympy.Expr:
    return sympy.Integer(int(value)) if value.is_integer() and abs(value) <= _EXACT else sympy.Float(value)


def _beyond_exact(name: str, operands: Sequence[Operand]) -> bool:
    """Whether exact arithmetic could take long: a power of large numbers, or with a large or a broken exponent."""
    if name != "power":
        return False
    base, exponent = (o.expression for o in operands)
    if not (base.is_Rational and exponent.is_Rational):
        return exponent.is_Rational and not base.is_Number and abs(operands[1].value or 0) > 100
    large = max(abs(base.p), base.q) > _FLOATS_EXACT_INTEGERS
    return large or abs(exponent.p) > 100 or exponent.q > 100


def _checked(name: str, result: sympy.Basic, value: float | None, operands: Sequence[Operand]) -> Operand:
    """The result with its value; exact numbers that floats cannot hold become floats."""
    if result.is_Number or result is sympy.zoo or result is sympy.I:
        _check_atom(result)
        value = _float(result)
        if isinstance(result, sympy.Rational) and max(abs(result.p), result.q) > _EXACT:
            result = sympy.Float(value)
    elif result.has(sympy.zoo) and not any(o.expression.has(sympy.zoo) for o in operands):
        raise FormulaError(f"{name} is not finite")
    return Operand(result, value)


def _piecewise(operands: Sequence[Operand]) -> sympy.Basic:
    """Value, condition, value, condition, …, value otherwise."""
    values = [o.expression for o in operands]
    pairs = [(as_number(values[i]), as_boolean(values[i + 1])) for i in range(0, len(values) - 1, 2)]
    if len(values) % 2:
        pairs.append((as_number(values[-1]), sympy.true))
    pairs = [p for p in pairs if p[1] is not sympy.false]
    if not pairs:
        raise FormulaError("piecewise has no value: no condition in it ever holds")
    return pairs[0][0] if pairs[0][1] is sympy.true else piecewise(pairs)


def _compared(name: str, operands: Sequence[Operand]) -> sympy.Basic:
    if name in ("eq", "neq") and all(is_condition(o.expression) for o in operands):
        same = [sympy.Not(sympy.Xor(a.expression, b.expression)) for a, b in pairwise(operands)]
        return sympy.And(*same) if name == "eq" else sympy.Not(same[0])
    numbers = [_numeric(o) for o in operands]
    return sympy.And(*(_relation(name, a, b) for a, b in pairwise(numbers)))


def _relation(name: str, a: Operand, b: Operand) -> sympy.Basic:
    symbolic, numeric = _RELATIONS[name]
    if a.value is None or b.value is None:
        return symbolic(a.expression, b.expression)
    if a.expression.is_Rational and b.expression.is_Rational:
        return symbolic(a.expression, b.expression)
    return sympy.true if numeric(a.value, b.value) else sympy.false


def _power(a: sympy.Expr, b: sympy.Expr) -> sympy.Expr:
    if a == 0 and b.is_Number and b < 0:
        raise FormulaError(f"0^({b}) divides by 0")
    if b.is_Number and abs(b) > LARGEST_EXPONENT:
        raise FormulaError(f"the exponent {b} of a power is too large; up to 2^31 is supported")
    result = a**b
    if a.free_symbols and b.is_Number:
        _check_factor(a, b, result)
    return result


def _check_factor(a: sympy.Expr, b: sympy.Expr, result: sympy.Expr) -> None:
    """Raises `FormulaError` if sympy takes a number out of a power, as of (1000*X)^150, that floats cannot hold."""
    factor = result.as_coeff_Mul()[0]
    if not math.isfinite(_float(factor)) or _float(factor) == 0:
        raise FormulaError(
            f"of {str(a)[:60]} to the power of {b} a factor is beyond what can be computed with, 5e-324 to 1.8e308; "
            "give the number in it a name, as a parameter"
        )


def _exp(a: sympy.Expr) -> sympy.Expr:
    return sympy.exp(exact(a) if a.free_symbols else a)


def _absolute(a: sympy.Expr) -> sympy.Basic:
    """|a|; where sympy writes it with other functions, as |x^tanh(x)| with sinh and cosh, the larger of a and -a."""
    size = real(sympy.Abs(a))
    known = {type(f) for f in a.atoms(sympy.Function)} | {sympy.Abs}
    return size if {type(f) for f in size.atoms(sympy.Function)} <= known else sympy.Max(a, -a)


def _log(base: sympy.Expr, a: sympy.Expr) -> sympy.Expr:
    return sympy.log(a) / sympy.log(base)


def _tallest(kind: Callable[..., sympy.Expr]) -> Callable[..., sympy.Expr]:
    def build(*args: sympy.Expr) -> sympy.Expr:
        # sympy compares all pairs, through all levels: keep what is large as it is.
        comparable = len(args) <= 8 and not any(a.has(sympy.Max, sympy.Min) for a in args)
        return kind(*args) if comparable or len(set(args)) == 1 else kind(*args, evaluate=False)

    return build


def _joint(kind: type[sympy.And] | type[sympy.Or], neutral: sympy.Basic) -> Callable[..., sympy.Basic]:
    def build(*conditions: sympy.Basic) -> sympy.Basic:
        if len(conditions) <= 32:
            return kind(*conditions)
        # sympy compares all pairs: keep many as they are.
        left = [c for c in dict.fromkeys(conditions) if c != neutral]
        if sympy.Not(neutral) in left or len(left) < 2:
            return kind(*left[:1]) if len(left) < 2 else sympy.Not(neutral)
        return kind(*left, evaluate=False)  # pyright: ignore[reportCallIssue]

    return build


def _inverted(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda a: 1 / function(a)


def _of_inverse(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda a: function(1 / a)


_RELATIONS: dict[str, tuple[Callable[..., sympy.Basic], Callable[[float, float], bool]]] = {
    "lt": (sympy.Lt, lambda a, b: a < b),
    "leq": (sympy.Le, lambda a, b: a <= b),
    "gt": (sympy.Gt, lambda a, b: a > b),
    "geq": (sympy.Ge, lambda a, b: a >= b),
    "eq": (sympy.Eq, lambda a, b: a == b),
    "neq": (sympy.Ne, lambda a, b: a != b),
}
_OPERATIONS: dict[str, _Operation] = {
    "plus": _Operation(lambda *a: sympy.Add(*a), lambda *a: math.fsum(a), 0, None),
    "times": _Operation(lambda *a: sympy.Mul(*a), lambda *a: math.prod(a), 0, None),
    "minus": _Operation(
        lambda a, b=None: -a if b is None else a - b, lambda a, b=None: -a if b is None else a - b, 1, 2
    ),
    "divide": _Operation(lambda a, b: a / b, lambda a, b: a / b, 2, 2),
    "power": _Operation(_power, lambda a, b: a**b, 2, 2),
    "root": _Operation(lambda n, a: _power(a, 1 / n), lambda n, a: a ** (1 / n), 2, 2),
    "exp": _Operation(_exp, math.exp, 1, 1),
    "ln": _Operation(sympy.log, math.log, 1, 1),
    "log": _Operation(_log, lambda base, a: math.log(a) / math.log(base), 2, 2),
    "abs": _Operation(_absolute, abs, 1, 1),
    "floor": _Operation(sympy.floor, lambda a: float(math.floor(a)), 1, 1),
    "ceiling": _Operation(sympy.ceiling, lambda a: float(math.ceil(a)), 1, 1),
    "min": _Operation(_tallest(sympy.Min), min, 1, None),
    "max": _Operation(_tallest(sympy.Max), max, 1, None),
    "sin": _Operation(sympy.sin, math.sin, 1, 1),
    "cos": _Operation(sympy.cos, math.cos, 1, 1),
    "tan": _Operation(sympy.tan, math.tan, 1, 1),
    "tanh": _Operation(sympy.tanh, math.tanh, 1, 1),
    "sign": _Operation(sympy.sign, lambda a: float((a > 0) - (a < 0)), 1, 1),
    "piecewise": _Operation(_piecewise, None, 1, None),
    **{name: _Operation(symbolic, None, 2, None) for name, (symbolic, _) in _RELATIONS.items() if name != "neq"},
    "neq": _Operation(sympy.Ne, None, 2, 2),
    "and": _Operation(_joint(sympy.And, sympy.true), None, 0, None, conditions=True),
    "or": _Operation(_joint(sympy.Or, sympy.false), None, 0, None, conditions=True),
    "xor": _Operation(lambda *a: sympy.Xor(*a), None, 0, None, conditions=True),
    "not": _Operation(sympy.Not, None, 1, 1, conditions=True),
    "implies": _Operation(lambda a, b: sympy.Or(sympy.Not(a), b), None, 2, 2, conditions=True),
    "quotient": _Operation(quotient, lambda a, b: float(math.trunc(a / b)), 2, 2),
    "rem": _Operation(rem, math.fmod, 2, 2),
    "factorial": _Operation(factorial, factorial_of_number, 1, 1),
    "sinh": _Operation(sympy.sinh, math.sinh, 1, 1),
    "cosh": _Operation(sympy.cosh, math.cosh, 1, 1),
    "sec": _Operation(sympy.sec, _inverted(math.cos), 1, 1),
    "csc": _Operation(sympy.csc, _inverted(math.sin), 1, 1),
    "cot": _Operation(sympy.cot, _inverted(math.tan), 1, 1),
    "sech": _Operation(sympy.sech, _inverted(math.cosh), 1, 1),
    "csch": _Operation(sympy.csch, _inverted(math.sinh), 1, 1),
    "coth": _Operation(sympy.coth, _inverted(math.tanh), 1, 1),
    "arccos": _Operation(sympy.acos, math.acos, 1, 1),
    "arcsin": _Operation(sympy.asin, math.asin, 1, 1),
    "arctan": _Operation(sympy.atan, math.atan, 1, 1),
    "arccosh": _Operation(sympy.acosh, math.acosh, 1, 1),
    "arcsinh": _Operation(sympy.asinh, math.asinh, 1, 1),
    "arctanh": _Operation(sympy.atanh, math.atanh, 1, 1),
    "arcsec": _Operation(sympy.asec, _of_inverse(math.acos), 1, 1),
    "arccsc": _Operation(sympy.acsc, _of_inverse(math.asin), 1, 1),
    "arccot": _Operation(sympy.acot, _of_inverse(math.atan), 1, 1),
    "arcsech": _Operation(sympy.asech, _of_inverse(math.acosh), 1, 1),
    "arccsch": _Operation(sympy.acsch, _of_inverse(math.asinh), 1, 1),
    "arccoth": _Operation(sympy.acoth, _of_inverse(math.atanh), 1, 1),
}
