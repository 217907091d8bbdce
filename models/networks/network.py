"""A reaction network: species, reactions, rules, compartments, parameters. What biology says, before any numerics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sympy

from ...errors import HexamerError
from ..listing import counted


class UnsupportedModelError(HexamerError, ValueError):
    """The file cannot be read, or it holds constructs that are not supported: each is named."""


@dataclass(frozen=True)
class Species:
    """A chemical species. Its symbol is a concentration in `compartment`, or an amount where `amount` is true.

    `initial` is in the symbol's own unit. A species that is `fixed` is changed by no reaction (SBML: boundary
    condition or constant).
    """

    name: str
    compartment: str
    initial: sympy.Expr
    amount: bool = False
    fixed: bool = False
    unit: str = ""


@dataclass(frozen=True)
class Reaction:
    """`rate` in amount per time; `stoichiometry` is net: negative for what is consumed.

    `reactants`, `products` and `modifiers` keep the written form for export.
    """

    name: str
    rate: sympy.Expr
    stoichiometry: Mapping[str, sympy.Expr]
    reactants: tuple[tuple[str, sympy.Expr], ...] = ()
    products: tuple[tuple[str, sympy.Expr], ...] = ()
    modifiers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quantity:
    """A parameter or the volume of a compartment, with its unit."""

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
class Network:
    """A reaction network. Names are unique across species, parameters, compartments and rules.

    - `initial`: initial assignments of parameters and compartments (those of species are in `Species.initial`);
    - `rules`: assignment rules, names that follow from the state at every time;
    - `rates`: rate rules, names that change by an ODE of their own.
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
    base_units: Mapping[str, str] = field(default_factory=dict)  # substance, extent, volume, time

    def __repr__(self) -> str:
        parts = [counted(self.species, "species"), counted(self.reactions, "reaction")]
        return f"Network({self.name!r}, {', '.join(parts)}, {counted(self.parameters, 'parameter')})"

    @property
    def names(self) -> frozenset[str]:
        """All that a formula may use."""
        reactions = (r.name for r in self.reactions)
        return frozenset((*self.compartments, *self.species, *self.parameters, *self.rules, *self.rates, *reactions))
