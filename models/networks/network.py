"""A reaction network: species, reactions, rules, compartments, parameters. What biology says, before any numerics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy

from ... import html
from ...errors import HexamerError
from ..listing import counted


class UnsupportedModelError(HexamerError, ValueError):
    """The file cannot be read, or it holds constructs that are not supported: each is named."""


@dataclass(frozen=True)
class Species:
    """A chemical species. Its symbol is a concentration in `compartment`, or an amount if `amount` is true.

    Attributes
    ----------
    name : str
        Of the species, and its symbol in formulas.
    compartment : str
        Where it is.
    initial : expression
        In the symbol's own unit.
    amount : bool
        Whether the symbol is an amount.
    fixed : bool
        Whether no reaction changes it (SBML: boundary condition or constant).
    unit : str
        Of its substance; empty: the network's.
    conversion : str
        The parameter that turns a reaction's extent into this species' substance; empty: they are the same.
    """

    name: str
    compartment: str
    initial: sympy.Expr
    amount: bool = False
    fixed: bool = False
    unit: str = ""
    conversion: str = ""


@dataclass(frozen=True)
class Reaction:
    """A reaction with its rate.

    Attributes
    ----------
    name : str
        Of the reaction.
    rate : expression
        Amount per time, in the network's units.
    stoichiometry : dict
        Net change of each species: negative for what is consumed; numbers, or formulas over the network's names.
    reactants, products, modifiers : tuple
        The written form, for export.
    """

    name: str
    rate: sympy.Expr
    stoichiometry: Mapping[str, sympy.Expr]
    reactants: tuple[tuple[str, sympy.Expr], ...] = ()
    products: tuple[tuple[str, sympy.Expr], ...] = ()
    modifiers: tuple[str, ...] = ()

    @property
    def reversible(self) -> bool:
        """True if the rate falls below zero where there is product and nothing to make it from."""
        used = {s for s, n in self.stoichiometry.items() if n.is_negative} or {s for s, _ in self.reactants}
        point = {s: sympy.Integer(0 if str(s) in used else 1) for s in self.rate.free_symbols}
        value = self.rate.xreplace(point)
        return bool(used and value.is_number and value.is_negative)

    @property
    def equation(self) -> str:
        """What becomes what: `A + 2 B ⇌ C`; `∅` stands for what lies outside of the network."""
        return f"{_side(self.reactants)} {'⇌' if self.reversible else '→'} {_side(self.products)}"


def _side(terms: Sequence[tuple[str, sympy.Expr]]) -> str:
    return " + ".join(s if n == 1 else f"{n if n.is_Atom else f'({n})'} {s}" for s, n in terms) or "∅"


@dataclass(frozen=True)
class Constraint:
    """What a model takes for true at every time.

    Attributes
    ----------
    name : str
        What messages call it.
    condition : expression
        True, or a number other than 0, as long as the constraint holds.
    message : str
        What the model says if it does not; may be empty.
    """

    name: str
    condition: sympy.Basic
    message: str = ""


@dataclass(frozen=True)
class Quantity:
    """A parameter or the volume of a compartment, with its unit.

    Attributes
    ----------
    value : float
        In `unit`; NaN: none.
    unit : str
        Empty: not stated.
    """

    value: float
    unit: str = ""


@dataclass(frozen=True)
class Unit:
    """One factor of a unit definition: (multiplier · 10^scale · kind)^exponent."""

    kind: str
    exponent: float = 1.0
    scale: int = 0
    multiplier: float = 1.0


@dataclass(frozen=True)
class Facts:
    """Facts about a network's names, such as molar masses; no rate depends on them.

    - `parts`: by species, the molecules that it holds, one by one, if neither its name nor its reactions say it;
    - `molar_masses`: by species or parameter, text with a unit, such as `21 kDa`;
    - `arms`: by arm of the signal, the parameters that close it, and their values then;
    - `besides`: by species or parameter, why these are not all arms if it is above 0;
    - `readout`: the rule or species that is read of the network if nothing else is said; empty: none.
    """

    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    molar_masses: Mapping[str, str] = field(default_factory=dict)
    arms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    besides: Mapping[str, str] = field(default_factory=dict)
    readout: str = ""


@dataclass(frozen=True)
class Event:
    """Values that names of a network are set to when a condition becomes true.

    Attributes
    ----------
    name : str
        Of the event.
    trigger : expression
        The condition.
    assignments : dict
        Formulas of the new values, by name of a species or parameter, in its own unit.
    delay : expression, optional
        Time between the trigger and the assignments, in the network's unit.
    priority : expression, optional
        Of events at one moment, the one with the highest comes first (dimensionless).
    persistent : bool
        Whether the assignments follow even if the condition is false again by the end of the delay.
    initially_true : bool
        Whether the condition counts as true just before the start: then it does nothing if it is true at the start.
    values_at_trigger : bool
        Whether the formulas are evaluated when the condition becomes true, or else after the delay.
    """

    name: str
    trigger: sympy.Basic
    assignments: Mapping[str, sympy.Expr]
    delay: sympy.Expr | None = None
    priority: sympy.Expr | None = None
    persistent: bool = True
    initially_true: bool = True
    values_at_trigger: bool = True

    @property
    def formulas(self) -> tuple[sympy.Basic, ...]:
        """All its formulas: the trigger, the new values, delay and priority."""
        return tuple(
            sympy.sympify(e)
            for e in (self.trigger, *self.assignments.values(), self.delay, self.priority)
            if e is not None
        )

    def with_formulas(self, change: Callable[[sympy.Basic], sympy.Basic]) -> Event:
        """The same event with each formula changed by a function."""

        def changed(e: sympy.Basic | None) -> Any:
            return None if e is None else change(sympy.sympify(e))

        return replace(
            self,
            trigger=changed(self.trigger),
            assignments={n: changed(e) for n, e in self.assignments.items()},
            delay=changed(self.delay),
            priority=changed(self.priority),
        )


@dataclass(frozen=True)
class Network:
    """A reaction network. Names are unique across species, parameters, compartments and rules.

    Attributes
    ----------
    name : str
        Of the network.
    compartments : dict of Quantity
        Volumes by name.
    species : dict of Species
        By name.
    parameters : dict of Quantity
        By name.
    reactions : tuple of Reaction
        In the order of the file.
    rules : dict
        Assignment rules: formulas of names that follow from the state at every time.
    rates : dict
        Rate rules: derivatives of names that change by their own ODE.
    initial : dict
        Initial assignments of parameters and compartments (those of species are in `Species.initial`).
    units : dict
        Factors of each unit that is defined, by name.
    base_units : dict of str
        Units of `substance`, `extent`, `volume` and `time`.
    facts : Facts
        What else is known of the network's names. Files do not hold it: `load_network` adds what the library knows.
    events : tuple of Event
        In the order of the file.
    constraints : tuple of Constraint
        What is to hold at every time; `simulate` says where it does not.
    """

    name: str
    compartments: Mapping[str, Quantity]
    species: Mapping[str, Species]
    parameters: Mapping[str, Quantity]
    reactions: tuple[Reaction, ...] = ()
    rules: Mapping[str, sympy.Expr] = field(default_factory=dict)
    rates: Mapping[str, sympy.Expr] = field(default_factory=dict)
    initial: Mapping[str, sympy.Expr] = field(default_factory=dict)
    units: Mapping[str, tuple[Unit, ...]] = field(default_factory=dict)
    base_units: Mapping[str, str] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    events: tuple[Event, ...] = ()
    constraints: tuple[Constraint, ...] = ()

    def __repr__(self) -> str:
        parts = [counted(self.species, "species"), counted(self.reactions, "reaction")]
        return f"Network({self.name!r}, {', '.join(parts)}, {counted(self.parameters, 'parameter')})"

    def _repr_html_(self) -> str:
        """For notebooks: reactions, species, parameters and rules, the first of each."""
        from .formulas import to_infix

        def start(species: Species) -> str:
            value = species.initial
            text = f"{float(value):g}" if value.is_number else to_infix(value)
            return f"{text}, fixed" if species.fixed else text

        def quantity(item: tuple[str, Quantity]) -> tuple[str, object, str]:
            name, stated = item
            return name, to_infix(self.initial[name]) if name in self.initial else stated.value, stated.unit

        rules = [*self.rules.items(), *((f"d({n})/dt", rate) for n, rate in self.rates.items())]
        reactions = html.table(
            ("name", "reaction", "rate (amount per time)"),
            self.reactions,
            lambda r: (r.name, r.equation, to_infix(r.rate)),
        )
        species = html.table(
            ("name", "compartment", "at the start", "unit"),
            self.species.values(),
            lambda s: (s.name, s.compartment, start(s), s.unit),
        )
        quantities = {n: q for n, q in {**self.compartments, **self.parameters}.items() if n not in self.rules}
        values = html.table(("name", "value", "unit"), quantities.items(), quantity)
        formulas = html.table(("name", "formula"), rules, lambda rule: (rule[0], to_infix(rule[1])))
        return html.form(
            repr(self),
            html.section(counted(self.reactions, "reaction"), reactions, unfolded=True),
            html.section(counted(self.species, "species"), species),
            html.section("volumes and parameters", values),
            html.section(counted(rules, "rule"), formulas),
            *([html.section(counted(self.events, "event"), self._events())] if self.events else ()),
        )

    def _events(self) -> str:
        from .formulas import to_infix

        def row(event: Event) -> tuple[str, str, str]:
            changes = "; ".join(f"{n} = {to_infix(e)}" for n, e in event.assignments.items())
            return event.name, to_infix(event.trigger), changes

        return html.table(("name", "when", "sets"), self.events, row)

    @property
    def names(self) -> frozenset[str]:
        """All that a formula may use."""
        reactions = (r.name for r in self.reactions)
        return frozenset((*self.compartments, *self.species, *self.parameters, *self.rules, *self.rates, *reactions))
