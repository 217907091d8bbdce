"""The contract between Python and C: the layout of a call's arrays, the statuses, and the constants.

Each stands here once. Python packs arrays by these declarations, and `headers` writes them as C, so nothing else knows
which number stands where.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...compiled.domain import CLUTTER, NOISE, TOLERATED
from ...compiled.model import Model
from .. import rodas5p_coefficients as tableau
from .. import scale, steady_criteria
from ..settings import LEAST_ATOL, LEAST_RTOL
from ..solver import Precision
from ..status import Status
from ..step_limits import SHORTEST, TINY
from .layout import Field, Layout

STAGES = len(tableau.M)
# Columns of a recorded step. Behind them stand its state and, if they are kept, its stages.
RECORD = ("TIME", "STEP")
# Rows of a pre-equilibration: the steady state, the start it came from, and the scales of its species.
STEADY = ("STATE", "START", "SCALE")
# The last entries of the environment.
TOLERANCES = ("RTOL", "ATOL")

_EQUILIBRATIONS, _COURSES = ("equilibrations",), ("protocols", "segments")

# Protocols, as `hexamer.models.compiled.plan` compiles them. An index points into the environment; below 0: unchanged.
PLAN = Layout(
    "Plan",
    (
        Field("protocols"),
        Field("segments"),
        Field("times"),
        Field("equilibrations"),
        Field("slots", comment="entries of the environment"),
        Field("max_steps", comment="of a segment"),
        Field("follows", comment="1: the absolute tolerance follows each species' own scale (scale.h)"),
        Field("longest_step", kind="double", comment="as a fraction of a segment"),
        Field("equilibration_parameters", (*_EQUILIBRATIONS, "PARAMETERS")),
        Field("equilibration_set", (*_EQUILIBRATIONS, "SPECIES")),
        Field("equilibration_of", ("protocols",), comment="which one a protocol starts from; below 0: none"),
        Field("equilibration_moment", _EQUILIBRATIONS, "double", comment="switches are as just before it"),
        Field("parameters", (*_COURSES, "PARAMETERS")),
        Field("assign", (*_COURSES, "SPECIES")),
        Field("add", (*_COURSES, "SPECIES")),
        Field("scale", (*_COURSES, "SPECIES")),
        Field("start", _COURSES, "double"),
        Field("stop", _COURSES, "double"),
        Field("at", ("protocols", "times"), "double", comment="times of the outputs"),
        Field("segment", ("protocols", "times"), comment="in which an output lies"),
    ),
)

# What a call on the CPU needs beside its plan or table.
LIMITS = Layout(
    "Limits",
    (
        Field("threads"),
        Field("capacity", comment="steps that are recorded of a trajectory; of observables 0"),
    ),
)

# Rows of observables, group by group (observables.h).
TABLE = Layout(
    "Table",
    (
        Field("pool", comment="numbers that rows read from"),
        Field("rows"),
        Field("protocols"),
        Field("indices", comment="columns x rows of all groups together"),
        Field("count", ("GROUPS",), comment="rows of each group"),
        Field("protocol", ("rows",), comment="the trajectory that a row reads"),
        Field("place", ("rows",), comment="where the row stands among all"),
        Field("index", ("indices",), comment="of each group columns x rows, into the pool"),
    ),
)

_INTEGERS: Mapping[str, int] = {
    "STAGES": STAGES,
    "SCOUTS": scale.SCOUTS,
    "MOMENTS": scale.MOMENTS,
    "NEWTON_ITERATIONS": steady_criteria.NEWTON_ITERATIONS,
}

_NUMBERS: Mapping[str, float | Mapping[Precision, float]] = {
    "GAMMA": tableau.GAMMA,
    "LEAST_RTOL": LEAST_RTOL,
    "LEAST_ATOL": LEAST_ATOL,
    "FLOOR": scale.FLOOR,
    "LEAST_FLOOR": {p: max(scale.LEAST, least) for p, least in LEAST_ATOL.items()},
    "FAINT": scale.FAINT,
    "FAINTEST": scale.FAINTEST,
    "SHARE": scale.SHARE,
    "SCOUT_RATIO": scale.SCOUT_RATIO,
    "SHORTEST": SHORTEST,
    "TINY": TINY,
    "THRESHOLD": steady_criteria.THRESHOLD,
    "HORIZON": steady_criteria.HORIZON,
    "ON_THE_WAY_RTOL": steady_criteria.ON_THE_WAY_RTOL,
    "STRICTEST": steady_criteria.STRICTEST,
    "SINGULAR": steady_criteria.SINGULAR,
    "DRIFT": steady_criteria.DRIFT,
    "TOLERATED": TOLERATED,
    "NOISE": NOISE,
    "CLUTTER": CLUTTER,
}


def sizes_of(model: Model) -> dict[str, int]:
    """The sizes of a model that layouts are made of. Arrays in C are not empty."""
    return {"SPECIES": len(model.species), "PARAMETERS": max(len(model.parameters), 1)}


def row_length(species: int, *, keep_stages: bool) -> int:
    """Numbers of a recorded step."""
    return len(RECORD) + species * (1 + STAGES * keep_stages)


# ------------------------------------------------------------------------------------------------------------- headers


def constants() -> str:
    """Floats of C. They stand ahead of the engine's struct: a struct within a function has no constants of its own."""
    return "\n".join(["#pragma once", *_constants()])


