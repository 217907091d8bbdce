"""The tables of a PEtab problem, the same for both versions; one reader makes a data set of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sympy

from ..dataset import Measurement, Observable
from ..parameter import Parameter
from .entities import Entities
from .table_cells import TableCells


@dataclass(frozen=True)
class Period:
    """A part of an experiment.

    - `time`: of its start, −∞ for one that lasts until the steady state;
    - `changes`: what is set at its start, by name of the model; formulas over the values just before.
    """

    time: float
    changes: Mapping[str, sympy.Expr]


@dataclass(frozen=True)
class Experiment:
    """Periods in order of time.

    - `lasting`: what a period sets holds until something sets it again (PEtab v2). Otherwise it ends with the period
      (v1), and a compartment that is resized keeps amounts in place of concentrations;
    - `place`: of its first row, for messages.
    """

    name: str
    periods: tuple[Period, ...]
    lasting: bool
    place: str


@dataclass(frozen=True)
class Tables:
    """A problem's tables.

    - `measurements`: `protocol` is the name of an experiment, and `time` is inf at the steady state;
    - `files`: of the measurements, with the rows before each;
    - `entities`: of the model, if the reader needed them;
    - `assigned`: what has an initial assignment in the model, if it did not.
    """

    version: int
    model: Path
    observables: Mapping[str, Observable]
    experiments: Mapping[str, Experiment]
    measurements: Sequence[Measurement]
    parameters: Mapping[str, Parameter]
    files: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]
    entities: Entities | None = None
    assigned: frozenset[str] = frozenset()


def numbered_lines(cells: TableCells) -> tuple[list[int], tuple[tuple[str, int], ...]]:
    """Lines of the measurements, those of a file counted on from the last one's, and the files with the rows before."""
    lines: list[int] = []
    files: list[tuple[str, int]] = []
    for file, row in zip(cells.files["measurement"], cells.rows["measurement"], strict=True):
        if not files or files[-1][0] != file or files[-1][1] + row.number <= lines[-1]:
            files.append((file, lines[-1] if lines else 0))
        lines.append(files[-1][1] + row.number)
    return lines, tuple(files)
