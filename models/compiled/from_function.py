"""A model from a Python function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .model import Model, Parameters, State, clock_name


def compile_function(
    f: Callable[[Float[Array, ""], State, Mapping[str, Float[Array, ""]]], State],
    *,
    species: Sequence[str],
    parameters: Mapping[str, float],
    initial: Callable[[Mapping[str, Float[Array, ""]]], State] | Sequence[float],
    name: str = "model",
    depends_on_time: bool = False,
) -> Model:
    """A model from a plain JAX function.

    Parameters
    ----------
    f : callable
        `f(t, y, p)`: the derivatives of the species, in their units per unit of time; `p` is a dict of parameters by
        name.
    species : sequence of str
        Names of y.
    parameters : dict of float
        Default values by name, in units of your choice.
    initial : sequence of float or callable
        The start state, or a function of `p` that returns it, in the units of the species.
    name : str
        Of the model.
    depends_on_time : bool
        Whether `f` uses `t`.

    Returns
    -------
    Model
        Without a network.

    Raises
    ------
    ValueError
        If two names are the same, or if `f` uses `t` without `depends_on_time=True`.

    Examples
    --------
    >>> model = compile_function(
    ...     lambda t, y, p: -p["k"] * y, species=["A"], parameters={"k": 0.1}, initial=[1.0]
    ... )
    >>> model.species
    ('A',)
    """
    species, keys = tuple(species), tuple(parameters)

    def as_dict(p: Parameters) -> dict[str, Float[Array, ""]]:
        return {k: p[i] for i, k in enumerate(keys)}

    count = len(species)
    if twice := sorted(n for n, times in Counter((*species, *keys)).items() if times > 1):
        raise ValueError(
            f"model {name!r} has two things called {', '.join(twice)}: names of species and parameters differ"
        )
    states = (*species, clock_name({*species, *keys})) if depends_on_time else species
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
    """True if the result of `f` depends on its first argument."""
    traced = jax.make_jaxpr(f)(*arguments).jaxpr
    needed = {id(v) for v in traced.outvars}
    for equation in reversed(traced.eqns):
        if any(id(v) in needed for v in equation.outvars):
            needed |= {id(v) for v in equation.invars}
    return id(traced.invars[0]) in needed


def _ones(count: int, p: Parameters) -> State:
    return jnp.ones(count, p.dtype)
