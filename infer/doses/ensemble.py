"""`Ensemble`: draws of a posterior, parameter sets of a model, or populations of cells around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy.typing import ArrayLike

from ...data.dataset import Dataset
from ...models.compiled.model import Model
from ...models.compiled.volumes import check_volumes
from ...models.listing import counted, did_you_mean, listed
from ...models.load import load_model
from ...models.solvers.settings import Settings
from ...models.variation import Correlation, Spread, lognormal_factors
from ..posterior.fitted import fitted_settings
from ..problem.problem import Problem
from .amounts import Masses
from .cells import Cells, of_dataset, of_model, of_unknown
from .fitted_model import UnknownModelError, model_and_data, parameters_of, tree_of

Source = xr.DataTree | Model | str | Path
DRAWS = 1000  # of a posterior, unless another number is asked for


@dataclass(frozen=True, eq=False)
class Ensemble:
    """A model, and values of its parameters by name, one per member.

    Made by `Ensemble.from_posterior` (members are its draws), `Ensemble.from_model` (one parameter set, or draws of
    your own), and from either by `vary` (a population of cells per draw).

    Attributes
    ----------
    model : Model
        What is simulated.
    values : dict of arrays, size
        By parameter, in the model's units; a population's are ordered draw by draw.
    draws : int
        Number of draws.
    origin : str
        Where the values come from, in words.
    fitted : bool
        True for a posterior.
    dataset : Dataset, optional
        Of a posterior, the data it was fitted to, if they are known.
    settings : Settings
        Of a posterior, those of the solver it was fitted with, if they are known.
    varied : dict of arrays, draws × members
        Of a population, what differs between members, by name, in the model's units.
    """

    model: Model
    values: Mapping[str, Float[np.ndarray, " size"]]
    draws: int
    origin: str
    fitted: bool = False
    dataset: Dataset | None = None
    settings: Settings = field(default_factory=Settings)
    varied: Mapping[str, Float[np.ndarray, "draws members"]] = field(default_factory=dict)

    def __repr__(self) -> str:
        differ = f" × {self.members:,} members that differ in {listed(self.varied)}" if self.varied else ""
        return f"Ensemble({self.model.name!r}, {self.origin}{differ})"

    @classmethod
    def from_posterior(
        cls,
        posterior: xr.DataTree | str | Path,
        model: Model | Problem | str | None = None,
        draws: int | None = DRAWS,
        group: str = "posterior",
    ) -> Ensemble:
        """About `draws` draws of a posterior, evenly spread over all chains.

        A posterior brings the model, how cells start, units and molar masses of its inputs, and the solver's settings.

        Parameters
        ----------
        posterior : DataTree or path
            An ArviZ tree, or the file or folder that holds it.
        model : Model, Problem or str, optional
            Another model, such as the fitted one with a drug, under the same protocol; or the `Problem` that was
            fitted, for files of older versions and models written in Python.
        draws : int, optional
            How many; None: all.
        group : str
            The group of the tree, such as `prior`.

        Raises
        ------
        ValueError
            For a posterior without parameters of the model, or that estimates what the model derives.
        UnknownModelError
            For one whose model cannot be found.
        """
        if draws is not None and draws < 1:
            raise ValueError(f"draws must be at least 1, not {draws}")
        tree = tree_of(posterior)
        used, dataset = model_and_data(tree, model)
        cells = of_unknown() if dataset is None else of_dataset(dataset, used)
        values, size = parameters_of(tree, used, cells.references, draws=draws, group=group)
        source = tree.attrs.get("problem") or posterior
        origin = f"{counted(range(size), 'draw')} of the {group}" + (f" of {source}" if isinstance(source, str) else "")
        return cls(used, values, size, origin, fitted=True, dataset=dataset, settings=fitted_settings(tree))

    @classmethod
    def from_model(cls, model: Model | str, parameters: Mapping[str, ArrayLike] | None = None) -> Ensemble:
        """One or more parameter sets of a model.

        Parameters
        ----------
        model : Model or str
            The model, its name, or its file.
        parameters : dict, optional
            By name, numbers or arrays of one common length, in the model's units; others have the model's own values.

        Raises
        ------
        ValueError
            For names that the model does not have, arrays of several lengths, and numbers that are not finite.
        """
        used = load_model(model) if isinstance(model, str) else model
        values, size = _broadcast(used, parameters or {})
        return cls(used, values, size, counted(range(size), "parameter set"))

    @property
    def members(self) -> int:
        """How many cells, or patients, there are per draw; 1 if nothing varies."""
        return next((x.shape[1] for x in self.varied.values()), 1)

    @property
    def size(self) -> int:
        """How many members there are in all draws."""
        return self.draws * self.members

    @property
    def dims(self) -> dict[str, int]:
        """Dimensions of results, and their sizes: `draw`, and `member` of a population."""
        return {"draw": self.draws} | ({"member": self.members} if self.varied else {})

    @property
    def added(self) -> dict[str, Float[np.ndarray, " size"]]:
        """Species that vary and are added with the ligand, by name, in the model's units."""
        return {n: x.ravel() for n, x in self.varied.items() if n not in self.model.parameters}

    def cells(self, preequilibrate: bool | None = None) -> Cells:
        """How the cells start.

        Parameters
        ----------
        preequilibrate : bool, optional
            Whether they start in steady state; None: as fitted, or, if the model was not fitted, in steady state.
        """
        if self.dataset is not None:
            return of_dataset(self.dataset, self.model, preequilibrate)
        return of_unknown(preequilibrate) if self.fitted else of_model(preequilibrate)

    def vary(
        self,
        varies: Mapping[str, Spread],
        *,
        size: int = 1000,
        seed: int = 0,
        correlation: Correlation = 0.0,
        molar_mass: Masses | None = None,
    ) -> Ensemble:
        """A population of `size` cells, or patients, around each draw; see `hexamer.models.variation`.

        All draws have the same members, so that draws differ in nothing else.

        Parameters
        ----------
        varies : dict of Spread
            What differs between members, by name: parameters of the model, and species that are added with the ligand.
            A species S that the model holds at a level `S_0` by itself, as `cytokine_release` does soluble receptors,
            is not added on top of it: `S_0` varies in its place.
        size : int
            Members per draw, 2 or more.
        seed : int
            Of the members.
        correlation : float or dict
            On the logarithmic scale (dimensionless): one number for all pairs, or numbers by pair.
        molar_mass : dict, optional
            By name, for means that are mass concentrations: kDa, or text with a unit.

        Raises
        ------
        ValueError
            For names that the model does not have, a species without a mean, one that varies twice, and correlations
            that no distribution has.

        Examples
        --------
        >>> from hexamer.infer import Ensemble, Spread
        >>> Ensemble.from_model("il6_classic").vary({"IL6R_0": Spread(cv=0.5)}, size=100)
        Ensemble('il6_classic', 1 parameter set × 100 members that differ in IL6R_0)
        """
        if size < 2:
            raise ValueError(f"a population has at least 2 members, not {size}")
        if not varies:
            raise ValueError("say what varies from member to member: varies={'NAME': Spread(cv=0.5)}")
        if self.varied:
            raise ValueError(f"{', '.join(self.varied)} vary already: name all that varies in one call")
        factors = lognormal_factors({n: s.cv for n, s in varies.items()}, size, seed, correlation)
        means = {n: _mean(self, n, s, molar_mass or {}) for n, s in varies.items()}
        varied = {_level(self.model, n): means[n][:, None] * factors[n] for n in varies}
        if len(varied) < len(varies):
            raise ValueError(
                f"a species and the level that the model holds it at are one: {', '.join(varies)} vary twice"
            )
        values = {n: np.repeat(v, size) for n, v in self.values.items()}
        values |= {n: x.ravel() for n, x in varied.items() if n in self.model.parameters}
        return replace(self, values=values, varied=varied)


