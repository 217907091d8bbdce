"""What the state of a network is, and how fast each part of it changes: reactions, rate rules, volumes that move.

A concentration c in a compartment whose volume V moves is diluted: the amount c V changes by the reactions alone, so
c' = (reactions)/V - c V'/V. An amount is not, nor is a species whose concentration a rule states. A species that no
reaction changes keeps its amount, so its concentration is diluted, too.
"""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cached_property

import sympy

from ..listing import did_you_mean
from .network import Network
from .operations import TIME, FormulaError, RateOf

Terms = list[tuple[sympy.Expr, sympy.Expr]]
"""The sum of coefficient · rate over (coefficient, rate)."""

_JUMPS = (sympy.Piecewise, sympy.floor, sympy.ceiling, sympy.sign, sympy.Heaviside)


class Derivatives:
    """The states of a network and the derivative of each in time."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._flux = {sympy.Symbol(r.name): r.rate for r in network.reactions if r.name not in network.rules}
        self._on_the_way: list[str] = []
        free = (n for n, s in network.species.items() if not s.fixed and n not in network.rules)
        self._changing = {*network.rates, *free, TIME.name}  # without a rule
        self.moving: frozenset[str] = frozenset()
        """Compartments whose volumes change in time."""
        while (moving := frozenset(filter(self._moves, network.compartments))) != self.moving:
            self.moving = moving
            self._changing |= set(filter(self.dilutes, network.species))

    def _moves(self, name: str) -> bool:
        """True if a name changes in time, by itself or through the rules that it follows from."""
        seen, waiting = {name}, [name]
        while waiting:
            name = waiting.pop()
            if name in self._changing:
                return True
            new = {s.name for s in self._definition(sympy.Symbol(name)).free_symbols} - seen
            seen |= new
            waiting += sorted(new)
        return False

    def _definition(self, symbol: sympy.Symbol) -> sympy.Expr:
        """The formula of a rule or the rate of a reaction; of all else the symbol itself."""
        return sympy.sympify(self.network.rules.get(symbol.name, self._flux.get(symbol, symbol)))

    def dilutes(self, name: str) -> bool:
        """True if a species is a concentration that a moving volume dilutes."""
        species = self.network.species.get(name)
        if species is None or species.amount or name in self.network.rules or name in self.network.rates:
            return False
        return species.compartment in self.moving

    @cached_property
    def terms(self) -> dict[str, Terms]:
        """The states, and the terms whose sum is the derivative of each."""
        network = self.network
        terms: dict[str, Terms] = {}
        for name, species in network.species.items():
            if name in network.rates:
                terms[name] = [(sympy.Integer(1), network.rates[name])]
            elif name not in network.rules and (not species.fixed or self.dilutes(name)):
                terms[name] = []
        for name, rate in network.rates.items():
            terms.setdefault(name, [(sympy.Integer(1), rate)])
        for reaction in network.reactions:
            for name, number in reaction.stoichiometry.items():
                species = network.species.get(name)
                if species is None:
                    meant = did_you_mean(name, network.species)
                    raise ValueError(f"reaction {reaction.name} changes {name!r}, which is not a species{meant}")
                if species.fixed or name in network.rules or name in network.rates:
                    continue
                factor = sympy.Symbol(species.conversion) if species.conversion else sympy.Integer(1)
                terms[name].append((number * factor / volume_of(network, name), reaction.rate))
        for name in filter(self.dilutes, terms):
            self._on_the_way = []
            volume = network.species[name].compartment
            growth = self._growth(volume) / sympy.Symbol(volume)
            terms[name].append((sympy.Integer(-1), sympy.Symbol(name) * growth))
        return terms

    def _growth(self, compartment: str) -> sympy.Expr:
        """V' of a moving compartment. Raises `FormulaError` if it is not known."""
        if compartment in self._on_the_way:
            raise FormulaError(
                f"the volume of compartment {compartment} follows from a concentration that it dilutes itself; this is "
                "not supported: give it a rate rule, or write that species as an amount (hasOnlySubstanceUnits)"
            )
        if compartment in self.network.rates:
            return sympy.sympify(self.network.rates[compartment])
        self._on_the_way.append(compartment)
        growth = self.of(sympy.Symbol(compartment), f"the volume of compartment {compartment}")
        self._on_the_way.remove(compartment)
        return growth

    def of(self, symbol: sympy.Symbol, what: str) -> sympy.Expr:
        """The derivative in time of whatever a name stands for; 0 of what is constant.

        Raises `FormulaError` saying of `what` that it jumps.
        """
        name = symbol.name
        if symbol == TIME:
            return sympy.Integer(1)
        definition = self._definition(symbol)
        if definition is symbol:
            return self._of_state(name)
        jumps = [e for e in definition.atoms(*_JUMPS) if any(self._moves(s.name) for s in e.free_symbols)]
        if jumps:
            raise FormulaError(f"{what} may jump, as its rule holds {str(jumps[0])[:60]}; expected a smooth formula")
        parts = [sympy.diff(definition, s) * self.of(s, what) for s in sorted(definition.free_symbols, key=str)]
        return sympy.Add(*parts)

    def _of_state(self, name: str) -> sympy.Expr:
        network = self.network
        if name in network.rates:
            return sympy.sympify(network.rates[name])
        species = network.species.get(name)
        if species is None:
            return sympy.Integer(0)
        total = sympy.Integer(0)
        if not species.fixed:
            factor = sympy.Symbol(species.conversion) if species.conversion else sympy.Integer(1)
            numbers = [(r.stoichiometry[name], r.rate) for r in network.reactions if name in r.stoichiometry]
            total = sympy.Add(*(n * factor * rate for n, rate in numbers)) / volume_of(network, name)
        if self.dilutes(name):
            total -= sympy.Symbol(name) * self._growth(species.compartment) / sympy.Symbol(species.compartment)
        return total


