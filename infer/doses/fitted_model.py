"""Which model a posterior is of, which data it was fitted to, and the values of its draws."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from pathlib import Path

import numpy as np
import xarray as xr

from ...data.dataset import Dataset
from ...errors import HexamerError
from ...models import bundled
from ...models.compiled.identity import model_digest
from ...models.compiled.model import Model
from ...models.load import load_model
from ..posterior.datatree import safe
from ..posterior.draw_evaluation import thinned
from ..posterior.file import file_of, read_datatree
from ..posterior.fitted import Fitted, changes, read_fitted
from ..problem.load import load_problem
from ..problem.problem import Problem

log = logging.getLogger(__name__)


class UnknownModelError(HexamerError, ValueError):
    """A posterior that does not hold the model it is of, which therefore has to be given."""


def tree_of(posterior: xr.DataTree | str | Path) -> xr.DataTree:
    """A posterior's tree: itself, or that of a file, or of the file `posterior.nc` in a folder."""
    if isinstance(posterior, xr.DataTree):
        return posterior
    if not isinstance(posterior, (str, Path)):
        raise TypeError(f"a posterior is a tree, a file or a folder; for {posterior!r} use Ensemble.from_model")
    if not Path(posterior).exists() and str(posterior) in bundled():
        raise FileNotFoundError(f"{str(posterior)!r} is a model, not a posterior: Ensemble.from_model takes it")
    return read_datatree(file_of(posterior))


def parameters_of(
    tree: xr.DataTree, model: Model, references: Collection[str], *, draws: int | None, group: str
) -> tuple[dict[str, np.ndarray], int]:
    """Values of the model's parameters by name, one per draw, and how many draws these are.

    Also those of `references`: names that only protocols use, such as a level that is estimated.
    """
    posterior = tree[group].dataset
    fixed = json.loads(tree.attrs.get("fixed", "{}"))
    used = thinned(posterior.sizes["chain"] * posterior.sizes["draw"], draws)
    values = {n: np.full(len(used), float(v)) for n, v in fixed.items() if n in model.parameters}
    values |= {n: posterior[safe(n)].values.reshape(-1)[used] for n in model.parameters if safe(n) in posterior}
    if not values:
        raise ValueError(f"the posterior holds no parameter of {model.name}: is it of another model?")
    _check_used(model, {*map(str, posterior.data_vars), *fixed} - set(values))
    for n in sorted(set(references) - set(values)):
        if safe(n) in posterior:
            values[n] = posterior[safe(n)].values.reshape(-1)[used]
        elif n in fixed:
            values[n] = np.full(len(used), float(fixed[n]))
    return values, len(used)


def _check_used(model: Model, unused: set[str]) -> None:
    """Raises `ValueError` for names that the posterior estimates and the model derives: they would have no effect."""
    network = model.network
    derived = sorted(n for n in unused if network is not None and n in {*network.species, *network.parameters})
    if derived:
        raise ValueError(
            f"the posterior estimates {', '.join(derived)}, which in {model.name} follow from other parameters: pass "
            f"the problem that was fitted, or load_model(…, independent={derived})"
        )


def model_and_data(tree: xr.DataTree, model_or_problem: Model | Problem | str | None) -> tuple[Model, Dataset | None]:
    """The model and the data that a posterior is of: those given, those that its file holds, or those it names."""
    if isinstance(model_or_problem, Problem):
        return model_or_problem.model, model_or_problem.dataset
    fitted = read_fitted(tree)
    dataset = None if fitted is None else fitted.dataset
    if isinstance(model_or_problem, str):
        return load_model(model_or_problem, independent=_estimated(tree)), dataset
    if model_or_problem is not None:
        return model_or_problem, dataset
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
        loaded = load_problem(str(tree.attrs["problem"]))
        return loaded.model, loaded.dataset

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


__all__ = ["UnknownModelError", "model_and_data", "parameters_of", "tree_of"]
