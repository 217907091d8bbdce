"""Which names of a model can be given as a ligand or a drug, and with which molar masses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import sympy

from ...data.quantities.units import UnitError, molar_mass_kda
from ...models.compiled.model import Model
from ...models.listing import did_you_mean
from ...models.load import model_with
from .amounts import Masses
from .cells import MolarMassError


def check_names(model: Model, ligand: str, drugs: Collection[str], masses: Masses) -> None:
    """Raises `ValueError` for names that the model does not have, and for drugs that act on nothing in it."""
    in_model = [*model.species, *model.parameters]
    if ligand not in in_model:
        raise ValueError(
            f"unknown ligand {ligand!r}: {model.name} has no such species; its species: "
            f"{', '.join(model.species)}{did_you_mean(ligand, in_model)}"
        )
    for drug in drugs:
        if drug == ligand:
            raise ValueError(f"{drug!r} is the ligand: it cannot be a drug as well")
        if drug not in in_model:
            other = model_with(drug)
            hint = f"; load a model with it, such as {other!r}" if other else ""
            raise ValueError(
                f"unknown drug {drug!r}: {model.name} has no such species{hint}; its species: "
                f"{', '.join(model.species)}{did_you_mean(drug, in_model)}"
            )
        if not has_target(model, drug):
            raise ValueError(f"drug {drug!r} acts on nothing in {model.name}: its target is not part of the model")
    if unknown := sorted(set(masses) - set(in_model)):
        raise ValueError(
            f"molar_mass names {', '.join(unknown)}, which {model.name} does not have{did_you_mean(unknown, in_model)}"
        )


def check_masses(masses: Mapping[str, str | float | None]) -> None:
    """Raises `MolarMassError` for one that cannot be read, also if no unit needs it."""
    for name, mass in masses.items():
        try:
            if mass is not None:
                molar_mass_kda(mass)
        except UnitError as error:
            raise MolarMassError(f"{name}: {error}") from None


def _symbols(expressions: Iterable[sympy.Basic]) -> set[sympy.Basic]:
    return set().union(*(e.free_symbols for e in expressions))


def has_target(model: Model, name: str) -> bool:
    """True if the rate of any other species depends on `name`, or if the model states no network."""
    if model.network is None:
        return True
    symbol = sympy.Symbol(name)
    through = {symbol}
    while True:  # rules that depend on it, and rules that depend on those
        more = {sympy.Symbol(n) for n, e in model.network.rules.items() if e.free_symbols & through} - through
        if not more:
            break
        through |= more
    reactions = model.network.reactions
    used = ([r.rate, *r.stoichiometry.values()] for r in reactions)
    touched = (set(r.stoichiometry) for r, e in zip(reactions, used, strict=True) if _symbols(e) & through)
    rates = (n for n, e in model.network.rates.items() if e.free_symbols & through)
    return bool(set().union(*touched, rates) - {name})


__all__ = ["check_masses", "check_names", "has_target"]
