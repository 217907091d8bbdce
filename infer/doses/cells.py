"""Cells before a dose-response experiment: as in the problem that was fitted, or in steady state.

A problem says whether its cells are in steady state, under which values, which inputs are 0 unless a condition sets
them, and which units and molar masses its doses have. A prediction takes all of that over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import sympy
from jaxtyping import Float

from ...data.dataset import Dataset
from ...data.quantities.units import UnitError, molar_mass_kda
from ...data.schedules import Input
from ...errors import HexamerError
from ...models.compiled.codegen import compile_vector
from ...models.compiled.model import Model
from ...models.networks.formulas import names_in
from ...models.protocols.protocol import Protocol, Value
from .amounts import Doses, DosesLike, doses_of


class UnknownStartError(HexamerError, ValueError):
    """It is not known how cells start, or conditions differ in it, so the caller has to state it."""


class MolarMassError(UnitError):
    """A molar mass that cannot be read, or is another than that of the fitted problem."""


Preequilibration = Mapping[str, Value] | None
"""Values that hold before the experiment, in steady state; None: cells start from the model's initial values."""


@dataclass(frozen=True, eq=False)
class Cells:
    """How cells start, and what is known of the inputs that conditions may change.

    `preequilibration` applies to every condition that does not state how its cells start. If it is not known how they
    start, `why_unknown` is a sentence that says why; else it is empty. `inputs_off` maps inputs of kind `set` to 0, the
    value that they have unless a condition sets them. `common` holds the values that all protocols of the fitted
    problem set at their start, and `varied` those that differ between protocols. `inputs` are the problem's inputs, by
    their name in the model. `formulas` are those of the problem's parameters that these values are, by name.
    """

    preequilibration: Preequilibration = field(default_factory=dict)
    why_unknown: str = ""
    inputs_off: Mapping[str, Value] = field(default_factory=dict)
    common: Mapping[str, Value] = field(default_factory=dict)
    varied: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    inputs: Mapping[str, Input] = field(default_factory=dict)
    formulas: Mapping[str, sympy.Expr] = field(default_factory=dict)

    def notes_on_varied(self, model: Model, stated: set[str]) -> list[str]:
        """A sentence for each name that the fitted protocols vary and that is not among those `stated`."""
        defaults = dict(zip(model.parameters, model.defaults, strict=True))
        return [
            f"the problem that was fitted sets {n} to {' or '.join(map(_number, values))}; here it has "
            + (f"the model's own value, {defaults[n]:g}" if n in defaults else "what the model makes of it")
            + ", unless a condition says another"
            for n, values in self.varied.items()
            if n not in stated
        ]

    @property
    def references(self) -> frozenset[str]:
        """Names of the parameters whose values are used, also by formulas."""
        named = _named(self.preequilibration, self.common)
        used = names_in(*(self.formulas[n] for n in named & self.formulas.keys()))
        return frozenset(named - self.formulas.keys()).union(used)

    def values_of_formulas(
        self, values: Mapping[str, Float[np.ndarray, " draws"]], draws: int
    ) -> dict[str, Float[np.ndarray, " draws"]]:
        """The values of the formulas by name, one per draw, from those of the parameters.

        Raises `ValueError` naming parameters without a value.
        """
        names = sorted(names_in(*self.formulas.values()))
        if missing := [n for n in names if n not in values]:
            raise ValueError(
                f"the problem that was fitted sets values by formulas of {', '.join(missing)}, which the posterior "
                "does not hold: say in each condition how cells start, by a protocol"
            )
        if not self.formulas:
            return {}
        columns = np.stack([np.broadcast_to(values[n], (draws,)) for n in names] or [np.zeros(draws)], axis=-1)
        results = np.asarray(compile_vector((names or ["none"],), [*self.formulas.values()])(columns))
        return dict(zip(self.formulas, np.broadcast_to(results, (draws, len(self.formulas))).T, strict=True))

    def sets(self, name: str) -> bool:
        """Whether the problem sets the input `name` where others are added."""
        return name in self.inputs and self.inputs[name].kind == "set"

    def doses(
        self,
        model: Model,
        name: str,
        stated: DosesLike,
        *,
        unit: str | None = None,
        molar_mass: str | float | None = None,
    ) -> Doses:
        """`doses_of` with the unit and the molar mass that the problem states of that input."""
        declared = self.inputs.get(name)
        mass = self._mass(name, molar_mass)
        return doses_of(model, name, stated, unit=unit, molar_mass=mass, known=declared)

    def _mass(self, name: str, molar_mass: str | float | None) -> str | float | None:
        """The molar mass, or else the one that the problem states; raises `MolarMassError` if they differ."""
        stated = self.inputs[name].molar_mass if name in self.inputs else None
        if molar_mass is None or stated is None:
            return stated if molar_mass is None else molar_mass
        if not math.isclose(molar_mass_kda(molar_mass), molar_mass_kda(stated), rel_tol=1e-9):
            raise MolarMassError(
                f"the molar mass of {name} is given as {_kda(molar_mass)}, and the problem that was fitted states "
                f"{_kda(stated)}, by which its own doses were converted: leave it out, or fit again with another"
            )
        return stated


