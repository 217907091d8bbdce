"""PROBLEM as the commands read it: its data first, which takes no JAX, then the model compiled with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ..data import Dataset
    from ..infer import Problem


def read_data(problem: str, model: str | None = None) -> Dataset:
    """The data set of PROBLEM; raises what is wrong with it, or with the name of another model, at once.

    It is called before JAX is imported, which takes seconds with all that hexamer needs of it.
    """
    from ..data import load
    from ..models import load_network

    dataset = load(problem)
    if model is not None:
        load_network(model)
    return dataset


def load_and_note(problem: str, dataset: Dataset | None = None, **options) -> Problem:
    """PROBLEM with its model, and a note on all that was assumed; `dataset`: its data, if they have been read."""
    from ..infer import load_problem as load

    loaded = load(problem, dataset=dataset, **options)
    for note in loaded.dataset.notes:
        typer.echo(f"note: {note}", err=True)
    return loaded


def values_of(table: Path, dataset: Dataset, model: str | None) -> dict[str, float]:
    """Values of parameters in their own units. PEtab's numbers are in the model's units as they are."""
    from ..data import read_values
    from ..data.quantities.model_units import ModelUnits
    from ..models import load_network

    network = load_network(dataset.model if model is None else model) if dataset.time_unit else None
    units = None if network is None else ModelUnits(network, dataset.time_unit)
    return read_values(table, {n: p.unit for n, p in dataset.parameters.items()}, units)


def warn_of_noise(problem: Problem, values: Mapping[str, float] | None) -> None:
    """Warns of measurements whose noise is below the solver's error at these values."""
    from ..infer.checks.solver_noise import drowned_noise

    for sentence in drowned_noise(problem, problem.vector(values)):
        typer.echo(f"warning: {sentence}", err=True)


__all__ = ["load_and_note", "read_data", "values_of", "warn_of_noise"]