def _constants() -> Iterator[str]:
    for name, value in _NUMBERS.items():
        if isinstance(value, Mapping):
            yield f"constexpr double {name} = SINGLE ? {value['float32']!r} : {value['float64']!r};"
        else:
            yield f"constexpr double {name} = {float(value)!r};"


def engine() -> str:
    """Statuses, sizes, and the layout of the plan, as C."""
    stages = "KEPT = KEEP_STAGES ? STAGES * SPECIES : 0"
    return "\n\n".join(
        [
            '#pragma once\n#include "constants.h"\n#include "sizes.h"\n#include "target.h"',
            _enum((f"{s.name} = {s.value}" for s in Status), name="Status"),
            _enum(f"{name} = {value}" for name, value in _INTEGERS.items()),
            "// Columns of a recorded step.\n"
            + _enum([*_numbered("RECORD", RECORD), f"HEAD = {len(RECORD)}", stages, "ROW = HEAD + SPECIES + KEPT"]),
            "// Rows of a pre-equilibration.\n" + _enum([*_numbered("STEADY", STEADY), f"STEADY_ROWS = {len(STEADY)}"]),
            "// Last entries of the environment.\n"
            + _enum([*_numbered("SET", TOLERANCES), f"TOLERANCES = {len(TOLERANCES)}"]),
            PLAN.c(),
        ]
    )


def limits() -> str:
    """Numbers of threads and of recorded steps for a call on the CPU, as C."""
    return f'#pragma once\n#include "target.h"\n\n{LIMITS.c()}\n'


def observables_layout() -> str:
    """The layout of observables, as C; `formulas.h`, written for them, knows `GROUPS`."""
    return f'#pragma once\n#include "formulas.h"\n#include "target.h"\n\n{TABLE.c()}\n'


def tables_of_rodas5p() -> str:
    """The coefficients of Rodas5P, as functions of their index."""
    return "\n\n".join(
        [
            '#pragma once\n#include "lanes.h"',
            *(_matrix(name, values) for name, values in (("A", tableau.A), ("C", tableau.C), ("H", tableau.H))),
            f"INLINE scalar M(int i)\n{{\n  static const scalar table[{STAGES}] = {{{_listed(tableau.M)}}};\n"
            "  return table[i];\n}",
        ]
    )


def sizes(numbers: Mapping[str, int]) -> str:
    """The sizes of one model, as C."""
    return f"#pragma once\n{_enum(f'{name} = {value}' for name, value in numbers.items())}"


def _matrix(name: str, values: np.ndarray) -> str:
    rows = ",\n".join(f"    {{{_listed(row)}}}" for row in values)
    return (
        f"INLINE scalar {name}(int i, int j)\n{{\n"
        f"  static const scalar table[{len(values)}][{STAGES}] = {{\n{rows}}};\n  return table[i][j];\n}}"
    )


def _listed(values: np.ndarray) -> str:
    return ", ".join(map(repr, values.tolist()))


def _numbered(prefix: str, names: Sequence[str]) -> list[str]:
    return [f"{prefix}_{name} = {i}" for i, name in enumerate(names)]


def _enum(entries: Iterator[str] | Sequence[str], name: str = "") -> str:
    return f"enum {name + ' ' if name else ''}{{ {', '.join(entries)} }};"
