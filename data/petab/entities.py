"""What a model has for conditions to set and formulas to use: states, constants and rules, and start values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import sympy

from ...models.networks.formulas import TIME, names_in, substitute
from ...models.networks.network import Network

_TIME = sympy.Symbol("time")


class Entities:
    """The names of a network: `states` have a derivative, `rules` follow from others, `constants` are what is left."""

    def __init__(self, network: Network):
        self.network = network
        self.rules = dict(network.rules)
        moving = {n for n, s in network.species.items() if not s.fixed}
        self.states = frozenset((moving | network.rates.keys()) - network.rules.keys())
        known = {*network.compartments, *network.parameters, *network.species}
        self.constants = frozenset(known - self.states - network.rules.keys())
        self.reactions = frozenset(r.name for r in network.reactions)

    @property
    def names(self) -> frozenset[str]:
        """All that a formula may use."""
        return self.network.names

    def start(self, name: str) -> sympy.Expr:
        """The start value of a state or constant: a number, or a formula of others."""
        network = self.network
        if name in network.species:
            return network.species[name].initial
        if name in network.initial:
            return network.initial[name]
        return sympy.Float((network.parameters | network.compartments)[name].value)  # pyright: ignore[reportOperatorIssue]

    def follows(self, name: str) -> bool:
        """True if the start value is a formula of others."""
        return bool(names_in(self.start(name)))

    def starting_from(self, names: Collection[str]) -> Iterator[str]:
        """States and constants whose start values are formulas of any of `names`, also by way of others."""
        reached = set(names)
        formulas = {n: names_in(self.start(n)) for n in self.states | self.constants}
        formulas |= {n: names_in(e) for n, e in self.rules.items()}
        grown = True
        while grown:
            more = {n for n, used in formulas.items() if n not in reached and used & reached}
            reached |= more
            grown = bool(more)
        yield from sorted((reached - set(names)) & (self.states | self.constants))

    def written(self, expression: sympy.Expr, value: Callable[[str], sympy.Expr | None], time: float) -> sympy.Expr:
        """A formula with each name replaced by its `value`, None for one that stays, and rules written out."""
        moment = sympy.Integer(int(time)) if float(time).is_integer() else sympy.Float(time)
        replaced: dict[sympy.Symbol, sympy.Basic] = {TIME: moment}
        if "time" not in self.names:
            replaced[_TIME] = moment
        for name in names_in(expression) - names_in(*replaced):
            new = value(name)
            if new is None and name in self.rules:
                new = self.written(self.rules[name], value, time)
            if new is not None:
                replaced[sympy.Symbol(name)] = new
        return substitute(expression, replaced)
