"""Protocols compiled to arrays: which value stands where, in which segment, when.

Every value that a solve needs lies in one vector, the environment: the caller's named values, then constants. A plan
holds indices into it, so that a dose, an input or an initial value may be a constant or a parameter alike, and the
whole is one gather.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from types import MappingProxyType

import numpy as np

from ..listing import did_you_mean
from ..protocols.protocol import Protocol, Value
from .model import Model
from .resize import Resizes, ResizeTable, resized_but_fixed
from .steady_inputs import varying_rate
from .volumes import jumping_volumes

UNCHANGED = -1
_Setter = Callable[[Mapping[str, Value], list[int], list[int], str], None]


@dataclass(frozen=True, eq=False)
class Plan:
    """Index arrays of a batch of protocols (C protocols, S segments, T times, E distinct pre-equilibrations).

    An index points into the environment `[*names, *constants]`; `UNCHANGED` leaves a species as it is. Plans of
    the same content are equal.
    """

    names: tuple[str, ...]  # of the caller's values
    constants: np.ndarray
    protocols: tuple[str, ...]
    equilibration_parameters: np.ndarray  # E × parameters
    equilibration_set: np.ndarray  # E × species
    equilibration_of: np.ndarray  # C; −1: none
    equilibration_moment: np.ndarray  # E; switches in time stand as they do just before
    parameters: np.ndarray  # C × S × parameters
    assign: np.ndarray  # C × S × species
    add: np.ndarray  # C × S × species
    scale: np.ndarray  # C × S × species: behind the constants, the ratio of volumes where a compartment is resized
    resizes: Resizes
    start: np.ndarray  # C × S
    stop: np.ndarray  # C × S
    times: np.ndarray  # C × T, padded with the last
    segment: np.ndarray  # C × T

    @cached_property
    def _content(self) -> tuple:
        parts = [getattr(self, f.name) for f in fields(self) if f.name != "resizes"]
        parts += [getattr(self.resizes, f.name) for f in fields(self.resizes)]
        return tuple((p.shape, p.tobytes()) if isinstance(p, np.ndarray) else p for p in parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)


class _Environment:
    def __init__(self, names: Sequence[str]):
        self.names = {n: i for i, n in enumerate(names)}
        self.constants: list[float] = []
        self.known: dict[float, int] = {}

    def slot(self, value: Value, where: str) -> int:
        if isinstance(value, str):
            if value not in self.names:
                meant = did_you_mean(value, self.names)
                raise ValueError(f"{where} uses the parameter {value!r}, which is not among those given{meant}")
            return self.names[value]
        value = float(value)
        if value not in self.known:
            self.known[value] = len(self.names) + len(self.constants)
            self.constants.append(value)
        return self.known[value]

    def defaults(self, model: Model) -> list[int]:
        """The model's parameters: the caller's values where there are such, else the model's own."""
        return [
            self.names[n] if n in self.names else self.slot(float(v), n)
            for n, v in zip(model.parameters, model.defaults, strict=True)
        ]


class _Equilibrations:
    """The distinct pre-equilibrations of a batch, and which of them each protocol has."""

    def __init__(self) -> None:
        self.known: dict[tuple, int] = {}
        self.parameters: list[list[int]] = []
        self.assign: list[list[int]] = []
        self.moment: list[float] = []
        self.of: list[int] = []  # of each protocol; −1: none

    def add(self, parameters: list[int], assign: list[int], moment: float, *, timed: bool) -> None:
        """The next protocol's; `timed`: the model switches in time, so that equal ones at other moments differ."""
        key = (tuple(parameters), tuple(assign), moment if timed else 0.0)
        if key not in self.known:
            self.known[key] = len(self.known)
            self.parameters.append(parameters)
            self.assign.append(assign)
            self.moment.append(moment)
        self.of.append(self.known[key])


