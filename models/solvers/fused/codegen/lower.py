"""sympy expressions as nodes of a graph."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
from __future__ import annotations

from collections.abc import Mapping

import sympy

from .....errors import HexamerError
from ....compiled.codegen import as_symbol, guard
from ....compiled.guarded import Ceiling, Excess, Fade, Floor, Frozen, GuardedLog, Largest, LogSize, Power, Size, Slope
from .graph import Graph, GraphValue

_UNARY = {
    sympy.exp: "exp",
    sympy.log: "log",
    sympy.sin: "sin",
    sympy.cos: "cos",
    sympy.tan: "tan",
    sympy.tanh: "tanh",
    sympy.sign: "sign",
    Size: "abs",
    Floor: "floor",
    Ceiling: "ceil",
    GuardedLog: "guarded_log",
    Frozen: "frozen",
    Excess: "excess",
    LogSize: "log_size",
    Fade: "fade",
}


class Unsupported(HexamerError, ValueError):
    """The fused engine cannot run this model; the message says why."""


class DoesNotCompile(Unsupported):
    """The compiler on this machine does not accept the fused engine's code of a model."""


class Lowering:
    """Turns expressions over known names into nodes of one graph; equal parts become one node."""

    def __init__(self, graph: Graph, names: Mapping[str, GraphValue] | Mapping[sympy.Symbol, GraphValue]):
        self.graph = graph
        self._done: dict[sympy.Basic, GraphValue] = {as_symbol(n): v for n, v in names.items()}

    def __call__(self, expression: sympy.Expr) -> GraphValue:
        """The node of an expression. Raises `Unsupported` naming the function that has no C here."""
        return self._lower(guard(sympy.sympify(expression)))

    def _lower(self, e: sympy.Basic) -> GraphValue:
        if e not in self._done:
            self._done[e] = self._make(e)
        return self._done[e]

    def _make(self, e: sympy.Basic) -> GraphValue:
        graph, low = self.graph, self._lower
        if e is sympy.true or e is sympy.false:
            return graph.node("le" if e is sympy.true else "lt", graph.lift(0.0), graph.lift(0.0))
        if e.is_number:
            return graph.lift(float(e))
        if isinstance(e, sympy.Symbol):
            raise Unsupported(f"the name {e} is not known here")
        if isinstance(e, sympy.Add):
            return graph.sum(low(a) for a in e.args)
        if isinstance(e, sympy.Mul):
            return self._product(e)
        if isinstance(e, sympy.Pow):
            return self._power(e)
        if isinstance(e, (Power, Slope)):
            return graph.node("power" if isinstance(e, Power) else "slope", *map(low, e.args))
        if e.func in _UNARY:
            return graph.node(_UNARY[e.func], low(e.args[0]))
        if isinstance(e, (sympy.Max, sympy.Min, Largest)):
            result = low(e.args[0])
            for a in map(low, e.args[1:]):
                order = (result, a) if isinstance(e, sympy.Min) else (a, result)
                result = graph.node("select", graph.node("lt", *order), result, a)
            return graph.node("frozen", result) if isinstance(e, Largest) else result
        if isinstance(e, sympy.Heaviside):  # of the derivative of a Max
            positive = graph.node("lt", graph.lift(0.0), low(e.args[0]))
            return graph.node("select", positive, graph.lift(1.0), graph.lift(0.0))
        if isinstance(e, sympy.Piecewise):
            result = graph.lift(float("nan"))
            for pair in reversed(e.args):
                value, condition = (low(x) if x is not sympy.true else None for x in pair.args)
                assert value is not None
                result = value if condition is None else graph.node("select", condition, value, result)
            return result
        return self._condition(e)

    def _product(self, e: sympy.Mul) -> GraphValue:
        above, below = self.graph.lift(1.0), None
        for a in e.args:
            if isinstance(a, sympy.Pow) and a.exp.is_Integer and a.exp < 0:
                factor = self.graph.integer_power(self._lower(a.base), -int(a.exp))
                below = factor if below is None else below * factor
            else:
                above = above * self._lower(a)
        return above if below is None else above / below

    def _power(self, e: sympy.Pow) -> GraphValue:
        base, exponent = e.base, e.exp
        if exponent.is_number and float(exponent).is_integer():
            return self.graph.integer_power(self._lower(base), int(exponent))
        if base.is_number and base.is_positive:  # c^x
            if base is sympy.E:
                return self.graph.node("exp", self._lower(exponent))
            return self.graph.node("exp", self._lower(exponent) * float(sympy.log(base)))
        return self.graph.node("power", self._lower(base), self._lower(exponent))

    def _condition(self, e: sympy.Basic) -> GraphValue:
        graph, low = self.graph, self._lower
        match e:
            case sympy.StrictLessThan() | sympy.LessThan():
                return graph.node("lt" if isinstance(e, sympy.StrictLessThan) else "le", *map(low, e.args))
            case sympy.StrictGreaterThan() | sympy.GreaterThan():
                order = map(low, reversed(e.args))
                return graph.node("lt" if isinstance(e, sympy.StrictGreaterThan) else "le", *order)
            case sympy.Equality():
                return graph.node("eq", *map(low, e.args))
            case sympy.Unequality():
                return graph.node("not", graph.node("eq", *map(low, e.args)))
            case sympy.Not():
                return graph.node("not", low(e.args[0]))
            case sympy.And() | sympy.Or():
                op = "and" if isinstance(e, sympy.And) else "or"
                result = low(e.args[0])
                for a in e.args[1:]:
                    result = graph.node(op, result, low(a))
                return result
            case sympy.ITE():
                condition, if_true, if_false = map(low, e.args)
                if_false = graph.node("and", graph.node("not", condition), if_false)
                return graph.node("or", graph.node("and", condition, if_true), if_false)
            case sympy.Xor():
                result = low(e.args[0])
                for a in map(low, e.args[1:]):
                    either = graph.node("or", result, a)
                    result = graph.node("and", either, graph.node("not", graph.node("and", result, a)))
                return result
        raise Unsupported(f"the fused engine has no {getattr(e, 'written', e.func.__name__)}, used in {str(e)[:60]}")
