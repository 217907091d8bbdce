"""Formulas: libsbml's syntax trees to sympy and back. Nothing is ever evaluated as Python."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
# pyright: reportIncompatibleMethodOverride=false, reportAttributeAccessIssue=false
from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce

import libsbml
import sympy
from sympy.printing.str import StrPrinter

from .conditions import as_boolean, as_number, replace, without_ite
from .infix import parse_infix as parse_infix
from .operations import TIME, FormulaError, Operand, RateOf, check_result, exact, operate, real, symbol

LARGEST = 100_000
"""How many numbers, names and operations a formula may have, once functions and rules are written out."""

DEEPEST = 100
"""How many operations may stand within one another then."""

_OPERATIONS: dict[int, str] = {
    libsbml.AST_PLUS: "plus",
    libsbml.AST_TIMES: "times",
    libsbml.AST_MINUS: "minus",
    libsbml.AST_DIVIDE: "divide",
    libsbml.AST_POWER: "power",
    libsbml.AST_FUNCTION_POWER: "power",
    libsbml.AST_FUNCTION_ROOT: "root",
    libsbml.AST_FUNCTION_EXP: "exp",
    libsbml.AST_FUNCTION_LN: "ln",
    libsbml.AST_FUNCTION_LOG: "log",
    libsbml.AST_FUNCTION_ABS: "abs",
    libsbml.AST_FUNCTION_FLOOR: "floor",
    libsbml.AST_FUNCTION_CEILING: "ceiling",
    libsbml.AST_FUNCTION_MIN: "min",
    libsbml.AST_FUNCTION_MAX: "max",
    libsbml.AST_FUNCTION_SIN: "sin",
    libsbml.AST_FUNCTION_COS: "cos",
    libsbml.AST_FUNCTION_TAN: "tan",
    libsbml.AST_FUNCTION_TANH: "tanh",
    libsbml.AST_FUNCTION_QUOTIENT: "quotient",
    libsbml.AST_FUNCTION_REM: "rem",
    libsbml.AST_FUNCTION_FACTORIAL: "factorial",
    **{
        getattr(libsbml, f"AST_FUNCTION_{name.upper()}"): name
        for name in (
            *("sinh", "cosh", "sec", "csc", "cot", "sech", "csch", "coth"),
            *("arccos", "arcsin", "arctan", "arcsec", "arccsc", "arccot"),
            *("arccosh", "arcsinh", "arctanh", "arcsech", "arccsch", "arccoth"),
        )
    },
    libsbml.AST_FUNCTION_PIECEWISE: "piecewise",
    libsbml.AST_RELATIONAL_LT: "lt",
    libsbml.AST_RELATIONAL_LEQ: "leq",
    libsbml.AST_RELATIONAL_GT: "gt",
    libsbml.AST_RELATIONAL_GEQ: "geq",
    libsbml.AST_RELATIONAL_EQ: "eq",
    libsbml.AST_RELATIONAL_NEQ: "neq",
    libsbml.AST_LOGICAL_AND: "and",
    libsbml.AST_LOGICAL_OR: "or",
    libsbml.AST_LOGICAL_XOR: "xor",
    libsbml.AST_LOGICAL_NOT: "not",
    libsbml.AST_LOGICAL_IMPLIES: "implies",
}
_CONSTANTS = {
    libsbml.AST_CONSTANT_E: Operand(sympy.E, math.e),
    libsbml.AST_CONSTANT_PI: Operand(sympy.pi, math.pi),
    libsbml.AST_CONSTANT_TRUE: Operand(sympy.true),
    libsbml.AST_CONSTANT_FALSE: Operand(sympy.false),
    libsbml.AST_NAME_TIME: Operand(TIME),
    libsbml.AST_NAME_AVOGADRO: Operand(sympy.Float(6.02214179e23), 6.02214179e23),
}
_INSTEAD = {libsbml.AST_FUNCTION_DELAY: "write the delay as a chain of first-order steps"}
_FIRST = {libsbml.AST_FUNCTION_ROOT: 2, libsbml.AST_FUNCTION_LOG: 10}  # the operand that may be left out
_CHAINS = {libsbml.AST_PLUS, libsbml.AST_TIMES}

FunctionDefinitions = Mapping[str, libsbml.FunctionDefinition]


def from_ast(node: libsbml.ASTNode, functions: FunctionDefinitions | None = None) -> sympy.Basic:
    """A libsbml syntax tree as a sympy expression; user-defined functions are inlined.

    Raises `FormulaError` naming what is not supported, not a finite real number, too large or nested too deeply.
    """
    functions = functions or {}
    size, depth = _extent(node, functions)
    _check_extent(size, depth)
    result = _from_ast(node, functions, {}).expression
    check_result(result)
    return result


def _check_extent(size: int, depth: int) -> None:
    if size > LARGEST:
        raise FormulaError(
            f"the formula is too large: more than {LARGEST} numbers, names and operations, "
            "once the functions and rules that it uses are written out"
        )
    if depth > DEEPEST:
        raise FormulaError(f"the formula is nested too deeply: more than {DEEPEST} operations within one another")


def _children(node: libsbml.ASTNode) -> list[libsbml.ASTNode]:
    """The operands of a node; those of a chain of sums or of products are one list, however it was bracketed."""
    kind = node.getType()
    children = [node.getChild(i) for i in range(node.getNumChildren())]
    if kind not in _CHAINS:
        return children
    flat: list[libsbml.ASTNode] = []
    stack = children[::-1]
    while stack:
        child = stack.pop()
        if child.getType() == kind and child.getNumChildren():
            stack += [child.getChild(i) for i in reversed(range(child.getNumChildren()))]
        else:
            flat.append(child)
    return flat


def _extent(node: libsbml.ASTNode, functions: FunctionDefinitions) -> tuple[int, int]:
    """How many nodes a formula has and how deep it is, functions written out, without doing so."""
    known: dict[str, tuple[int, int, dict[str, tuple[int, int]]]] = {}

    def of_function(name: str, path: tuple[str, ...]) -> tuple[int, int, dict[str, tuple[int, int]]]:
        if name in path:
            raise FormulaError(
                f"functions call one another in a circle: {' → '.join([*path[path.index(name) :], name])}"
            )
        if name not in known:
            definition = functions[name]
            arguments = {definition.getArgument(i).getName() for i in range(definition.getNumArguments())}
            body = definition.getBody()
            if body is None:
                raise FormulaError(f"the function {name} has no formula")
            known[name] = walk(body, arguments, (*path, name))
        return known[name]

    def walk(top: libsbml.ASTNode, arguments: set[str], path: tuple[str, ...]):
        """Nodes, depth, and for each argument: how often it is used and how deep at most."""
        # Each level of `stack` is a node that waits for its children: no recursion, as the tree may be deep.
        stack: list[tuple[libsbml.ASTNode, list, list]] = [(top, _children(top), [])]
        while True:
            node, waiting, done = stack[-1]
            if len(stack) > 5 * DEEPEST:
                _check_extent(0, len(stack))
            if waiting:
                child = waiting.pop()
                stack.append((child, _children(child), []))
                continue
            stack.pop()
            result = combine(node, done[::-1], arguments, path)
            if not stack:
                return result
            stack[-1][2].append(result)

    def combine(node: libsbml.ASTNode, parts: Sequence, arguments: set[str], path: tuple[str, ...]):
        kind = node.getType()
        if kind == libsbml.AST_NAME and node.getName() in arguments:
            return 0, 0, {node.getName(): (1, 0)}
        if kind == libsbml.AST_FUNCTION and node.getName() in functions and node.getName() != "":
            return _extent_of_call(functions[node.getName()], of_function(node.getName(), path), parts)
        total: dict[str, tuple[int, int]] = {}
        for _, _, uses in parts:
            for argument, (count, level) in uses.items():
                before = total.get(argument, (0, 0))
                total[argument] = before[0] + count, max(before[1], level + 1)
        return 1 + sum(p[0] for p in parts), 1 + max((p[1] for p in parts), default=-1), total

    size, depth, _ = walk(node, set(), ())
    return size, depth


def _extent_of_call(
    definition: libsbml.FunctionDefinition, of_function: tuple[int, int, Mapping], parts: Sequence
) -> tuple[int, int, dict[str, tuple[int, int]]]:
    """Nodes, depth and uses of arguments of a call, from those of the function and of what is given to it."""
    size, depth, uses = of_function
    names = [definition.getArgument(i).getName() for i in range(definition.getNumArguments())]
    total: dict[str, tuple[int, int]] = {}
    for name, (inner_size, inner_depth, inner_uses) in zip(names, parts, strict=False):
        times, below = uses.get(name, (0, 0))
        if not times:
            continue
        size, depth = size + times * inner_size, max(depth, below + inner_depth)
        for argument, (count, level) in inner_uses.items():
            before = total.get(argument, (0, 0))
            total[argument] = before[0] + times * count, max(before[1], below + level)
    return size, depth, total


def _from_ast(node: libsbml.ASTNode, functions: FunctionDefinitions, arguments: Mapping[str, Operand]) -> Operand:
    kind = node.getType()
    if kind in _CONSTANTS:
        return _CONSTANTS[kind]
    if node.isNumber():
        return _number(node)
    if kind == libsbml.AST_NAME:
        return arguments.get(node.getName()) or symbol(node.getName())
    operands = [_from_ast(child, functions, arguments) for child in _children(node)]
    if kind == libsbml.AST_FUNCTION and node.getName() in functions:
        return _call(functions[node.getName()], operands, functions)
    if kind == libsbml.AST_FUNCTION_RATE_OF:
        return Operand(RateOf(*(o.expression for o in operands)))
    if kind in _FIRST and len(operands) == 1:
        operands.insert(0, Operand(sympy.Integer(_FIRST[kind]), float(_FIRST[kind])))
    if kind not in _OPERATIONS:
        name = node.getName() or libsbml.formulaToL3String(node)
        way_out = _INSTEAD.get(kind, "")
        raise FormulaError(f"the function {name!r} is not supported{way_out and f'; {way_out}'}")
    return operate(_OPERATIONS[kind], operands)


def _number(node: libsbml.ASTNode) -> Operand:
    if node.isInteger():
        return Operand(sympy.Integer(node.getInteger()), float(node.getInteger()))
    value = node.getReal()
    if not math.isfinite(value):
        raise FormulaError(f"a number in it is {value:g}, which is not finite: write a number")
    if node.getType() == libsbml.AST_RATIONAL:
        return Operand(sympy.Rational(node.getNumerator(), node.getDenominator()), value)
    return Operand(sympy.Float(value) if value else sympy.Integer(0), value)


def _call(
    definition: libsbml.FunctionDefinition, operands: Sequence[Operand], functions: FunctionDefinitions
) -> Operand:
    names = [definition.getArgument(i).getName() for i in range(definition.getNumArguments())]
    if len(names) != len(operands):
        raise FormulaError(f"{definition.getId()} takes {len(names)} arguments, not {len(operands)}")
    return _from_ast(definition.getBody(), functions, dict(zip(names, operands, strict=True)))


class _InfixPrinter(StrPrinter):
    def _print_Pow(self, expr, rational=False):
        base, exponent = self.parenthesize(expr.base, 61), self.parenthesize(expr.exp, 61)
        return f"{base}^{exponent}"

    def _print_Symbol(self, expr):
        return "time" if expr == TIME else expr.name

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

    def _print_Xor(self, expr):
        return f"xor({', '.join(self._print(a) for a in expr.args)})"

    def _print_re(self, expr):  # of |exp(x)|, say: every name here is real
        return self._print(expr.args[0])

    def _print_Not(self, expr):
        return f"!({self._print(expr.args[0])})"

    def _print_BooleanTrue(self, expr):
        return "true"

    def _print_BooleanFalse(self, expr):
        return "false"


def bind_time(expression: sympy.Basic, names: Collection[str]) -> sympy.Basic:
    """`expression` with `time` as the time of a simulation, unless a model has something of that name in `names`."""
    return expression if "time" in names else expression.xreplace({sympy.Symbol("time"): TIME})


def to_infix(expression: sympy.Basic) -> str:
    """A sympy expression in SBML's infix notation; `parse_infix` reads it back."""
    return _InfixPrinter().doprint(expression)


