"""A network compiled to arrays: rates, Jacobian, initial values, conserved moieties."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float

from ..networks.formulas import TIME, bind_time, exact_exponents, inline, names_in
from ..networks.network import Network
from ..networks.volumes import check_network
from .balances import Conserved, conserved
from .canonical import content_hash
from .codegen import Name, compile_vector, guard
from .domain import RTOL, atol_of, bounded, margins
from .identity import model_parts
from .jumps import jumps, warning
from .kinetics import Kinetics
from .switches import Switches

log = logging.getLogger(__name__)

State = Float[Array, " species"]
Parameters = Float[Array, " parameters"]


@dataclass(frozen=True, eq=False)
class SparseJacobian:
    """∂f/∂y as a function of what f takes, `(y, p)`, to a dense matrix, which knows where its entries are.

    Entry k stands at `rows[k]`, `columns[k]`; `slot` holds k + 1 there and 0 elsewhere.
    """

    entries: Callable[..., Float[Array, " entries"]]
    rows: np.ndarray
    columns: np.ndarray
    slot: np.ndarray

    def __call__(self, y: State, *others: Array) -> Float[Array, "species species"]:
        return jnp.concatenate([jnp.zeros(1, y.dtype), self.entries(y, *others)])[self.slot]


@dataclass(frozen=True, eq=False)
class Model:
    """An autonomous ODE y' = f(y, p) with names.

    `species` names the state y (symbols in model units; a last state `time`, with derivative 1, where f or a rule
    depends on time explicitly; it is called `<time>` in a model that has something else of that name), `parameters`
    the vector p with default values `defaults` (NaN: none). The functions
    take a state and a parameter vector, without batch axes.

    - `rhs(y, p)`: species; per unit of time
    - `jacobian(y, p)`: species × species, ∂f/∂y
    - `switch_times(p)`: moments at which conditions in time change, if the rates hold any; `rhs(y, p, s)` and
      `jacobian(y, p, s)` then also take the switches s, 0 before its moment and 1 from then on, for each of them
    - `initial(p)`: the state at the start
    - `volumes(p)`: what turns a symbol into an amount (the compartment's volume, or 1)
    - `moieties`: moieties × species, numbers, and `weights(p)`: what each of them but 0 is multiplied with, row by row,
      a volume or with a factor of parameters (see `hexamer.models.compiled.balances`); `conserved(p) @ y` is constant
    - `nonnegative`: states that are amounts or concentrations
    - `margins`: expressions below 0 where f holds a power that is no number; `defined(y, p, rtol, atol)`: their values
    """

    name: str
    species: tuple[str, ...]
    parameters: tuple[str, ...]
    defaults: np.ndarray
    rhs: Callable[..., State]
    jacobian: Callable[..., Float[Array, "species species"]]
    initial: Callable[[Parameters], State]
    volumes: Callable[[Parameters], State]
    weights: Callable[[Parameters], State]
    moieties: np.ndarray
    dependent: tuple[int, ...]  # for each moiety, a species that follows from it
    rules: Mapping[str, sympy.Expr] = field(default_factory=dict)  # over species, parameters and time
    time_index: int | None = None
    network: Network | None = None
    kinetics: Kinetics | None = None
    rhs_depends_on_time: bool = False
    switch_times: Callable[[Parameters], Float[Array, " switches"]] | None = None
    nonnegative: tuple[str, ...] = ()
    margins: tuple[sympy.Expr, ...] = ()
    defined: Callable[..., Float[Array, " margins"]] | None = None

    @staticmethod
    def load(source: str | Path, *, independent: Collection[str] = ()) -> Model:
        """A compiled network: the name of a bundled one, or an Antimony or SBML file. See `compile_network`."""
        return compile_network(Network.load(source), independent=independent)

    @staticmethod
    def from_function(
        f: Callable[[Float[Array, ""], State, Mapping[str, Float[Array, ""]]], State],
        *,
        species: Sequence[str],
        parameters: Mapping[str, float],
        initial: Callable[[Mapping[str, Float[Array, ""]]], State] | Sequence[float],
        name: str = "model",
        depends_on_time: bool = False,
    ) -> Model:
        """A model from a plain JAX function `f(t, y, p)`, `p` a dict of parameters by name.

        `initial` is the start state, or a function of `p`. Where `f` uses `t`, say `depends_on_time=True`; raises
        `ValueError` where it does and that is not said.
        """
        return _from_function(f, tuple(species), dict(parameters), initial, name, depends_on_time)

    def index(self, name: str) -> int:
        """Position of species `name` in the state. Raises `KeyError` naming the known ones."""
        if name not in self.species:
            raise KeyError(f"{name!r} is no species of {self.name}; its species: {', '.join(self.species)}")
        return self.species.index(name)

    @property
    def switches(self) -> int:
        """How many switches the rates have; see `hexamer.models.compiled.switches`."""
        return len(self.kinetics.switches) if self.kinetics is not None else 0

    @cached_property
    def jumps(self) -> tuple[str, ...]:
        """A sentence for each condition on the state at which rates jump; see `hexamer.models.compiled.jumps`."""
        if self.kinetics is None:
            return ()
        rates: dict[str, list[sympy.Expr]] = {n: [] for n in self.species}
        for i, r, coefficient in self.kinetics.terms:
            rates[self.species[i]].append(coefficient * self.kinetics.rates[r])
        return tuple(jumps(rates, dict(zip(self.parameters, self.defaults.tolist(), strict=True))))

    @cached_property
    def in_stretch(self) -> Model:
        """The model between two moments of its switches: its p is a pair, the parameters and the switches."""
        inner = self.jacobian
        assert isinstance(inner, SparseJacobian)
        return replace(
            self,
            rhs=lambda y, p: self.rhs(y, *p),
            jacobian=replace(inner, entries=lambda y, p: inner.entries(y, *p)),
            defined=None if (defined := self.defined) is None else lambda y, p, *atol: defined(y, *p, *atol),
        )

    def conserved(self, p: Parameters) -> Float[Array, "moieties species"]:
        """The sums of symbols that nothing changes under `p`."""
        rows, columns = np.nonzero(self.moieties)
        return jnp.zeros(self.moieties.shape).at[rows, columns].set(self.moieties[rows, columns] * self.weights(p))

    @property
    def timed(self) -> bool:
        """True if a switch or the right-hand side depends on time."""
        return bool(self.switches) or self.rhs_depends_on_time

    @cached_property
    def at_rest(self) -> Model:
        """The model before time runs: its p has one more number at the end, the moment before which switches have gone.

        What else depends on time is taken at the start; a plan refuses it unless it is constant.
        """

        def switched(p: Parameters) -> Array:
            assert self.switch_times is not None
            return (self.switch_times(p[:-1]) < p[-1]).astype(p.dtype)

        def with_switches(f: Callable, y: State, p: Parameters, *tolerances: Array) -> Array:
            own = (p[:-1], switched(p)) if self.switches else (p[:-1],)
            return f(y, *own, *tolerances)

        return replace(
            self,
            rhs=partial(with_switches, self.rhs),
            jacobian=partial(with_switches, self.jacobian),
            defined=None if self.defined is None else partial(with_switches, self.defined),
            rhs_depends_on_time=False,
        )

    @property
    def names(self) -> frozenset[str]:
        """All that a formula over this model may use."""
        species = (n for i, n in enumerate(self.species) if i != self.time_index)
        return frozenset((*species, *self.parameters, *self.rules))

    @property
    def symbols(self) -> tuple[sympy.Symbol, ...]:
        """Those of the state in formulas; that of time is `TIME`, whatever the state is called."""
        return tuple(TIME if i == self.time_index else sympy.Symbol(n) for i, n in enumerate(self.species))

    @property
    def digest(self) -> str:
        """A hash of the model's content, the same on every machine; see `hexamer.models.compiled.identity`."""
        return content_hash(model_parts(self))


Terms = list[tuple[sympy.Expr, sympy.Expr]]  # (coefficient, rate)


def _state_of(network: Network) -> dict[str, Terms]:
    """Symbols that change, and what the derivative of each is the sum of."""
    derivative: dict[str, Terms] = {}
    for name, species in network.species.items():
        if name not in network.rates and not species.fixed and name not in network.rules:
            derivative[name] = []
        elif name in network.rates:
            derivative[name] = [(sympy.Integer(1), network.rates[name])]
    for name, rate in network.rates.items():
        derivative.setdefault(name, [(sympy.Integer(1), rate)])
    for reaction in network.reactions:
        for name, number in reaction.stoichiometry.items():
            species = network.species.get(name)
            if species is None:
                raise ValueError(f"reaction {reaction.name} changes {name!r}, which is no species")
            if species.fixed or name in network.rules or name in network.rates:
                continue
            volume = sympy.Integer(1) if species.amount else sympy.Symbol(species.compartment)
            derivative[name].append((number / volume, reaction.rate))
    return derivative


def compile_network(network: Network, *, independent: Collection[str] = ()) -> Model:
    """Compiles a network: rates, Jacobian, initial values and moieties as JAX functions.

    Parameters with an initial assignment follow from the others and do not appear in the parameter vector, unless
    named in `independent`: then the assignment is dropped and the name becomes a parameter without default.
    """
    _check_names(network)
    check_network(network)
    network = _with_time(network)
    derivative = _state_of(network)
    states = list(derivative)
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
    assigned = {n: e for n, e in assigned.items() if n not in independent}

    rates = {r.name: r.rate for r in network.reactions if r.name not in network.rules}
    at_start = inline({**rates, **start, **network.rules, **assigned})
    at_start = {n: e.xreplace({TIME: sympy.Integer(0)}) for n, e in at_start.items()}
    # What an initial assignment takes from the state is its start value, whatever the state becomes.
    rules = inline({**rates, **network.rules, **{n: at_start[n] for n in assigned}})
    written = [sympy.sympify(e) for pairs in derivative.values() for pair in pairs for e in pair]
    substitution = exact_exponents({sympy.Symbol(n): e for n, e in rules.items()}, written)
    terms = {
        n: [(sympy.sympify(c).xreplace(substitution), sympy.sympify(r).xreplace(substitution)) for c, r in pairs]
        for n, pairs in derivative.items()
    }
    parameters = tuple(n for n in quantities if n not in rules and n not in start)
    initial = [at_start[n] for n in states]
    public = {n: e for n, e in rules.items() if n in network.rules}

    switches = Switches(states)
    terms = {
        n: [tuple(switches.freeze(e, f"{network.name}, rate of change of {n}") for e in pair) for pair in pairs]
        for n, pairs in terms.items()
    }
    depends = any(TIME in e.free_symbols for pairs in terms.values() for pair in pairs for e in pair)
    time_index = None
    # A model in which nothing changes has time for its state, as an engine solves no fewer than one.
    if depends or not states or any(TIME in e.free_symbols for e in public.values()):
        time_index = len(states)
        clock = _clock({*states, *parameters, *rules})
        states, initial = [*states, clock], [*initial, sympy.Integer(0)]
        terms[clock] = [(sympy.Integer(1), sympy.Integer(1))]
    volume = [
        sympy.Integer(1)
        if n not in network.species or network.species[n].amount
        else sympy.Symbol(network.species[n].compartment)
        for n in states
    ]
    volume = [sympy.sympify(v).xreplace(substitution) for v in volume]
    volume = list(map(bounded, volume))
    clock = None if time_index is None else states[time_index]
    order = [sympy.sympify(r.rate).xreplace(substitution) for r in network.reactions]
    sums = conserved(_amounts(terms, volume, clock), [sympy.Symbol(n) for n in parameters], order)
    moieties, weights = _moieties(sums, volume)
    kinetics = Kinetics.of(
        [terms[n] for n in states],
        list(map(bounded, initial)),
        volume,
        weights,
        switches.names,
        switches.times,
    )
    f = kinetics.derivatives()

    symbols = [TIME if i == time_index else sympy.Symbol(n) for i, n in enumerate(states)]
    unknown = names_in(*f, *initial, *switches.times)
    unknown -= {s.name for s in symbols} | {*parameters, *switches.names}
    if unknown:
        raise ValueError(f"network {network.name!r} uses names it does not define: {', '.join(sorted(unknown))}")
    names = (symbols, parameters, switches.names) if switches.names else (symbols, parameters)
    rhs, jacobian = _with_jacobian(names, f)
    least = tuple(margins(f, [s.name for s in symbols]))
    tolerances = ([RTOL.name], [atol_of(s.name).name for s in symbols])
    model = Model(
        name=network.name,
        species=tuple(states),
        parameters=parameters,
        defaults=np.array([quantities[n] for n in parameters]),
        rhs=rhs,
        jacobian=jacobian,
        initial=compile_vector((parameters,), kinetics.initial),
        volumes=compile_vector((parameters,), kinetics.volumes),
        weights=compile_vector((parameters,), kinetics.weights),
        moieties=moieties,
        dependent=sums.dependent,
        rules=public,
        time_index=time_index,
        network=network,
        kinetics=kinetics,
        rhs_depends_on_time=depends,
        switch_times=compile_vector((parameters,), switches.times) if switches.times else None,
        nonnegative=tuple(n for n in states if n in network.species),
        margins=least,
        defined=compile_vector((*names, *tolerances), least) if least else None,
    )
    if model.jumps:
        log.warning("%s: %s", model.name, warning(model.jumps))
    return model


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
        reactions=tuple(replace(r, rate=bind_time(sympy.sympify(r.rate), ())) for r in network.reactions),
        rules=bound(network.rules),
        rates=bound(network.rates),
        initial=bound(network.initial),
    )


