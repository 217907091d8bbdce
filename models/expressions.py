"""Formulas: libsbml's syntax trees to sympy and back. Nothing is ever evaluated as Python."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from itertools import pairwise

import libsbml
import sympy
from sympy.printing.str import StrPrinter

TIME = sympy.Symbol("time")


class FormulaError(ValueError):
    """A formula that cannot be read, or that holds a construct not supported here."""


def _all_pairs(relation: Callable[..., sympy.Basic]) -> Callable[..., sympy.Basic]:
    return lambda *args: sympy.And(*(relation(a, b) for a, b in pairwise(args)))


_FUNCTIONS: dict[int, Callable[..., sympy.Basic]] = {
    libsbml.AST_PLUS: lambda *a: sympy.Add(*a),
    libsbml.AST_TIMES: lambda *a: sympy.Mul(*a),
    libsbml.AST_MINUS: lambda a, b=None: -a if b is None else a - b,
    libsbml.AST_DIVIDE: lambda a, b: a / b,
    libsbml.AST_POWER: lambda a, b: a**b,
    libsbml.AST_FUNCTION_POWER: lambda a, b: a**b,
    libsbml.AST_FUNCTION_ROOT: lambda n, a: a ** (1 / n),
    libsbml.AST_FUNCTION_EXP: sympy.exp,
    libsbml.AST_FUNCTION_LN: sympy.log,
    libsbml.AST_FUNCTION_LOG: lambda base, a: sympy.log(a) / sympy.log(base),
    libsbml.AST_FUNCTION_ABS: sympy.Abs,
    libsbml.AST_FUNCTION_FLOOR: sympy.floor,
    libsbml.AST_FUNCTION_CEILING: sympy.ceiling,
    libsbml.AST_FUNCTION_MIN: lambda *a: sympy.Min(*a),
    libsbml.AST_FUNCTION_MAX: lambda *a: sympy.Max(*a),
    libsbml.AST_FUNCTION_SIN: sympy.sin,
    libsbml.AST_FUNCTION_COS: sympy.cos,
    libsbml.AST_FUNCTION_TAN: sympy.tan,
    libsbml.AST_FUNCTION_TANH: sympy.tanh,
    libsbml.AST_RELATIONAL_LT: _all_pairs(sympy.Lt),
    libsbml.AST_RELATIONAL_LEQ: _all_pairs(sympy.Le),
    libsbml.AST_RELATIONAL_GT: _all_pairs(sympy.Gt),
    libsbml.AST_RELATIONAL_GEQ: _all_pairs(sympy.Ge),
    libsbml.AST_RELATIONAL_EQ: _all_pairs(sympy.Eq),
    libsbml.AST_RELATIONAL_NEQ: sympy.Ne,
    libsbml.AST_LOGICAL_AND: lambda *a: sympy.And(*a),
    libsbml.AST_LOGICAL_OR: lambda *a: sympy.Or(*a),
    libsbml.AST_LOGICAL_NOT: sympy.Not,
}
_CONSTANTS = {
    libsbml.AST_CONSTANT_E: sympy.E,
    libsbml.AST_CONSTANT_PI: sympy.pi,
    libsbml.AST_CONSTANT_TRUE: sympy.true,
    libsbml.AST_CONSTANT_FALSE: sympy.false,
    libsbml.AST_NAME_TIME: TIME,
    libsbml.AST_NAME_AVOGADRO: sympy.Float(6.02214179e23),
}


def _piecewise(args: list[sympy.Basic]) -> sympy.Basic:
    pairs = [(args[i], args[i + 1]) for i in range(0, len(args) - 1, 2)]
    if len(args) % 2:
        pairs.append((args[-1], sympy.true))
    return sympy.Piecewise(*pairs)


def from_ast(node: libsbml.ASTNode, functions: Mapping[str, libsbml.FunctionDefinition] | None = None) -> sympy.Expr:
    """A libsbml syntax tree as a sympy expression; user-defined functions are inlined."""
    functions = functions or {}
    kind = node.getType()
    if kind in _CONSTANTS:
        return _CONSTANTS[kind]
    if node.isInteger():
        return sympy.Integer(node.getInteger())
    if node.isNumber():
        if kind == libsbml.AST_RATIONAL:
            return sympy.Rational(node.getNumerator(), node.getDenominator())
        return sympy.Float(node.getReal())
    if kind == libsbml.AST_NAME:
        return sympy.Symbol(node.getName())
    args = [from_ast(node.getChild(i), functions) for i in range(node.getNumChildren())]
    if kind == libsbml.AST_FUNCTION_PIECEWISE:
        return _piecewise(args)
    if kind == libsbml.AST_FUNCTION and node.getName() in functions:
        return _inline(functions[node.getName()], args, functions)
    if kind == libsbml.AST_FUNCTION_ROOT and len(args) == 1:
        args.insert(0, sympy.Integer(2))
    if kind == libsbml.AST_FUNCTION_LOG and len(args) == 1:
        args.insert(0, sympy.Integer(10))
    if kind not in _FUNCTIONS:
        raise FormulaError(f"the function {node.getName() or libsbml.formulaToL3String(node)!r} is not supported")
    return _FUNCTIONS[kind](*args)


def _inline(definition: libsbml.FunctionDefinition, args: list[sympy.Basic], functions) -> sympy.Expr:
    names = [definition.getArgument(i).getName() for i in range(definition.getNumArguments())]
    if len(names) != len(args):
        raise FormulaError(f"{definition.getId()} takes {len(names)} arguments, not {len(args)}")
    body = from_ast(definition.getBody(), functions)
    return body.xreplace({sympy.Symbol(n): a for n, a in zip(names, args, strict=True)})


def parse_infix(text: str) -> sympy.Expr:
    """A formula in SBML's infix notation, such as `Vc*cpS` or `sqrt(sd^2 + (rel*cpS)^2)`.

    `log10`, `ln`, `exp`, `sqrt`, `abs`, `min`, `max`, `piecewise(value, condition, …, otherwise)` are known;
    a bare `log` is refused as ambiguous. Raises `FormulaError` with what libsbml says of the text.
    """
    settings = libsbml.L3ParserSettings()
    settings.setParseLog(libsbml.L3P_PARSE_LOG_AS_ERROR)
    settings.setParseCollapseMinus(True)
    settings.setParseAvogadroCsymbol(False)
    node = libsbml.parseL3FormulaWithSettings(str(text), settings)
    if node is None:
        reason = " ".join((libsbml.getLastParseL3Error() or "").split())
        raise FormulaError(f"cannot read the formula {text!r}: {reason}")
    return sympy.sympify(from_ast(node))


class _InfixPrinter(StrPrinter):
    def _print_Pow(self, expr, rational=False):
        base, exponent = self.parenthesize(expr.base, 61), self.parenthesize(expr.exp, 61)
        return f"{base}^{exponent}"

    def _print_Float(self, expr):
        return repr(float(expr))

    def _print_Rational(self, expr):
        return f"({expr.p}/{expr.q})"

    def _print_Function(self, expr):
        name = {"log": "ln", "ceiling": "ceil", "Abs": "abs"}.get(expr.func.__name__, expr.func.__name__)
        return f"{name}({', '.join(self._print(a) for a in expr.args)})"

    _print_log = _print_Abs = _print_ceiling = _print_floor = _print_exp = _print_Function

    def _print_ExpBase(self, expr):
        return f"exp({self._print(expr.args[0])})"

    def _print_Exp1(self, expr):
        return "exp(1)"

    def _print_Min(self, expr):
        return f"min({', '.join(self._print(a) for a in expr.args)})"

    def _print_Max(self, expr):
        return f"max({', '.join(self._print(a) for a in expr.args)})"

    def _print_Piecewise(self, expr):
        parts = []
        for value, condition in expr.args:
            parts.append(self._print(value))
            if condition != sympy.true:
                parts.append(self._print(condition))
        return f"piecewise({', '.join(parts)})"

    def _print_Relational(self, expr):
        operator = {"Eq": "==", "Ne": "!="}.get(type(expr).__name__, getattr(expr, "rel_op", "=="))
        operator = {"Equality": "==", "Unequality": "!="}.get(type(expr).__name__, operator)
        return f"({self._print(expr.lhs)} {operator} {self._print(expr.rhs)})"

    def _print_And(self, expr):
        return "(" + " && ".join(self._print(a) for a in expr.args) + ")"

    def _print_Or(self, expr):
        return "(" + " || ".join(self._print(a) for a in expr.args) + ")"

    def _print_Not(self, expr):
        return f"!({self._print(expr.args[0])})"

    def _print_BooleanTrue(self, expr):
        return "true"

    def _print_BooleanFalse(self, expr):
        return "false"


def to_infix(expression: sympy.Basic) -> str:
    """A sympy expression in SBML's infix notation; `parse_infix` reads it back."""
    return _InfixPrinter().doprint(expression)


def inline(expressions: Mapping[str, sympy.Expr]) -> dict[str, sympy.Expr]:
    """Assignments that may refer to one another, each written out in names that none of them defines.

    Raises `FormulaError` when they run in a circle.
    """
    done: dict[str, sympy.Expr] = {}
    visiting: list[str] = []

    def visit(name: str) -> sympy.Expr:
        if name in done:
            return done[name]
        if name in visiting:
            raise FormulaError(f"rules run in a circle: {' → '.join([*visiting[visiting.index(name) :], name])}")
        visiting.append(name)
        expression = sympy.sympify(expressions[name])
        used = {s: visit(str(s)) for s in expression.free_symbols if str(s) in expressions}
        visiting.pop()
        done[name] = expression.xreplace(used)
        return done[name]

    for name in expressions:
        visit(name)
    return done


def names_in(*expressions: sympy.Basic) -> frozenset[str]:
    """Names of all free symbols."""
    return frozenset(str(s) for s in reduce(set.union, (e.free_symbols for e in expressions), set()))
