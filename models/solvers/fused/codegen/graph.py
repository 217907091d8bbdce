"""Straight-line programs: expressions with common parts shared, their reverse-mode derivative, and C.

A `GraphValue` is a node of one `Graph`. Equal nodes are one node, constants are folded, and sums with 0 and products
with 0 and 1 vanish, so that a derivative costs no more than what depends on something.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Number = float | int

_SYMBOL = {"add": "+", "sub": "-", "mul": "*", "lt": "<", "le": "<=", "eq": "=="}
_MASKS = {"lt", "le", "eq", "and", "or", "not"}
_POWERS = {"power", "slope", "curvature", "slope_by_exponent"}  # of x, n and, where it is scaled, m; see lanes.h
_FLAT = {"sign", "floor", "ceil", "frozen", "excess", "log_size"}  # their derivative is 0


@dataclass(frozen=True, slots=True)
class GraphValue:
    """A node of a graph, with arithmetic."""

    graph: Graph
    index: int

    def __add__(self, other: GraphValue | Number) -> GraphValue:
        return self.graph.add(self, self.graph.lift(other))

    def __radd__(self, other: Number) -> GraphValue:
        return self.graph.lift(other) + self

    def __sub__(self, other: GraphValue | Number) -> GraphValue:
        return self.graph.subtract(self, self.graph.lift(other))

    def __rsub__(self, other: Number) -> GraphValue:
        return self.graph.lift(other) - self

    def __mul__(self, other: GraphValue | Number) -> GraphValue:
        return self.graph.multiply(self, self.graph.lift(other))

    def __rmul__(self, other: Number) -> GraphValue:
        return self.graph.lift(other) * self

    def __truediv__(self, other: GraphValue | Number) -> GraphValue:
        return self.graph.divide(self, self.graph.lift(other))

    def __rtruediv__(self, other: Number) -> GraphValue:
        return self.graph.lift(other) / self

    def __neg__(self) -> GraphValue:
        return self.graph.negative(self)

    @property
    def number(self) -> float | None:
        """The value of a constant, else None."""
        op = self.graph.nodes[self.index]
        return op[1] if op[0] == "const" else None


class Graph:
    """Nodes `(operation, *arguments)`, each after what it uses."""

    def __init__(self) -> None:
        self.nodes: list[tuple] = []
        self._known: dict[tuple, int] = {}

    def node(self, op: str, *arguments: GraphValue | float | str) -> GraphValue:
        key = (op, *(a.index if isinstance(a, GraphValue) else a for a in arguments))
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(key)
        return GraphValue(self, self._known[key])

    def input(self, name: str) -> GraphValue:
        """What C knows as `name`."""
        return self.node("input", name)

    def inputs(self, name: str, count: int) -> list[GraphValue]:
        """`name[0]`, …, `name[count - 1]`."""
        return [self.input(f"{name}[{i}]") for i in range(count)]

    def lift(self, x: GraphValue | Number) -> GraphValue:
        return x if isinstance(x, GraphValue) else self.node("const", float(x))

    def add(self, a: GraphValue, b: GraphValue) -> GraphValue:
        x, y = a.number, b.number
        if x is not None and y is not None:
            return self.lift(x + y)
        if x == 0:
            return b
        if y == 0:
            return a
        if self.nodes[b.index][0] == "neg":
            return self.subtract(a, GraphValue(self, self.nodes[b.index][1]))
        if self.nodes[a.index][0] == "neg":
            return self.subtract(b, GraphValue(self, self.nodes[a.index][1]))
        return self.node("add", *sorted((a, b), key=lambda v: v.index))

    def subtract(self, a: GraphValue, b: GraphValue) -> GraphValue:
        x, y = a.number, b.number
        if x is not None and y is not None:
            return self.lift(x - y)
        if y == 0:
            return a
        if x == 0:
            return -b
        if self.nodes[b.index][0] == "neg":
            return self.add(a, GraphValue(self, self.nodes[b.index][1]))
        return self.node("sub", a, b)

    def multiply(self, a: GraphValue, b: GraphValue) -> GraphValue:
        x, y = a.number, b.number
        if x is not None and y is not None:
            return self.lift(x * y)
        if x is not None:
            a, b, x, y = b, a, y, x
        if y == 0:
            return self.lift(0.0)
        if y == 1:
            return a
        if y == -1:
            return -a
        if self.nodes[a.index][0] == "neg":
            return -self.multiply(GraphValue(self, self.nodes[a.index][1]), b)
        if self.nodes[b.index][0] == "neg":
            return -self.multiply(a, GraphValue(self, self.nodes[b.index][1]))
        return self.node("mul", *sorted((a, b), key=lambda v: v.index))

    def divide(self, a: GraphValue, b: GraphValue) -> GraphValue:
        x, y = a.number, b.number
        if x == 0 and y != 0:
            return self.lift(0.0)
        if y is not None and y != 0:
            return self.multiply(a, self.lift(1.0 / y)) if x is None else self.lift(x / y)
        if self.nodes[a.index][0] == "neg":
            return -self.divide(GraphValue(self, self.nodes[a.index][1]), b)
        return self.node("div", a, b)

    def negative(self, a: GraphValue) -> GraphValue:
        if a.number is not None:
            return self.lift(-a.number)
        op = self.nodes[a.index]
        return GraphValue(self, op[1]) if op[0] == "neg" else self.node("neg", a)

    def integer_power(self, a: GraphValue, exponent: int) -> GraphValue:
        if exponent < 0:
            return 1.0 / self.integer_power(a, -exponent)
        result, square = self.lift(1.0), a
        while exponent:
            if exponent & 1:
                result = result * square
            exponent >>= 1
            square = square * square if exponent else square
        return result

    def sum(self, values: Iterable[GraphValue]) -> GraphValue:
        total = self.lift(0.0)
        for v in values:
            total = total + v
        return total

    def reachable(self, outputs: Iterable[GraphValue]) -> list[int]:
        """Indices of the nodes that `outputs` depend on, in order."""
        reached: set[int] = set()
        stack = [v.index for v in outputs]
        while stack:
            i = stack.pop()
            if i not in reached:
                reached.add(i)
                stack += _used(self.nodes[i])
        return sorted(reached)

    def operations(self, outputs: Iterable[GraphValue]) -> int:
        """How many operations `outputs` cost."""
        return sum(self.nodes[i][0] not in ("input", "const") for i in self.reachable(outputs))


def _used(node: tuple) -> Sequence[int]:
    return () if node[0] in ("input", "const") else node[1:]


def pull_back(outputs: Sequence[GraphValue], cotangents: Sequence[GraphValue]) -> dict[str, GraphValue]:
    """Σ cotangentᵢ ∂outputᵢ/∂input, by the name of each input that matters."""
    if not outputs:
        return {}
    graph = outputs[0].graph
    bar: dict[int, GraphValue] = {}

    def accumulate(index: int, value: GraphValue) -> None:
        bar[index] = _plus(bar[index], value) if index in bar else value

    for output, cotangent in zip(outputs, cotangents, strict=True):
        accumulate(output.index, cotangent)
    result: dict[str, GraphValue] = {}
    for i in reversed(graph.reachable(outputs)):
        if i not in bar or bar[i].number == 0:
            continue
        node, g = graph.nodes[i], bar[i]
        if node[0] == "input":
            result[node[1]] = g
            continue
        if node[0] == "const" or node[0] in _MASKS:
            continue
        if node[0] == "select":
            condition, a, b = (GraphValue(graph, j) for j in node[1:])
            accumulate(a.index, _where(condition, g))
            accumulate(b.index, _where(graph.node("not", condition), g))
            continue
        arguments = [GraphValue(graph, j) for j in node[1:]]
        for argument, slope in zip(arguments, _slopes(graph, node[0], arguments, GraphValue(graph, i)), strict=True):
            if argument.number is None:
                accumulate(argument.index, _times(g, slope))
    return result


def _where(condition: GraphValue, g: GraphValue) -> GraphValue:
    """g where the condition holds, else 0; one select, also where g is one."""
    graph = g.graph
    if g.number == 0:
        return g
    if (within := _masked(g)) is not None:
        condition, g = graph.node("and", within[0], condition), within[1]
    return graph.node("select", condition, g, graph.lift(0.0))


def _masked(g: GraphValue) -> tuple[GraphValue, GraphValue] | None:
    """(condition, value) of what is 0 elsewhere by a select, else None."""
    op, *arguments = g.graph.nodes[g.index]
    if op != "select" or GraphValue(g.graph, arguments[2]).number != 0:
        return None
    return GraphValue(g.graph, arguments[0]), GraphValue(g.graph, arguments[1])


def _times(g: GraphValue, slope: GraphValue) -> GraphValue:
    """g · slope, and 0 where the branch is not taken that g belongs to: the slope may be infinite there."""
    within = _masked(g)
    return g * slope if within is None else _where(within[0], within[1] * slope)


def _plus(a: GraphValue, b: GraphValue) -> GraphValue:
    x, y = _masked(a), _masked(b)
    return a + b if x is None or y is None or x[0] != y[0] else _where(x[0], x[1] + y[1])


def _slopes(graph: Graph, op: str, x: Sequence[GraphValue], value: GraphValue) -> Sequence[GraphValue]:
    """∂op/∂xᵢ. The guarded power's are functions of their own: see lanes.h."""
    one = graph.lift(1.0)
    match op:
        case "add":
            return one, one
        case "sub":
            return one, -one
        case "mul":
            return x[1], x[0]
        case "div":
            inverse = 1.0 / x[1]
            return inverse, -(value * inverse)
        case "neg":
            return (-one,)
        case "exp":
            return (value,)
        case "log":
            return (1.0 / x[0],)
        case "power":
            some = graph.node(
                "not", graph.node("eq", x[0], graph.lift(0.0))
            )  # 0^n log 0 := 0, also where 0^n is infinite
            by_exponent = _where(some, value * graph.node("guarded_log", x[0]))
            return graph.node("slope", *x), by_exponent, *([-value] if len(x) > 2 else [])
        case "slope":
            by_exponent = graph.node("slope_by_exponent", *x)
            return graph.node("curvature", *x), by_exponent, *([-value] if len(x) > 2 else [])
        case "fade":
            return (-value,)
        case "guarded_log":
            return (graph.node("guarded_inverse", x[0]),)
        case "sin":
            return (graph.node("cos", x[0]),)
        case "cos":
            return (-graph.node("sin", x[0]),)
        case "tan":
            return (1.0 + value * value,)
        case "tanh":
            return (1.0 - value * value,)
        case "abs":
            return (graph.node("sign", x[0]),)
        case _ if op in _FLAT:
            return (graph.lift(0.0),)
    raise NotImplementedError(f"no derivative of {op}")  # only third derivatives ask for those