def _clock(taken: Collection[str]) -> str:
    """What the state that is time is called."""
    return TIME.name if "time" in taken else "time"


def _start(network: Network, name: str) -> sympy.Expr:
    """The start value of a parameter that has a rate rule."""
    return network.initial.get(name, sympy.Float(network.parameters[name].value))


def _with_jacobian(names: Sequence[Sequence[Name]], f: list[sympy.Expr]) -> tuple[Callable, Callable]:
    states = names[0]
    f = [guard(e) for e in f]
    entries: list[sympy.Expr] = []
    slot = np.zeros((len(states), len(states)), dtype=int)  # 0: a structural zero
    for i, expression in enumerate(f):
        for j, symbol in enumerate(states):
            if symbol in expression.free_symbols:
                entry = sympy.diff(expression, symbol)
                if entry != 0:
                    entries.append(entry)
                    slot[i, j] = len(entries)
    rows, columns = np.nonzero(slot)
    order = np.argsort(slot[rows, columns])
    jacobian = SparseJacobian(compile_vector(names, entries), rows[order], columns[order], slot)
    return compile_vector(names, f), jacobian


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


def _amounts(terms: Mapping[str, Terms], volumes: Sequence[sympy.Expr], clock: str | None) -> list[Terms]:
    """What the amount of each state changes by; the time, `clock`, changes by what nothing else does."""
    own: Terms = [(sympy.Integer(1), sympy.Symbol("<dt>"))]
    return [
        own if n == clock else [(c * v, r) for c, r in pairs]
        for (n, pairs), v in zip(terms.items(), volumes, strict=True)
    ]


