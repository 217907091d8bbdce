"""Conditions of an experiment as protocols in which every amount is a named value, so that doses are data.

A trajectory is one (condition, doses of drugs, dose of the ligand). All stand in one plan, where those that start from
the same steady state share it: cells come to rest once a draw and condition, not once a dose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from ...models.model import Model
from ...models.protocol import Protocol, Value
from .amounts import Doses, Masses, doses_of

Changes = Mapping[str, ArrayLike | str]


@dataclass(frozen=True, eq=False)
class Condition:
    """What differs from the cells as the parameters describe them.

    - `changes`: by name, the value of a parameter (a number, or one for each draw; in force before the ligand and
      after, the steady state included), or the dose of a species that is added with the ligand (`"100 ng/ml"`, or in
      the model's unit a number, or one for each draw);
    - `protocol`: what else is done; by default cells come to steady state and nothing is done to them.
    """

    changes: Changes = field(default_factory=dict)
    protocol: Protocol = field(default_factory=Protocol.equilibrated)


def as_condition(name: str, given: Changes | Condition | Protocol) -> Condition:
    """What was given as the condition `name`. Raises `ValueError` for what is none."""
    if isinstance(given, Condition):
        return given
    if isinstance(given, Protocol):
        return Condition(protocol=given)
    if isinstance(given, Mapping):
        return Condition(given)
    raise ValueError(f"condition {name!r} must be a mapping of names to values, a Protocol or a Condition: {given!r}")


@dataclass(frozen=True, eq=False)
class Design:
    """Protocols of all conditions × doses of drugs × doses of the ligand, in that order, and the values they name."""

    conditions: tuple[str, ...]
    ligand: Doses
    drugs: tuple[Doses, ...]
    protocols: tuple[Protocol, ...]
    values: dict[str, np.ndarray]  # by name: a number, or one a draw

    @property
    def shape(self) -> tuple[int, ...]:
        """Conditions × doses of each drug × doses of the ligand."""
        return (len(self.conditions), *(len(d.values) for d in self.drugs), len(self.ligand.values))


def design(
    model: Model,
    ligand: Doses,
    drugs: Sequence[Doses],
    conditions: Mapping[str, Condition],
    *,
    draws: int,
    pretreat: float,
    molar_mass: Masses,
) -> Design:
    """The protocols of a dose-response experiment. Doses of drugs are given `pretreat` before the ligand, at 0.

    Raises `ValueError` for names that the model does not have, and values of the wrong number.
    """
    values: dict[str, np.ndarray] = {}
    levels = []
    for given in (*drugs, ligand):
        names = [f"dose of {given.name} {i}" for i in range(len(given.values))]
        values |= {n: np.asarray(v) for n, v in zip(names, given.values, strict=True)}
        levels.append(names)
    protocols: list[Protocol] = []
    for label, condition in conditions.items():
        base = _base(model, label, condition, draws, molar_mass, -pretreat if drugs else 0.0, values)
        given = [d.name for d in drugs]
        for *amounts, amount in product(*levels):
            protocol = base
            for name, slot in zip(given, amounts, strict=True):
                protocol = give(model, protocol, name, slot, at=-pretreat)
            protocols.append(give(model, protocol, ligand.name, amount, at=0.0))
    return Design(tuple(conditions), ligand, tuple(drugs), tuple(protocols), values)


def _base(model: Model, label: str, condition: Condition, draws: int, masses: Masses, start: float, values) -> Protocol:
    """The protocol of a condition without ligand and drugs, from `start` on; its values are added to `values`."""
    held: dict[str, Value] = {}
    added: dict[str, Value] = {}
    for name, given in condition.changes.items():
        slot = f"{name} in {label}"
        if name in model.parameters:
            values[slot] = _of_draws(label, name, given, draws)
            held[name] = slot
        elif name in model.species:
            values[slot] = _added(model, label, name, given, draws, masses)
            added[name] = slot
        else:
            raise ValueError(
                f"condition {label!r} changes {name!r}, which {model.name} does not have; its parameters: "
                f"{', '.join(model.parameters)}; its species: {', '.join(model.species)}"
            )
    own = condition.protocol
    own.check_doses(() if model.network is None else model.network.species, {})
    if twice := sorted(set(held) & own.targets):
        raise ValueError(f"condition {label!r} gives {', '.join(twice)} a value, and its protocol another")
    rest = None if own.preequilibration is None else {**own.preequilibration, **held}
    protocol = Protocol(label, rest, own.steps, min(own.start, start))
    if held:
        protocol = protocol.change(held, at=protocol.start)
    for name, slot in added.items():
        protocol = protocol.add(name, slot)
    return protocol


def _added(model: Model, label: str, name: str, given: ArrayLike | str, draws: int, masses: Masses) -> np.ndarray:
    """One dose, or one for each draw in the model's unit."""
    if not isinstance(given, str) and np.ndim(given) == 1 and np.size(given) == draws > 1:
        value = _of_draws(label, name, given, draws)
        if np.any(value < 0):
            raise ValueError(f"condition {label!r}: doses of {name} cannot be negative: {value.min():g}")
        return value
    dose = doses_of(model, name, given, molar_mass=masses.get(name))
    if len(dose.values) != 1:
        raise ValueError(f"condition {label!r} adds {name} at several doses: give one, or one for each draw")
    return np.asarray(dose.values[0])


def _of_draws(label: str, name: str, given: ArrayLike | str, draws: int) -> np.ndarray:
    try:
        value = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"condition {label!r}: {name} must be a number, not {given!r}") from None
    if value.shape not in ((), (draws,)):
        raise ValueError(f"condition {label!r}: {name} must be one number or {draws}, not of shape {value.shape}")
    if not np.all(np.isfinite(value)):
        raise ValueError(f"condition {label!r}: {name} must be finite")
    return value


def give(model: Model, protocol: Protocol, name: str, amount: Value, *, at: float) -> Protocol:
    """The protocol with `amount` of a species added, or of an input set, at a time."""
    if name in model.species:
        return protocol.add(name, amount, at=at)
    return protocol.set(at=at, **{name: amount})
