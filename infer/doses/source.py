"""Where parameters come from: a posterior with its model, or a model with values by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy.typing import ArrayLike

from ...models.model import Model
from ..posterior import safe, thinned
from ..posterior_file import read
from ..problem import Problem

Source = xr.DataTree | Model | str | Path


class Draws(NamedTuple):
    """A model, and values of its parameters by name, one for each draw (`size` of them)."""

    model: Model
    values: dict[str, Float[np.ndarray, " draws"]]
    size: int


def draws_of(
    source: Source,
    parameters: Mapping[str, ArrayLike] | None = None,
    *,
    model: Model | Problem | str | None = None,
    draws: int | None = 1000,
    group: str = "posterior",
) -> Draws:
    """The model and parameters that `source` stands for; see `hexamer.infer.dose_response` for the arguments.

    Raises `ValueError` for names that the model does not have, arrays of several lengths, and a posterior whose model
    cannot be found.
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
    found = _model_of(tree, model)
    known = tree[group].dataset
    fixed = json.loads(tree.attrs.get("fixed", "{}"))
    total = known.sizes["chain"] * known.sizes["draw"]
    kept = thinned(total, draws)
    values = {n: np.full(len(kept), float(v)) for n, v in fixed.items() if n in found.parameters}
    values |= {n: known[safe(n)].values.reshape(-1)[kept] for n in found.parameters if safe(n) in known}
    if not values:
        raise ValueError(f"the posterior holds no parameter of {found.name}: is it of another model?")
    _check_used(found, {*map(str, known.data_vars), *fixed} - set(values))
    return Draws(found, values, len(kept))


def _check_used(model: Model, unused: set[str]) -> None:
    """What a posterior estimates and the model derives from something else would be lost in silence."""
    network = model.network
    derived = sorted(n for n in unused if network is not None and n in {*network.species, *network.parameters})
    if derived:
        raise ValueError(
            f"the posterior estimates {', '.join(derived)}, which in {model.name} follow from other parameters: pass "
            f"the problem that was fitted, or Model.load(…, independent={derived})"
        )


def _of_model(model: Model, parameters: Mapping[str, ArrayLike]) -> Draws:
    if unknown := sorted(set(parameters) - set(model.parameters)):
        raise ValueError(
            f"{', '.join(unknown)}: no parameters of {model.name}; its parameters: {', '.join(model.parameters)}"
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
    size = lengths.pop() if lengths else 1
    if not size:
        raise ValueError(f"parameters hold no draws: {', '.join(n for n, a in arrays.items() if not len(a))} is empty")
    return Draws(model, {n: np.broadcast_to(a, (size,)) for n, a in arrays.items()}, size)


def _read(path: Path) -> xr.DataTree:
    return read(path / "posterior.nc" if path.is_dir() else path)


def _model_of(tree: xr.DataTree, given: Model | Problem | str | None) -> Model:
    """The model that a posterior is of: the one given, or the bundled one or problem that its file names."""
    digest = tree.attrs.get("model_digest")
    estimated = {*tree["posterior"].dataset.data_vars, *json.loads(tree.attrs.get("fixed", "{}"))}
    if given is not None:
        model = given.model if isinstance(given, Problem) else given
        model = Model.load(model, independent={str(n) for n in estimated}) if isinstance(model, str) else model
        return model
    tried = (
        lambda: Model.load(tree.attrs["model"], independent={str(n) for n in estimated}),
        lambda: Problem.load(tree.attrs["problem"]).model,
    )
    for load in tried:
        try:
            model = load()
        except (ValueError, OSError, KeyError):
            continue
        if model.digest == digest:
            return model
    raise ValueError(
        f"the posterior is of the model {tree.attrs.get('model')!r} (problem {tree.attrs.get('problem')!r}), which is "
        "not bundled as it was then: pass model=, the Problem or Model that was fitted (--problem or --model on the "
        "command line)"
    )
