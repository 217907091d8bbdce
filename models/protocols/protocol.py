"""What is done to the cells: pre-equilibrate, add, set, wash out, pulse."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Value = float | str
"""A number, or the name of a parameter that holds it (so that a dose or an initial value can be estimated)."""


def _negative(name: str, amount: float, time: float) -> str:
    return (
        f"at time {time:g}, {name} is given as {amount:g}: a dose cannot be negative; to take it away, wash it out or "
        "set it to a lower concentration"
    )


@dataclass(frozen=True)
class Step:
    """What changes at one time; it holds from then on, and a measurement at that very time sees it.

    Parameters
    ----------
    time : float
        In the model's unit (here min).
    assign : dict
        Values that parameters (inputs) and species are set to, in the model's units: species are concentrations in
        their own compartment (here nM).
    add : dict
        What is added to species, in the model's units (here nM).
    """

    time: float
    assign: Mapping[str, Value] = field(default_factory=dict)
    add: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not math.isfinite(self.time):
            raise ValueError(f"a step's time must be finite, not {self.time}")
        both = sorted(set(self.assign) & set(self.add))
        if both:
            raise ValueError(f"at time {self.time:g}, {', '.join(both)} is both set and added to: state one")
        for name, value in [*self.assign.items(), *self.add.items()]:
            if not isinstance(value, str) and not math.isfinite(value):
                raise ValueError(f"at time {self.time:g}, {name} is given as {value}: it must be finite")
        for name, value in self.add.items():
            if not isinstance(value, str) and value < 0:
                raise ValueError(_negative(name, value, self.time))


@dataclass(frozen=True)
class Protocol:
    """A piecewise constant experiment: an optional pre-equilibration, then steps in time.

    A protocol is built up by its methods, each of which returns a new one.

    Parameters
    ----------
    name : str
        Of the protocol.
    preequilibration : dict, optional
        Values (in the model's units, or names of parameters) that apply while the cells come to steady state before
        time `start`; they end with it. None: the cells start from the model's initial values, and parameters set at
        `start` also enter the model's initial assignments.
    steps : tuple of Step
        In order of time.
    start : float
        The time at which the experiment starts, in the model's unit (min).
    resizing_keeps : str
        What stays as it is in a compartment that a step resizes: `"amounts"` (SBML), so that concentrations change, or
        `"concentrations"` (PEtab v2). Species that are amounts keep them in both.

    Examples
    --------
    >>> p = Protocol.equilibrated("pulse").pulse("IL6", 0.48, start=0, stop=15)
    >>> [step.time for step in p.steps]
    [0, 15]
    """

    name: str = "protocol"
    preequilibration: Mapping[str, Value] | None = None
    steps: tuple[Step, ...] = ()
    start: float = 0.0
    resizing_keeps: Literal["amounts", "concentrations"] = "amounts"

    def __post_init__(self) -> None:
        times = [step.time for step in self.steps]
        if any(t < self.start for t in times):
            raise ValueError(f"protocol {self.name!r} has a step at {min(times):g}, before its start at {self.start:g}")
        if times != sorted(set(times)):
            raise ValueError(
                f"protocol {self.name!r}: the times of its steps must increase, one step at each; they are {times}"
            )

    @staticmethod
    def equilibrated(name: str = "protocol", **inputs: Value) -> Protocol:
        """A protocol whose cells are at steady state before anything is done.

        Parameters
        ----------
        name : str
            Of the protocol.
        **inputs : float or str
            Values during pre-equilibration, in the model's units, or names of parameters.
        """
        return Protocol(name, preequilibration=dict(inputs))

    def _change(self, time: float, *, assign: Mapping[str, Value] = {}, add: Mapping[str, Value] = {}) -> Protocol:
        steps = {step.time: step for step in self.steps}
        old = steps.get(time, Step(time))
        twice = sorted((set(old.assign) | set(old.add)) & (set(assign) | set(add)))
        if twice:
            raise ValueError(f"protocol {self.name!r} already changes {', '.join(twice)} at time {time:g}")
        steps[time] = Step(time, {**old.assign, **assign}, {**old.add, **add})
        return replace(self, steps=tuple(steps[t] for t in sorted(steps)))

    def add(self, species: str, amount: Value, *, at: float = 0.0) -> Protocol:
        """Adds to a species.

        Parameters
        ----------
        species : str
            Its name.
        amount : float or str
            A concentration in the model's units (nM), or the name of a parameter.
        at : float
            Time in the model's unit (min).
        """
        return self._change(at, add={species: amount})

    def set(self, *, at: float = 0.0, **values: Value) -> Protocol:
        """Sets parameters (inputs, inhibitors) or species from a time on.

        Parameters
        ----------
        at : float
            Time in the model's unit (min).
        **values : float or str
            By name, in the model's units, or names of parameters.
        """
        return self._change(at, assign=values)

    def change(self, values: Mapping[str, Value], *, at: float = 0.0) -> Protocol:
        """As `set`, for names that are not keywords, or that are `at` or `self`.

        Parameters
        ----------
        values : dict
            By name, in the model's units, or names of parameters.
        at : float
            Time in the model's unit (min).
        """
        return self._change(at, assign=values)

    def wash_out(self, *species: str, at: float) -> Protocol:
        """Removes all of some species.

        Parameters
        ----------
        *species : str
            Their names.
        at : float
            Time in the model's unit (min).
        """
        return self._change(at, assign=dict.fromkeys(species, 0.0))

    def pulse(self, species: str, amount: Value, *, start: float, stop: float) -> Protocol:
        """Adds to a species and washes it out later.

        Parameters
        ----------
        species : str
            Its name.
        amount : float or str
            A concentration in the model's units (nM), or the name of a parameter.
        start, stop : float
            Times in the model's unit (min); `ValueError` unless `stop` comes after `start`.
        """
        if not start < stop:
            raise ValueError(f"a pulse's stop, {stop:g}, must come after its start, {start:g}")
        return self.add(species, amount, at=start).wash_out(species, at=stop)

    @property
    def references(self) -> frozenset[str]:
        """Names of the parameters whose values the protocol uses."""
        used = list((self.preequilibration or {}).values())
        for step in self.steps:
            used += [*step.assign.values(), *step.add.values()]
        return frozenset(v for v in used if isinstance(v, str))

    def check_doses(self, species: Collection[str], values: Mapping[str, float]) -> None:
        """Raises `ValueError` for a negative amount of a species.

        Parameters
        ----------
        species : collection of str
            The species to check.
        values : dict of float
            Values of the names that the protocol uses, in the model's units. Names that are missing are not checked.
        """
        amounts_by_time = [(self.start, (self.preequilibration or {}).items())]
        amounts_by_time += [(step.time, {**step.assign, **step.add}.items()) for step in self.steps]
        for time, amounts in amounts_by_time:
            for name, amount in amounts:
                number = values.get(amount, 0.0) if isinstance(amount, str) else amount
                if name in species and number < 0:
                    raise ValueError(f"protocol {self.name!r}: {_negative(name, number, time)}")

    @property
    def targets(self) -> frozenset[str]:
        """Names of the parameters and species that the protocol changes."""
        changed = set(self.preequilibration or {})
        for step in self.steps:
            changed |= {*step.assign, *step.add}
        return frozenset(changed)