def _kda(mass: str | float) -> str:
    return mass if isinstance(mass, str) else f"{mass:g} kDa"


def of_model(preequilibrate: bool | None = None) -> Cells:
    """Cells of a model that was not fitted: in steady state, unless `preequilibrate` is False."""
    return Cells(preequilibration=None if preequilibrate is False else {})


def of_unknown(preequilibrate: bool | None = None) -> Cells:
    """Cells of a posterior that does not say how its cells start."""
    if preequilibrate is not None:
        return of_model(preequilibrate)
    return Cells(
        why_unknown="the posterior does not say whether cells are in steady state before the experiment, as files of "
        "older versions do not: pass the problem that was fitted, or set `preequilibrate`"
    )


def of_dataset(dataset: Dataset, model: Model, preequilibrate: bool | None = None) -> Cells:
    """Cells as in a problem that was fitted, restricted to what `model` has."""
    model_names = {*model.species, *model.parameters}
    inputs = {i.target: i for i in dataset.inputs if i.target in model_names}
    off: dict[str, Value] = dict.fromkeys(inputs, 0.0)
    preequilibrations = [
        None if r is None else {n: v for n, v in r.items() if n in model_names} for r in _preequilibrations(dataset)
    ]
    why_unknown, preequilibration = "", None
    if preequilibrate is not False:
        with_equilibration = [r for r in preequilibrations if r is not None]
        candidates = preequilibrations if preequilibrate is None else with_equilibration or [off]
        preequilibration = candidates[0]
        if len(candidates) > 1:
            why_unknown = (
                "the problem that was fitted starts its cells in several ways "
                f"({'; '.join(map(_words, candidates[:4]))}): say in each condition how they start, by a protocol"
                + (
                    ", or start all from the model's initial values, without `preequilibrate`"
                    if None in candidates
                    else ""
                )
            )
    common = {} if dataset.inputs else _common(dataset, model_names)
    return Cells(
        preequilibration,
        why_unknown,
        inputs_off={n: v for n, v in off.items() if inputs[n].kind == "set"},
        common=common,
        varied={} if dataset.inputs else _varied(dataset, model_names),
        inputs=inputs,
        formulas={n: e for n, e in dataset.derived.items() if n in _named(preequilibration, common)},
    )


def _named(*changes: Mapping[str, Value] | None) -> frozenset[str]:
    """Names among the values that these mappings set."""
    return frozenset(v for some in changes for v in (some or {}).values() if isinstance(v, str))


def _courses(dataset: Dataset) -> list[Protocol]:
    """All protocols; in place of one that continues another, up to steady state, the one with which it begins."""
    return [dataset.continued[n][0] if n in dataset.continued else q for n, q in dataset.protocols.items()]


def _preequilibrations(dataset: Dataset) -> list[Preequilibration]:
    """The different pre-equilibrations of all protocols, in order."""
    preequilibrations: dict[str, Preequilibration] = {}
    for protocol in _courses(dataset):
        before = protocol.preequilibration
        preequilibrations.setdefault(json.dumps(None if before is None else dict(before), sort_keys=True), before)
    return list(preequilibrations.values())


def _number(value: Value) -> str:
    return value if isinstance(value, str) else format(value, "g")


def _words(preequilibration: Preequilibration) -> str:
    if preequilibration is None:
        return "from the model's initial values"
    values = ", ".join(f"{n} = {_number(v)}" for n, v in preequilibration.items())
    return f"in steady state with {values}" if values else "in steady state"


def _common(dataset: Dataset, known: set[str]) -> dict[str, Value]:
    """Values that every protocol sets alike at its start."""
    each = [_at_start(q) for q in _courses(dataset)]
    first = each[0] if each else {}
    return {n: v for n, v in first.items() if n in known and all(n in e and e[n] == v for e in each)}


def _varied(dataset: Dataset, known: set[str]) -> dict[str, tuple[Value, ...]]:
    """Values that protocols set at their start and that differ, or that only some of them set."""
    each = [_at_start(q) for q in _courses(dataset)]
    common = _common(dataset, known)
    names = dict.fromkeys(n for e in each for n in e if n in known and n not in common)
    return {n: tuple(dict.fromkeys(e[n] for e in each if n in e)) for n in names}


def _at_start(protocol: Protocol) -> dict[str, Value]:
    return {n: v for s in protocol.steps if s.time == protocol.start for n, v in s.assign.items()}


__all__ = ["Cells", "MolarMassError", "Preequilibration", "UnknownStartError", "of_dataset", "of_model", "of_unknown"]
