"""`simulate`: trajectories of a model under protocols, for a whole batch of parameter sets."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from .compiled.constraints import constraint_warning as failing
from .compiled.constraints import first_failures
from .compiled.model import Model
from .compiled.observe import grid_reader
from .compiled.plan import Plan, compile_plan
from .compiled.volumes import check_volumes
from .listing import did_you_mean
from .protocols.protocol import Protocol
from .solvers.below_zero import below_zero_warning, by_species, lowest, reading_atol
from .solvers.disk_cache import keep_compiled_code
from .solvers.dispatch import falls_back, solve
from .solvers.placement import default_platform, note_ignored, placed
from .solvers.settings import Settings, Tolerances
from .solvers.solution import Solution
from .solvers.solver import Solver
from .solvers.tolerances import checked

log = logging.getLogger(__name__)


class Trajectories(NamedTuple):
    """Simulated trajectories; leading axes (…) are those of the parameters.

    Attributes
    ----------
    times : array, times
        In the model's unit (min).
    y : array, … × protocols × times × species
        In model units (nM); NaN if the solve failed.
    status : array of int, … × protocols
        A `Status` each, dimensionless.
    steps, rejected : array of int, … × protocols
        The solver's steps, and those of them that it rejected; counts, dimensionless.
    observed : dict of arrays, … × protocols × times
        By observable, in the units of its formula.
    constraints : dict of arrays, … × protocols
        By constraint of the model: the time of the first output at which it does not hold, in the model's unit; NaN if
        it holds at all.
    """

    times: Float[Array, " times"]
    y: Float[Array, "*batch protocols times species"]
    status: Int[Array, "*batch protocols"]
    steps: Int[Array, "*batch protocols"]
    rejected: Int[Array, "*batch protocols"]
    observed: dict[str, Float[Array, "*batch protocols times"]]
    constraints: dict[str, Float[Array, "*batch protocols"]]

    def __repr__(self) -> str:
        shape = " × ".join(map(str, np.shape(self.y)))
        observed = f", observed: {', '.join(self.observed)}" if self.observed else ""
        return f"Trajectories(y: {shape}{observed})"


def require_x64() -> None:
    """Raises `RuntimeError` where 64-bit floats are off."""
    if not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise RuntimeError(
            "hexamer solves in float64, and jax_enable_x64 is off: "
            "importing hexamer turns it on; remove what turns it off"
        )


@falls_back
def simulate(
    model: Model,
    parameters: Mapping[str, ArrayLike],
    protocols: Protocol | Sequence[Protocol],
    times: ArrayLike | Sequence[float],
    *,
    observe: Sequence[str] = (),
    rtol: ArrayLike | None = None,
    atol: ArrayLike | None = None,
    solver: Solver | None = None,
    settings: Settings = Settings(),  # noqa: B008
    engine: str | None = None,
) -> Trajectories:
    """Simulates a model under each of several protocols.

    Works under `jax.jit`, `jax.vmap` and `jax.grad` (with `Diffrax(derivative="forward")`, `jax.jvp` instead). A
    failed trajectory is NaN with zero gradient; `status` says why. A logged warning names species that the model takes
    below 0, and constraints of the model that do not hold at an output.

    Parameters
    ----------
    model : Model
        What is simulated.
    parameters : dict of arrays
        Values by name in the model's units, scalars or arrays of one common shape (chains, draws, …), which becomes the
        leading axes of the result; the model's defaults fill in what is not named. Names that are not parameters of the
        model may be used by the protocols, as doses.
    protocols : Protocol or sequence of Protocol
        What is done to the cells.
    times : array, times
        In the model's unit (min).
    observe : sequence of str
        Rules of the model, or formulas over its names.
    rtol, atol : array, optional
        Error per step: relative (dimensionless), and absolute in the model's units; by default those of `settings`.
        Scalars or arrays of the parameters' shape, so that each set may have its own. They are data, not code: other
        numbers need no new compilation under `jax.jit`, and nothing is differentiated with respect to them.
    solver : Fused, Diffrax or Auto, optional
        By default that of `settings`.
    settings : Settings
        Solver and tolerances.
    engine : str, optional
        The old word for `solver`, for one release: `"fused"`, `"diffrax"` or `"auto"`.

    Returns
    -------
    Trajectories
        States, statuses and observables.

    Raises
    ------
    ValueError
        Naming what is wrong with protocols, times, names or tolerances. Traced tolerances have no numbers yet: invalid
        ones fail their trajectories, as `Status.NOT_FINITE`.
    RuntimeError
        If 64-bit floats are off.
    TypeError
        For a name in place of a model, and for text in place of protocols or numbers.
    DerivativeError
        For forward mode and second derivatives of a solve made for reverse mode, saying which settings have them.
    """
    require_x64()
    keep_compiled_code()
    _check_types(model, parameters, protocols, times, settings)
    if engine is not None:
        settings = replace(settings, engine=engine)  # which warns
    if solver is not None:
        settings = replace(settings, solver=solver)
    batch = [protocols] if isinstance(protocols, Protocol) else list(protocols)
    at = np.atleast_1d(np.asarray(times, dtype=float))
    if at.ndim != 1 or not at.size:
        raise ValueError(f"times must be a non-empty vector, not of shape {np.shape(times)}")
    used = frozenset().union(*(q.references for q in batch))
    unknown = sorted(set(parameters) - set(model.parameters) - used)
    if unknown:
        raise ValueError(
            f"{', '.join(unknown)}: not among the parameters of {model.name}; its parameters: "
            f"{', '.join(model.parameters)}{did_you_mean(unknown, model.parameters)}"
        )
    names = tuple(parameters)
    shape = jnp.broadcast_shapes(*map(jnp.shape, parameters.values()))
    _check_doses(model, batch, parameters)
    check_volumes(model, parameters, batch)
    plan = compile_plan(model, batch, [at.tolist()] * len(batch), names, _numbers(parameters))
    values = [jnp.broadcast_to(jnp.asarray(parameters[n], float), shape) for n in names]
    stacked = jnp.stack(values, -1) if values else jnp.zeros((0,))
    tolerances = Tolerances(checked("rtol", rtol, shape, settings), checked("atol", atol, shape, settings))  # pyright: ignore[reportArgumentType]
    solve_all = _compiled(model, plan, settings, tuple(observe), len(shape))
    # JAX decides where it computes what is traced, and what the user has put on a device.
    decided = isinstance(stacked, Tracer) or stacked.committed
    if isinstance(stacked, Tracer):
        note_ignored(settings, "JAX decides where it computes what it compiles or transforms", {default_platform()})
    elif decided:
        where = stacked.devices()
        kinds = {d.platform for d in where}
        note_ignored(settings, f"parameters lie on {', '.join(map(str, where))}, where they were put", kinds)
    with contextlib.nullcontext() if decided else placed(math.prod(shape) * len(batch), settings):
        solution, observed, constraints = solve_all(stacked, tolerances)
    if not isinstance(solution.y, Tracer) and not isinstance(tolerances.rtol, Tracer) and solution.y.size:
        loosest = (None if x is None else float(np.max(x)) for x in tolerances)
        if note := below_zero_warning(by_species(model, lowest(model, np.asarray(solution.y), *loosest))):  # pyright: ignore[reportArgumentType]
            log.warning("%s: %s", model.name, note)
    if constraints and model.network is not None and not isinstance(solution.y, Tracer):
        failures = {n: np.asarray(times) for n, times in constraints.items()}
        if note := failing(model.network.constraints, failures):
            log.warning("%s: %s", model.name, note)
    at = jnp.asarray(at)
    return Trajectories(at, solution.y, solution.status, solution.steps, solution.rejected, observed, constraints)


@lru_cache(maxsize=64)
def _compiled(
    model: Model, plan: Plan, settings: Settings, observe: tuple[str, ...], axes: int
) -> Callable[[Float[Array, "*batch names"], Tolerances], tuple[Solution, dict[str, Array], dict[str, Array]]]:
    """What `simulate` calls, the same function for the same arguments, so that it is compiled once for each shape."""
    read, first = grid_reader(model, plan, observe), first_failures(model, plan)

    def one(v: Float[Array, " names"], tolerances: Tolerances) -> tuple[Solution, dict[str, Array], dict[str, Array]]:
        solution = solve(model, plan, settings, v, tolerances=tolerances)
        atol = reading_atol(model, solution.y, tolerances.rtol, tolerances.atol)
        observed = dict(zip(observe, read(v, solution.y, tolerances.rtol, atol), strict=True))
        return solution, observed, first(v, solution.y, tolerances.rtol, atol)

    for _ in range(axes):
        one = jax.vmap(one)
    return jax.jit(one)


def _check_types(
    model: object, parameters: Mapping[str, object], protocols: object, times: object, settings: object
) -> None:
    """Raises `TypeError` for a name in place of a model, for text in place of protocols or numbers, and the like."""
    if not isinstance(model, Model):
        meant = f"load_model({model!r}) makes one" if isinstance(model, str) else "load_model makes one"
        raise TypeError(f"simulate takes a Model, not {model!r}: {meant}")
    texts = [protocols] if isinstance(protocols, str) else protocols if isinstance(protocols, Sequence) else []
    if text := next((t for t in texts if isinstance(t, str)), None):
        raise TypeError(
            f"a protocol is a Protocol, such as Protocol().add('L', 1.0), not {text!r}; "
            "hexamer.models.protocols.text.parse_protocol reads text"
        )
    if text := next(((n, v) for n, v in parameters.items() if isinstance(v, str)), None):
        raise TypeError(f"the parameter {text[0]} is {text[1]!r}: give a number")
    if isinstance(times, str):
        raise TypeError(f"times must be numbers, such as np.linspace(0, 60, 61), not the text {times!r}")
    if not isinstance(settings, Settings):
        raise TypeError(f"settings must be Settings(...) of hexamer, not {settings!r}")


def _numbers(parameters: Mapping[str, ArrayLike]) -> dict[str, float]:
    """The values that are one number, known now."""
    known = {n: v for n, v in parameters.items() if not isinstance(v, Tracer) and np.size(v) == 1}
    return {n: float(np.ravel(np.asarray(v))[0]) for n, v in known.items()}


def _check_doses(model: Model, protocols: Sequence[Protocol], parameters: Mapping[str, ArrayLike]) -> None:
    """Raises `ValueError` for negative amounts of species; those that are traced have no numbers yet."""
    species = set() if model.network is None else set(model.network.species)
    used = {n: parameters[n] for q in protocols for n in q.references if n in parameters}
    known = {n: float(np.min(np.asarray(v))) for n, v in used.items() if not isinstance(v, Tracer) and np.size(v)}
    for q in protocols:
        q.check_doses(species, known)
