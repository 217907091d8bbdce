"""The files that a command reads: it must not write over them."""

from __future__ import annotations

from pathlib import Path


def check_folder(out: Path, what: str, *inputs: str | Path | None) -> None:
    """Raises `ValueError` if `out`, which messages call `what`, is the folder of a file or problem that is read."""
    for given in inputs:
        if given is None or not (path := Path(given)).exists():  # the name of a bundled one
            continue
        folders = (path.resolve(),) if path.is_dir() else (path.parent.resolve(), path.resolve().parent)
        if out.resolve() in folders:
            raise ValueError(
                f"{what} {out} is the folder of {path}, which this command reads and might write over: name another "
                f"folder, such as {out / 'results'}"
            )


def check_file(out: Path, *inputs: str | Path | None) -> None:
    """Raises `ValueError` if `out` is a file that is read."""
    for given in inputs:
        if given is not None and out.is_file() and Path(given).is_file() and out.samefile(given):
            raise ValueError(f"--out {out} is a file that this command reads: name another file")


__all__ = ["check_file", "check_folder"]