def ensemble_of(
    source: Ensemble | Source,
    parameters: Mapping[str, ArrayLike] | None = None,
    *,
    model: Model | Problem | str | None = None,
    draws: int | None = DRAWS,
) -> Ensemble:
    """The ensemble that `source` is or stands for; see `hexamer.infer.dose_response` for the arguments.

    Raises `ValueError` for arguments that the source leaves no place for, and as the ensembles' makers do.
    """
    if isinstance(source, Ensemble):
        if parameters is not None or model is not None or draws not in (None, DRAWS):
            raise ValueError("parameters=, model= and draws= make an Ensemble; here the source is one")
        return source
    if isinstance(source, Model):
        if model is not None:
            raise ValueError("model= belongs to a posterior; here the source is a model itself")
        if draws is not None and draws < 1:
            raise ValueError(f"draws must be at least 1, not {draws}")
        return Ensemble.from_model(source, parameters)
    if parameters is not None:
        raise ValueError("a posterior brings its own parameters: change them by conditions, not by parameters=")
    return Ensemble.from_posterior(source, model, draws)


def _broadcast(model: Model, parameters: Mapping[str, ArrayLike]) -> tuple[dict[str, np.ndarray], int]:
    """Values by name, all of one length, and that length."""
    if unknown := sorted(set(parameters) - set(model.parameters)):
        raise ValueError(
            f"{', '.join(unknown)}: not among the parameters of {model.name}; its parameters: "
            f"{', '.join(model.parameters)}{did_you_mean(unknown, model.parameters)}"
        )
    arrays = {n: np.asarray(v, dtype=float).ravel() for n, v in parameters.items()}
    lengths = {len(a) for a in arrays.values()} - {1}
    if len(lengths) > 1:
        raise ValueError(
            "parameters must be single numbers or arrays of one common length, not "
            + ", ".join(f"{n}: {len(a)}" for n, a in arrays.items() if len(a) != 1)
        )
    if bad := [n for n, a in arrays.items() if not np.all(np.isfinite(a))]:
        raise ValueError(f"parameters must be finite: {', '.join(bad)}")
    check_volumes(model, arrays)
    size = lengths.pop() if lengths else 1
    if not size:
        raise ValueError(f"parameters hold no draws: {', '.join(n for n, a in arrays.items() if not len(a))} is empty")
    return {n: np.broadcast_to(a, (size,)) for n, a in arrays.items()}, size


def _mean(base: Ensemble, name: str, spread: Spread, masses: Masses) -> Float[np.ndarray, " draws"]:
    """The mean over members, for each draw, in the model's unit."""
    model = base.model
    if name not in model.parameters and name not in model.species:
        raise ValueError(
            f"{name!r} varies, and {model.name} does not have it; its parameters: {', '.join(model.parameters)}; "
            f"its species: {', '.join(model.species)}{did_you_mean(name, [*model.parameters, *model.species])}"
        )
    if spread.mean is not None:
        dose = base.cells().doses(model, name, spread.mean, molar_mass=masses.get(name))
        return np.repeat(dose.values, base.draws)
    name = _level(model, name)
    if name in model.species:
        raise ValueError(f"{name} is added to the cells: say how much, Spread(cv={spread.cv:g}, mean='100 ng/ml')")
    if name in base.values:
        return base.values[name]
    return np.full(base.draws, model.defaults[model.parameters.index(name)])


def _level(model: Model, name: str) -> str:
    """The level `S_0` that the model holds a species S at, which varies in its place; any other name itself."""
    level = f"{name}_0"
    return level if name in model.species and level in model.parameters else name


__all__ = ["DRAWS", "Ensemble", "Source", "UnknownModelError", "ensemble_of"]
