"""Cells as they are before a dose-response experiment: as in the problem that was fitted, or at rest.

A problem says whether its cells come to rest, under which values, what of its inputs is set to 0 where nothing is
given, and which units and molar masses its doses have. A prediction takes all of that over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...data.dataset import Dataset
from ...data.quantities.units import UnitError, molar_mass_kda
from ...data.schedules import Input
from ...errors import HexamerError
from ...models.compiled.model import Model
from ...models.protocols.protocol import Protocol, Value
from .amounts import Doses, Given, doses_of


class UnknownStartError(HexamerError, ValueError):
    """How cells start is not known, or not one for all, so that it has to be said."""


class MolarMassError(UnitError):
    """A molar mass that cannot be read, or is another than that of the fitted problem."""


Rest = Mapping[str, Value] | None
"""Values that hold while cells come to rest; None: they start from the model's initial values."""


@dataclass(frozen=True, eq=False)
class Cells:
    """How cells start, and what is known of what they may be given.

    `rest` applies to every condition that does not say itself how its cells start; `unclear` says why there is none,
    where that is so. `idle` are inputs that are set, at 0 where nothing is given; `common` is what all protocols of
    the fitted problem set at their start, `varied` what they set to different values; `inputs` are the problem's, by
    their name in the model.
    """

    rest: Rest = field(default_factory=dict)
    unclear: str = ""
    idle: Mapping[str, Value] = field(default_factory=dict)
    common: Mapping[str, Value] = field(default_factory=dict)
    varied: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    inputs: Mapping[str, Input] = field(default_factory=dict)

    def left_open(self, model: Model, given: set[str]) -> list[str]:
        """A sentence for each name that the fitted protocols vary and that is not among those `given`."""
        own = dict(zip(model.parameters, model.defaults, strict=True))
        return [
            f"the problem that was fitted sets {n} to {' or '.join(map(_number, values))}; here it has "
            + (f"the model's own value, {own[n]:g}" if n in own else "what the model makes of it")
            + ", unless a condition says another"
            for n, values in self.varied.items()
            if n not in given
        ]

    @property
    def references(self) -> frozenset[str]:
        """Names of the parameters whose values are used."""
        values = [*(self.rest or {}).values(), *self.common.values()]
        return frozenset(v for v in values if isinstance(v, str))

    def sets(self, name: str) -> bool:
        """Whether the problem sets the input `name` where others are added."""
        return name in self.inputs and self.inputs[name].kind == "set"

    def doses(
        self, model: Model, name: str, given: Given, *, unit: str | None = None, molar_mass: str | float | None = None
    ) -> Doses:
        """`doses_of` with the unit and the molar mass that the problem states of that input."""
        known = self.inputs.get(name)
        mass = self._mass(name, molar_mass)
        return doses_of(model, name, given, unit=unit, molar_mass=mass, known=known)

    def _mass(self, name: str, given: str | float | None) -> str | float | None:
        """The molar mass that is given, or that the problem states; raises `MolarMassError` where they differ."""
        stated = self.inputs[name].molar_mass if name in self.inputs else None
        if given is None or stated is None:
            return stated if given is None else given
        if not math.isclose(molar_mass_kda(given), molar_mass_kda(stated), rel_tol=1e-9):
            raise MolarMassError(
                f"the molar mass of {name} is given as {_kda(given)}, and the problem that was fitted states "
                f"{_kda(stated)}, by which its own doses were converted: leave it out, or fit again with another"
            )
        return stated


def _kda(mass: str | float) -> str:
    return mass if isinstance(mass, str) else f"{mass:g} kDa"


def of_model(preequilibrate: bool | None = None) -> Cells:
    """Cells of a model that was not fitted: at rest, unless that is not wanted."""
    return Cells(rest=None if preequilibrate is False else {})


def of_unknown(preequilibrate: bool | None = None) -> Cells:
    """Cells of a posterior that does not say how its cells start."""
    if preequilibrate is not None:
        return of_model(preequilibrate)
    return Cells(
        unclear="the posterior does not say whether cells come to rest before the experiment, as files of older "
        "versions do not: pass the problem that was fitted, or set `preequilibrate`"
    )


def of_dataset(dataset: Dataset, model: Model, preequilibrate: bool | None = None) -> Cells:
    """Cells as in a problem that was fitted, restricted to what `model` has."""
    known = {*model.species, *model.parameters}
    inputs = {i.target: i for i in dataset.inputs if i.target in known}
    off: dict[str, Value] = dict.fromkeys(inputs, 0.0)
    rests = [None if r is None else {n: v for n, v in r.items() if n in known} for r in _rests(dataset)]
    unclear, rest = "", None
    if preequilibrate is not False:
        rested = [r for r in rests if r is not None]
        wanted = rests if preequilibrate is None else rested or [off]
        rest = wanted[0]
        if len(wanted) > 1:
            unclear = (
                "the problem that was fitted starts its cells in several ways "
                f"({'; '.join(map(_words, wanted[:4]))}): say in each condition how they start, by a protocol"
                + (", or start all from the model's initial values, without `preequilibrate`" if None in wanted else "")
            )
    return Cells(
        rest,
        unclear,
        idle={n: v for n, v in off.items() if inputs[n].kind == "set"},
        common={} if dataset.inputs else _common(dataset, known),
        varied={} if dataset.inputs else _varied(dataset, known),
        inputs=inputs,
    )


def _rests(dataset: Dataset) -> list[Rest]:
    """The different pre-equilibrations of all protocols, in order."""
    found: dict[str, Rest] = {}
    for protocol in dataset.protocols.values():
        before = protocol.preequilibration
        found.setdefault(json.dumps(None if before is None else dict(before), sort_keys=True), before)
    return list(found.values())


def _number(value: Value) -> str:
    return value if isinstance(value, str) else format(value, "g")


def _words(rest: Rest) -> str:
    if rest is None:
        return "from the model's initial values"
    values = ", ".join(f"{n} = {_number(v)}" for n, v in rest.items())
    return f"at rest with {values}" if values else "at rest"


def _common(dataset: Dataset, known: set[str]) -> dict[str, Value]:
    """What every protocol sets to the same value at its start."""
    each = [_at_start(q) for q in dataset.protocols.values()]
    first = each[0] if each else {}
    return {n: v for n, v in first.items() if n in known and all(n in e and e[n] == v for e in each)}


def _varied(dataset: Dataset, known: set[str]) -> dict[str, tuple[Value, ...]]:
    """What protocols set at their start to different values, or only some of them."""
    each = [_at_start(q) for q in dataset.protocols.values()]
    common = _common(dataset, known)
    names = dict.fromkeys(n for e in each for n in e if n in known and n not in common)
    return {n: tuple(dict.fromkeys(e[n] for e in each if n in e)) for n in names}


def _at_start(protocol: Protocol) -> dict[str, Value]:
    return {n: v for s in protocol.steps if s.time == protocol.start for n, v in s.assign.items()}


__all__ = ["Cells", "MolarMassError", "Rest", "UnknownStartError", "of_dataset", "of_model", "of_unknown"]
