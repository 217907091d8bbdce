"""Problems by name, folder or file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...data import Dataset, bundled
from ...data import load as load_dataset
from ...models.load import load_model
from .problem import Problem
from .usage import check_same_units, without_unused


def load_problem(
    source: str | Path, *, model: str | Path | None = None, dataset: Dataset | None = None, **options
) -> Problem:
    """A problem by name, folder or PEtab YAML file.

    Parameters
    ----------
    source : str or path
        A name (`hepg2`, `il6_demo`), a folder with `problem.toml`, or a PEtab YAML file.
    model : str or path, optional
        Another network than the one that the data name. What has a prior or value, or is set by a protocol, no longer
        follows from an initial assignment of the model.
    dataset : Dataset, optional
        What `hexamer.data.load(source)` returned, if the tables have been read already.
    **options
        Those of `Problem`.

    Returns
    -------
    Problem
        The model, the data and the priors, joined.

    Raises
    ------
    TableError
        With all that is wrong with the tables.
    ValueError, FileNotFoundError, UnsupportedModelError
        As `load_model` and `Problem` do.

    Examples
    --------
    >>> len(load_problem("il6_demo").space)
    25
    """
    if dataset is None:
        dataset = load_dataset(source)
    independent = {*dataset.parameters, *(options.get("priors") or {})}
    independent = independent.union(*(q.targets for q in dataset.protocols.values()))
    compiled = load_model(dataset.model if model is None else model, independent=independent)
    options["source"] = str(source) if source in bundled() else str(Path(source).resolve())
    if model is not None:
        check_same_units(dataset, compiled)
        dataset = replace(dataset, model=str(model), parameters=without_unused(compiled, dataset))
        options["other_model"] = str(Path(model).resolve()) if Path(model).is_file() else str(model)
    return Problem(compiled, dataset, **options)


__all__ = ["load_problem"]
