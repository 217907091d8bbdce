"""The C functions of one model: rates and Jacobian, their pull-backs, LU and its solves, initial values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sympy

from ....compiled.codegen import as_symbol
from ....compiled.domain import RTOL, atol_of
from ....compiled.model import Model
from ....compiled.shapes import WRITTEN_OUT
from .coefficients import Coefficients
from .event_source import event_tables, write_event_functions
from .graph import Graph, GraphValue, pull_back
from .lower import Lowering, Unsupported
from .sparse_lu import Entry, SparseLayout
from .writer import Writer, indexed, lookup_function, summed

LARGEST = WRITTEN_OUT  # species; beyond, straight-line code takes too long to compile


@dataclass(frozen=True)
class Functions:
    """C text, its sizes (for the kernel's arrays), and what each function costs in operations."""

    text: str
    sizes: Mapping[str, int]
    operations: Mapping[str, int]


class _Equations:
    """Rates and derivatives of a model over `y` and the coefficients `q`, in a graph of their own."""

    def __init__(self, model: Model, coefficients: Coefficients):
        assert model.kinetics is not None
        factored = [coefficients.factor(r) for r in model.kinetics.rates]
        rates = [coefficients.split(r) for _, r in factored]
        terms = [(i, r, coefficients.split(c * factored[r][0])) for i, r, c in model.kinetics.terms]
        self.graph = Graph()
        self.y = self.graph.inputs("y", len(model.species))
        names = dict(zip(model.symbols, self.y, strict=True))
        lower = Lowering(self.graph, names | {as_symbol(n): self.graph.input(n) for n in coefficients.names})
        self.rates = [lower(r) for r in rates]
        self.terms = [(i, r, lower(c)) for i, r, c in terms]
        self.margins = self._margins(model, coefficients, names)

    def _margins(
        self, model: Model, coefficients: Coefficients, names: Mapping[sympy.Symbol, GraphValue]
    ) -> list[GraphValue]:
        """Values below 0 where the rates hold a power that is not a number."""
        split = [coefficients.split(m) for m in model.margins]
        tolerances = {
            atol_of(s.name): v for s, v in zip(model.symbols, self.graph.inputs("atol", len(self.y)), strict=True)
        }
        by_symbol = {**names, **tolerances, RTOL: self.graph.input("rtol")}
        lower = Lowering(self.graph, by_symbol | {as_symbol(n): self.graph.input(n) for n in coefficients.names})
        return [lower(m) for m in split]

    def derivatives(self) -> list[GraphValue]:
        f = [self.graph.lift(0.0)] * len(self.y)
        for i, r, coefficient in self.terms:
            f[i] = f[i] + coefficient * self.rates[r]
        return f

    def jacobian(self) -> dict[Entry, GraphValue]:
        """Entries ∂y'_i/∂y_j that are not always 0."""
        slopes = []
        for rate in self.rates:
            bars = pull_back([rate], [self.graph.lift(1.0)])
            slopes.append({int(k[2:-1]): v for k, v in bars.items() if k.startswith("y[") and v.number != 0})
        entries: dict[Entry, GraphValue] = {}
        for i, r, coefficient in self.terms:
            for j, slope in slopes[r].items():
                entries[i, j] = entries.get((i, j), self.graph.lift(0.0)) + coefficient * slope
        return {e: v for e, v in sorted(entries.items()) if v.number != 0}


def write_functions(model: Model) -> Functions:
    """The model's C. Raises `Unsupported` if it has no network, is too large, or uses what C here lacks."""
    if model.kinetics is None:
        raise Unsupported(f"model {model.name!r} is a Python function, not a network")
    n, parameters = len(model.species), len(model.parameters)
    if n > LARGEST:
        raise Unsupported(f"model {model.name!r} has {n} species; straight-line code serves up to {LARGEST}")
    states = [s.name for s in model.symbols]
    coefficients = Coefficients([*model.symbols, RTOL.name, *(atol_of(s).name for s in states)])
    equations = _Equations(model, coefficients)
    out = Writer()
    entries = _write_equations(out, equations)
    layout = SparseLayout.of(n, entries)
    _write_algebra(out, n, list(entries), layout)

    graph = Graph()
    # Behind the parameters, of which C has one at least, stand the switches.
    first, switches = max(parameters, 1), model.kinetics.switches
    arguments = graph.inputs("p", first + len(switches))
    names = dict(zip(model.arguments, arguments, strict=False)) | dict(zip(switches, arguments[first:], strict=True))
    lower = Lowering(graph, names)
    for name, expressions in (
        ("coefficients", coefficients.parts),
        ("initial", model.kinetics.initial),
        ("weights", model.kinetics.weights),
        ("switch_times", model.kinetics.switch_times),
    ):
        values = [lower(e) for e in expressions]
        out.function(name, "const real* p, real* x", indexed("x", values))
        bars = pull_back(values, graph.inputs("u", len(values)))
        out.function(f"pull_{name}", "const real* p, const real* u, real* p_bar", summed(bars, p="p_bar"), add=True)

    write_event_functions(out, model, first)
    out.parts.append(_tables(model, list(entries)))
    sizes = {
        "SPECIES": n,
        "PARAMETERS": first,
        "SWITCHES": len(switches),
        "ARGUMENTS": first + len(switches),
        "EVENTS": len(model.kinetics.events),
        "COEFFICIENTS": max(len(coefficients.parts), 1),
        "ENTRIES": max(len(entries), 1),
        "ENTRIES_USED": len(entries),
        "FACTORS": len(layout.slot),
        "MOIETIES": len(model.dependent),
        "COUNTED": int(np.count_nonzero(model.moieties)),
        "MARGINS": max(len(equations.margins), 1),
        "MARGINS_USED": len(equations.margins),
        "TIME_STATE": -1 if model.time_index is None else model.time_index,
        "TIMED": int(model.rhs_depends_on_time),
    }
    return Functions("\n\n".join(out.parts), sizes, out.operations)


def _write_equations(out: Writer, equations: _Equations) -> dict[Entry, GraphValue]:
    """Rates, Jacobian, their pull-backs, and margins. Returns the Jacobian's entries."""
    graph = equations.graph
    f = equations.derivatives()
    out.function("rates", "const real* y, const real* q, real* f", indexed("f", f))
    bars = pull_back(f, graph.inputs("u", len(equations.y)))
    both = summed(bars, y="y_bar", q="q_bar")
    pulled = "const real* y, const real* q, const real* u, real* y_bar, real* q_bar"
    out.function("pull_rates", pulled, both, add=True)

    entries = equations.jacobian()
    jacobian = list(entries.values())
    out.function("jacobian", "const real* y, const real* q, real* j", indexed("j", jacobian))
    c = graph.inputs("c", len(jacobian))
    both = summed(pull_back(jacobian, c), y="y_bar", q="q_bar")
    pulled = "const real* y, const real* q, const real* c, real* y_bar, real* q_bar"
    out.function("pull_jacobian", pulled, both, add=True)

    margin = equations.margins
    pulled = "const real* y, const real* q, const real rtol, const real* atol, real* margin"
    out.function("margins", pulled, indexed("margin", margin))
    return entries


def _write_algebra(out: Writer, n: int, entries: list[Entry], layout: SparseLayout) -> None:
    """W = I/(γh) − J, its factors, both solves, and Σ uᵢᵀ J kᵢ's cotangent."""
    graph = Graph()
    j = dict(zip(entries, graph.inputs("j", len(entries)), strict=True))
    diagonal = graph.input("diagonal")
    matrix = {e: -v for e, v in j.items()}
    for i in range(n):
        matrix[i, i] = matrix.get((i, i), graph.lift(0.0)) + diagonal
    w = layout.factorise(matrix)
    out.function(
        "factorise",
        "const real* j, const real diagonal, real* w",
        {f"w[{layout.slot[e]}]": v for e, v in w.items()},
    )
    graph = Graph()
    factors = {e: graph.input(f"w[{s}]") for e, s in layout.slot.items()}
    b = graph.inputs("b", n)
    out.function("solve", "const real* w, real* b", indexed("b", layout.solve(factors, b)))
    out.function("solve_transposed", "const real* w, real* b", indexed("b", layout.solve_transposed(factors, b)))
    graph = Graph()
    u, k = graph.inputs("u", n), graph.inputs("k", n)
    outer = [u[i] * k[j] for i, j in entries]
    out.function("add_outer", "const real* u, const real* k, real* c", indexed("c", outer), add=True)


def _tables(model: Model, entries: list[Entry]) -> str:
    """Where the entries stand, and the conserved moieties, as functions of an index."""

    rows, columns = np.nonzero(model.moieties)
    return "\n\n".join(
        [
            lookup_function("int", "row_of", [i for i, _ in entries]),
            lookup_function("int", "column_of", [j for _, j in entries]),
            lookup_function("int", "sum_row", [*map(int, rows)]),
            lookup_function("int", "sum_column", [*map(int, columns)]),
            lookup_function("double", "sum_number", [float(x) for x in model.moieties[rows, columns]]),
            lookup_function("int", "dependent", list(model.dependent)),
            lookup_function("int", "nonnegative", [int(s in model.nonnegative) for s in model.species]),
            *event_tables(model.kinetics.events if model.kinetics else ()),
        ]
    )