def emit(outputs: Mapping[str, GraphValue], *, add: bool = False) -> str:
    """C that sets each name in `outputs`, or adds to it. `real` and `mask` are the types of values and conditions.

    A power x^n and its derivatives share log x, and the derivatives x^(n-1).
    """
    if not outputs:
        return ""
    graph = next(iter(outputs.values())).graph

    def text(i: int) -> str:
        node = graph.nodes[i]
        return f"real_of({_literal(node[1])})" if node[0] == "const" else f"t{i}"

    lines = []
    shared: dict[str, str] = {}

    def share(name: str, formula: str) -> str:
        """`name`, which is declared where it is used first."""
        if name not in shared:
            shared[name] = formula
            lines.append(f"const real {name} = {formula};")
        return name

    def logarithm(x: int) -> str:
        return share(f"log{x}", f"safe_log_({text(x)})")

    for i in graph.reachable(outputs.values()):
        op, *arguments = graph.nodes[i]
        if op == "const":
            continue
        kind = "mask" if op in _MASKS else "real"
        if op == "input":
            value_text = arguments[0]
        elif op in _SYMBOL:
            value_text = f"{text(arguments[0])} {_SYMBOL[op]} {text(arguments[1])}"
        elif op == "neg":
            value_text = f"-{text(arguments[0])}"
        elif op == "div" and graph.nodes[arguments[0]] == ("const", 1.0):
            value_text = f"rcp_({text(arguments[1])})"
        elif op in _POWERS:
            x, n, *m = arguments
            log = logarithm(x)
            key = "_".join(map(str, arguments))
            less = f" - {text(m[0])}" if m else ""
            if op == "power":
                raised = share(f"power{key}", f"exp_({text(n)} * {log}{less})")
            else:
                raised = share(f"lower{key}", f"exp_(({text(n)} - 1) * {log}{less})")
            one = share(f"fade{m[0]}", f"fade_({text(m[0])})") if m else "real_of(1.0)"
            value_text = f"{op}_({text(x)}, {text(n)}, {log}, {raised}, {one})"
        elif op == "guarded_log":
            value_text = logarithm(arguments[0])
        elif op == "frozen":
            value_text = text(arguments[0])
        else:
            value_text = f"{op}_({', '.join(map(text, arguments))})"
        lines.append(f"const {kind} t{i} = {value_text};")
    for name, value in outputs.items():
        if not (add and value.number == 0):
            lines.append(f"{name} {'+=' if add else '='} {text(value.index)};")
    return "\n".join(lines)


def _literal(x: float) -> str:
    if math.isfinite(x):
        return repr(x)
    return "NAN" if math.isnan(x) else ("INFINITY" if x > 0 else "-INFINITY")
