"""`Fits`: the results of many starts of an optimiser, in memory and as a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from ...models.listing import counted
from ..problem.problem import Objective, Problem
from ..storage.files import FileError, reason, write
from .optima import Endings, Optimum
from .optima_words import describe_optima, optima_record, restored_optimum
from .stopping import CONVERGED

SEARCH = "map.json"  # the file of a search, in the folder of a fit


@dataclass(frozen=True, eq=False)
class Fits:
    """Optimisation runs, best first.

    Attributes
    ----------
    problem : Problem
        What was fitted.
    kind : str
        Which objective was minimised; see `Problem.objective`.
    z, start : array, fits × parameters
        Unconstrained coordinates (dimensionless) where each run ended, and where it began.
    objective : array, fits
        The minimised value, in nats.
    reason : tuple of str
        Why each ended: `gradient`, `progress` or, by a minimiser's own tolerances, `optimiser` (converged);
        `iterations`, `no descent`, `failed at its start`.
    iterations, evaluations : array of int, fits
        Counts, dimensionless.
    failed : dict
        Failed evaluations by kind, of all runs.
    redrawn : int
        Starts that failed and were drawn anew.
    traces : tuple of arrays
        The objective at the start and after each iteration, in nats.
    seconds : float
        Wall time of the search, in seconds.
    optima : tuple of Optimum
        The fits within 20 nats of the best, grouped by where they ended.
    notes : tuple of str
        Why evaluations failed, if it is known.
    """

    problem: Problem
    kind: Objective
    z: np.ndarray
    start: np.ndarray
    objective: np.ndarray
    reason: tuple[str, ...]
    iterations: np.ndarray
    evaluations: np.ndarray
    failed: dict[str, int]
    redrawn: int
    traces: tuple[np.ndarray, ...]
    seconds: float
    optima: tuple[Optimum, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        runs = f"{counted(self.reason, 'start')}, {int(self.converged.sum())} converged"
        best = f"best −log {self.kind} {self.objective[0]:.4f}, {self.near_best()} within 0.1 of it"
        return f"Fits({self.problem.name!r}, {runs}, {best})"

    def _repr_html_(self) -> str:
        from .html import fits_form

        runs = self.objective, self.reason, self.iterations, self.evaluations
        return fits_form(repr(self), self.problem, self.z[0], self.optima, *runs, self.notes)

    @property
    def converged(self) -> np.ndarray:
        """True for each run that converged (dimensionless)."""
        return np.array([r in CONVERGED for r in self.reason])

    @property
    def best(self) -> dict[str, float]:
        """Parameter values of the best fit, fixed ones included, in each parameter's unit."""
        return self.values(0)

    def values(self, rank: int) -> dict[str, float]:
        """Parameter values of one fit; a scale that is integrated out has its conditional median.

        Parameters
        ----------
        rank : int
            Position among the fits; 0 is the best.
        """
        vector = np.array(self.problem.values(jnp.asarray(self.z[rank])))
        nuisance = self.problem.nuisance
        if len(nuisance):
            with self.problem.placed():
                readout = self.problem.compiled(Problem.read)(jnp.asarray(vector))
            location, _ = nuisance.conditional(self.problem.measured.value - readout.mean, readout.sd)
            for name, value in zip(nuisance.names, np.exp(np.asarray(location)), strict=True):
                vector[self.problem.names.index(name)] = value
        return dict(zip(self.problem.names, map(float, vector), strict=True))

    def near_best(self, distance: float = 0.1) -> int:
        """How many fits end near the best objective.

        Parameters
        ----------
        distance : float
            Largest difference, in nats.
        """
        return int(np.sum(self.objective <= self.objective[0] + distance))

    def words(self) -> list[str]:
        """Sentences for the reader: why evaluations failed, where starts ended, which parameters are not determined."""
        return [*(f"Some evaluations failed: {note}." for note in self.notes), *describe_optima(self._endings)]

    @property
    def _endings(self) -> Endings:
        return Endings(self.problem.space, self.z, self.optima)

    def record(self) -> dict:
        """The runs as plain types, for a file."""
        return {
            "problem": self.problem.name,
            "objective_kind": self.kind,
            "objective": [v if np.isfinite(v) else None for v in self.objective.tolist()],
            "reason": list(self.reason),
            "iterations": self.iterations.tolist(),
            "evaluations": self.evaluations.tolist(),
            "failed": self.failed,
            "redrawn": self.redrawn,
            "within_0.1_of_best": self.near_best(),
            "converged": int(self.converged.sum()),
            "seconds": self.seconds,
            "names": list(self.problem.space.names),
            "z": self.z.tolist(),
            "start": self.start.tolist(),
            "optima": optima_record(self._endings),
            "traces": [t.tolist() for t in self.traces],
            "notes": list(self.notes),
        }

    def save(self, path: str | Path) -> None:
        """Writes `record` as JSON.

        Parameters
        ----------
        path : path
            The file.
        """
        write(path, json.dumps(self.record()))

    @classmethod
    def load(cls, path: str | Path, problem: Problem) -> Fits:
        """Reads the runs that `save` wrote.

        Parameters
        ----------
        path : path
            The file.
        problem : Problem
            Whose runs they are.

        Raises
        ------
        FileError
            If the file cannot be read, or is of a problem with other parameters.
        """
        way_out = "remove it, or search again"
        try:
            record = json.loads(Path(path).read_text(encoding="utf-8"))
            if tuple(record["names"]) != problem.space.names:
                raise FileError(f"{path} is of a problem with other parameters than {problem.name!r}: {way_out}")
            objective = np.array([np.inf if v is None else v for v in record["objective"]])
            standard = problem.space.standard(np.array(record["z"]))
            return cls(
                problem=problem,
                kind=record["objective_kind"],
                z=np.array(record["z"]),
                start=np.array(record["start"]),
                objective=objective,
                reason=tuple(record["reason"]),
                iterations=np.array(record["iterations"]),
                evaluations=np.array(record["evaluations"]),
                failed=record["failed"],
                redrawn=record["redrawn"],
                traces=tuple(np.array(t) for t in record["traces"]),
                seconds=record["seconds"],
                optima=tuple(restored_optimum(o, standard, objective) for o in record["optima"]),
                notes=tuple(record.get("notes", ())),
            )
        except FileError:
            raise
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise FileError(f"{path} cannot be read ({reason(error)}): {way_out}") from None