def compile_plan(
    model: Model,
    protocols: Sequence[Protocol],
    times: Sequence[Sequence[float]],
    names: Sequence[str],
    fixed: Mapping[str, float] = MappingProxyType({}),
) -> Plan:
    """Compiles `protocols`, with output `times` for each, against values for `names`, of which some are `fixed`.

    Raises `ValueError` for every name that a protocol changes and the model does not have, every time before a
    protocol's start, and every parameter left without a value.
    """
    _check(model, protocols, times, names, fixed)
    environment = _Environment(names)
    zero = environment.slot(0.0, "")
    defaults = environment.defaults(model)
    species = {n: i for i, n in enumerate(model.species)}
    parameter = {n: i for i, n in enumerate(model.parameters)}

    apply = _setter(environment, species, parameter)
    table = ResizeTable(model)
    equilibrations = _Equilibrations()
    rows = []
    segments = max(1 + sum(s.time > q.start for s in q.steps) for q in protocols)
    for protocol, at in zip(protocols, times, strict=True):
        before = None
        if protocol.preequilibration is None:
            equilibrations.of.append(-1)
        else:
            before, y = list(defaults), [UNCHANGED] * len(species)
            apply(protocol.preequilibration, before, y, f"protocol {protocol.name!r}")
            equilibrations.add(before, y, protocol.start, timed=bool(model.switches))
        row = _segments(protocol, at, defaults, species, segments, zero, apply, environment)
        if model.time_index is not None and protocol.start:
            row[1][0][model.time_index] = environment.slot(protocol.start, "")  # the model's own start is at 0
        if before is not None:  # what a pre-equilibration changes ends with it
            for name in species.keys() & parameter.keys():
                row[1][0][species[name]] = row[0][0][parameter[name]]
        rows.append(_resized(model, protocol, row, before, table))
    columns = [np.array(c) for c in zip(*rows, strict=True)]
    parameters, assign, add = (c.astype(int) for c in columns[:3])
    start, stop, scale = columns[3:6]
    scale = np.where(scale == UNCHANGED, UNCHANGED, scale + len(names) + len(environment.constants)).astype(int)
    padded, segment = _outputs(times, start)
    count = len(equilibrations.known)
    return Plan(
        names=tuple(names),
        constants=np.array(environment.constants, dtype=float),
        protocols=tuple(q.name for q in protocols),
        equilibration_parameters=np.array(equilibrations.parameters, dtype=int).reshape(count, len(parameter)),
        equilibration_set=np.array(equilibrations.assign, dtype=int).reshape(count, len(species)),
        equilibration_of=np.array(equilibrations.of),
        equilibration_moment=np.array(equilibrations.moment, dtype=float),
        parameters=parameters,
        assign=assign,
        add=add,
        scale=scale,
        resizes=table.resizes(),
        start=start,
        stop=stop,
        times=padded,
        segment=segment,
    )


def _setter(environment: _Environment, species: Mapping[str, int], parameter: Mapping[str, int]) -> _Setter:
    """Writes the slots of values by name into the rows of parameters and of species."""

    def apply(values: Mapping[str, Value], p: list[int], y: list[int], where: str) -> None:
        for name, value in values.items():
            slot = environment.slot(value, where)
            # What events change is both: a state, and a parameter that is its value at the start.
            if name in species:
                y[species[name]] = slot
            if name in parameter:
                p[parameter[name]] = slot

    return apply