def inline(expressions: Mapping[str, sympy.Basic]) -> dict[str, sympy.Expr]:
    """Assignments that may refer to one another, each written out in names that none of them defines.

    Each is a number: a condition is 1 where it holds, else 0. Raises `FormulaError` if they run in a circle, or if one
    becomes too large or too deep.
    """
    done: dict[str, sympy.Expr] = {}
    extent: dict[str, tuple[int, int]] = {}
    for start in expressions:
        path: dict[str, list[str]] = {}  # what waits for what: names, each with those it uses that are still to be done
        _enter(path, start, expressions, done)
        while path:
            name = next(reversed(path))
            while path[name] and path[name][-1] in done:
                path[name].pop()
            if path[name]:
                _enter(path, path[name][-1], expressions, done)
                continue
            del path[name]
            expression = as_number(sympy.sympify(expressions[name]))
            used = [s for s in expression.free_symbols if s.name in expressions]
            extent[name] = _extent_written_out(expression, {s: extent[s.name] for s in used})
            try:
                _check_extent(*extent[name])
            except FormulaError as error:
                raise FormulaError(f"{name}: {error}" if name else str(error)) from None
            done[name] = substitute(expression, {s: done[s.name] for s in used})
    return done


def _enter(
    path: dict[str, list[str]], name: str, expressions: Mapping[str, sympy.Basic], done: Mapping[str, sympy.Expr]
) -> None:
    if name in path:
        names = list(path)
        raise FormulaError(f"rules run in a circle: {' → '.join([*names[names.index(name) :], name])}")
    if name not in done:
        used = sympy.sympify(expressions[name]).free_symbols
        path[name] = sorted((s.name for s in used if s.name in expressions), reverse=True)


