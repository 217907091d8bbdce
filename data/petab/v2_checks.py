"""Checks of PEtab v2's tables against one another and against the model."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

import sympy

from ...models.listing import listed
from ...models.networks.formulas import names_in
from ..native.coverage import near
from .checks import FORMULAS, is_name, read_formula, split
from .entities import Entities
from .table_cells import TableCells, TableKind, number_or_nan
from .v2_cells import placeholders_of

CellFormulas = Mapping[tuple[TableKind, int, str], sympy.Expr]
"""Those of the observable and the condition table, by kind, position of the row and column."""


def read_formulas(cells: TableCells) -> dict[tuple[TableKind, int, str], sympy.Expr]:
    """All formulas that can be read; the others become issues."""
    columns: tuple[tuple[TableKind, tuple[str, ...]], ...] = (("observable", FORMULAS), ("condition", ("targetValue",)))
    formulas = {}
    for kind, names in columns:
        for index, row in cells.each(kind):
            for column in (c for c in names if c in row):
                expression = read_formula(cells, kind, index, column)
                if expression is not None:
                    formulas[kind, index, column] = expression
    return formulas


def check_experiments(cells: TableCells) -> None:
    """Conditions that there are, none twice at one time, and each target set once; measurements within."""
    rows_by_condition: dict[str, list[tuple[int, str]]] = {}
    for index, row in cells.each("condition"):
        name, target = row.get("conditionId", ""), row.get("targetId", "")
        if any(target == other for _, other in rows_by_condition.get(name, [])):
            cells.complain("condition", index, "targetId", f"each target once; the condition {name} sets it above")
        rows_by_condition.setdefault(name, []).append((index, target))
    taken: dict[tuple[str, float], dict[str, str]] = {}
    for index, row in cells.each("experiment"):
        condition = row.get("conditionId")
        time = number_or_nan(row.get("time", ""))
        setters = taken.setdefault((row.get("experimentId", ""), time), {})
        if condition is None:
            continue
        if condition not in rows_by_condition:
            known = list(rows_by_condition)
            expected = f"a condition that the condition table has: {listed(known, 10)}" if known else "an empty cell"
            cells.complain("experiment", index, "conditionId", expected + near(condition, known))
        for _, target in rows_by_condition.get(condition, []):
            if target in setters:
                expected = f"conditions that set different targets at one time; {setters[target]} sets {target} too"
                cells.complain("experiment", index, "conditionId", expected)
                break
            setters[target] = condition
    _check_measured(cells, first_times(cells))


def first_times(cells: TableCells) -> dict[str, float]:
    """The first finite time of each experiment; 0 if it has none."""
    times: dict[str, list[float]] = {}
    for _, row in cells.each("experiment"):
        times.setdefault(row.get("experimentId", ""), []).append(number_or_nan(row.get("time", "")))
    return {name: min((t for t in all_of if math.isfinite(t)), default=0.0) for name, all_of in times.items()}


def _check_measured(cells: TableCells, starts: Mapping[str, float]) -> None:
    for index, row in cells.each("measurement"):
        name = row.get("experimentId")
        if name is not None and name not in starts:
            known = list(starts)
            expected = f"an experiment that the experiment table has: {listed(known, 10)}" if known else "an empty cell"
            cells.complain("measurement", index, "experimentId", expected + near(name, known))
        elif number_or_nan(row.get("time", "")) < starts.get(name or "", 0.0):
            start = starts.get(name or "", 0.0)
            cells.complain("measurement", index, "time", f"a time from the start of its experiment on, {start:g}")


class NameCheck:
    """Which names the tables may use: those of the model, of the parameter table, placeholders and aliases."""

    def __init__(self, cells: TableCells, model: Entities, aliases: Mapping[str, str], formulas: CellFormulas):
        self.cells, self.model, self.aliases, self.formulas = cells, model, aliases, formulas
        self.parameters = [row["parameterId"] for _, row in cells.each("parameter") if "parameterId" in row]
        self.targets = {row["targetId"] for _, row in cells.each("condition") if "targetId" in row}
        self.used: set[str] = set()  # by formulas, conditions and measurements

    def check(self) -> None:
        """Names that nothing has, or that mean something else there, become issues of their cells."""
        self._observables()
        self._conditions()
        self._first_periods()
        self._arguments()
        self._parameters()

    def _observables(self) -> None:
        time_is_taken = "time" in self.model.names
        for index, row in self.cells.each("observable"):
            name = row.get("observableId", "")
            if name in self.model.names:
                self.cells.complain(
                    "observable", index, "observableId", "a name that the model does not have: rename the observable"
                )
            placeholders = {kind: set(placeholders_of(self.cells, index, kind)) for kind in ("observable", "noise")}
            for kind, names in placeholders.items():
                if shadowing := sorted(names & (self.model.names | {*self.parameters})):
                    expected = f"names that neither the model nor the parameter table has; they have {shadowing[0]}"
                    self.cells.complain("observable", index, f"{kind}Placeholders", expected)
            allowed = {
                "observableFormula": placeholders["observable"],
                "noiseFormula": placeholders["observable"] | placeholders["noise"] | {name},
            }
            for column, more in allowed.items():
                expression = self.formulas.get(("observable", index, column))
                if expression is None:
                    continue
                self._unknown("observable", index, column, names_in(expression), more | self.targets)
                self.used |= names_in(expression)
                if time_is_taken and "time" in names_in(expression):
                    expected = "a formula without 'time', as the model calls something else so: rename that"
                    self.cells.complain("observable", index, column, expected)

    def _unknown(
        self, kind: TableKind, index: int, column: str, names: Collection[str], more: Collection[str] = ()
    ) -> None:
        known = {*self.model.names, *self.parameters, *self.aliases, *more, "time"}
        for name in sorted(set(names) - known)[:1]:
            expected = f"names that the model or the parameter table has; neither has {name!r}{near(name, known)}"
            self.cells.complain(kind, index, column, expected)

    def _conditions(self) -> None:
        for index, row in self.cells.each("condition"):
            target = row.get("targetId", "")
            name = self.aliases.get(target, target)
            if target in self.parameters:
                expected = "a name that the parameter table does not have, as what a condition sets is not estimated"
                self.cells.complain("condition", index, "targetId", expected)
            elif name in self.model.rules:
                expected = "a parameter, species or compartment that a condition can set; this one follows from a rule"
                self.cells.complain("condition", index, "targetId", expected)
            elif name not in self.model.states | self.model.constants | self.used:
                expected = "the name of a parameter, species or compartment of the model, or of a parameter that only "
                expected += f"observables use{near(target, self.model.names)}"
                self.cells.complain("condition", index, "targetId", expected)
            expression = self.formulas.get(("condition", index, "targetValue"))
            if expression is not None:
                self._unknown("condition", index, "targetValue", names_in(expression))
                self.used |= names_in(expression)

    def _first_periods(self) -> None:
        """The first period of an experiment may use parameters alone: there are no values before it."""
        first: dict[str, float] = {}
        opening: dict[str, str] = {}
        rows = [
            (row.get("experimentId", ""), number_or_nan(row.get("time", "")), row.get("conditionId"))
            for _, row in self.cells.each("experiment")
        ]
        for name, time, _ in rows:
            first[name] = min(time, first.get(name, math.inf))
        for name, time, condition in rows:
            if condition is not None and time == first[name]:
                opening.setdefault(condition, name)
        for index, row in self.cells.each("condition"):
            expression = self.formulas.get(("condition", index, "targetValue"))
            if expression is None or row.get("conditionId") not in opening:
                continue
            foreign = names_in(expression) & self.model.names - {*self.parameters}
            for name in sorted(foreign)[:1]:
                expected = (
                    f"a formula of the parameter table's names, as this is the first period of "
                    f"{opening[row['conditionId']]}; {name} is the model's own"
                )
                self.cells.complain("condition", index, "targetValue", expected)

    def _arguments(self) -> None:
        wrong: set[tuple[str, str]] = set()  # said once
        for index, _ in self.cells.each("measurement"):
            for column in ("observableParameters", "noiseParameters"):
                names = [p for p in split(self.cells.text("measurement", index, column)) if is_name(p)]
                self.used |= {*names}
                for name in (n for n in names if n not in self.parameters and (column, n) not in wrong):
                    wrong.add((column, name))
                    expected = (
                        f"parameters that the parameter table has; it has no {name!r}{near(name, self.parameters)}"
                    )
                    self.cells.complain("measurement", index, column, expected)

    def _parameters(self) -> None:
        free = self.model.constants - self.model.network.species.keys()
        for index, row in self.cells.each("parameter"):
            name = self.aliases.get(row.get("parameterId", ""), row.get("parameterId", ""))
            if name in self.targets or self.cells.wrong("parameter", index):
                continue  # said at the condition
            if name in self.model.names and name not in free:
                expected = "a parameter whose value is free; in the model this one is a species or follows from a rule"
                self.cells.complain("parameter", index, "parameterId", expected)
            elif name not in free | self.used:
                expected = "a parameter that the model, a formula or a measurement uses: correct its name, or delete "
                expected += f"the row{near(name, (free | self.used) - {*self.parameters})}"
                self.cells.complain("parameter", index, "parameterId", expected)


def aliases_of(cells: TableCells, model: Entities) -> dict[str, str]:
    """What the mapping table's names stand for in the network: local parameters, which have their own name there."""
    aliases: dict[str, str] = {}
    for index, row in cells.each("mapping"):
        name, target = row.get("petabEntityId", ""), row.get("modelEntityId")
        if name in aliases:
            cells.complain("mapping", index, "petabEntityId", "each name once")
        if target is None or target == name:
            continue
        found = [*_local(target, model)]
        if not found:
            expected = "the id of something that the model has, such as reaction.parameter for a local parameter"
            cells.complain("mapping", index, "modelEntityId", expected)
        elif name in model.names and name != found[-1]:
            cells.complain("mapping", index, "petabEntityId", "a name that the model does not have")
        else:
            aliases[name] = found[-1]
    return aliases


def _local(target: str, model: Entities) -> Iterator[str]:
    """A reaction's local parameter as the network calls it; the last of several is the local one."""
    reaction, dot, parameter = target.partition(".")
    name = f"{reaction}_{parameter}"
    while dot and reaction in model.reactions and name in model.network.parameters:
        yield name
        name += "_"