def volume_of(network: Network, state: str) -> sympy.Expr:
    """The factor from a state's symbol to its amount: the volume of its compartment, or 1."""
    species = network.species.get(state)
    return sympy.Integer(1) if species is None or species.amount else sympy.Symbol(species.compartment)


def without_rates_of(network: Network) -> Network:
    """The network with each `rateOf(x)` in its formulas written out: the derivative of x in time.

    Raises `FormulaError` if a derivative is not known, or if it follows from itself.
    """
    if not any(e.has(RateOf) for e in _formulas(network)):
        return network
    derivatives = Derivatives(network)

    def written(e: sympy.Basic, path: tuple[sympy.Symbol, ...] = ()) -> sympy.Basic:
        e = sympy.sympify(e)
        parts = {}
        for part in e.atoms(RateOf):
            (name,) = part.args
            if not isinstance(name, sympy.Symbol):
                raise FormulaError(f"{part} is the rate of a formula; expected a name")
            if name in path:
                raise FormulaError(f"rateOf({name}) follows from itself")
            parts[part] = written(derivatives.of(name, f"what rateOf({name}) means"), (*path, name))
        return e.xreplace(parts) if parts else e

    def all_of(expressions: Mapping[str, sympy.Expr]) -> dict[str, sympy.Expr]:
        return {n: written(e) for n, e in expressions.items()}

    return replace(
        network,
        species={n: replace(s, initial=written(s.initial)) for n, s in network.species.items()},
        reactions=tuple(
            replace(r, rate=written(r.rate), stoichiometry=all_of(r.stoichiometry)) for r in network.reactions
        ),
        rules=all_of(network.rules),
        rates=all_of(network.rates),
        initial=all_of(network.initial),
        constraints=tuple(replace(c, condition=written(c.condition)) for c in network.constraints),
        events=tuple(e.with_formulas(written) for e in network.events),
    )


def _formulas(network: Network) -> Collection[sympy.Basic]:
    return [
        *(sympy.sympify(s.initial) for s in network.species.values()),
        *(sympy.sympify(e) for r in network.reactions for e in (r.rate, *r.stoichiometry.values())),
        *map(sympy.sympify, (*network.rules.values(), *network.rates.values(), *network.initial.values())),
        *(sympy.sympify(c.condition) for c in network.constraints),
        *(formula for e in network.events for formula in e.formulas),
    ]


__all__ = ["Derivatives", "Terms", "volume_of", "without_rates_of"]
