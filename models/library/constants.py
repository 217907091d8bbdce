"""Tables of constants: what is known of a cell type or of a drug, each value with unit, grade and source."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from ..listing import known_names
from ..networks.network import Network


@dataclass(frozen=True)
class Constant:
    """The value of a parameter. `grade`: A measured, B fitted, C assumed or from secondary literature."""

    value: float
    unit: str
    grade: str
    source: str
    note: str = ""


@dataclass(frozen=True)
class Constants:
    """Constants of one cell type or drug, by the parameter's name; `kind` is a drug's mechanism."""

    name: str
    kind: str = ""
    values: Mapping[str, Constant] = field(default_factory=dict)

    def into(self, network: Network) -> Network:
        """The network with these values, where it has the parameter; others do not concern it."""
        known = {n: dataclasses.replace(network.parameters[n], value=c.value)
                 for n, c in self.values.items() if n in network.parameters}  # fmt: skip
        initial = {n: e for n, e in network.initial.items() if n not in known}
        return dataclasses.replace(network, parameters={**network.parameters, **known}, initial=initial)


def read_constants(file: Traversable, key: str) -> dict[str, Constants]:
    """The constants of each name in the column `key` of a bundled table, in its order.

    A parameter's name may hold the word DRUG, which the name of the drug replaces.
    """
    constants: dict[str, Constants] = {}
    for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines(), strict=True):
        name = row[key]
        before = constants.get(name, Constants(name, row.get("mechanism", "")))
        parameter = row["parameter"].replace("DRUG", name)
        constant = Constant(float(row["value"]), row["unit"], row["grade"], row["source"], row["note"])
        constants[name] = dataclasses.replace(before, values={**before.values, parameter: constant})
    return constants


def cells() -> tuple[str, ...]:
    """Names of the cell types."""
    return tuple(_cells())


def drugs() -> tuple[str, ...]:
    """Names of the drugs."""
    return tuple(_drugs())


def cell_constants(cell: str) -> Constants:
    """The constants of a cell type in `cells.csv`. Raises `ValueError` naming the known ones."""
    return _one_of(_cells(), cell, "cell")


def drug_constants(drug: str) -> Constants:
    """The constants of a drug in `drugs.csv`. Raises `ValueError` naming the known ones."""
    return _one_of(_drugs(), drug, "drug")


def _one_of(known: Mapping[str, Constants], name: str, what: str) -> Constants:
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}; {known_names(name, known)}")
    return known[name]


@cache
def _cells() -> dict[str, Constants]:
    return read_constants(files(__package__) / "cells.csv", "cell")


@cache
def _drugs() -> dict[str, Constants]:
    return read_constants(files(__package__) / "drugs.csv", "drug")
