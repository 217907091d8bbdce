"""An ODE as functions of arrays, with names: rates, Jacobian, initial values, conserved moieties."""

# sympy's annotations say Basic where an expression is meant.
# pyright: reportArgumentType=false, reportReturnType=false, reportAssignmentType=false
# pyright: reportIncompatibleMethodOverride=false
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float

from ... import html
from ...moved import rename_attribute
from ..listing import counted, did_you_mean
from ..networks.formulas import TIME, to_infix
from ..networks.network import Network
from .events import Events
from .jumps import find_jumps
from .kinetics import Kinetics

State = Float[Array, " species"]
Parameters = Float[Array, " parameters"]


@dataclass(frozen=True, eq=False)
class SparseJacobian:
    """∂f/∂y as a function of what f takes, `(y, p)`, to a dense matrix, which knows where its entries are.

    Between two moments of a model's switches p is a pair of arrays, the parameters and the switches.

    Entry k stands at `rows[k]`, `columns[k]`; `slot` holds k + 1 there and 0 elsewhere.
    """

    entries: Callable[..., Float[Array, " entries"]]
    rows: np.ndarray
    columns: np.ndarray
    slot: np.ndarray

    def __call__(self, y: State, *others: Array | tuple[Array, ...]) -> Float[Array, "species species"]:
        return jnp.concatenate([jnp.zeros(1, y.dtype), self.entries(y, *others)])[self.slot]