def _outputs(times: Sequence[Sequence[float]], start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Output times, padded with the last, and the segment that each lies in; both C × T."""
    longest = max(len(t) for t in times)
    padded = np.array([[*t, *([t[-1]] * (longest - len(t)))] for t in times], dtype=float)
    segment = np.array([[int(np.sum(s[1:] <= t)) for t in row] for s, row in zip(start, padded, strict=True)])
    return padded, segment


def _segments(protocol, at, defaults, species, segments, zero, apply, environment):
    end = max(*at, protocol.start, protocol.start)
    p, parameters, assign, add, start = list(defaults), [], [], [], []
    steps = list(protocol.steps)
    if not steps or steps[0].time > protocol.start:
        parameters.append(list(p))
        assign.append([UNCHANGED] * len(species))
        add.append([zero] * len(species))
        start.append(protocol.start)
    for step in steps:
        y, more = [UNCHANGED] * len(species), [zero] * len(species)
        apply(step.assign, p, y, f"protocol {protocol.name!r}")
        for name, value in step.add.items():
            more[species[name]] = environment.slot(value, f"protocol {protocol.name!r}")
        parameters.append(list(p))
        assign.append(y)
        add.append(more)
        start.append(step.time)
    while len(start) < segments:  # empty segments after the end
        parameters.append(list(p))
        assign.append([UNCHANGED] * len(species))
        add.append([zero] * len(species))
        start.append(math.inf)
    begin = [min(s, end) if math.isfinite(s) else end for s in start]
    stop = [*begin[1:], end]
    # A start after the end holds no measurement: keep it out of the search for a time's segment.
    return parameters, assign, add, [s if s <= end else math.inf for s in start], stop


def _resized(
    model: Model,
    protocol: Protocol,
    row: tuple[list, ...],
    equilibrated: list[int] | None,
    table: ResizeTable,
) -> tuple[list, ...]:
    """The columns of `_segments` and one more: numbers of the ratios of volumes, by segment and species.

    `equilibrated` are the parameters of the pre-equilibration, None without one. A segment that resizes and would be
    empty, as it starts at the last output, is made a little longer: the adjoint pass needs the state at its start.
    """
    parameters, assign, add, start, stop = row
    scale = [[UNCHANGED] * len(model.species) for _ in parameters]
    if protocol.resizing_keeps == "concentrations":
        return parameters, assign, add, start, stop, scale
    stop = list(stop)
    steps = {step.time: step for step in protocol.steps}
    before = equilibrated
    for i, after in enumerate(parameters):
        if before is not None and math.isfinite(start[i]):
            for species, ratio in table.ratios(before, after).items():
                scale[i][species] = ratio
                if stop[i] <= start[i]:
                    stop[i] = start[i] + 1e-6 * max(1.0, abs(start[i]))
            assigned = steps[start[i]].assign if start[i] in steps else {}
            fixed = {n: c for n, c in resized_but_fixed(model, before, after).items() if n not in assigned}
            if fixed:
                each = ", ".join(f"{name} in {compartment}" for name, compartment in fixed.items())
                raise ValueError(
                    f"protocol {protocol.name!r} resizes a compartment at time {start[i]:g} in which species are held "
                    f"({each}): set their new concentrations in the same step"
                )
        before = after
    return parameters, assign, add, start, stop, scale


def _set_at_start(protocol: Protocol) -> set[str]:
    return {n for step in protocol.steps if step.time == protocol.start for n in step.assign}


def _against_events(model: Model, protocol: Protocol) -> Iterator[str]:
    """What a protocol does that events do not allow for yet."""
    events = model.kinetics.events if model.kinetics else ()
    if protocol.start and (delayed := [e.name for e in events if e.delayed]):
        yield (
            f"protocol {protocol.name!r} starts at {protocol.start:g}, and {model.name} has events with a delay "
            f"({', '.join(delayed)}), which count from 0: start at 0"
        )
    for step in (s for s in protocol.steps if s.time > protocol.start):
        for event in events:
            expressions = [event.at_start, *(v for _, v in event.assigned if event.delayed)]
            used = {str(symbol) for e in expressions for symbol in e.free_symbols}
            if changed := sorted(step.assign.keys() & used & set(model.parameters)):
                yield (
                    f"protocol {protocol.name!r} sets {', '.join(changed)} at {step.time:g}, which decides when the "
                    f"event {event.name} of {model.name} acts; this is not supported yet: set it at the start"
                )


def _check(
    model: Model,
    protocols: Sequence[Protocol],
    times: Sequence[Sequence[float]],
    names: Sequence[str],
    fixed: Mapping[str, float],
) -> None:
    problems: list[str] = []
    if not protocols:
        problems.append("no protocol is given")
    known = {*model.species, *model.parameters}
    species = set(model.species)
    for protocol, at in zip(protocols, times, strict=True):
        for name in sorted(protocol.targets - known):
            near = did_you_mean(name, known)
            problems.append(f"protocol {protocol.name!r} changes {name!r}, which {model.name} does not have{near}")
        for step in protocol.steps:
            for name in sorted(set(step.add) & known - species):
                problems.append(
                    f"protocol {protocol.name!r} adds to {name!r}, which is a parameter of {model.name}, "
                    "not a species: set it instead"
                )
        problems += jumping_volumes(model, protocol)
        if protocol.preequilibration is not None and (term := varying_rate(model, protocol, names, fixed)):
            problems.append(
                f"protocol {protocol.name!r} pre-equilibrates, but {model.name} depends on time explicitly then: "
                f"{term}; set the inputs that this multiplies to 0 in the pre-equilibration"
            )
        problems += _against_events(model, protocol)
        if not len(at):
            problems.append(f"protocol {protocol.name!r} has no output time")
        elif not np.all(np.isfinite(at)):
            problems.append(f"protocol {protocol.name!r} has an output time that is not finite")
        elif min(at) < protocol.start:
            problems.append(
                f"protocol {protocol.name!r} has an output time {min(at):g} before its start at {protocol.start:g}"
            )
        elif np.any(np.diff(at) < 0):
            problems.append(f"the output times of protocol {protocol.name!r} do not increase")
    always = set.intersection(*map(_set_at_start, protocols)) if protocols else set()
    unset = [
        n for n, v in zip(model.parameters, model.defaults, strict=True) if math.isnan(v) and n not in model.unused
    ]
    missing = [n for n in unset if n not in names and n not in always]
    if missing:
        problems.append(
            f"{model.name} has no value for {', '.join(missing)}: give one, for all protocols or in each from its start"
        )
    if problems:
        raise ValueError("cannot simulate:\n  " + "\n  ".join(problems))
