"""A network as functions: rates, Jacobian, initial values and conserved moieties."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy

from ..listing import did_you_mean
from ..networks.derivatives import Derivatives, Terms, volume_of
from ..networks.formulas import TIME, bind_time, exact_exponents, inline, names_in
from ..networks.network import Network
from ..networks.volumes import check_network
from .balances import Conserved, conserved
from .codegen import Name, compile_vector, guard
from .domain import RTOL, atol_of, bounded, margins
from .event_volumes import changed_by_events
from .events import EventReader, Events, TimedEvents, as_of_now
from .jumps import warning
from .kinetics import Kinetics
from .model import Model, SparseJacobian, arguments_of, at_start, clock_name
from .shapes import WRITTEN_OUT, compile_by_shape
from .switches import Switches

log = logging.getLogger(__name__)


def compile_network(network: Network, *, independent: Collection[str] = ()) -> Model:
    """Compiles a network: rates, Jacobian, initial values and moieties as JAX functions.

    Parameters
    ----------
    network : Network
        The network. Parameters with an initial assignment follow from the others and do not appear in the parameter
        vector.
    independent : collection of str
        Parameters whose initial assignment is dropped; they become parameters without default.

    Returns
    -------
    Model
        The model; a warning is logged if its rates jump at a condition on the state.

    Raises
    ------
    ValueError
        For names that two things have or that nothing defines, and for volumes that are not above 0.
    """
    _check_names(network)
    check_network(network)
    network = _with_time(network)
    model = _compiled(network, _equations(network, independent))
    if model.jumps:
        log.warning("%s: %s", model.name, warning(model.jumps))
    return model


@dataclass(frozen=True)
class _Equations:
    """The ODE of a network as expressions over its states and parameters; rules are substituted."""

    states: list[str]
    time_index: int | None  # the state that is time
    parameters: Mapping[str, float]  # with their default values
    terms: Mapping[str, Terms]  # the derivative of each state is the sum of them
    balances: Mapping[str, Terms]  # `terms`, with volumes that only events change as they are at the start
    initial: Sequence[sympy.Expr]
    volumes: Sequence[sympy.Expr]  # those that move: at the start
    diluted: frozenset[str]  # states that a moving volume dilutes
    reactions: Sequence[sympy.Expr]  # rates, in the order of the file
    rules: Mapping[str, sympy.Expr]  # those of the network, by name
    computed: Mapping[str, sympy.Expr]  # what else formulas may use
    switches: Switches
    events: TimedEvents
    depends_on_time: bool


def _equations(network: Network, independent: Collection[str]) -> _Equations:
    derivatives = Derivatives(network)
    derivative = derivatives.terms
    # What events change is a state; its value at the start stays a parameter.
    held = [n for n in changed_by_events(network) if n not in derivative]
    derivative |= {n: [] for n in held}
    states = list(derivative)
    quantities, start, assigned = _values(network, states, independent)
    settable = _settable(network, held, independent)
    quantities |= settable
    start |= {n: sympy.Symbol(at_start(n)) for n in settable}

    initially, rules = _written_out(network, start, assigned)
    substitution = _substitution(network, derivative, rules)

    def substituted(e: sympy.Expr) -> sympy.Expr:
        return sympy.sympify(e).xreplace(substitution)

    at_zero = {sympy.Symbol(n): initially[n] for n in states} | {TIME: sympy.Integer(0)}
    volumes = [substituted(volume_of(network, n)) for n in states]
    resized = {s: at_zero[s] for s in map(sympy.Symbol, held) if any(s in v.free_symbols for v in volumes)}
    terms = _terms(derivative, substituted, at_zero.keys())
    balances = _terms(
        derivative if resized else {}, lambda e: substituted(e).xreplace(resized), at_zero.keys() - resized.keys()
    )
    parameters = {n: value for n, value in quantities.items() if n not in rules and (n not in start or n in settable)}
    initial = [initially[n] for n in states]
    public = {n: e for n, e in rules.items() if n in network.rules}
    computed = {n: e for n, e in rules.items() if n not in network.rules}

    switches = Switches(states)
    terms = _frozen(terms, switches, network.name)
    events = EventReader(network, substitution, states, [n for n in states if terms[n]], switches)(network.events)
    for memory in events.memory:
        states, initial, terms = [*states, memory], [*initial, sympy.Integer(0)], {**terms, memory: []}
    depends = any(TIME in e.free_symbols for pairs in terms.values() for pair in pairs for e in pair)
    time_index = None
    # A model in which nothing changes has time for its state, as an engine solves no fewer than one.
    if depends or not states or any(TIME in e.free_symbols for e in (*public.values(), *events.formulas)):
        time_index = len(states)
        clock = clock_name({*states, *parameters, *rules})
        states, initial = [*states, clock], [*initial, sympy.Integer(0)]
        terms[clock] = [(sympy.Integer(1), sympy.Integer(1))]
    return _Equations(
        states=states,
        time_index=time_index,
        parameters=parameters,
        terms=terms,
        balances={n: balances.get(n, terms[n]) for n in states},
        initial=initial,
        volumes=[bounded(substituted(volume_of(network, n)).xreplace(at_zero)) for n in states],
        diluted=frozenset(filter(derivatives.dilutes, states)),
        reactions=[substituted(r.rate).xreplace(resized) for r in network.reactions],
        rules=public,
        computed=computed,
        switches=switches,
        events=events,
        depends_on_time=depends,
    )


def _written_out(
    network: Network, start: Mapping[str, sympy.Expr], assigned: Mapping[str, sympy.Expr]
) -> tuple[dict[str, sympy.Expr], dict[str, sympy.Expr]]:
    """Values at time 0, and rules, by name: names of rules and rates in them are written out."""
    rates = {r.name: r.rate for r in network.reactions if r.name not in network.rules}
    initially = inline({**rates, **start, **network.rules, **assigned})
    initially = {n: e.xreplace({TIME: sympy.Integer(0)}) for n, e in initially.items()}
    # An initial assignment uses the start values of the states, also at later times.
    return initially, inline({**rates, **network.rules, **{n: initially[n] for n in assigned}})


def _substitution(
    network: Network, derivative: Mapping[str, Terms], rules: Mapping[str, sympy.Expr]
) -> dict[sympy.Symbol, sympy.Expr]:
    """The formula of each name that follows from others."""
    written = [sympy.sympify(e) for pairs in derivative.values() for pair in pairs for e in pair]
    written += [sympy.sympify(e) for event in network.events for e in event.assignments.values()]
    return exact_exponents({sympy.Symbol(n): e for n, e in rules.items()}, written)


def _terms(
    derivative: Mapping[str, Terms], substituted: Callable[[sympy.Expr], sympy.Expr], moving: Collection[sympy.Symbol]
) -> dict[str, Terms]:
    """The terms of each derivative with rules written out; a coefficient that changes in time becomes a factor."""

    def pair(coefficient: sympy.Expr, rate: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
        c, r = substituted(coefficient), substituted(rate)
        return (c, r) if c.free_symbols.isdisjoint(moving) else (sympy.Integer(1), c * r)

    return {n: [pair(c, r) for c, r in pairs] for n, pairs in derivative.items()}


def _frozen(terms: Mapping[str, Terms], switches: Switches, network: str) -> dict[str, Terms]:
    """The terms of each derivative with switches for conditions in time."""
    return {
        n: [tuple(switches.freeze(e, f"{network}, rate of change of {n}") for e in pair) for pair in pairs]
        for n, pairs in terms.items()
    }


def _compiled(network: Network, equations: _Equations) -> Model:
    states, parameters, switches = equations.states, tuple(equations.parameters), equations.switches
    clock = None if equations.time_index is None else states[equations.time_index]
    arguments = arguments_of(parameters, states)
    alone = equations.diluted if clock is None else equations.diluted | {clock}
    amounts = _amounts(equations.balances, equations.volumes, alone)
    sums = conserved(amounts, [sympy.Symbol(n) for n in arguments], equations.reactions)
    moieties, weights = _moieties(sums, equations.volumes)
    kinetics = Kinetics.of(
        [equations.terms[n] for n in states],
        list(map(bounded, equations.initial)),
        equations.volumes,
        weights,
        switches.names,
        switches.times,
        equations.events,
    )
    f = kinetics.derivatives()
    symbols = [TIME if n == clock else sympy.Symbol(n) for n in states]
    events = [*equations.events.formulas, *(event.trigger for event in equations.events.events)]
    unknown = names_in(*f, *equations.initial, *switches.times, *events)
    unknown -= {n for s in symbols for n in (s.name, as_of_now(s).name)} | {
        *arguments,
        *switches.names,
        *(f"condition {k}" for k in range(len(equations.events.conditions))),
    }
    if unknown:
        meant = did_you_mean(sorted(unknown), [*network.species, *network.parameters, *network.rules])
        raise ValueError(f"network {network.name!r} uses names it does not define: {', '.join(sorted(unknown))}{meant}")
    names = (symbols, arguments, switches.names) if switches.names else (symbols, arguments)
    rhs, jacobian = _with_jacobian(names, f)
    least = tuple(margins(f, [s.name for s in symbols]))
    tolerances = ([RTOL.name], [atol_of(s.name).name for s in symbols])
    return Model(
        name=network.name,
        species=tuple(states),
        parameters=parameters,
        defaults=np.array(list(equations.parameters.values())),
        rhs=rhs,
        jacobian=jacobian,
        initial=compile_vector((arguments,), kinetics.initial),
        volumes=compile_vector((arguments,), kinetics.volumes),
        weights=compile_vector((arguments,), kinetics.weights),
        moieties=moieties,
        dependent=sums.dependent,
        rules=equations.rules,
        computed=equations.computed,
        time_index=equations.time_index,
        network=network,
        kinetics=kinetics,
        rhs_depends_on_time=equations.depends_on_time,
        switch_times=compile_vector((arguments,), switches.times) if switches.times else None,
        events=Events.of(equations.events, symbols, arguments, switches.names),
        nonnegative=tuple(n for n in states if n in network.species),
        margins=least,
        defined=compile_vector((*names, *tolerances), least) if least else None,
    )


def _check_names(network: Network) -> None:
    """Raises `ValueError` for names that two things have, or that no formula could hold."""
    names = [*network.species, *network.compartments, *network.parameters]
    names += [r.name for r in network.reactions]
    if twice := sorted(n for n, count in Counter(names).items() if count > 1):
        raise ValueError(
            f"network {network.name!r} has two things called {', '.join(twice)}: give each a name of its own"
        )
    if odd := sorted(n for n in {*names, *network.rules, *network.rates} if not n.isidentifier()):
        raise ValueError(
            f"network {network.name!r} has names that no formula can hold: {', '.join(map(repr, odd))}; "
            "a name has letters, digits and _, and does not begin with a digit"
        )


def _with_time(network: Network) -> Network:
    """The network with `time` in its formulas as the time of a simulation, unless it calls something so itself."""
    if "time" in network.names:
        return network

    def bound(expressions: Mapping[str, sympy.Expr]) -> dict[str, sympy.Expr]:
        return {n: bind_time(sympy.sympify(e), ()) for n, e in expressions.items()}

    return replace(
        network,
        species={n: replace(s, initial=bind_time(sympy.sympify(s.initial), ())) for n, s in network.species.items()},
        reactions=tuple(
            replace(r, rate=bind_time(sympy.sympify(r.rate), ()), stoichiometry=bound(r.stoichiometry))
            for r in network.reactions
        ),
        rules=bound(network.rules),
        rates=bound(network.rates),
        initial=bound(network.initial),
        constraints=tuple(replace(c, condition=bind_time(c.condition, ())) for c in network.constraints),
        events=tuple(e.with_formulas(lambda f: bind_time(f, ())) for e in network.events),
    )


def _values(
    network: Network, states: Sequence[str], independent: Collection[str]
) -> tuple[dict[str, float], dict[str, sympy.Expr], dict[str, sympy.Expr]]:
    """Numbers of what does not change by itself, start values of the states, and initial assignments of the others."""
    quantities: dict[str, float] = {n: q.value for n, q in network.compartments.items()}
    quantities |= {n: q.value for n, q in network.parameters.items()}
    start = {n: network.species[n].initial if n in network.species else _start(network, n) for n in states}
    assigned = {n: e for n, e in network.initial.items() if n not in start}
    for name, species in network.species.items():
        if name in start or name in network.rules:
            continue
        if species.initial.is_number:
            quantities[name] = float(species.initial)
        else:
            quantities[name], assigned[name] = math.nan, species.initial
    # Their own value is not what the model means: it has to be given.
    quantities |= dict.fromkeys(assigned.keys() & set(independent) & quantities.keys(), math.nan)
    return quantities, start, {n: e for n, e in assigned.items() if n not in independent}


def _settable(network: Network, held: Collection[str], independent: Collection[str]) -> dict[str, float]:
    """Values of what only events change and no formula gives: parameters, volumes, and species."""
    settable, quantities = {}, {**network.compartments, **network.parameters}
    for name in held:
        if name in network.species:
            initial = network.species[name].initial
            if initial.is_number:
                settable[name] = float(initial)
        elif name in quantities and (name not in network.initial or name in independent):
            settable[name] = math.nan if name in network.initial else quantities[name].value
        elif name not in quantities:
            raise ValueError(
                f"an event of {network.name} changes {name!r}; expected a species, a parameter or a compartment"
            )
    return settable


def _start(network: Network, name: str) -> sympy.Expr:
    """The start value of a parameter or a compartment that has a rate rule."""
    quantity = network.parameters.get(name) or network.compartments[name]
    return network.initial.get(name, sympy.Float(quantity.value))


def _with_jacobian(names: Sequence[Sequence[Name]], f: list[sympy.Expr]) -> tuple[Callable, Callable]:
    states = names[0]
    f = [guard(e) for e in f]
    entries: list[sympy.Expr] = []
    slot = np.zeros((len(states), len(states)), dtype=int)  # 0: a structural zero
    for i, expression in enumerate(f):
        used = expression.free_symbols
        for j, symbol in enumerate(states):
            if symbol in used and (entry := sympy.diff(expression, symbol)) != 0:
                entries.append(entry)
                slot[i, j] = len(entries)
    rows, columns = np.nonzero(slot)
    order = np.argsort(slot[rows, columns])
    compiled = compile_vector if len(states) <= WRITTEN_OUT else compile_by_shape
    jacobian = SparseJacobian(compiled(names, entries), rows[order], columns[order], slot)
    return compiled(names, f), jacobian


def _moieties(conserved: Conserved, volumes: Sequence[sympy.Expr]) -> tuple[np.ndarray, list[sympy.Expr]]:
    """Sums of amounts as numbers, moieties × species, and what each number but 0 is multiplied with."""
    matrix = np.zeros((len(conserved.sums), len(volumes)))
    weights = []
    for row, one in zip(matrix, conserved.sums, strict=True):
        for i in sorted(one):
            number, factor = (one[i], sympy.Integer(1)) if one[i].is_Number else (1, one[i])
            row[i] = float(number)
            weights.append(factor * volumes[i])
    return matrix, weights


def _amounts(terms: Mapping[str, Terms], volumes: Sequence[sympy.Expr], alone: Collection[str]) -> list[Terms]:
    """The terms of the rate of change of each state's amount; those of `alone`, as time, are in no conserved sum."""
    return [
        [(sympy.Integer(1), sympy.Symbol(f"<d {n}>"))] if n in alone else [(c * v, r) for c, r in pairs]
        for (n, pairs), v in zip(terms.items(), volumes, strict=True)
    ]
