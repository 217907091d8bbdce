"""Formulas of many measurements as compiled code: columns gathered from one vector, row by row, and their adjoint.

XLA makes a launch of each formula and of each of its derivatives; a data set of a dozen observables then costs as much
as its trajectories. Here it is one call each way on the CPU; on a GPU XLA reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import sympy
from jaxtyping import Array, Float, Int

from . import contract
from .batching import folded, varying_as
from .codegen.graph import Graph, emit, pull_back
from .codegen.lower import Lowering
from .compilation import TARGETS, register_handlers
from .platforms import Platform, on_its_platform
from .source import defined, join
from .xla import handler_headers

LANES = 8  # rows side by side


@dataclass(frozen=True, eq=False)
class Group:
    """Rows that share a formula: mean and standard deviation over named columns."""

    columns: tuple[str, ...]
    mean: sympy.Expr
    sd: sympy.Expr
    index: Int[np.ndarray, "columns rows"]  # where in the pool each row's columns lie
    rows: Int[np.ndarray, " rows"]  # where each row stands among all


ByXla = Callable[[Float[Array, " pool"], Int[Array, " protocols"]], tuple[Float[Array, " rows"], Float[Array, " rows"]]]


class _Table(NamedTuple):
    """What a call needs to know but its arrays; static."""

    forward: str
    backward: str
    rows: int
    threads: int
    integers: bytes
    by_xla: ByXla


class RowFormulas:
    """Means and standard deviations of all rows of `groups`, from a pool of numbers.

    `protocol` says for each row which trajectory it reads; `by_xla` does the same of a pool and statuses on a GPU.
    Raises `Unsupported` naming a function that has no C here.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        protocol: Int[np.ndarray, " rows"],
        protocols: int,
        pool: int,
        by_xla: ByXla,
    ):
        body = join("observables.h", {**observable_headers(groups), **handler_headers()})
        targets = register_handlers(f"{defined(LANES)}struct Engine {{\n{body}\n}};\n", TARGETS)
        rows = np.concatenate([g.rows for g in groups])
        index = np.concatenate([np.ravel(g.index) for g in groups])
        values = {
            **{"pool": pool, "rows": len(rows), "protocols": protocols, "indices": len(index)},
            **{"count": [len(g.rows) for g in groups], "protocol": protocol[rows], "place": rows, "index": index},
        }
        self._table = _Table(
            forward=targets[0],
            backward=targets[1],
            rows=len(rows),
            threads=1,
            integers=contract.TABLE.pack(values, {"GROUPS": len(groups)}).integers.tobytes(),
            by_xla=by_xla,
        )

    def __call__(
        self, pool: Float[Array, " pool"], status: Int[Array, " protocols"], threads: int
    ) -> tuple[Float[Array, " rows"], Float[Array, " rows"]]:
        """NaN, and no derivative, for rows of trajectories whose `status` is not 0. Reverse-differentiable once."""
        mean, sd = _read(self._table._replace(threads=threads), pool[None], status[None])
        return mean[0], sd[0]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _read(table: _Table, pool: Float[Array, "sets pool"], status: Int[Array, "sets protocols"]):
    return folded(partial(on_its_platform, _forward, table))(pool, status)


def _keep(table: _Table, pool, status):
    return _read(table, pool, status), (pool, status)


def _pull(table: _Table, residuals, bars):
    return folded(partial(on_its_platform, _backward, table))(*residuals, *bars), None


_read.defvjp(_keep, _pull)


def _forward(platform: Platform, table: _Table, pool, status):
    if platform != "cpu":
        return jax.vmap(table.by_xla)(pool, status)
    rows = jax.ShapeDtypeStruct((pool.shape[0], table.rows), float)
    call = jax.ffi.ffi_call(table.forward, varying_as(pool, [rows, rows]))
    return tuple(call(pool, status, **_attributes(table)))


def _backward(platform: Platform, table: _Table, pool, status, mean_bar, sd_bar):
    if platform != "cpu":
        return jax.vjp(lambda p: jax.vmap(table.by_xla)(p, status), pool)[1]((mean_bar, sd_bar))[0]
    call = jax.ffi.ffi_call(table.backward, jax.eval_shape(lambda p: p, pool))
    return call(pool, status, mean_bar, sd_bar, **_attributes(table))


def _attributes(table: _Table) -> dict[str, np.ndarray]:
    """The table and the limits, which observables.h reads."""
    limits = contract.LIMITS.pack({"threads": table.threads, "capacity": 0}, {})
    return {"integers": np.frombuffer(table.integers, np.int32), "limits": limits.integers}


def observable_headers(groups: Sequence[Group]) -> dict[str, str]:
    """The headers that observables.h needs."""
    return {"formulas.h": _formulas(groups), "table.h": contract.observables_layout()}


def _formulas(groups: Sequence[Group]) -> str:
    """The formulas and their pull-backs, equal ones once, and which of them is a group's."""
    distinct: dict[tuple[str, str], int] = {}
    number = [distinct.setdefault(_functions(g), len(distinct)) for g in groups]
    functions = [
        f"STATIC void formula_{k}(const real* x, real* value)\n{{\n{forward}\n}}\n\n"
        f"STATIC void pull_formula_{k}(const real* x, const real* u, real* x_bar)\n{{\n{backward}\n}}"
        for (forward, backward), k in distinct.items()
    ]

    def choose(name: str, signature: str, arguments: str) -> str:
        cases = "\n".join(f"case {i}: return {name}_{k}({arguments});" for i, k in enumerate(number))
        return f"STATIC void {name}(int group, {signature})\n{{\nswitch (group) {{\n{cases}\n}}\n}}"

    columns = [len(g.columns) for g in groups]
    return "\n\n".join(
        [
            '#pragma once\n#include "lanes.h"',
            f"enum {{ GROUPS = {len(groups)}, COLUMNS = {max([*columns, 1])} }};",
            f"INLINE int columns_of(int g)\n{{\nstatic const int table[] = {{{', '.join(map(str, columns))}}};\n"
            "return table[g];\n}",
            *functions,
            choose("formula", "const real* x, real* value", "x, value"),
            choose("pull_formula", "const real* x, const real* u, real* x_bar", "x, u, x_bar"),
        ]
    )


def _functions(group: Group) -> tuple[str, str]:
    graph = Graph()
    lower = Lowering(graph, dict(zip(group.columns, graph.inputs("x", len(group.columns)), strict=True)))
    values = [lower(group.mean), lower(group.sd)]
    bars = pull_back(values, graph.inputs("u", 2))
    forward = emit({f"value[{i}]": v for i, v in enumerate(values)})
    backward = emit({f"x_bar{name[1:]}": v for name, v in bars.items() if name.startswith("x[")}, add=True)
    return forward, backward
