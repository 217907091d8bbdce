"""A reaction network: species, reactions, rules, compartments, parameters. What biology says, before any numerics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import sympy


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

    @property
    def names(self) -> frozenset[str]:
        """All that a formula may use."""
        reactions = (r.name for r in self.reactions)
        return frozenset((*self.compartments, *self.species, *self.parameters, *self.rules, *self.rates, *reactions))

    @staticmethod
    def from_sbml(source: str | Path) -> Network:
        """Reads an SBML file, or SBML text. See `hexamer.models.networks.sbml_read`."""
        from .sbml_read import read_sbml

        return read_sbml(source)

    @staticmethod
    def from_antimony(source: str | Path) -> Network:
        """Reads an Antimony file, or Antimony text. See `hexamer.models.networks.antimony_read`."""
        from .antimony_read import antimony_name, antimony_to_sbml
        from .sbml_read import read_sbml

        return read_sbml(antimony_to_sbml(source), antimony_name(source))

    @staticmethod
    def load(source: str | Path) -> Network:
        """A network by file (`.ant`, `.xml`, `.sbml`), or a bundled one by name, such as `il6_stat3`.

        A name may compose modules, drugs and a cell type: `il6_stat3+tocilizumab+T_cell`. Raises `ValueError` for an
        unknown name or part, `FileNotFoundError` for a missing file.
        """
        from ..library import bundled, find

        path = Path(source)
        if path.suffix not in (".ant", ".xml", ".sbml"):
            if (found := find(str(source))) is not None:
                return found
            raise ValueError(
                f"unknown network {str(source)!r}: give one of {', '.join(bundled())}, parts joined by '+', "
                "or a file ending in .ant, .xml or .sbml"
            )
        if not path.is_file():
            raise FileNotFoundError(f"there is no network file {path}")
        return Network.from_antimony(path) if path.suffix == ".ant" else Network.from_sbml(path)

    def to_sbml(self) -> str:
        """SBML level 3 version 1, core, as text. See `hexamer.models.networks.sbml_write`."""
        from .sbml_write import write_sbml

        return write_sbml(self)
