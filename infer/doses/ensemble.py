"""Where parameters come from: a posterior with what was fitted, or a model with values by name."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy.typing import ArrayLike

from ...data.dataset import Dataset
from ...errors import HexamerError
from ...models.compiled.identity import model_digest
from ...models.compiled.model import Model
from ...models.compiled.volumes import check_given
from ...models.listing import did_you_mean
from ...models.load import load_model
from ...models.solvers.settings import Settings
from ..posterior.datatree import safe, thinned
from ..posterior.file import read
from ..posterior.fitted import Fitted, changes, kept
from ..problem.identity import LAYOUT
from ..problem.load import load_problem
from ..problem.problem import Problem
from .cells import Cells, of_dataset, of_model, of_unknown

log = logging.getLogger(__name__)

Source = xr.DataTree | Model | str | Path


class UnknownModelError(HexamerError, ValueError):
    """A posterior that does not hold the model it is of, which therefore has to be given."""


class Draws(NamedTuple):
    """A model, and values of its parameters by name, one for each draw (`size` of them).

    Of a posterior also the data set that it was fitted to and the solver's settings, where they are known.
    """

    model: Model
    values: dict[str, Float[np.ndarray, " draws"]]
    size: int
    fitted: bool = False
    dataset: Dataset | None = None
    settings: Settings = Settings()

    def cells(self, preequilibrate: bool | None = None) -> Cells:
        """How the cells start: by default as fitted, or, of a model that was not, at rest."""
        if self.dataset is not None:
            return of_dataset(self.dataset, self.model, preequilibrate)
        return of_unknown(preequilibrate) if self.fitted else of_model(preequilibrate)


def draws_of(
    source: Source,
    parameters: Mapping[str, ArrayLike] | None = None,
    *,
    model: Model | Problem | str | None = None,
    draws: int | None = 1000,
    group: str = "posterior",
) -> Draws:
    """The model and parameters that `source` stands for; see `hexamer.infer.dose_response` for the arguments.

    Raises `ValueError` for names that the model does not have and arrays of several lengths, `UnknownModelError` for a
    posterior whose model cannot be found.
    """
    if draws is not None and draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws}")
    if isinstance(source, Model):
        if model is not None:
            raise ValueError("model= belongs to a posterior; here the source is a model itself")
        return _of_model(source, parameters or {})
    if parameters is not None:
        raise ValueError("a posterior brings its own parameters: change them by conditions, not by parameters=")
    tree = source if isinstance(source, xr.DataTree) else _read(Path(source))
    found, dataset = _model_and_data(tree, model)
    known = tree[group].dataset
    fixed = json.loads(tree.attrs.get("fixed", "{}"))
    kept_draws = thinned(known.sizes["chain"] * known.sizes["draw"], draws)
    values = {n: np.full(len(kept_draws), float(v)) for n, v in fixed.items() if n in found.parameters}
    values |= {n: known[safe(n)].values.reshape(-1)[kept_draws] for n in found.parameters if safe(n) in known}
    if not values:
        raise ValueError(f"the posterior holds no parameter of {found.name}: is it of another model?")
    _check_used(found, {*map(str, known.data_vars), *fixed} - set(values))
    result = Draws(found, values, len(kept_draws), True, dataset, _settings(tree))
    for n in result.cells().references - set(values):  # what only protocols use, such as a level that is estimated
        if safe(n) in known:
            values[n] = known[safe(n)].values.reshape(-1)[kept_draws]
        elif n in fixed:
            values[n] = np.full(len(kept_draws), float(fixed[n]))
    return result


def _check_used(model: Model, unused: set[str]) -> None:
    """What a posterior estimates and the model derives from something else would be lost in silence."""
    network = model.network
    derived = sorted(n for n in unused if network is not None and n in {*network.species, *network.parameters})
    if derived:
        raise ValueError(
            f"the posterior estimates {', '.join(derived)}, which in {model.name} follow from other parameters: pass "
            f"the problem that was fitted, or load_model(…, independent={derived})"
        )


def _of_model(model: Model, parameters: Mapping[str, ArrayLike]) -> Draws:
    if unknown := sorted(set(parameters) - set(model.parameters)):
        raise ValueError(
            f"{', '.join(unknown)}: no parameters of {model.name}; its parameters: "
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
    check_given(model, arrays)
    size = lengths.pop() if lengths else 1
    if not size:
        raise ValueError(f"parameters hold no draws: {', '.join(n for n, a in arrays.items() if not len(a))} is empty")
    return Draws(model, {n: np.broadcast_to(a, (size,)) for n, a in arrays.items()}, size)


def _read(path: Path) -> xr.DataTree:
    return read(path / "posterior.nc" if path.is_dir() else path)


def _settings(tree: xr.DataTree) -> Settings:
    """The solver's settings of the fit; the default ones where its file states others than are known today.

    Where and how that machine solved is not taken over.
    """
    known = {f.name for f in fields(Settings)} - {*LAYOUT}
    try:
        return Settings(**{k: v for k, v in json.loads(tree.attrs.get("solver_settings", "{}")).items() if k in known})
    except (ValueError, TypeError):
        return Settings()


def _model_and_data(tree: xr.DataTree, given: Model | Problem | str | None) -> tuple[Model, Dataset | None]:
    """The model and the data that a posterior is of: those given, those that its file holds, or those it names."""
    if isinstance(given, Problem):
        return given.model, given.dataset
    fitted = kept(tree)
    dataset = None if fitted is None else fitted.dataset
    if isinstance(given, str):
        return load_model(given, independent=_estimated(tree)), dataset
    if given is not None:
        return given, dataset
    if fitted is None:
        return _by_name(tree)
    if (model := fitted.model()) is None:
        raise UnknownModelError(
            f"the model {tree.attrs.get('model')!r} of this posterior was written in Python, which its file cannot "
            "hold: pass the model or the problem that was fitted"
        )
    _say_what_changed(fitted)
    return model, dataset


def _say_what_changed(fitted: Fitted) -> None:
    if changed := changes(fitted):
        log.warning(
            "note: the problem %s has changed since it was fitted (%s); what was fitted is used",
            fitted.source,
            ", ".join(changed),
        )


def _estimated(tree: xr.DataTree) -> set[str]:
    return {*map(str, tree["posterior"].dataset.data_vars), *json.loads(tree.attrs.get("fixed", "{}"))}


def _by_name(tree: xr.DataTree) -> tuple[Model, Dataset | None]:
    """The bundled problem, or at least the model, that a file of an older version names, if it is still the same."""
    digest = tree.attrs.get("model_digest")

    def problem() -> tuple[Model, Dataset | None]:
        found = load_problem(str(tree.attrs["problem"]))
        return found.model, found.dataset

    def network() -> tuple[Model, Dataset | None]:
        return load_model(str(tree.attrs["model"]), independent=_estimated(tree)), None

    for load in (problem, network):
        try:
            model, dataset = load()
        except (ValueError, OSError, KeyError):
            continue
        if model_digest(model) == digest:
            return model, dataset
    raise UnknownModelError(
        f"the posterior of {tree.attrs.get('problem')!r} does not hold its problem, as files of older versions do not, "
        f"and its model {tree.attrs.get('model')!r} is not bundled as it was then: pass the problem that was fitted, "
        "or its model"
    )


__all__ = ["Draws", "Source", "UnknownModelError", "draws_of"]