def _extent_written_out(expression: sympy.Basic, used: Mapping[sympy.Symbol, tuple[int, int]]) -> tuple[int, int]:
    """Nodes and depth once each symbol in `used` is written out, which has so many itself."""
    size, deepest = 0, 0
    stack = [(expression, 0)]
    while stack:
        e, level = stack.pop()
        more, below = used.get(e, (1, 0)) if isinstance(e, sympy.Symbol) else (1, 0)
        size, deepest = size + more, max(deepest, level + below)
        stack += [(a, level + 1) for a in e.args]
    return size, deepest


def substitute(expression: sympy.Basic, values: Mapping[sympy.Symbol, sympy.Basic]) -> sympy.Expr:
    """`expression` with symbols replaced; a condition that a symbol stood for as a number is a condition again."""
    rule: dict[sympy.Basic, sympy.Basic] = {}
    for name, value in exact_exponents(values, [expression]).items():
        rule[name] = as_number(value)
        truth = as_boolean(rule[name])
        if isinstance(rule[name], sympy.Piecewise):
            rule[sympy.Ne(name, 0)], rule[sympy.Eq(name, 0)] = truth, sympy.Not(truth)
    return as_number(without_ite(real(replace(expression, rule))))


def exact_exponents(
    values: Mapping[sympy.Symbol, sympy.Basic], expressions: Iterable[sympy.Basic]
) -> dict[sympy.Symbol, sympy.Basic]:
    """`values` for symbols of `expressions`; decimal numbers that come to stand within an exponent become fractions."""
    within = {s for e in expressions for part in e.atoms(sympy.exp) for s in part.free_symbols}
    return {s: exact(value) if s in within else value for s, value in values.items()}


def names_in(*expressions: sympy.Basic) -> frozenset[str]:
    """Names of all free symbols."""
    return frozenset(str(s) for s in reduce(set.union, (e.free_symbols for e in expressions), set()))