def _from_function(f, species, parameters, initial, name, depends_on_time) -> Model:
    keys = tuple(parameters)

    def as_dict(p: Parameters) -> dict[str, Float[Array, ""]]:
        return {k: p[i] for i, k in enumerate(keys)}

    count = len(species)
    if twice := sorted(n for n, count in Counter((*species, *keys)).items() if count > 1):
        raise ValueError(
            f"model {name!r} has two things called {', '.join(twice)}: names of species and parameters differ"
        )
    states = (*species, _clock({*species, *keys})) if depends_on_time else species
    if not depends_on_time and _uses_first(f, jnp.zeros(()), jnp.zeros(count), as_dict(jnp.ones(len(keys)))):
        raise ValueError(f"f of model {name!r} uses the time t: say depends_on_time=True")

    def rhs(y: State, p: Parameters) -> State:
        t = y[count] if depends_on_time else jnp.zeros((), y.dtype)
        dy = jnp.asarray(f(t, y[:count], as_dict(p)))
        if dy.shape != (count,):
            raise ValueError(
                f"f of model {name!r} returned shape {dy.shape}; expected ({count},), one for each species"
            )
        return jnp.append(dy, 1.0) if depends_on_time else dy

    def start(p: Parameters) -> State:
        y = jnp.asarray(initial(as_dict(p)) if callable(initial) else initial, float)
        return jnp.append(y, 0.0) if depends_on_time else y

    return Model(
        name=name,
        species=states,
        parameters=keys,
        defaults=np.array([float(v) for v in parameters.values()]),
        rhs=rhs,
        jacobian=jax.jacfwd(rhs),
        initial=start,
        volumes=partial(_ones, len(states)),
        weights=partial(_ones, 0),
        moieties=np.zeros((0, len(states))),
        dependent=(),
        time_index=count if depends_on_time else None,
        rhs_depends_on_time=depends_on_time,
    )


def _uses_first(f: Callable, *arguments) -> bool:
    """Whether the result of `f` depends on its first argument."""
    traced = jax.make_jaxpr(f)(*arguments).jaxpr
    needed = {id(v) for v in traced.outvars}
    for equation in reversed(traced.eqns):
        if any(id(v) in needed for v in equation.outvars):
            needed |= {id(v) for v in equation.invars}
    return id(traced.invars[0]) in needed


def _ones(count: int, p: Parameters) -> State:
    return jnp.ones(count, p.dtype)