@dataclass(frozen=True, eq=False)
class Model:
    """An autonomous ODE y' = f(y, p) with names.

    The functions take a state and a parameter vector, without batch axes.

    Attributes
    ----------
    name : str
        Of the model.
    species : tuple of str
        Names of the state y: symbols in model units, and, if f or a rule depends on time explicitly, a last state
        `time` with derivative 1 (called `<time>` in a model that has something else of that name).
    parameters : tuple of str
        Names of the vector p.
    defaults : array, parameters
        Default values of p in the model's units; NaN: none.
    rhs : callable
        `rhs(y, p)`: f, species, in model units per unit of time.
    jacobian : callable
        `jacobian(y, p)`: ∂f/∂y, species × species, per unit of time.
    initial : callable
        `initial(p)`: the state at the start, in model units.
    volumes : callable
        `volumes(p)`: what turns each symbol into an amount: the compartment's volume in model units, or 1. Of a
        volume that moves it is the one at the start.
    weights : callable
        `weights(p)`: what each non-zero entry of `moieties` is multiplied with, row by row: a volume in model units, or
        with a factor of parameters (see `hexamer.models.compiled.balances`).
    moieties : array, moieties × species
        Numbers (dimensionless) of the conserved sums; `conserved(p) @ y` is constant.
    dependent : tuple of int
        For each moiety, the position of a species that follows from it.
    rules : dict
        Formulas by name, over species, parameters and time.
    computed : dict
        What else formulas may use, over the same: parameters and volumes that an initial assignment gives, and rates of
        reactions, amount per time.
    time_index : int, optional
        Position of the state that is time.
    network : Network, optional
        What the model was compiled from.
    kinetics : Kinetics, optional
        Rates and stoichiometries as formulas.
    rhs_depends_on_time : bool
        Whether f depends on time other than by switches.
    switch_times : callable, optional
        `switch_times(p)`: moments, in the model's unit of time, at which conditions in time change, if the rates hold
        any; `rhs(y, p, s)` and `jacobian(y, p, s)` then also take the switches s, 0 before its moment and 1 from then
        on.
    events : Events, optional
        What sets states when switches go; see `hexamer.models.compiled.events`. A parameter that an event changes is
        also a state of that name: the parameter is its value at the start, and formulas mean the state.
    nonnegative : tuple of str
        States that are amounts or concentrations.
    margins : tuple of expressions
        Below 0 where f holds a power that is not a real number.
    defined : callable, optional
        `defined(y, p, rtol, atol)`: the values of `margins`, in model units.
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
    dependent: tuple[int, ...]
    rules: Mapping[str, sympy.Expr] = field(default_factory=dict)
    computed: Mapping[str, sympy.Expr] = field(default_factory=dict)
    time_index: int | None = None
    network: Network | None = None
    kinetics: Kinetics | None = None
    rhs_depends_on_time: bool = False
    switch_times: Callable[[Parameters], Float[Array, " switches"]] | None = None
    events: Events | None = None
    nonnegative: tuple[str, ...] = ()
    margins: tuple[sympy.Expr, ...] = ()
    defined: Callable[..., Float[Array, " margins"]] | None = None

    def __repr__(self) -> str:
        return f"Model({self.name!r}, {counted(self.species, 'species')}, {counted(self.parameters, 'parameter')})"

    def _repr_html_(self) -> str:
        """For notebooks: parameters, species and rules, the first of each. Nothing is compiled."""
        network = self.network
        stated = {} if network is None else {**network.compartments, **network.parameters, **network.species}
        units = {name: thing.unit for name, thing in stated.items()}
        parameters = html.table(
            ("name", "default", "unit"),
            list(zip(self.parameters, self.defaults.tolist(), strict=True)),
            lambda item: (*item, units.get(item[0], "")),
        )
        species = [n for i, n in enumerate(self.species) if i != self.time_index]
        rules = html.table(("name", "formula"), self.rules.items(), lambda rule: (rule[0], to_infix(rule[1])))
        return html.form(
            repr(self),
            html.section(counted(self.parameters, "parameter"), parameters, unfolded=True),
            html.section(
                counted(species, "species"), html.table(("name", "unit"), species, lambda n: (n, units.get(n, "")))
            ),
            html.section(counted(self.rules, "rule"), rules),
        )

    def index(self, name: str) -> int:
        """Position of a species in the state.

        Parameters
        ----------
        name : str
            The species; `KeyError` for an unknown one, naming the known ones.
        """
        if name not in self.species:
            near = did_you_mean(name, self.species)
            raise KeyError(f"{name!r} is not a species of {self.name}; its species: {', '.join(self.species)}{near}")
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
        return tuple(find_jumps(rates, dict(zip(self.parameters, self.defaults.tolist(), strict=True))))

    @cached_property
    def between_switches(self) -> Model:
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
        """The sums of symbols that nothing changes under `p`.

        Parameters
        ----------
        p : array, parameters
            Parameters in the model's units.
        """
        rows, columns = np.nonzero(self.moieties)
        return jnp.zeros(self.moieties.shape).at[rows, columns].set(self.moieties[rows, columns] * self.weights(p))

    @property
    def timed(self) -> bool:
        """True if a switch or the right-hand side depends on time."""
        return bool(self.switches) or self.rhs_depends_on_time

    @cached_property
    def for_steady_state(self) -> Model:
        """The model for pre-equilibration: its p ends with one more number, the moment up to which switches have acted.

        All else that depends on time is evaluated at the start; a plan refuses it unless it is constant.
        """

        def switched(p: Parameters) -> Array:
            assert self.switch_times is not None
            return (self.switch_times(p[:-1]) < p[-1]).astype(p.dtype)

        def with_switches(f: Callable, y: State, p: Parameters, *tolerances: Array) -> Array:
            values = (p[:-1], switched(p)) if self.switches else (p[:-1],)
            return f(y, *values, *tolerances)

        return replace(
            self,
            rhs=partial(with_switches, self.rhs),
            jacobian=partial(with_switches, self.jacobian),
            defined=None if self.defined is None else partial(with_switches, self.defined),
            rhs_depends_on_time=False,
        )

    @cached_property
    def unused(self) -> frozenset[str]:
        """Parameters that no rate, start value, volume, event or rule holds: they need no value."""
        if self.kinetics is None:
            return frozenset()
        used = {str(s) for e in (*self.kinetics.expressions, *self.rules.values()) for s in e.free_symbols}
        return frozenset(n for n, symbol in zip(self.parameters, self.arguments, strict=True) if symbol not in used)

    @property
    def names(self) -> frozenset[str]:
        """All that a formula over this model may use."""
        species = (n for i, n in enumerate(self.species) if i != self.time_index)
        return frozenset((*species, *self.parameters, *self.formulas))

    @property
    def formulas(self) -> dict[str, sympy.Expr]:
        """Rules, and what else is computed, by name."""
        return {**self.computed, **self.rules}

    @property
    def arguments(self) -> tuple[str, ...]:
        """What formulas call the parameters; that of a state which events change is its value at the start."""
        return arguments_of(self.parameters, self.species)

    @property
    def symbols(self) -> tuple[sympy.Symbol, ...]:
        """Those of the state in formulas; that of time is `TIME`, whatever the state is called."""
        return tuple(TIME if i == self.time_index else sympy.Symbol(n) for i, n in enumerate(self.species))


rename_attribute(Model, "in_stretch", "between_switches")


def arguments_of(parameters: Collection[str], states: Collection[str]) -> tuple[str, ...]:
    """What formulas call each of `parameters`, of which some are the values at the start of `states`."""
    return tuple(at_start(n) if n in states else n for n in parameters)


def at_start(name: str) -> str:
    """What formulas call the value at the start of a parameter that events change; no identifier can hold a space."""
    return f"{name} at the start"


def clock_name(taken: Collection[str]) -> str:
    """The name of the state that is time, in a model that has these names."""
    return TIME.name if "time" in taken else "time"
