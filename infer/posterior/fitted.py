"""What a posterior was fitted to, stored in its file: a folder of results needs nothing else to predict."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import xarray as xr

from ...data import bundled
from ...data import load as load_dataset
from ...data.dataset import Dataset
from ...data.parameter import Parameter
from ...models.compiled.from_network import compile_network
from ...models.compiled.model import Model
from ...models.load import load_network
from ...models.networks.network import Facts, Network
from ...models.solvers.settings import Settings
from ..problem.identity import with_layout_of
from ..problem.problem import Problem
from ..problem.readout import with_inputs_of_protocols
from .content import ContentError, from_text, to_text
from .file import PosteriorFileError

log = logging.getLogger(__name__)

GROUP = "fitted"
_PARTS = {  # of a data set, as its files call them
    "observables": "observables",
    "protocols": "what was done to the cells",
    "measurements": "measurements",
    "parameters": "priors or fixed values",
    "joint_priors": "joint priors",
    "inputs": "units or molar masses of inputs",
}


@dataclass(frozen=True, eq=False)
class Fitted:
    """The data set and the network of a fit; no network if the model was written in Python.

    `priors` are all parameters of the problem with their priors or values, those that were given beside the data set
    among them; None in files of older versions.

    `source` is the name or path that the data were loaded from, `other_model` the network that was given in place of
    their own; both are empty if they do not apply. `parameters` are those of the compiled model.
    """

    dataset: Dataset
    network: Network | None = None
    parameters: tuple[str, ...] = ()
    source: str = ""
    other_model: str = ""
    priors: Mapping[str, Parameter] | None = None

    def model(self) -> Model | None:
        """The model that was fitted, compiled anew; None if it was written in Python."""
        if self.network is None:
            return None
        return with_inputs_of_protocols(compile_network(self.network, independent=self.parameters), self.dataset)


def of_problem(problem: Problem) -> Fitted:
    """What `problem` is fitted to."""
    model = problem.model
    return Fitted(
        problem.dataset, model.network, model.parameters, problem.source, problem.other_model, problem.parameters
    )


def store_fitted(problem: Problem) -> xr.Dataset:
    """The group of a posterior's tree that holds what `problem` is fitted to, as text."""
    fitted = of_problem(problem)
    texts = {"dataset": to_text(fitted.dataset), "priors": to_text(dict(problem.parameters))}
    if fitted.network is not None:
        texts["network"] = to_text(fitted.network)
    attrs = {"source": fitted.source, "other_model": fitted.other_model}
    variables = {n: xr.DataArray(t) for n, t in texts.items()}
    return xr.Dataset({**variables, "parameters": ("parameter", list(fitted.parameters))}, attrs=attrs)


def read_fitted(tree: xr.DataTree) -> Fitted | None:
    """The problem that a posterior was fitted to, from its tree; None if the tree does not have it.

    Raises `PosteriorFileError` if that cannot be read.
    """
    if GROUP not in tree.children:
        return None
    group = tree[GROUP].dataset
    try:
        network = from_text(str(group["network"].item())) if "network" in group else None
        return Fitted(
            from_text(str(group["dataset"].item())),
            network,
            tuple(map(str, group["parameters"].values)),
            str(group.attrs.get("source", "")),
            str(group.attrs.get("other_model", "")),
            from_text(str(group["priors"].item())) if "priors" in group else None,
        )
    except (ContentError, KeyError) as error:
        raise PosteriorFileError(
            f"the posterior of {tree.attrs.get('problem')!r} holds a problem that cannot be read: {error}; pass the "
            "problem that was fitted"
        ) from None


def changes(fitted: Fitted) -> list[str]:
    """The parts of the problem that changed, in the place it was loaded from, since the fit; empty if none did.

    Also empty if that place is not known or its files are gone.
    """
    if not fitted.source or not (fitted.source in bundled() or Path(fitted.source).exists()):
        return []
    try:
        now = load_dataset(fitted.source)
        network = load_network(fitted.other_model or now.model)
    except FileNotFoundError:
        return []  # published data, or a model, that lie elsewhere now
    except (ValueError, OSError):
        return ["it can no longer be read"]
    changed = [
        words for part, words in _PARTS.items() if to_text(getattr(fitted.dataset, part)) != to_text(getattr(now, part))
    ]
    if fitted.network is not None and _equations(fitted.network) != _equations(network):
        changed.insert(0, "model")
    return changed


def _equations(network: Network) -> str:
    """The network as text without its facts, which files of older versions do not hold and no fit depends on."""
    return to_text(replace(network, facts=Facts()))


def fitted_settings(tree: xr.DataTree) -> Settings:
    """The solver's settings of the fit; the default ones if its file states others than are known today.

    Where and how that machine solved is not taken over.
    """
    try:
        settings = Settings.restored(json.loads(tree.attrs.get("solver_settings", "{}")))
    except (ValueError, TypeError) as error:
        log.warning("note: the posterior was made with settings of the solver that cannot be taken over: %s", error)
        return Settings()
    return with_layout_of(settings, Settings())


__all__ = ["GROUP", "Fitted", "changes", "fitted_settings", "of_problem", "read_fitted", "store_fitted"]
