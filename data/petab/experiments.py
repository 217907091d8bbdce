"""From the periods of an experiment to a protocol.

Changes are formulas. One of constants and parameters is computed from them before each solve and stands in the protocol
by its text; a sum of a state and such a formula is added to the state. The rest of what follows is PEtab v2's: what a
period sets holds until something sets it again, an initial assignment is evaluated once, after the first period's
changes, and a compartment that is resized leaves concentrations as they are.

Source: https://petab.readthedocs.io/en/latest/v2/documentation_data_format.html#condition-table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import sympy

from ...models.listing import listed
from ...models.networks.formulas import names_in, to_infix
from ...models.networks.network import UnsupportedModelError
from ...models.networks.sbml_read import read_sbml
from ...models.protocols.protocol import Protocol, Step, Value
from ..dataset import Measurement
from .entities import Entities
from .equilibrated_events import refusal, watching_events
from .tables import Experiment, Period, Tables

ChangeFormulas = Mapping[str, sympy.Expr]
_STEADY_SUFFIX = " → steady state"
_RESIZED = "is resized after pre-equilibration"


class _Set(NamedTuple):
    """The values that a period sets, and those that it adds to states: formulas of parameters alone."""

    assign: dict[str, sympy.Expr]
    add: dict[str, sympy.Expr]


class Courses:
    """The protocols of a problem, as its measurements need them; `derived` are the formulas that they use, by text."""

    def __init__(self, tables: Tables):
        self.tables = tables
        self.protocols: dict[str, Protocol] = {}
        self.derived: dict[str, sympy.Expr] = {}
        self.continued: dict[str, tuple[Protocol, float]] = {}
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._resized: dict[str, None] = {}

    def placed(self, m: Measurement) -> Measurement:
        """A measurement under the protocol of its experiment; at time inf, under one that starts in steady state."""
        experiment = self.tables.experiments[m.protocol]
        steady = math.isinf(m.time)
        name = experiment.name + (_STEADY_SUFFIX if steady else "")
        if name not in self.protocols:
            make = self._steady_state if steady else self._course
            try:
                self.protocols[name] = make(experiment, name)
            except ValueError as error:
                self.protocols[name] = Protocol(name)
                self.problems.append(f"{experiment.place}: {experiment.name}: {error}")
        if steady:
            self._note_events()
        if steady and "time" in self.tables.observables[m.observable].symbols:
            self.problems.append(f"row {m.row}: {m.observable} uses time, and is measured at time inf")
        return replace(m, protocol=name, time=0.0) if steady else m

    @cached_property
    def entities(self) -> Entities:
        """Those of the model; read when they are needed."""
        return self.tables.entities or Entities(read_sbml(self.tables.model))

    @cached_property
    def _frozen(self) -> tuple[str, ...]:
        """Constants that follow from others at the start, and that every experiment has to state.

        Those that a condition sets in another experiment, those whose formula uses what changes later, and those that
        observables use.
        """
        experiments = [e for e in self.tables.experiments.values() if e.lasting]
        targets = {n for e in experiments for p in e.periods for n in p.changes}
        later = {n for e in experiments for p in e.periods[1:] for n in p.changes}
        first = {n for e in experiments for p in e.periods[:1] for n in p.changes}
        model = self.entities
        moved = {*model.starting_from((later & model.constants) | (first & model.states))}
        read = {s for o in self.tables.observables.values() for s in o.symbols}
        stated = (targets | moved | read) & model.constants - self.tables.parameters.keys()
        return tuple(sorted(n for n in stated if model.follows(n)))

    def _course(self, experiment: Experiment, name: str) -> Protocol:
        periods = self._lasting(experiment) if experiment.lasting else self._by_itself(experiment)
        self._check_equilibrated(experiment, periods)
        return self._protocol(name, experiment, periods)

    def _check_equilibrated(self, experiment: Experiment, periods: list[tuple[float, _Set]]) -> None:
        """Raises `ValueError` for PEtab v2 if events could act during a pre-equilibration; for v1, adds a note."""
        if periods[0][0] != -math.inf or not (events := watching_events(self.entities, periods[1][0])):
            return
        if experiment.lasting:
            raise ValueError(refusal(events))
        note = f"pre-equilibrations are without the events of the model ({listed(events)}); PEtab v1 does not say more"
        if note not in self.notes:
            self.notes.append(note)

    def _protocol(self, name: str, experiment: Experiment, periods: list[tuple[float, _Set]]) -> Protocol:
        before = None
        if periods[0][0] == -math.inf:
            (_, first), *periods = periods
            before = self._values(first.assign)
        steps = tuple(Step(t, self._values(s.assign), self._doses(s.add)) for t, s in periods if s.assign or s.add)
        start = periods[0][0] if periods else 0.0
        later = periods if before is not None else periods[1:]
        resized = experiment.lasting and any(
            n in self.entities.network.compartments for _, s in later for n in s.assign
        )
        keep = "concentrations" if resized else "amounts"
        return Protocol(name, preequilibration=before, steps=steps, start=start, resizing_keeps=keep)

    def _by_itself(self, experiment: Experiment) -> list[tuple[float, _Set]]:
        """Periods whose changes end with them: PEtab v1's."""
        if len(experiment.periods) > 1:
            self._note_resized(experiment)
        return [(p.time, _Set(self._with_starts(experiment, p), {})) for p in experiment.periods]

    def _with_starts(self, experiment: Experiment, period: Period) -> dict[str, sympy.Expr]:
        """The changes of a period of v1, and the start values of what the model alone would not state."""
        if not self._stated:
            return dict(period.changes)
        course = _Course(self.entities, self.tables, (), replace(experiment, periods=(period,)))
        return {**period.changes, **{n: course.at_start(n) for n in self._stated if n not in period.changes}}

    @cached_property
    def _stated(self) -> tuple[str, ...]:
        """Constants of v1 with an initial assignment that some condition sets in its place, or that observables use."""
        changed = {n for e in self.tables.experiments.values() for p in e.periods for n in p.changes}
        read = {s for o in self.tables.observables.values() for s in o.symbols}
        names = (changed | read) & self.tables.assigned - self.tables.parameters.keys()
        return tuple(sorted(n for n in names if n in self.entities.constants)) if names else ()

    def _lasting(self, experiment: Experiment) -> list[tuple[float, _Set]]:
        """Periods with what holds on: behind a pre-equilibration the constants that it set."""
        course = _Course(self.entities, self.tables, self._frozen, experiment)
        periods = [(experiment.periods[0].time, course.begin())]
        for i, period in enumerate(experiment.periods[1:]):
            before = course.constants
            found = course.go_on(period)
            carried = before if i == 0 and periods[0][0] == -math.inf else {}
            periods.append((period.time, _Set({**carried, **found.assign}, found.add)))
        if len(periods) == 1 and periods[0][0] == -math.inf:
            periods.append((0.0, _Set(course.constants, {})))
        return periods

    def _steady_state(self, experiment: Experiment, name: str) -> Protocol:
        """A protocol that starts in the steady state of the experiment's last period."""
        last = experiment.periods[-1]
        if not experiment.lasting:
            begun = self._with_starts(experiment, last)
        elif len(experiment.periods) == 1:
            begun = _Course(self.entities, self.tables, self._frozen, experiment).begin().assign
        else:
            begun = self._held(experiment)
        holding = {n: e for n, e in begun.items() if n not in self.entities.states}
        if len(experiment.periods) > 1:
            begun = holding
            self.continued[name] = self._course(experiment, experiment.name), last.time
        return self._protocol(name, experiment, [(-math.inf, _Set(begun, {})), (0.0, _Set(holding, {}))])

    def _held(self, experiment: Experiment) -> dict[str, sympy.Expr]:
        """The constants that hold at the end of an experiment of v2."""
        course = _Course(self.entities, self.tables, self._frozen, experiment)
        course.begin()
        for period in experiment.periods[1:]:
            course.go_on(period)
        return course.constants

    def _values(self, changes: ChangeFormulas) -> dict[str, Value]:
        return {n: self._value(e) for n, e in changes.items()}

    def _doses(self, changes: ChangeFormulas) -> dict[str, Value]:
        """As `_values`; what is taken away is a formula, as a dose of the protocol cannot be below 0."""
        return {n: self._value(e, number=not e.is_negative) for n, e in changes.items()}

    def _value(self, expression: sympy.Expr, *, number: bool = True) -> Value:
        """A number, the name of a parameter, or the text of a formula, which `derived` then has."""
        if expression.is_number and number:
            return float(expression)
        if isinstance(expression, sympy.Symbol):
            return expression.name
        text = to_infix(expression)
        self.derived[text] = expression
        return text

    def _note_events(self) -> None:
        """A note on rows at time inf if the model has events, which steady states do not have."""
        try:
            events = self.entities.network.events
        except UnsupportedModelError:  # said when the model is loaded
            return
        note = (
            f"rows at time inf are in steady state without the events of the model ({listed(e.name for e in events)}): "
            "if an event changes that state, state a late time in place of inf"
        )
        if events and note not in self.notes:
            self.notes.append(note)

    def _note_resized(self, experiment: Experiment) -> None:
        """A note on what is assumed if a compartment has another size after a pre-equilibration."""
        one, other = (p.changes for p in experiment.periods)
        changed = sorted(n for n in {*one, *other} if one.get(n) != other.get(n))
        if not changed:
            return
        try:
            compartments = self.entities.network.compartments
        except UnsupportedModelError:  # said when the model is loaded
            return
        self._resized |= dict.fromkeys(n for n in changed if n in compartments)
        if self._resized:
            assumption = "amounts are kept, as in SBML (PEtab v1 leaves it open)"
            self.notes = [n for n in self.notes if _RESIZED not in n]
            self.notes.append(f"{', '.join(self._resized)} {_RESIZED}: {assumption}")


