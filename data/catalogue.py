"""Data sets by name or path."""

from __future__ import annotations

from pathlib import Path

from ..models.listing import did_you_mean
from .dataset import Dataset
from .native.description import FILE
from .native.folder import read_folder

_HERE = Path(__file__).parent / "bundled_problems"


def bundled() -> tuple[str, ...]:
    """Names of the bundled data sets.

    Returns
    -------
    tuple of str
        What `load` knows by name; the data of some are published and the user's to provide (`DataNotFound`).
    """
    return tuple(sorted(path.parent.name for path in _HERE.glob(f"*/{FILE}")))


def load(name_or_path: str | Path) -> Dataset:
    """A data set: a bundled one by name, a folder with `problem.toml`, or a PEtab problem's YAML file.

    Parameters
    ----------
    name_or_path : str or path
        A bundled name comes first; write `./name` for a folder of the same name.

    Returns
    -------
    Dataset
        The data set.

    Raises
    ------
    FileNotFoundError
        If it is none of them; `DataNotFound` if published data are missing.
    TableError
        With all problems of a table.
    """
    if isinstance(name_or_path, str) and name_or_path in bundled():
        return read_folder(_HERE / name_or_path)
    path = Path(name_or_path)
    if path.is_dir() and (path / FILE).is_file():
        return read_folder(path)
    if path.is_file() and path.name == FILE:
        return read_folder(path.parent)
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        from .petab.read import read_petab  # a second to import, and few need it

        return read_petab(path)
    known = f"the bundled data sets are {', '.join(bundled())}"
    if path.is_dir():
        raise FileNotFoundError(f"the folder {str(path)!r} has no {FILE}; {known}")
    if path.exists():
        raise FileNotFoundError(f"{str(path)!r} is neither a folder with {FILE} nor a PEtab YAML file; {known}")
    near = did_you_mean(str(name_or_path), bundled())
    raise FileNotFoundError(f"there is no data set {str(name_or_path)!r}: {known}, and there is no such path{near}")
