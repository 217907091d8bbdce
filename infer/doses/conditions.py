"""Conditions of an experiment as protocols in which every amount is a named value, so that doses are data.

A trajectory is one (condition, doses of drugs, dose of the ligand). All stand in one plan, where those that start from
the same steady state share it: it is computed once per draw and condition, not once per dose.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from ...data.files.csv_table import parse_number
from ...data.quantities.model_units import ModelUnits
from ...data.quantities.units import split_quantity
from ...models.compiled.model import Model
from ...models.compiled.volumes import check_volumes
from ...models.listing import did_you_mean
from ...models.networks.formulas import names_in
from ...models.protocols.protocol import Protocol, Value
from ...moved import rename_argument, rename_attribute
from .amounts import Doses, Masses
from .cells import Cells, UnknownStartError

log = logging.getLogger(__name__)

Changes = Mapping[str, ArrayLike | str]


@dataclass(frozen=True, eq=False)
class Condition:
    """What differs from the cells as the parameters describe them.

    Parameters
    ----------
    changes : dict
        By name, the value of a parameter in the model's units (a number, or one for each draw; in force before the
        ligand and after, the steady state included), or the dose of a species that is added with the ligand (`"100
        ng/ml"`, or in the model's units a number, or one for each draw).
    protocol : Protocol, optional
        What else is done, and how the cells start. By default nothing is done, and they start as in the problem that
        was fitted, or, in a model that was not fitted, at steady state.
    start_from_protocol : bool
        Whether `protocol`, if there is one, says how the cells start; false: they start as they would without it.
    """

    changes: Changes = field(default_factory=dict)
    protocol: Protocol | None = None
    start_from_protocol: bool = True

    @property
    def names(self) -> frozenset[str]:
        """Names of all that it gives a value or a dose."""
        return frozenset(self.changes) | (frozenset() if self.protocol is None else self.protocol.targets)


rename_attribute(Condition, "own_start", "start_from_protocol")
rename_argument(Condition, "own_start", "start_from_protocol")


def as_condition(name: str, condition: Changes | Condition | Protocol) -> Condition:
    """The condition `name` as an object. Raises `ValueError` for anything else."""
    if isinstance(condition, Condition):
        return condition
    if isinstance(condition, Protocol):
        return Condition(protocol=condition)
    if isinstance(condition, Mapping):
        return Condition(condition)
    raise ValueError(
        f"condition {name!r} must be a mapping of names to values, a Protocol or a Condition: {condition!r}"
    )


def as_conditions(conditions: Mapping[str, Changes | Condition | Protocol] | None) -> dict[str, Condition]:
    """Conditions by name; one without a name, in which nothing differs, if none are given.

    Raises `ValueError` for a mapping without conditions, and for what is not a condition.
    """
    by_name = {n: as_condition(n, c) for n, c in ({"": {}} if conditions is None else conditions).items()}
    if not by_name:
        raise ValueError("conditions is empty: leave it out, or name at least one")
    return by_name


@dataclass(frozen=True, eq=False)
class Design:
    """Protocols of all conditions × doses of drugs × doses of the ligand, in that order, and the values they name."""

    conditions: tuple[str, ...]
    ligand: Doses
    drugs: tuple[Doses, ...]
    protocols: tuple[Protocol, ...]
    values: dict[str, np.ndarray]  # by name: a number, or one per draw

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
    cells: Cells = Cells(),  # noqa: B008
) -> Design:
    """The protocols of a dose-response experiment. Doses of drugs are given `pretreat` before the ligand, at 0.

    Raises `ValueError` for names that the model does not have, and values of the wrong number.
    """
    values: dict[str, np.ndarray] = {}
    levels = []
    for substance in (*drugs, ligand):
        names = [f"dose of {substance.name} {i}" for i in range(len(substance.values))]
        values |= {n: np.asarray(v) for n, v in zip(names, substance.values, strict=True)}
        levels.append(names)
    protocols: list[Protocol] = []
    when = {**{d.name: -pretreat for d in drugs}, ligand.name: 0.0}
    for label, condition in conditions.items():
        added = _Added(model, label, draws, molar_mass, cells)
        base = _base(added, condition, when, values)
        for *amounts, amount in product(*levels):
            protocol = base
            for drug, slot in zip(drugs, amounts, strict=True):
                protocol = give(model, protocol, drug.name, slot, at=-pretreat, sets=cells.sets(drug.name))
            protocols.append(give(model, protocol, ligand.name, amount, at=0.0, sets=cells.sets(ligand.name)))
    return Design(tuple(conditions), ligand, tuple(drugs), tuple(protocols), values)


@dataclass(frozen=True, eq=False)
class _Added:
    """What reads the changes of one condition."""

    model: Model
    label: str
    draws: int
    masses: Masses
    cells: Cells

    def dose(self, name: str, amount: ArrayLike | str) -> np.ndarray:
        """One dose, or one for each draw in the model's unit."""
        label, draws = self.label, self.draws
        if not isinstance(amount, str) and np.ndim(amount) == 1 and np.size(amount) == draws > 1:
            value = _of_draws(label, name, amount, draws)
            if np.any(value < 0):
                raise ValueError(f"condition {label!r}: doses of {name} cannot be negative: {value.min():g}")
            return value
        dose = self.cells.doses(self.model, name, amount, molar_mass=self.masses.get(name))
        declared = self.cells.inputs.get(name)
        bare = not isinstance(amount, str) and np.any(dose.values)
        if bare and declared and declared.unit not in ("1", dose.model_unit):
            unit, fitted = dose.model_unit, declared.unit
            log.warning("note: condition %r adds %s without a unit, taken in %s, not in %s", label, name, unit, fitted)
        if len(dose.values) != 1:
            raise ValueError(f"condition {label!r} adds {name} at several doses: give one, or one for each draw")
        return np.asarray(dose.values[0])


def _base(reader: _Added, condition: Condition, when: Mapping[str, float], values: dict[str, np.ndarray]) -> Protocol:
    """The protocol of a condition without ligand and drugs, which come at `when`; its values are added to `values`."""
    model, label, cells = reader.model, reader.label, reader.cells
    fixed: dict[str, Value] = {}
    added: dict[str, Value] = {}
    for name, change in condition.changes.items():
        slot = f"{name} in {label}"
        if name in model.parameters:
            values[slot] = _of_draws(label, name, change, reader.draws, model)
            fixed[name] = slot
        elif name in model.species:
            values[slot] = reader.dose(name, change)
            added[name] = slot
        else:
            raise ValueError(
                f"condition {label!r} changes {name!r}, which {model.name} does not have; its parameters: "
                f"{', '.join(model.parameters)}; its species: {', '.join(model.species)}"
                f"{did_you_mean(name, [*model.parameters, *model.species])}"
            )
    course = Protocol() if condition.protocol is None else condition.protocol
    check_volumes(model, {n: values[s] for n, s in fixed.items() if isinstance(s, str)}, [course])
    course.check_doses(() if model.network is None else model.network.species, {})
    preequilibration = course.preequilibration
    if condition.protocol is None or not condition.start_from_protocol:
        if cells.why_unknown:
            raise UnknownStartError(cells.why_unknown)
        preequilibration = cells.preequilibration
    if twice := sorted(set(fixed) & course.targets):
        raise ValueError(f"condition {label!r} gives {', '.join(twice)} a value, and its protocol another")
    start = min(course.start, *when.values())
    protocol = Protocol(
        label,
        None if preequilibration is None else {**cells.inputs_off, **preequilibration, **fixed},
        course.steps,
        start,
    )
    set_at_start = {n for s in course.steps if s.time == start for n in (*s.assign, *s.add)}
    set_at_start |= {n for n, t in {**dict.fromkeys(added, 0.0), **when}.items() if t == start} | set(fixed)
    begin = fixed | {n: v for n, v in {**cells.inputs_off, **cells.common}.items() if n not in set_at_start}
    if begin:
        protocol = protocol.change(begin, at=start)
    _check_formulas(label, fixed, {**(protocol.preequilibration or {}), **begin}, cells)
    for name, slot in added.items():
        protocol = give(model, protocol, name, slot, at=0.0, sets=cells.sets(name))
    return protocol


def _check_formulas(label: str, fixed: Mapping[str, Value], begin: Mapping[str, Value], cells: Cells) -> None:
    """Raises `ValueError` if a condition changes what a formula of the fitted problem uses, as its value would stay."""
    for name, value in begin.items():
        formula = cells.formulas.get(value) if isinstance(value, str) else None
        if formula is not None and (changed := sorted(names_in(formula) & fixed.keys())):
            raise ValueError(
                f"condition {label!r} changes {', '.join(changed)}, and the problem that was fitted sets {name} to "
                f"{value}: give {name} a value in this condition, too"
            )


def _number(text: str) -> float:
    """Raises `ValueError` for what Python alone takes for a number, such as 1_0."""
    value = parse_number(text.strip())
    if value is None:
        raise ValueError
    return value


def _of_draws(label: str, name: str, number: ArrayLike | str, draws: int, model: Model | None = None) -> np.ndarray:
    try:
        value = np.asarray(_number(number) if isinstance(number, str) else number, dtype=float)
    except (TypeError, ValueError):
        unit = None if model is None or model.network is None else ModelUnits(model.network).of(name)
        unit_text = "the unit that the model has it in" if unit is None else f"{unit}, as the model has it"
        unit_given = isinstance(number, str) and (split_quantity(number) or (0, ""))[1]
        hint = f": write it in {unit_text}, without the unit" if unit_given else ""
        raise ValueError(f"condition {label!r}: {name} must be a number, not {number!r}{hint}") from None
    if value.shape not in ((), (draws,)):
        raise ValueError(f"condition {label!r}: {name} must be one number or {draws}, not of shape {value.shape}")
    if not np.all(np.isfinite(value)):
        raise ValueError(f"condition {label!r}: {name} must be finite")
    return value


def give(model: Model, protocol: Protocol, name: str, amount: Value, *, at: float, sets: bool = False) -> Protocol:
    """The protocol with `amount` of a species added, or of an input set, at a time."""
    if name in model.species and not sets:
        return protocol.add(name, amount, at=at)
    return protocol.set(at=at, **{name: amount})
