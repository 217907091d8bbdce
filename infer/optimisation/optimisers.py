"""Optimisers of other libraries behind one protocol: optax's gradient transformations, optimistix's minimisers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
import optimistix
from jaxtyping import Array, Bool, Float

from ..problem.parameter_space import Z

PointObjective = Callable[[Z], Float[Array, ""]]
"""An objective of one z, infinite if a simulation fails; it can be differentiated in reverse mode."""

_SHORTER = 0.2  # of a step that ends where the simulation fails
_SHORTEST = 1e-12  # of a step; then the run is given up


class RunVerdict(NamedTuple):
    """Two flags of a run: it meets the optimiser's own tolerances, or it cannot go on."""

    converged: Bool[Array, ""]
    failed: Bool[Array, ""]


@runtime_checkable
class Optimiser(Protocol):
    """One run, as functions that JAX compiles. A state is a pytree of arrays of constant shapes."""

    def init(self, objective: PointObjective, z: Z) -> Any:
        """The state of a run that begins at z."""
        ...

    def step(self, objective: PointObjective, state: Any) -> Any:
        """The state after one iteration, or after a trial that was rejected."""
        ...

    def position(self, state: Any) -> Z:
        """The current point; it stays the same after a rejected step."""
        ...

    def verdict(self, objective: PointObjective, state: Any) -> RunVerdict: ...


class _Descent(NamedTuple):
    z: Z
    value: Float[Array, ""]
    gradient: Z
    inner: Any  # optax's state
    shrink: Float[Array, ""]  # factor of the next step, below 1 after steps that failed


@dataclass(frozen=True)
class OptaxOptimiser:
    """A gradient transformation. A step that ends where the simulation fails is rejected, and tried at a fifth."""

    transformation: optax.GradientTransformationExtraArgs

    def init(self, objective: PointObjective, z: Z) -> _Descent:
        value, gradient = jax.value_and_grad(objective)(z)
        return _Descent(z, value, gradient, self.transformation.init(z), jnp.ones(()))

    def step(self, objective: PointObjective, state: _Descent) -> _Descent:
        known = {"value": state.value, "grad": state.gradient, "value_fn": objective}
        updates, inner = self.transformation.update(state.gradient, state.inner, state.z, **known)
        z = state.z + state.shrink * jnp.asarray(updates)
        # A line search has evaluated where it ends, and keeps that in its state. It would end there again.
        value, gradient = (optax.tree.get(inner, name) for name in ("value", "grad"))
        shorter = 0.0
        if value is None or gradient is None:
            value, gradient = jax.value_and_grad(objective)(z)
            shorter = _SHORTER * state.shrink
        fine = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))
        moved = _Descent(z, value, gradient, inner, jnp.ones(()))
        return jax.tree.map(partial(jnp.where, fine), moved, state._replace(shrink=jnp.asarray(shorter)))

    def position(self, state: _Descent) -> Z:
        return state.z

    def verdict(self, objective: PointObjective, state: _Descent) -> RunVerdict:
        return RunVerdict(jnp.array(False), state.shrink < _SHORTEST)  # optax has no criterion of its own


class _Iterate(NamedTuple):
    z: Z
    inner: Any  # optimistix's state


@dataclass(frozen=True)
class OptimistixOptimiser:
    """A minimiser. A step is one trial point, accepted or not."""

    minimiser: optimistix.AbstractMinimiser

    def init(self, objective: PointObjective, z: Z) -> _Iterate:
        value = jax.ShapeDtypeStruct((), z.dtype)
        inner = self.minimiser.init(_with_arguments(objective), z, None, {}, value, None, frozenset())
        return _Iterate(z, inner)

    def step(self, objective: PointObjective, state: _Iterate) -> _Iterate:
        function = _with_arguments(objective)
        z, inner, _ = self.minimiser.step(function, state.z, None, {}, state.inner, frozenset())
        return _Iterate(z, inner)

    def position(self, state: _Iterate) -> Z:
        return state.z

    def verdict(self, objective: PointObjective, state: _Iterate) -> RunVerdict:
        function = _with_arguments(objective)
        ended, result = self.minimiser.terminate(function, state.z, None, {}, state.inner, frozenset())
        fine = result == optimistix.RESULTS.successful
        return RunVerdict(ended & fine, ~fine)


def _with_arguments(objective: PointObjective) -> Callable[[Z, Any], tuple[Float[Array, ""], None]]:
    """The signature that optimistix calls: of z and arguments, the value and what goes with it."""
    return lambda z, _: (objective(z), None)


def _of_optax(transformation: optax.GradientTransformation) -> Optimiser:
    return OptaxOptimiser(optax.with_extra_args_support(transformation))


_ADAPTERS: tuple[tuple[type, Callable[[Any], Optimiser]], ...] = (
    (optax.GradientTransformation, _of_optax),
    (optimistix.AbstractMinimiser, OptimistixOptimiser),
)


def adapted(optimiser: object) -> Optimiser:
    """An optimiser of optax or optimistix, behind the protocol.

    Raises `TypeError` for what is neither an optax gradient transformation nor an optimistix minimiser.
    """
    for kind, adapter in _ADAPTERS:
        if isinstance(optimiser, kind):
            return adapter(optimiser)
    name = getattr(optimiser, "__name__", None)
    what = f"{name} itself: call it first, as in {name}(...)" if name else _shown(optimiser)
    raise TypeError(
        "optimiser must be None for hexamer's L-BFGS, an optax.GradientTransformation such as optax.lbfgs(), or an "
        f"optimistix.AbstractMinimiser such as optimistix.BFGS(rtol=1e-8, atol=1e-8), not {what}"
    )


def _shown(value: object) -> str:
    """Text and numbers as they are, of other objects the class: their text may fill many lines."""
    return repr(value) if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"
