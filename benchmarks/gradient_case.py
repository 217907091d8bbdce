"""The function that every method of `benchmarks.gradient` differentiates, for hexamer and for AMICI.

    L(p) = 1/2 sum over rows of ((value - mean(p)) / sd)^2

over the model's own estimated parameters p, pre-equilibration included. Standard deviations, scales of gels and
all other parameters are held where `reference_values` puts them; rows that do not depend on the state are left out.

    python -m benchmarks.gradient_case hepg2 CASE.json
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float, Int

import hexamer
from hexamer import Network, Problem, Protocol, load_problem
from hexamer.data import read_values
from hexamer.data.dataset import Measurement, Observable
from hexamer.data.published import Published
from hexamer.models import write_sbml
from hexamer.models.networks.formulas import inline, to_infix

KNOWN_TO_WORKER = (sympy.log, sympy.exp)  # functions that `peers/amici_worker.py` reads in formulas


class NotExpressible(ValueError):
    """A problem that AMICI's worker cannot be given; the message says which part of it."""


def reference_values(problem: Problem) -> dict[str, float]:
    """All parameters' values: the published fit, or the truth that bundled data were simulated at."""
    bundled = Path(hexamer.data.__file__).parent / "bundled_problems" / problem.name / "truth.csv"
    if bundled.is_file():
        table = bundled
    else:
        folder = Published(problem.name, "see the data set's own description", ("published_fit.csv",)).locate()
        table = folder / "published_fit.csv"
    fixed = {n: p.value for n, p in problem.parameters.items() if p.value is not None}
    values = fixed | {n: v for n, v in read_values(table).items() if n in problem.parameters}
    if missing := [n for n in problem.names if n not in values]:
        raise ValueError(f"{table.name} has no value for {', '.join(missing)}")
    return values


def load(name: str) -> Problem:
    """A problem by name, without the rows that do not depend on the state."""
    problem = load_problem(name, marginalise=())
    model, dataset = problem.model, problem.dataset
    moving = {
        n
        for n, o in dataset.observables.items()
        if {str(s) for s in _inlined(problem, o).free_symbols} & set(model.species)
    }
    measurements = tuple(m for m in dataset.measurements if m.observable in moving)
    return Problem(model, replace(dataset, measurements=measurements), marginalise=())


def _inlined(problem: Problem, observable: Observable) -> sympy.Expr:
    return inline({**problem.model.rules, "": observable.formula})[""]


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What comes with a value of L: `status` and `steps` of each protocol's trajectory."""

    value: Float[Array, ""]
    status: Int[Array, " protocols"]
    steps: Int[Array, " protocols"]


jax.tree_util.register_dataclass(Evaluated)


@dataclass(frozen=True, eq=False)
class ChiSquare:
    """L of a problem: `vector` holds all values in the order of `problem.names`, `position` those of p in it."""

    problem: Problem
    vector: np.ndarray
    position: np.ndarray
    sd: np.ndarray  # of each row, on its observable's scale

    @staticmethod
    def of_case(problem: Problem, case: Mapping[str, Any]) -> ChiSquare:
        """L as `write_case` left it."""
        position = np.array([problem.names.index(n) for n in case["parameters"]])
        return ChiSquare(problem, np.array([case["values"][n] for n in problem.names]), position, np.array(case["sd"]))

    def __call__(self, p: Float[Array, " parameters"]) -> tuple[Float[Array, ""], Evaluated]:
        """NaN if a trajectory failed."""
        readout = self.problem.read(jnp.asarray(self.vector).at[self.position].set(p))
        value = 0.5 * jnp.sum(((self.problem.measured.value - readout.mean) / self.sd) ** 2)
        return value, Evaluated(value, readout.status, readout.steps)


def write_case(name: str) -> dict[str, Any]:
    """All that the methods need to know, ready for JSON; `amici` is AMICI's own case, or says why there is none."""
    problem = load(name)
    values = reference_values(problem)
    evaluation = problem.evaluate(values)
    if evaluation.failed:
        raise RuntimeError(f"{name} cannot be simulated at its reference values: {evaluation.failed}")
    parameters = [n for n in problem.space.names if n in problem.model.parameters]
    case: dict[str, Any] = {
        "problem": name,
        "parameters": parameters,
        "values": {n: float(values[n]) for n in problem.names},
        "sd": evaluation.standard_deviations.tolist(),
        "protocols": len(problem.assays.protocols),
        "species": len(problem.model.species),
    }
    try:
        return case | {"amici": amici_case(problem, parameters, values, evaluation.standard_deviations)}
    except NotExpressible as reason:
        return case | {"amici": str(reason)}


