"""The data set and the network under PEtab's names; the tables are written from these.

Each parameter of the problem has a row in the parameter table. The row of a constant of the model has the constant's
name. PEtab allows no such row for volumes and for constants that a condition sets. If such a constant is estimated, its
row is called `value_of_NAME`, and each experiment sets the constant to it at the start. If it is fixed, its value is in
the model.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import sympy

from ....models.networks.formulas import TIME, names_in, substitute
from ....models.networks.network import Network, Quantity
from ....models.protocols.protocol import Value
from ...dataset import Dataset
from ...parameter import Parameter
from ..entities import Entities
from .ids import Ids, is_id

_TIME = sympy.Symbol("time")


@dataclass(frozen=True, eq=False)
class ExportSource:
    """A data set and its network under PEtab's names.

    - `constants`: names of the network that the solver takes as parameters; each protocol begins with their values;
    - `rows`: for each parameter that has a row in the parameter table, the id of this row;
    - `meaning`: for each parameter of the problem, what formulas contain for it: the symbol of its row, or a number;
    - `opening`: constants that every experiment sets at its start, with the symbol of their row.
    """

    dataset: Dataset
    network: Network
    entities: Entities
    constants: frozenset[str]
    rows: Mapping[str, str]
    meaning: Mapping[str, sympy.Expr]
    opening: Mapping[str, sympy.Expr]
    ids: Ids

    @cached_property
    def row_ids(self) -> frozenset[str]:
        """All ids of the parameter table."""
        return frozenset(self.rows.values())

    def value(self, value: Value) -> sympy.Expr:
        """A value of a protocol or of a row as a formula."""
        if not isinstance(value, str):
            return sympy.Float(value)
        if value in self.meaning:
            return self.meaning[value]
        return self.over_rows(self.dataset.derived[value])

    def over_rows(self, formula: sympy.Expr) -> sympy.Expr:
        """A formula of the problem's parameters alone."""
        used = names_in(formula) & self.meaning.keys()
        return substitute(formula, {sympy.Symbol(n): self.meaning[n] for n in used})

    def of_model(self, formula: sympy.Expr) -> sympy.Expr:
        """A formula of the model's names and the problem's parameters; rates of reactions are written out."""
        rates = {r.name: r.rate for r in self.network.reactions if r.name not in self.network.rules}
        replaced: dict[sympy.Symbol, sympy.Basic] = {TIME: _TIME}
        for name in names_in(formula):
            if name in rates:
                replaced[sympy.Symbol(name)] = rates[name]
            elif name not in self.network.names and name in self.meaning:
                replaced[sympy.Symbol(name)] = self.meaning[name]
        return substitute(formula, replaced)


def source_of(dataset: Dataset, network: Network, constants: Collection[str]) -> ExportSource:
    """`constants` are the names that the compiled model has as parameters."""
    targets = frozenset().union(*(p.targets for p in dataset.protocols.values()))
    ids = Ids({*network.names, *constants, *filter(is_id, dataset.parameters)})
    rows: dict[str, str] = {}
    meaning: dict[str, sympy.Expr] = {}
    opening: dict[str, sympy.Expr] = {}
    used = _used(dataset)
    for name, parameter in dataset.parameters.items():
        settable = name in constants and name not in network.rules
        if settable and name not in targets and name in network.parameters:
            rows[name] = name
        elif settable and not parameter.estimated:
            meaning[name] = sympy.Float(parameter.value)
            continue
        elif settable:
            rows[name] = ids.new(f"value_of_{name}")
            opening[name] = sympy.Symbol(rows[name])
        elif name in used:
            rows[name] = name if is_id(name) and name not in network.names else ids.new(name)
        else:
            continue
        meaning[name] = sympy.Symbol(rows[name])
    written = _written(network, dataset.parameters, frozenset(constants))
    return ExportSource(dataset, written, Entities(written), frozenset(constants), rows, meaning, opening, ids)


def _used(dataset: Dataset) -> frozenset[str]:
    """Names that a measurement uses, its observable, or its protocol; others of these are not written."""
    measurements = dataset.measurements
    used = {a for m in measurements for a in m.arguments if isinstance(a, str)}
    used = used.union(*(dataset.protocols[n].references for n in {m.protocol for m in measurements}))
    derived = names_in(*(e for n, e in dataset.derived.items() if n in used))
    return derived.union(used, *(dataset.observables[n].symbols for n in {m.observable for m in measurements}))


def _written(network: Network, parameters: Mapping[str, Parameter], constants: frozenset[str]) -> Network:
    """The network for the file: with a name that SBML allows, and with the values of constants.

    If a constant has a value, or protocols set it, its initial assignment is left out, as the solver ignores it, too. A
    name that protocols set and only observables use becomes a parameter; its value, 0, is never used.
    """
    values = {n: p.value for n, p in parameters.items() if n in constants and p.value is not None}
    replaced = constants & network.initial.keys()
    values = {**dict.fromkeys(replaced, math.nan), **values}

    def valued(quantities: Mapping[str, Quantity]) -> dict[str, Quantity]:
        return {n: replace(q, value=values[n]) if n in values else q for n, q in quantities.items()}

    species = dict(network.species)
    for name in constants & species.keys():
        if name in values or not species[name].initial.is_number:
            species[name] = replace(species[name], initial=sympy.Float(values.get(name, math.nan)))
    more = sorted(constants - network.names)
    return replace(
        network,
        name=Ids(()).new(network.name),
        compartments=valued(network.compartments),
        species=species,
        parameters={**valued(network.parameters), **dict.fromkeys(more, Quantity(0.0))},
        initial={n: e for n, e in network.initial.items() if n not in constants},
    )


__all__ = ["ExportSource", "source_of"]
