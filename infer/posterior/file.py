"""Posteriors on disk: one NetCDF file, written whole or not at all."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import xarray as xr

from ...data.earlier_result import POSTERIOR
from ..storage.files import FileError, broken, reason, replacing, seal, sealed

MARK = "hexamer_version"  # the root attribute that tells our files from others
_SEALED = "checksum"  # the root attribute of a file that ends with one
_ENGINE = "h5netcdf"
MEASUREMENT = "measurement"  # the variable of every group over rows; see `row_layout`
OLDER_LAYOUT = (
    "the posterior's measurements, replicates and likelihood terms have the layout of an older release, which figures "
    "of measurements and leave-one-out do not read. The same `fit` into its folder makes the file anew from the draws "
    "there"
)

log = logging.getLogger(__name__)


class PosteriorFileError(FileError):
    """A posterior's file cannot be read or written; the message names the file and what to do."""


def save_datatree(tree: xr.DataTree, path: str | Path) -> Path:
    """Writes a posterior as NetCDF; a reader sees the old file or the new one, never a part.

    Parameters
    ----------
    tree : xarray.DataTree
        The posterior.
    path : path
        The file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    PosteriorFileError
        If the file cannot be written.
    """
    path = Path(path).expanduser()
    marked = tree.copy()
    marked.attrs[_SEALED] = "SHA-256 of the file, in its last line"
    # In memory first: on a full disk HDF5 fails while closing, with tracebacks and at times a crash.
    content = io.BytesIO()
    marked.to_netcdf(content, engine=_ENGINE, encoding=_compressed(tree))
    try:
        with replacing(path, "the posterior ") as part:
            part.write_bytes(content.getvalue())
            seal(part)
    except FileError as error:
        raise PosteriorFileError(str(error)) from error
    return path


def file_of(place: str | Path) -> Path:
    """The posterior's file: `place` itself, or the file in it if it is a folder."""
    path = Path(place).expanduser()
    return path / POSTERIOR if path.is_dir() else path


def read_datatree(path: str | Path) -> xr.DataTree:
    """The posterior in a file, loaded into memory.

    Parameters
    ----------
    path : path
        The file, such as `posterior.nc`.

    Returns
    -------
    xarray.DataTree
        The posterior.

    Raises
    ------
    FileNotFoundError
        If there is none.
    PosteriorFileError
        For a folder, and for a file that is damaged or another program's.

    Notes
    -----
    A file of an older release, with a variable per observable, is read with a warning: summaries, predictions and dose
    responses take it; figures of measurements and `loo` ask for a new one.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"there is no posterior {str(path)!r}: sample first, or correct the path")
    if path.is_dir():
        raise PosteriorFileError(f"{str(path)!r} is a folder: name the posterior's file in it, such as {POSTERIOR}")
    try:
        if sealed(path) and (wrong := broken(path)):
            raise ValueError(wrong)
        with xr.open_datatree(path, engine=_ENGINE) as opened:
            tree = opened.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise PosteriorFileError(_unreadable(path, error)) from error
    if tree.attrs.pop(_SEALED, None) and not sealed(path):
        raise PosteriorFileError(_unreadable(path, ValueError("it lacks the checksum that it was written with")))
    missing = [n for n in ("posterior", "sample_stats") if n not in tree.children]
    if MARK not in tree.attrs or missing:
        lacks = f"the groups {', '.join(missing)}" if missing else f"the attribute {MARK!r}"
        raise PosteriorFileError(
            f"{str(path)!r} is a NetCDF file, but no posterior of hexamer's: it lacks {lacks}; "
            "read it with arviz.from_netcdf instead"
        )
    if "observed_data" in tree.children and MEASUREMENT not in tree["observed_data"].dataset:
        log.warning("%s: %s", path, OLDER_LAYOUT)
    return tree


def _compressed(tree: xr.DataTree) -> dict[str, dict[str, dict[str, int | bool]]]:
    large = {"zlib": True, "complevel": 4, "shuffle": True}
    return {
        node.path: {str(n): dict(large) for n, v in node.data_vars.items() if v.dtype.kind == "f" and v.size > 1000}
        for node in tree.subtree
    }


def _unreadable(path: Path, error: Exception) -> str:
    if path.stat().st_size == 0:
        state = "it is empty"
    elif path.read_bytes()[:8] != b"\x89HDF\r\n\x1a\n":
        state = "it is not a NetCDF file"
    elif "truncated" in str(error):
        state = "it is cut short, as by a broken copy or a full disk"
    else:
        state = f"it is damaged ({reason(error)})"
    return (
        f"cannot read the posterior {str(path)!r}: {state}; copy it again, or sample again (a fit into the same folder "
        "makes it anew from the draws there)"
    )
