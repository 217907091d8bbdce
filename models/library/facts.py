"""Facts of the library about species and parameters, by their names."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files

from ..networks.network import Facts, Network
from .arms import BESIDES, CLOSED
from .constants import drug_constants, drugs

_READOUT = "pSTAT3_total"


@cache
def _species() -> Mapping[str, Mapping[str, str]]:
    """The rows of `species.csv`, by species."""
    text = (files(__package__) / "species.csv").read_text(encoding="utf-8")
    return {row["species"]: row for row in csv.DictReader(text.splitlines(), strict=True)}


@cache
def _molar_masses() -> Mapping[str, str]:
    masses = {n: f"{row['molar_mass']} {row['unit']}" for n, row in _species().items() if row["molar_mass"]}
    for drug in drugs():
        if (mass := drug_constants(drug).values.get("molar_mass")) is not None:
            masses[drug] = f"{mass.value!r} {mass.unit}"
    return masses


def with_facts(network: Network) -> Network:
    """The network with what is known of its species and parameters: those that are called as in the library."""
    names = network.names
    facts = Facts(
        parts={n: tuple(row["parts"].split()) for n, row in _species().items() if row["parts"] and n in names},
        molar_masses={n: mass for n, mass in _molar_masses().items() if n in names},
        arms=CLOSED if all(n in names for closing in CLOSED.values() for n in closing) else {},
        besides={n: why for n, why in BESIDES.items() if n in names},
        readout=_READOUT if _READOUT in names else "",
    )
    return replace(network, facts=facts)


__all__ = ["with_facts"]
