"""Rows of `priors.csv` that take their prior from an earlier result: `from results/old` as the distribution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..earlier_result import EarlierResult, EarlierResultError, read_earlier
from ..files.csv_table import Row, quote
from ..files.issues import Issues
from ..joint_prior import JointPrior
from ..parameter import Parameter
from ..quantities.units import UnitError, conversion_factor

_FROM = "from "
_EMPTY = ("location", "scale", "shape", "lower", "upper")


def place_in(row: Row) -> str | None:
    """The folder of results that a row names; None if its distribution is a family."""
    kind = row.cells["distribution"]
    return kind.removeprefix(_FROM).strip() if kind.startswith(_FROM) else None


@dataclass
class EarlierRows:
    """Makes the priors of such rows, each result read once; what is wrong is added to `issues`."""

    file: str
    folder: Path  # of the table
    issues: Issues
    _results: dict[str, EarlierResult | None] = field(default_factory=dict)
    _names: dict[str, list[tuple[str, Row]]] = field(default_factory=dict)

    def read(self, row: Row, place: str, value: float | None) -> Parameter | None:
        """The parameter of a row; None if its prior cannot be made."""
        name = row.cells["parameter"]
        for column in (c for c in _EMPTY if row.cells.get(c)):
            self._complain(row, column, "an empty cell, since the prior is that of an earlier result")
        if name.endswith("[experiment]") or "*" in name or "?" in name:
            self._complain(row, "parameter", "one parameter for each row that names an earlier result, no wildcards")
            return None
        if place not in self._results:
            self._results[place] = self._result(row, place)
        result = self._results[place]
        if result is None:
            return None
        try:
            parameter = result.parameter(name)
        except EarlierResultError as error:
            self._complain(row, "distribution", f"a result with this parameter; {error}")
            return None
        self._names.setdefault(place, []).append((name, row))
        return replace(self._in_unit(parameter, row), value=value, row=row.number)

    def joint_priors(self) -> Iterator[JointPrior]:
        """For each result that gives several parameters their priors, the correlations of these."""
        for place, rows in self._names.items():
            result = self._results[place]
            try:
                joint = None if result is None else result.joint([n for n, _ in rows])
            except EarlierResultError as error:
                self._complain(rows[0][1], "distribution", f"a result with a joint distribution; {error}")
            else:
                yield from () if joint is None else (joint,)

    def notes(self) -> list[str]:
        """Notes on draws that are not normal."""
        results = [(r, [n for n, _ in self._names.get(p, [])]) for p, r in self._results.items() if r is not None]
        return [note for result, names in results for note in result.notes(names)]

    def _result(self, row: Row, place: str) -> EarlierResult | None:
        try:
            return read_earlier(place, self.folder)
        except EarlierResultError as error:
            self._complain(row, "distribution", f"a folder of results, as in `from results/old`; {error}")
            return None

    def _in_unit(self, parameter: Parameter, row: Row) -> Parameter:
        """The parameter in the unit that its row states, if it states one."""
        stated, prior = row.cells["unit"].strip(), parameter.prior
        if not stated or prior is None:
            return parameter
        factor = 1.0
        if parameter.unit:
            try:
                factor = conversion_factor(parameter.unit, stated)
            except UnitError as error:
                expected = (
                    f"{parameter.unit!r}, in which the earlier result has it, a unit that it can become, or nothing"
                )
                self._complain(row, "unit", f"{expected}; {error}")
        return replace(parameter, prior=prior if factor == 1 else prior.scaled(factor), unit=stated)

    def _complain(self, row: Row, column: str, expected: str) -> None:
        self.issues.add(self.file, expected, row=row.number, column=column, holds=quote(row.cells[column]))


__all__ = ["EarlierRows", "place_in"]