class _Course:
    """One experiment of PEtab v2 from period to period; `constants` are those that were set, over parameters alone."""

    def __init__(self, model: Entities, tables: Tables, frozen: tuple[str, ...], experiment: Experiment):
        self.model = model
        self.parameters = tables.parameters
        self.frozen = frozen
        self.first = experiment.periods[0]
        self.constants: dict[str, sympy.Expr] = {}
        self.asked: list[str] = []  # whose start value is being written out
        moment = self.first.time if math.isfinite(self.first.time) else 0.0
        self.begun = {n: model.written(e, lambda _: None, moment) for n, e in self.first.changes.items()}

    def begin(self) -> _Set:
        """What the first period sets: its changes, and start values that these would not reach or that must stay."""
        states = self.begun.keys() & self.model.states
        following = [n for n in self.model.starting_from(states) if n in self.model.states] if states else []
        assign = {**self.begun, **{n: self.at_start(n) for n in (*self.frozen, *following) if n not in self.begun}}
        self.constants = {n: e for n, e in assign.items() if n not in self.model.states}
        return _Set(assign, {})

    def at_start(self, name: str) -> sympy.Expr:
        """The start value of a state or constant, over parameters alone."""
        if name in self.begun:
            return self.begun[name]
        if name in self.asked:
            raise ValueError(f"initial assignments of the model run in a circle: {' → '.join([*self.asked, name])}")
        self.asked.append(name)
        start = self.model.written(self.model.start(name), self._at_start, 0.0)
        self.asked.remove(name)
        return start

    def _at_start(self, name: str) -> sympy.Expr | None:
        if name in self.parameters or name not in self.model.states | self.model.constants:
            return None
        return self.at_start(name)

    def go_on(self, period: Period) -> _Set:
        """The values that the next period sets and adds, all evaluated before the first is set."""
        found = _Set({}, {})
        for name, expression in period.changes.items():
            new = self.model.written(expression, self._now, period.time)
            if not self._moving(new):
                found.assign[name] = new
                continue
            more = new - sympy.Symbol(name)
            more = sympy.expand(more) if self._moving(more) else more
            if name not in self.model.states or self._moving(more):
                raise ValueError(
                    f"at time {period.time:g}, {name} is set to {to_infix(expression)}, which depends on the state "
                    f"({', '.join(self._moving(new))}); only {name} + a formula of parameters is supported"
                )
            if more != 0:
                found.add[name] = more
        self.constants = self.constants | {n: e for n, e in found.assign.items() if n not in self.model.states}
        return found

    def _now(self, name: str) -> sympy.Expr | None:
        """The value of a constant; None for parameters and for what moves."""
        if name in self.constants:
            return self.constants[name]
        if name in self.parameters or name not in self.model.constants:
            return None
        return self.at_start(name)

    def _moving(self, expression: sympy.Expr) -> list[str]:
        return sorted(names_in(expression) & (self.model.states | self.model.reactions))
