"""A calibration problem: a model, measurements and priors, joined into one log density."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ...data.dataset import Dataset
from ...data.deviations import find_deviations
from ...data.parameter import Parameter
from ...models.compiled.model import Model
from ...models.compiled.volumes import check_volumes
from ...models.listing import check_word, counted
from ...models.simulation import require_x64
from ...models.solvers.disk_cache import keep_compiled_code
from ...models.solvers.dispatch import falls_back
from ...models.solvers.placement import placed
from ...models.solvers.settings import Settings
from ...models.solvers.status import Status
from .censoring import with_censored
from .evaluation import Evaluation, evaluation_of
from .failures import worst
from .likelihood import LikelihoodTerms, reject_failures
from .marginal_scales import Nuisance, find_nuisance
from .measured import Measured, measured_of
from .new_rows import NewRows, with_new_rows
from .nominal import MissingValueError, completed, read_only, unknown_names
from .parameter_space import ParameterSpace, Z
from .readout import Assays, Readout
from .reasons import why_not_solved, without_derivative
from .shared import Shared
from .undefined import undefined_rows
from .usage import check_parts, converted

Objective = Literal["posterior", "likelihood", "density"]


class Problem:
    """A model, a data set and priors, with one `log_density(z)` over unconstrained z. It does not change.

    What is estimated is listed in `space.names`, what is fixed in `fixed`.

    Parameters
    ----------
    model, dataset : Model, Dataset
        What is simulated, and what was measured.
    priors : dict of Parameter, optional
        Add to or replace the data set's own parameters, by name; those of the model's constants are converted from
        their units into the model's.
    marginalise : collection of str, optional
        Scales of gels and plates to integrate out in closed form. None: all that can be; empty: none, so that they are
        sampled.
    settings : Settings
        Of the solver.
    source, other_model : str
        The name or path that the data were loaded from, and of the network that takes the place of the data's own.

    Other Parameters
    ----------------
    z, u : array, parameters
        Unconstrained coordinates of what is estimated, and unfolded ones with z = `space.fold(u)`; dimensionless.
    values : dict of float
        Parameter values by name, in each parameter's unit; by default nominal ones. `read` takes an array like
        `vector`.
    vector : array, names
        Values of all parameters in the order of `names`, in each parameter's unit.
    readout : Readout
        What `read` returns.
    kind : str
        `"posterior"`: −log likelihood − log prior with respect to the search scale; `"likelihood"`: the first alone;
        `"density"`: −`log_density`.
    failed : collection of str
        Kinds of failure, as labels of `hexamer.Status`.
    sets : int
        Number of parameter sets.
    measured : Measured
        Arrays of measured values on each observable's scale, which may be traced.
    key, make, function, fixed : object
        What is shared: hashable keys, and functions of a problem.
    **changes
        Fields of `Settings`.

    Raises
    ------
    ValueError
        For names that the model does not have, and parameters without a prior or a value.
    """

    model: Model
    dataset: Dataset
    parameters: Mapping[str, Parameter]
    nuisance: Nuisance
    space: ParameterSpace
    assays: Assays
    measured: Measured
    settings: Settings
    source: str
    other_model: str
    _deviations: Mapping[str, str]
    _shared: Shared
    _limits: Dataset  # in whose rows `with_data` finds the limits of values

    def __init__(
        self,
        model: Model,
        dataset: Dataset,
        priors: Mapping[str, Parameter] | None = None,
        *,
        marginalise: Collection[str] | None = None,
        settings: Settings = Settings(),  # noqa: B008
        source: str = "",
        other_model: str = "",
    ):
        require_x64()
        keep_compiled_code()
        parameters = {**dataset.parameters, **converted(priors or {}, dataset, model)}
        computed = {*model.parameters, *model.species, *model.rules}
        estimated = [p for p in parameters.values() if p.estimated]
        nuisance = find_nuisance(dataset, estimated, marginalise, elsewhere={*computed, *dataset.jointly})
        sampled = [p for p in estimated if p.name not in nuisance.names]
        check_parts(model, dataset, parameters, sampled)
        space = ParameterSpace(sampled, dataset.joint_priors)
        self._set(dataset=dataset, parameters=MappingProxyType(parameters), nuisance=nuisance, space=space)
        assays = Assays(model, dataset, tuple(parameters), self.fixed)
        self._set(assays=assays, model=assays.model, settings=settings, source=source, other_model=other_model)
        self._set(measured=measured_of(dataset, assays.log_base, nuisance), _shared=Shared(), _limits=dataset)
        self._set(_deviations=find_deviations(dataset, elsewhere=computed))

    def _set(self, **values: object) -> None:
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"cannot set {name}: a Problem does not change. Make another one; with_settings(…) makes one with other "
            "settings of the solver"
        )

    def __repr__(self) -> str:
        parts = [repr(self.name), repr(self.model), counted(self.dataset.measurements, "measurement")]
        return f"Problem({', '.join(parts)}, {counted(self.space.names, 'estimated parameter')})"

    def _repr_html_(self) -> str:
        from .html import problem_form

        return problem_form(
            repr(self), self.dataset, self.parameters.values(), self.space.names, self.model, self.settings
        )

    @property
    def name(self) -> str:
        """The data set's."""
        return self.dataset.name

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All parameters, estimated and fixed, in the order of `values`."""
        return tuple(self.parameters)

    @cached_property
    def position(self) -> Int[np.ndarray, " parameters"]:
        """The position of each estimated parameter in `names`, an index (dimensionless)."""
        return read_only(np.array([self.names.index(n) for n in self.space.names], dtype=int))

    @cached_property
    def base(self) -> Float[np.ndarray, " names"]:
        """Values of the fixed parameters in their units, in the order of `names`; 1 for the others."""
        base = np.array([p.value if p.value is not None else 1.0 for p in self.parameters.values()], dtype=float)
        base[[self.names.index(n) for n in self.nuisance.names]] = 1.0
        return read_only(base)

    @cached_property
    def _fixed_and_order(self) -> tuple[Float[np.ndarray, " fixed"], Int[np.ndarray, " names"]]:
        """Values of the fixed parameters, and the order that puts them behind the estimated ones among `names`."""
        positions = np.setdiff1d(np.arange(len(self.names)), self.position)
        return self.base[positions], np.argsort(np.concatenate([self.position, positions]))

    def with_settings(self, settings: Settings | None = None, /, **changes: Any) -> Problem:
        """The same problem under other settings of the solver.

        Parameters
        ----------
        settings : Settings, optional
            By default the problem's own.
        **changes
            Fields of them that are otherwise, as `rtol=1e-8`.

        Returns
        -------
        Problem
            A new problem.
        """
        return self._with(settings=replace(settings or self.settings, **changes))

    def with_data(self, rows: NewRows) -> Problem:
        """The same problem with other measured values in the same rows; nothing is compiled anew for it.

        Parameters
        ----------
        rows : array, or Dataset, or list of Measurement
            Values in the order of `dataset.measurements`, each in its observable's unit. A row with a limit is censored
            if its value lies at or beyond that, else it was measured. Measurements state their limits, which then hold;
            each has the observable, protocol, time and arguments of the row that it replaces. If one is censored in a
            way that its row is not, all is compiled anew. A Dataset has the problem's priors and definitions, if any.

        Returns
        -------
        Problem
            A new problem. Its `source` is empty, as it was not loaded from there.

        Raises
        ------
        ValueError
            For another number of rows, rows that differ in more than their value, other definitions, numbers that are
            not finite or have no logarithm and need one, and a limit in a row whose scale is integrated out.
        """
        dataset, limits = with_new_rows(self.dataset, rows, self._limits)
        measured = measured_of(dataset, self.assays.log_base, self.nuisance)
        if np.all((measured.tail == 0) | (measured.tail == self.assays.limits)):
            return self._with(dataset=dataset, measured=measured, source="", _limits=limits)
        given = {"marginalise": self.nuisance.names, "settings": self.settings, "other_model": self.other_model}
        return Problem(self.model, dataset, self.parameters, **given)

    def _with(self, **changes: object) -> Problem:
        other = object.__new__(type(self))
        other._set(**{n: v for n, v in self.__dict__.items() if n != "_on_device"} | changes)
        return other

    def holding(self, measured: Measured | None) -> Problem:
        """The problem with other arrays of what was measured, which may be traced; its data set stays."""
        return self._with(measured=measured)

    def once[T](self, key: Hashable, make: Callable[[Problem], T]) -> T:
        """The result of `make(problem without values)`; problems that differ only in values share it."""
        return self._shared.get((key, self.settings), lambda: make(self.holding(None)))

    def compiled(self, function: Callable[..., Any], *fixed: Hashable) -> Callable[..., Any]:
        """`function(problem, *fixed, *arrays)` as a compiled function of `arrays`, shared as `once` shares."""

        def make(shape: Problem) -> Callable[..., Any]:
            return jax.jit(lambda measured, *arrays: function(shape.holding(measured), *fixed, *arrays))

        return partial(self.once((function, fixed), make), self._on_device)

    @cached_property
    def _on_device(self) -> Measured:
        """`measured` as arrays of JAX: five arrays of numpy take a tenth of a millisecond in each call."""
        with self.placed():
            return jax.tree.map(jnp.asarray, self.measured)

    def placed(self, sets: int = 1) -> AbstractContextManager[list]:
        """Within, JAX computes where a call of so many sets of parameters belongs; see `models.solvers.placement`."""
        return placed(sets * len(self.assays.protocols), self.settings)

    @property
    def fixed(self) -> dict[str, float]:
        """Parameters held at a value, by name, in their units."""
        return {n: p.value for n, p in self.parameters.items() if not p.estimated and p.value is not None}

    def values(self, z: Z | Float[np.ndarray, " parameters"]) -> Float[Array, " names"]:
        """All parameters' values, in the order of `names`; scales that are integrated out are 1."""
        fixed, order = self._fixed_and_order
        return jnp.concatenate([self.space.constrain(jnp.asarray(z)), jnp.asarray(fixed)])[order]

    def read(self, values: Float[Array, " names"]) -> Readout:
        """What the assays read at parameter values."""
        return self.assays.read(self.settings, values)

    def row_densities(self, readout: Readout) -> Float[Array, " rows"]:
        """Log density of every row, given its scale; of a censored one the log probability.

        NaN where a standard deviation is not above 0.
        """
        sd = jnp.where(readout.sd > 0, readout.sd, jnp.nan)  # of a limit's probability the sign alone would be lost
        measured, limits = self.measured, self.assays.limits
        r = jnp.asarray((measured.value - readout.mean) / sd)
        density = self.assays.noise.log_density(r) - jnp.log(sd) + measured.jacobian
        if not np.any(limits):
            return density
        limited = with_censored(density, r, limits, self.assays.noise, jnp.asarray(measured.width / sd))
        return jnp.where(measured.tail != 0, limited, density)

    def terms(self, z: Z) -> LikelihoodTerms:
        """Log likelihood at z in pieces, scales integrated out."""
        return self.terms_of(self.read(self.values(z)))

    def terms_of(self, readout: Readout) -> LikelihoodTerms:
        """Log likelihood of what the assays read with those scales at 1, in pieces."""
        rows = self.row_densities(readout)
        if not len(self.nuisance):
            return LikelihoodTerms(rows, jnp.zeros(0), readout.status)
        scales = self.nuisance.log_density(jnp.asarray(self.measured.value) - readout.mean, readout.sd)
        free = jnp.where(self.nuisance.group >= 0, 0.0, rows)
        return LikelihoodTerms(free, scales + self.measured.of_scales, readout.status)

    def log_likelihood(self, z: Z) -> Float[Array, ""]:
        """Log likelihood at z, scales integrated out; −inf with zero gradient where a simulation failed."""
        return self._rejecting(z, "likelihood")[0]

    def log_density(self, z: Z) -> Float[Array, ""]:
        """Log posterior density over z, unnormalised; −inf with zero gradient where a simulation failed.

        Reverse-differentiable. `objective(z, "density")` also gives the status of the simulations.
        """
        return -self.objective(z, "density")[0]

    def log_density_unfolded(self, u: Z) -> Float[Array, ""]:
        """`log_density` over u, z = `space.fold(u)`: where the sampler works, as no mode is there twice."""
        return -self.objective_unfolded(u)[0]

    def log_prior_unfolded(self, u: Z) -> Float[Array, ""]:
        """The prior's part of `log_density_unfolded`; the likelihood's is `log_likelihood(space.fold(u))`."""
        return self.space.log_prior(self.space.fold(u)) + self.space.log_slope(u)

    def objective_unfolded(self, u: Z) -> tuple[Float[Array, ""], Int[Array, ""]]:
        """−`log_density_unfolded`, and the status of the simulations."""
        value, status = self.objective(self.space.fold(u), "density")
        return value - self.space.log_slope(u), status

    @falls_back
    def potential(self, u: Float[Array | np.ndarray, " parameters"]) -> tuple[Float[Array, ""], Z]:
        """−`log_density_unfolded` and its gradient, compiled, of one u (dimensionless)."""
        with self.placed():
            return self.compiled(Problem._potential)(u)

    def objective(self, z: Z, kind: Objective = "posterior") -> tuple[Float[Array, ""], Int[Array, ""]]:
        """A negative log density in nats that an optimiser minimises, and the status of its simulations.

        Infinite with zero gradient if a simulation failed.
        """
        check_word("kind", kind, get_args(Objective))
        value, status = self._rejecting(z, kind)
        return -value, status

    def _rejecting(self, z: Z, kind: Objective) -> tuple[Float[Array, ""], Int[Array, ""]]:
        def density(measured: Measured, z: Z) -> tuple[Float[Array, ""], Int[Array, ""]]:
            return self.holding(measured)._objective(z, kind=kind)

        return reject_failures(density, self.measured, z)

    def _objective(self, z: Z, *, kind: Objective) -> tuple[Float[Array, ""], Int[Array, ""]]:
        terms = self.terms(z)
        value = jnp.sum(terms.rows) + jnp.sum(terms.scales)
        if kind != "likelihood":
            value = value + (self.space.log_prior(z) if kind == "density" else self.space.log_prior_mode(z))
        return value, worst(terms.status, jnp.isfinite(value))

    def unknown(self, values: Collection[str]) -> tuple[str, ...]:
        """Names that are no parameters of this problem, estimated or fixed."""
        return unknown_names(values, self.parameters)

    @falls_back
    def evaluate(self, values: Mapping[str, float] | None = None) -> Evaluation:
        """The likelihood at given values (nominal ones where not named), with every scale at its given value.

        Raises `ValueError` naming the parameters that have no value, and unknown names.
        """
        vector = jnp.asarray(self.vector(values))
        with self.placed():
            readout, rows = self.compiled(Problem._readings)(vector)
            return evaluation_of(self.assays, self.dataset, self.measured, self.settings, vector, readout, rows)

    def vector(self, values: Mapping[str, float] | None = None) -> Float[np.ndarray, " names"]:
        """Values of all parameters in the order of `names`, nominal ones where not given; they must have one."""
        known = completed(values or {}, self.parameters, self._deviations)
        check_volumes(self.model, known, [*self.dataset.protocols.values()])
        return np.array([known[n] for n in self.names])

    def why_failed(self, failed: Collection[str], vector: Float[Array, " names"]) -> tuple[str, ...]:
        """Sentences on the kinds of failure in `failed` at `vector`, which name species, rows or parameters."""
        with self.placed():
            said = why_not_solved(self.assays, self.settings, failed, vector)
            if Status.NOT_FINITE.label not in failed:
                return said
            readout, rows = self.compiled(Problem._readings)(jnp.asarray(vector))
            said = (*said, *undefined_rows(self.assays, self.dataset, readout, np.asarray(rows)))
            if said or not np.all(np.isfinite(np.asarray(rows))):
                return said
            return without_derivative(self.names, np.asarray(self.compiled(Problem._slopes)(jnp.asarray(vector))))

    def _potential(self, u: Z) -> tuple[Float[Array, ""], Z]:
        return jax.value_and_grad(lambda u: -self.log_density_unfolded(u))(u)

    def _readings(self, vector: Float[Array, " names"]) -> tuple[Readout, Float[Array, " rows"]]:
        readout = self.read(vector)
        return readout, self.row_densities(readout)

    def _slopes(self, vector: Float[Array, " names"]) -> Float[Array, " names"]:
        return jax.grad(lambda v: jnp.sum(self.row_densities(self.read(v))))(vector)


__all__ = ["MissingValueError", "Objective", "Problem"]
