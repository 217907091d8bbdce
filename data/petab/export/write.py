"""Writes a data set with its network as a PEtab problem."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ....models.networks.network import Network
from ....models.networks.sbml_write import write_sbml
from ...dataset import Dataset
from .readings import add_unsayable
from .source import source_of
from .tables import write_folder
from .unsayable import PetabExportError, Unsayable
from .v1 import write_v1
from .v2 import write_v2

_WRITERS = {1: write_v1, 2: write_v2}


@dataclass(frozen=True)
class Exported:
    """A PEtab problem that was written.

    Attributes
    ----------
    path : Path
        Of the YAML file.
    ids : dict of str
        The id in the parameter table of each parameter that has a row there, by its name in hexamer.
    notes : tuple of str
        What differs from hexamer's own density, and what another tool may miss.
    """

    path: Path
    ids: Mapping[str, str]
    notes: tuple[str, ...] = ()


def write_petab(
    dataset: Dataset,
    network: Network,
    folder: str | Path,
    *,
    constants: Collection[str],
    version: int = 2,
    overwrite: bool = False,
) -> Exported:
    """Writes a PEtab problem; `constants` are the names of the network that the compiled model has as parameters.

    Nominal values are `Parameter.value`. Raises `PetabExportError` with all that PEtab cannot say, `FileExistsError` if
    the folder holds files and `overwrite` is false, or if the model of the data set lies there, `NotADirectoryError`
    if a file is in its place or above it, and `ValueError` for other versions. Nothing is written then.
    """
    folder = Path(folder)
    _check_folder(folder, overwrite=overwrite, model=dataset.model)
    if version not in _WRITERS:
        raise ValueError(f"there is no PEtab version {version}; known: {', '.join(map(str, _WRITERS))}")
    source = source_of(dataset, network, constants)
    problems = Unsayable()
    add_unsayable(source, problems)
    files = _WRITERS[version](source, problems)
    problems.check(dataset.name, version)
    write_folder(folder, {**files, "model.xml": write_sbml(source.network)})
    return Exported(folder / "problem.yaml", dict(source.rows))


def _check_folder(folder: Path, *, overwrite: bool, model: str) -> None:
    if file := next((p for p in (folder, *folder.parents) if p.exists() and not p.is_dir()), None):
        raise NotADirectoryError(f"{folder} cannot be a folder, as {file} is a file: name another one")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(
            f"the folder {folder} is not empty: name another one, or allow that files in it are replaced"
        )
    if Path(model).is_file() and folder.resolve() in (Path(model).parent.resolve(), Path(model).resolve().parent):
        raise FileExistsError(f"the folder {folder} is that of the problem's model, {model}: name another one")


__all__ = ["Exported", "PetabExportError", "write_petab"]