def amici_case(problem: Problem, parameters: list[str], values: Mapping[str, float], sd: np.ndarray) -> dict[str, Any]:
    """The case that `peers/amici_worker.py` reads, settings apart. Raises `NotExpressible`.

    Each row's known scale is divided out, of logarithms subtracted, so that observables have no placeholders.
    """
    model, dataset, assays = problem.model, problem.dataset, problem.assays
    if model.network is None:
        raise NotExpressible("the model is no network")
    network = _at(model.network, set(model.parameters), values)
    used = {m.protocol: dataset.protocols[m.protocol] for m in dataset.measurements}
    inputs = sorted(set().union(*(q.targets for q in used.values())))
    if outside := [n for n in inputs if n not in network.parameters]:
        raise NotExpressible(f"its protocols change the state itself ({', '.join(outside)})")
    defaults = dict(zip(model.parameters, map(float, model.defaults), strict=True)) | dict(values)
    conditions = {n: _condition(q, values) for n, q in used.items()}
    for k, m in enumerate(dataset.measurements):
        factor, shift = _without_scale(dataset.observables[m.observable], m, float(assays.log_base[k]), values)
        value, spread = (float(problem.measured.value[k]) - shift) / factor, float(sd[k]) / factor
        row = {"time": float(m.time), "observable": m.observable, "value": value, "sd": spread}
        conditions[m.protocol]["rows"].append(row)
    read = {m.observable for m in dataset.measurements}
    return {
        "sbml": write_sbml(network),
        "parameters": {n: values[n] for n in parameters},
        "fixed": {n: defaults[n] if math.isfinite(defaults[n]) else 0.0 for n in inputs},
        "observables": {n: _formula(problem, network, n, values) for n in dataset.observables if n in read},
        "conditions": list(conditions.values()),
    }


def _at(network: Network, assigned: set[str], values: Mapping[str, float]) -> Network:
    """The network at given values; parameters that are given follow from no initial assignment."""
    return replace(
        network,
        parameters={n: replace(q, value=values.get(n, q.value)) for n, q in network.parameters.items()},
        compartments={n: replace(q, value=values.get(n, q.value)) for n, q in network.compartments.items()},
        initial={n: e for n, e in network.initial.items() if n not in assigned},
    )


def _condition(protocol: Protocol, values: Mapping[str, float]) -> dict[str, Any]:
    if protocol.start != 0 or any(s.time != 0 or s.add for s in protocol.steps):
        raise NotExpressible(f"protocol {protocol.name!r} does more than set inputs at time 0")

    def numbers(changes: Mapping[str, float | str]) -> dict[str, float]:
        return {n: values[v] if isinstance(v, str) else float(v) for n, v in changes.items()}

    before = protocol.preequilibration
    return {
        "preequilibration": None if before is None else numbers(before),
        "inputs": numbers({n: v for s in protocol.steps for n, v in s.assign.items()}),
        "rows": [],
    }


def _without_scale(
    observable: Observable, row: Measurement, base: float, values: Mapping[str, float]
) -> tuple[float, float]:
    """Factor f and shift d of a row on its observable's scale: what its placeholders make of y is f y + d."""
    placeholders = [sympy.Symbol(n) for n in observable.placeholders]
    arguments = [values[a] if isinstance(a, str) else float(a) for a in row.arguments]
    numbers = dict(zip(placeholders, map(sympy.Float, arguments), strict=True))
    at_one = observable.formula.xreplace(dict.fromkeys(placeholders, sympy.Integer(1)))
    ratio = sympy.cancel(observable.formula / at_one)
    if ratio.free_symbols <= set(placeholders):
        factor = _number(ratio, numbers)
        return (1.0, math.log(factor) / base) if base else (factor, 0.0)
    shift = sympy.expand(observable.formula - at_one, force=True)
    if not base and shift.free_symbols <= set(placeholders):
        return 1.0, _number(shift, numbers)
    raise NotExpressible(f"observable {observable.name!r} is neither proportional to its scale nor shifted by it")


def _number(expression: sympy.Expr, numbers: Mapping[sympy.Symbol, sympy.Float]) -> float:
    filled: Any = expression.xreplace(numbers)
    return float(filled)


def _formula(problem: Problem, network: Network, name: str, values: Mapping[str, float]) -> str:
    """An observable over the network's symbols, on its scale, all else filled in."""
    observable = problem.dataset.observables[name]
    expression = _inlined(problem, observable)
    expression = expression.xreplace({sympy.Symbol(n): sympy.Integer(1) for n in observable.placeholders})
    symbols = {*network.species, *network.parameters, *network.compartments}
    to_fill = {str(s) for s in expression.free_symbols} - symbols
    filled = {sympy.Symbol(n): sympy.Float(values[n]) for n in to_fill & set(values)}
    expression = sympy.sympify(expression.xreplace(filled))
    unknown = {str(s) for s in expression.free_symbols} - symbols
    if unknown or any(not isinstance(f, KNOWN_TO_WORKER) for f in expression.atoms(sympy.Function)):
        raise NotExpressible(f"the formula of observable {name!r} is beyond AMICI's worker: {expression}")
    text = to_infix(expression)
    return {"lin": text, "log": f"ln({text})", "log10": f"log10({text})"}[observable.scale]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("problem")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    arguments.file.write_text(json.dumps(write_case(arguments.problem), allow_nan=False))


if __name__ == "__main__":
    main()
